#include "spar/systems/declarations.hpp"

namespace spar::systems {

SystemInfo declare_apr() {
  SystemInfo info;
  info.name = "apr";
  info.family = "attack and defence, accuracy";
  info.base = "bpr";
  info.sentence =
      "Matrix factorisation trained by BPR, then against an adversary who perturbs its vectors (adversarial "
      "personalized ranking)";
  info.inputs = {"interactions"};
  info.score = "user . item (+ item_bias)";
  info.bibtex = R"(@inproceedings{he2018apr,
  author    = {Xiangnan He and Zhankui He and Xiaoyu Du and Tat-Seng Chua},
  title     = {Adversarial Personalized Ranking for Recommendation},
  booktitle = {The 41st International {ACM SIGIR} Conference on Research and Development in Information Retrieval},
  pages     = {355--364},
  year      = {2018}
}
)";
  const std::string code = "APR code";
  info.settings = {
      .system = info.name,
      .takes = {"model.*", "game.*", "adversary.*", "objective.*", "optimizer.*", "sampling.negatives",
                "sampling.power", "sampling.dislike_share", "sampling.own_items", "sampling.candidates", "train.*"},
      .defaults = {{"model.dim", std::int64_t{64}, code},
                   {"model.init_law", std::string("truncated_normal"), code},
                   {"model.init_std", 0.01, code},
                   {"adversary.method", std::string("fgm"), code},
                   {"adversary.ball", std::string("row_l2"), code},
                   {"adversary.epsilon", 0.5, code},
                   {"adversary.weight", 1.0, code},
                   {"adversary.scope", std::string("batch"), code},
                   {"adversary.norm_floor", 1e-6, code},
                   {"optimizer.name", std::string("adagrad"), code},
                   {"optimizer.learning_rate", 0.05, code},
                   {"optimizer.initial_accumulator", 0.1, code},
                   {"objective.l2", 0.0, code},
                   {"sampling.negatives", std::string("uniform"), code},
                   {"train.batch_size", std::int64_t{512}, code}}};
  return info;
}

}  // namespace spar::systems
