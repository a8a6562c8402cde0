#include "cdae.hpp"

#include "spar/systems/declarations.hpp"

namespace spar::systems {

SystemInfo declare_acae() {
  SystemInfo info;
  info.name = "acae";
  info.family = "attack and defence, accuracy";
  info.base = "cdae";
  info.sentence =
      "Collaborative denoising auto-encoder, then against an adversary who perturbs the weights of its wide layers "
      "(adversarial collaborative auto-encoder)";
  info.inputs = {"interactions"};
  info.score = "sigmoid(sum of the training profile's rows + user) . item + item_bias";
  info.bibtex = R"(@inproceedings{yuan2019acae,
  author    = {Feng Yuan and Lina Yao and Boualem Benatallah},
  title     = {Adversarial Collaborative Auto-encoder for Top-N Recommendation},
  booktitle = {International Joint Conference on Neural Networks},
  pages     = {1--8},
  year      = {2019}
}
)";
  info.settings = cdae_settings(info.name);
  for (const char* taken : {"autoencoder.encoder_weight", "autoencoder.decoder_weight", "game.*", "adversary.*"})
    info.settings.takes.emplace_back(taken);
  const std::string choice = "own choice: tuned in the paper";
  const std::vector<SettingDefault> adversary{{"autoencoder.encoder_weight", 1.0, choice},
                                              {"autoencoder.decoder_weight", 1.0, choice},
                                              {"adversary.method", std::string("fgm"), "ACAE paper"},
                                              {"adversary.ball", std::string("row_l2"), "own choice: as APR code"},
                                              {"adversary.epsilon", 0.5, choice},
                                              {"adversary.weight", 1.0, choice},
                                              {"adversary.scope", std::string("batch"), "ACAE paper"}};
  info.settings.defaults.insert(info.settings.defaults.end(), adversary.begin(), adversary.end());
  info.autoencoder = cdae_of;
  return info;
}

}  // namespace spar::systems
