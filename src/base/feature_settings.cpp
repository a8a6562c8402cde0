#include "setting_lists.hpp"

/// What models of item features have besides: their form, their features, penalties and learning rates of their parts.
namespace spar {

std::vector<Setting> feature_settings() {
  return {
      {.key = "network.form",
       .kind = SettingKind::text,
       .fallback = std::string("shared"),
       .choices = {"shared", "full"},
       .sentence = "One user vector for all; or a second one for the features, and biases",
       .origin = "AMR code; full: VBPR paper"},
      {.key = "network.visual_dim",
       .kind = SettingKind::integer,
       .fallback = std::int64_t{20},
       .minimum = 1,
       .maximum = 4096,
       .only_with = "network.form",
       .only_values = {"full"},
       .sentence = "Width of the user's second vector and of the projected features",
       .origin = "VBPR paper"},
      {.key = "network.taps",
       .kind = SettingKind::texts,
       .fallback = std::vector<std::string>{"item_features"},
       .sentence = "Where the adversary's perturbations enter: user, item, item_features, of atf tag_user and "
                   "tag_item, or tag for both",
       .origin = "own choice"},
      {.key = "features.name",
       .kind = SettingKind::text,
       .fallback = std::string(),
       .sentence = "Item features of the data set that are used; empty: its only ones",
       .origin = "own choice"},
      {.key = "features.scale",
       .kind = SettingKind::text,
       .fallback = std::string("largest"),
       .choices = {"largest", "none"},
       .sentence = "What all features are divided by: the largest absolute value among them, or nothing",
       .origin = "own choice"},
      {.key = "features.columns",
       .kind = SettingKind::integer,
       .fallback = std::string("auto"),
       .minimum = 1,
       .maximum = 1 << 20,
       .may_be_auto = true,
       .rule = "1 to 1048576, or \"auto\"",
       .sentence = "Numbers of an item's features; auto: as the data set has them",
       .origin = "own choice"},
  };
}

std::vector<Setting> penalty_settings() {
  return {
      {.key = "penalty.user",
       .kind = SettingKind::real,
       .fallback = 0.0,
       .minimum = 0,
       .sentence = "Weight of the users' squared norms, each occurrence counted, without a factor 1/2",
       .origin = "own choice"},
      {.key = "penalty.item",
       .kind = SettingKind::real,
       .fallback = 0.0,
       .minimum = 0,
       .sentence = "The same of the items: of all that stands against the user (shared), of their own rows (full)",
       .origin = "own choice"},
      {.key = "penalty.dense",
       .kind = SettingKind::real,
       .fallback = 0.0,
       .minimum = 0,
       .sentence = "The same of the dense parameters, once a step",
       .origin = "own choice"},
      {.key = "rates.item",
       .kind = SettingKind::real,
       .fallback = 0.0,
       .minimum = 0,
       .may_vary = true,
       .sentence = "Learning rate of the items; 0: optimizer.learning_rate",
       .origin = "own choice"},
      {.key = "rates.dense",
       .kind = SettingKind::real,
       .fallback = 0.0,
       .minimum = 0,
       .may_vary = true,
       .sentence = "Learning rate of the dense parameters; 0: optimizer.learning_rate",
       .origin = "own choice"},
  };
}

}  // namespace spar
