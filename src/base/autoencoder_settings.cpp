#include "setting_lists.hpp"

namespace spar {

std::vector<Setting> autoencoder_settings() {
  return {
      {.key = "autoencoder.keep",
       .kind = SettingKind::real,
       .fallback = 0.5,
       .minimum = 0,
       .maximum = 1,
       .exclusive_minimum = true,
       .sentence = "Share of a user's items that a training step sees, which count 1 / share; 1: all",
       .origin = "own choice"},
      {.key = "autoencoder.beta",
       .kind = SettingKind::real,
       .fallback = std::string("ramp 0 0.2 over 40000 steps"),
       .minimum = 0,
       .may_vary = true,
       .sentence = "Weight of the code's divergence from the standard normal law",
       .origin = "Mult-VAE code: a pace of 200,000 steps to 1, held at 0.2"},
      {.key = "autoencoder.cells",
       .kind = SettingKind::text,
       .fallback = std::string("sampled"),
       .choices = {"sampled", "all"},
       .sentence = "What the loss counts of a user: his items and sampling.per_positive others for each, or all",
       .origin = "own choice"},
      {.key = "autoencoder.init_scale",
       .kind = SettingKind::real,
       .fallback = 1.0,
       .minimum = 0,
       .sentence = "Rows of items and users start uniform within this times sqrt(6 / (items + width))",
       .origin = "own choice"},
      {.key = "autoencoder.encoder_weight",
       .kind = SettingKind::real,
       .fallback = 1.0,
       .minimum = 0,
       .sentence = "Factor of adversary.weight for the loss with perturbed input rows of items; 0: none are",
       .origin = "own choice"},
      {.key = "autoencoder.decoder_weight",
       .kind = SettingKind::real,
       .fallback = 1.0,
       .minimum = 0,
       .sentence = "The same for perturbed output rows of items",
       .origin = "own choice"},
  };
}

}  // namespace spar
