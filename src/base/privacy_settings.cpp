#include "setting_lists.hpp"

/// What systems have that hide attributes of users from whoever reads their vectors.
namespace spar {

std::vector<Setting> privacy_settings() {
  return {
      {.key = "privacy.attributes",
       .kind = SettingKind::texts,
       .fallback = std::vector<std::string>{""},
       .sentence = "Attributes of users that readers look for in their vectors; an empty name: the data set's only one",
       .origin = "own choice"},
      {.key = "privacy.classes",
       .kind = SettingKind::integers,
       .fallback = std::vector<std::int64_t>{0},
       .minimum = 0,
       .maximum = 1 << 20,
       .sentence = "How many values each of them has; 0: as the data set says",
       .origin = "own choice"},
      {.key = "privacy.weight",
       .kind = SettingKind::real,
       .fallback = 1.0,
       .minimum = 0,
       .may_vary = true,
       .sentence = "Weight of the readers' reversed gradient at the users' vectors (lambda); 0: they only read",
       .origin = "own choice"},
      {.key = "privacy.reader",
       .kind = SettingKind::text,
       .fallback = std::string("linear"),
       .choices = {"linear", "hidden"},
       .sentence = "A reader is a softmax regression, or has a hidden layer of ReLU units",
       .origin = "own choice"},
      {.key = "privacy.hidden",
       .kind = SettingKind::integer,
       .fallback = std::int64_t{64},
       .minimum = 1,
       .maximum = 65536,
       .only_with = "privacy.reader",
       .only_values = {"hidden"},
       .sentence = "Units of that layer",
       .origin = "own choice"},
      {.key = "privacy.class_weights",
       .kind = SettingKind::text,
       .fallback = std::string("balanced"),
       .choices = {"balanced", "none"},
       .sentence = "Whether rare values count more in the readers' loss, all values alike together, or users alike",
       .origin = "own choice"},
      {.key = "privacy.inner_steps",
       .kind = SettingKind::integer,
       .fallback = std::int64_t{0},
       .minimum = 0,
       .maximum = 1000,
       .sentence = "Steps of the readers on users of their own before each step of the vectors; 0: both in one step",
       .origin = "own choice"},
  };
}

}  // namespace spar
