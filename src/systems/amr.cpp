#include "vbpr.hpp"

#include "spar/systems/declarations.hpp"

namespace spar::systems {

SystemInfo declare_amr() {
  SystemInfo info;
  info.name = "amr";
  info.family = "attack and defence, accuracy";
  info.base = "vbpr";
  info.sentence =
      "Visual Bayesian personalized ranking, then against an adversary who perturbs the items' features (adversarial "
      "multimedia recommendation)";
  info.inputs = {"interactions", "item features"};
  info.score = "user . (item + features projection)";
  info.bibtex = R"(@article{tang2019amr,
  author  = {Jinhui Tang and Xiaoyu Du and Xiangnan He and Fajie Yuan and Qi Tian and Tat-Seng Chua},
  title   = {Adversarial Training Towards Robust Multimedia Recommender System},
  journal = {{IEEE} Transactions on Knowledge and Data Engineering},
  volume  = {32},
  number  = {5},
  pages   = {855--867},
  year    = {2020}
}
)";
  const std::string code = "AMR code";
  info.settings = vbpr_settings(info.name);
  for (const char* taken : {"network.taps", "game.*", "adversary.*"}) info.settings.takes.emplace_back(taken);
  const std::vector<SettingDefault> adversary{{"network.taps", std::vector<std::string>{"item_features"}, code},
                                              {"adversary.method", std::string("fgm"), code},
                                              {"adversary.ball", std::string("row_l2"), code},
                                              {"adversary.epsilon", 0.1, code},
                                              {"adversary.weight", 1.0, code},
                                              {"adversary.scope", std::string("batch"), code},
                                              {"adversary.norm_floor", 1e-6, code}};
  info.settings.defaults.insert(info.settings.defaults.end(), adversary.begin(), adversary.end());
  info.network = vbpr_of;
  return info;
}

}  // namespace spar::systems
