#include "spar/systems/declarations.hpp"

namespace spar::systems {

SystemInfo declare_bpr_mf() {
  SystemInfo info;
  info.name = "bpr-mf";
  info.family = "base";
  info.sentence = "Matrix factorisation trained to rank observed items above others (Bayesian personalized ranking)";
  info.inputs = {"interactions"};
  info.score = "user . item (+ item_bias)";
  info.bibtex = R"(@inproceedings{rendle2009bpr,
  author    = {Steffen Rendle and Christoph Freudenthaler and Zeno Gantner and Lars Schmidt-Thieme},
  title     = {{BPR}: {B}ayesian Personalized Ranking from Implicit Feedback},
  booktitle = {Proceedings of the Twenty-Fifth Conference on Uncertainty in Artificial Intelligence (UAI)},
  pages     = {452--461},
  year      = {2009}
}
)";
  info.settings = {.system = info.name,
                   .takes = {"model.*", "objective.*", "optimizer.*", "sampling.negatives", "sampling.power",
                             "sampling.dislike_share", "sampling.own_items", "sampling.candidates", "train.*"},
                   .defaults = {{"optimizer.name", std::string("adagrad"), "APR code, BPR stage"},
                                {"optimizer.learning_rate", 0.05, "APR code, BPR stage"}}};
  return info;
}

}  // namespace spar::systems
