#include "setting_lists.hpp"

namespace spar {

std::vector<Setting> decorrelation_settings() {
  return {
      {.key = "objective.decorrelation",
       .kind = SettingKind::real,
       .fallback = 0.0,
       .minimum = 0,
       .may_vary = true,
       .sentence = "Weight of the squared covariances between columns of the users', and of the items', vectors",
       .origin = "own choice"},
      {.key = "objective.decorrelation_every",
       .kind = SettingKind::integer,
       .fallback = std::int64_t{1},
       .minimum = 1,
       .maximum = 1 << 30,
       .sentence = "Steps from one that has this penalty, as many times, to the next: it moves all rows",
       .origin = "own choice"},
  };
}

}  // namespace spar
