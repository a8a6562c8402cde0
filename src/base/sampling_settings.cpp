#include "setting_lists.hpp"

/// Of the negatives.
namespace spar {

std::vector<Setting> sampling_settings() {
  return {
      {.key = "sampling.negatives",
       .kind = SettingKind::text,
       .fallback = std::string("uniform"),
       .choices = {"uniform", "popularity", "dislikes"},
       .sentence = "Law of the negative items",
       .origin = "own choice"},
      {.key = "sampling.power",
       .kind = SettingKind::real,
       .fallback = 0.75,
       .minimum = 0,
       .maximum = 4,
       .exclusive_minimum = true,
       .only_with = "sampling.negatives",
       .only_values = {"popularity"},
       .sentence = "Drawn in proportion to this power of their training interactions",
       .origin = "word2vec (Mikolov et al., NIPS 2013)"},
      {.key = "sampling.dislike_share",
       .kind = SettingKind::real,
       .fallback = 0.05,
       .minimum = 0,
       .maximum = 1,
       .only_with = "sampling.negatives",
       .only_values = {"dislikes"},
       .sentence =
           "Share of a user's negatives that are his dislikes; the others, and those of users without dislikes, "
           "are drawn uniformly",
       .origin = "own choice"},
      {.key = "sampling.own_items",
       .kind = SettingKind::flag,
       .fallback = false,
       .sentence = "Whether negatives may be the user's own training items; else these are drawn anew",
       .origin = "own choice"},
      {.key = "sampling.candidates",
       .kind = SettingKind::integer,
       .fallback = std::int64_t{1},
       .minimum = 1,
       .maximum = 1024,
       .sentence = "Draws for each negative, which is the one that the model scores highest; 1: the law alone",
       .origin = "own choice"},
      {.key = "sampling.cold_items",
       .kind = SettingKind::flag,
       .fallback = true,
       .sentence =
           "Whether items without training interactions are negatives; else triples that draw one count nothing",
       .origin = "own choice"},
      {.key = "sampling.per_positive",
       .kind = SettingKind::integer,
       .fallback = std::int64_t{4},
       .minimum = 1,
       .maximum = 1000,
       .sentence = "Negatives drawn for each positive",
       .origin = "own choice"},
  };
}

}  // namespace spar
