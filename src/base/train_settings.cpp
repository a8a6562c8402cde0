#include "setting_lists.hpp"

namespace spar {

std::vector<Setting> train_settings() {
  return {
      {.key = "train.epochs",
       .kind = SettingKind::integer,
       .fallback = std::int64_t{200},
       .minimum = 0,
       .role = SettingRole::free,
       .sentence = "All epochs, pre-training included; raise it to go on",
       .origin = "own choice"},
      {.key = "train.batch_size",
       .kind = SettingKind::integer,
       .fallback = std::int64_t{512},
       .minimum = 1,
       .maximum = 1 << 30,
       .sentence = "Positives (of sequences and auto-encoders: users) of a step of the whole job, at any rank count",
       .origin = "own choice"},
      {.key = "train.seed",
       .kind = SettingKind::integer,
       .fallback = std::int64_t{1},
       .minimum = 0,
       .common = true,
       .sentence = "Fixes every random number of the training",
       .origin = "own choice"},
  };
}

}  // namespace spar
