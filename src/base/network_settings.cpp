#include "setting_lists.hpp"

namespace spar {

namespace {

bool below_one(const SettingValue& value) {
  return std::get<double>(value) < 1;
}

}  // namespace

std::vector<Setting> network_settings() {
  return {
      {.key = "network.blocks",
       .kind = SettingKind::integer,
       .fallback = std::int64_t{2},
       .minimum = 1,
       .maximum = 64,
       .sentence = "Blocks of attention and feed-forward layers",
       .origin = "own choice"},
      {.key = "network.heads",
       .kind = SettingKind::integer,
       .fallback = std::int64_t{1},
       .minimum = 1,
       .maximum = 256,
       .sentence = "Heads of the attention; they divide model.dim",
       .origin = "own choice"},
      {.key = "network.batch_norm",
       .kind = SettingKind::flag,
       .fallback = false,
       .sentence = "Batch norm over the whole batch's examples before the activation of every layer",
       .origin = "own choice"},
      {.key = "network.dropout",
       .kind = SettingKind::real,
       .fallback = 0.2,
       .minimum = 0,
       .maximum = 1,
       .keeps = below_one,
       .rule = "from 0 to below 1",
       .sentence = "Share of the numbers in its layers that a training step leaves out",
       .origin = "own choice"},
  };
}

std::vector<Setting> sequence_settings() {
  return {
      {.key = "sequence.length",
       .kind = SettingKind::integer,
       .fallback = std::int64_t{50},
       .minimum = 1,
       .maximum = 4096,
       .sentence = "Newest items of a history that are looked at",
       .origin = "own choice"},
  };
}

}  // namespace spar
