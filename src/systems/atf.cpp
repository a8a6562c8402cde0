#include "pitf.hpp"

#include "spar/systems/declarations.hpp"

namespace spar::systems {

SystemInfo declare_atf() {
  SystemInfo info;
  info.name = "atf";
  info.family = "attack and defence, accuracy";
  info.sentence =
      "Tags for a user's item: pitf, then against an adversary who perturbs the vectors of users, items and tags "
      "(adversarial tensor factorisation)";
  info.inputs = {"interactions", "tags"};
  info.score = "user . tag_user + item . tag_item";
  info.bibtex = R"(@inproceedings{chen2019atf,
  author    = {Huiyuan Chen and Jing Li},
  title     = {Adversarial Tensor Factorization for Context-Aware Recommendation},
  booktitle = {Proceedings of the 13th {ACM} Conference on Recommender Systems},
  pages     = {363--367},
  year      = {2019}
}
)";
  info.base = "pitf";
  info.settings = pitf_settings(info.name);
  for (const char* taken : {"network.taps", "game.*", "adversary.*"}) info.settings.takes.emplace_back(taken);
  const std::string own = "own choice";
  const std::vector<SettingDefault> adversary{
      {"network.taps", std::vector<std::string>{"user", "item", "tag_user", "tag_item"}, own},
      {"adversary.method", std::string("fgm"), own},
      {"adversary.ball", std::string("row_l2"), own},
      {"adversary.epsilon", 0.5, own},
      {"adversary.weight", 1.0, own},
      {"adversary.scope", std::string("batch"), own}};
  info.settings.defaults.insert(info.settings.defaults.end(), adversary.begin(), adversary.end());
  info.network = pitf_of;
  return info;
}

}  // namespace spar::systems
