#include <cmath>
#include <cstring>
#include <random>
#include <set>

#include <boost/test/unit_test.hpp>

#include "spar/base/error.hpp"
#include "spar/base/settings.hpp"

using spar::Setting;
using spar::SettingKind;
using spar::SettingRole;
using spar::SettingValue;

namespace {

const std::vector<std::string> systems{"plain", "gamer"};

const spar::SystemSettings* find(const std::string& name) {
  static const spar::SystemSettings plain{"plain", {"model.dim", "optimizer.*", "train.*"}, {}};
  static const spar::SystemSettings gamer{
      "gamer",
      {"model.*", "game.*", "adversary.*", "objective.*", "optimizer.*", "sampling.*", "train.*"},
      {{"model.dim", std::int64_t{32}, "its paper"}, {"optimizer.name", std::string("sgd"), "its code"}}};
  return name == "plain" ? &plain : name == "gamer" ? &gamer : nullptr;
}

spar::Recipe parse(const std::string& toml, const std::vector<std::string>& overrides = {}) {
  return spar::parse_recipe(toml, "some/my.toml", overrides, find, systems);
}

std::string refusal(const std::string& toml, const std::vector<std::string>& overrides = {}) {
  try {
    parse(toml, overrides);
  } catch (const spar::UserError& error) {
    return error.what();
  }
  return "accepted";
}

const std::string gamer = "system = \"gamer\"\n";
std::string set(const std::string& override_text) {
  return refusal(gamer, {override_text});
}

bool same(const spar::Recipe& a, const spar::Recipe& b) {
  if (a.system() != b.system()) return false;
  for (const Setting& setting : spar::all_settings()) {
    if (a.has(setting.key) != b.has(setting.key)) return false;
    if (a.has(setting.key) && a.is_effective(setting) && a.value(setting.key) != b.value(setting.key)) return false;
  }
  return true;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(settings)

BOOST_AUTO_TEST_CASE(every_setting_has_a_sentence_an_origin_and_a_default_that_it_allows) {
  std::set<std::string> keys;
  for (const Setting& setting : spar::all_settings()) {
    BOOST_TEST_CONTEXT(setting.key) {
      BOOST_TEST(keys.insert(setting.key).second);
      BOOST_TEST(setting.key.find('.') != std::string::npos);
      BOOST_TEST(setting.sentence.size() > 10U);
      BOOST_TEST(std::isupper(static_cast<unsigned char>(setting.sentence.front())) +
                     std::isdigit(static_cast<unsigned char>(setting.sentence.front())) !=
                 0);
      BOOST_TEST(setting.sentence.back() != '.');
      BOOST_TEST(!setting.origin.empty());
      BOOST_TEST(!spar::setting_fault(setting, setting.fallback).has_value());
      BOOST_TEST(!spar::setting_range(setting).empty());
      BOOST_TEST((setting.only_with.empty() || spar::find_setting(setting.only_with) != nullptr));
      BOOST_TEST((spar::find_setting(setting.key) == &setting));
    }
  }
  BOOST_TEST((spar::find_setting("model.nothing") == nullptr));
}

BOOST_AUTO_TEST_CASE(tables_stand_together_so_that_a_printed_recipe_opens_each_once) {
  std::set<std::string> closed;
  std::string table;
  for (const Setting& setting : spar::all_settings()) {
    const std::string current = setting.key.substr(0, setting.key.find('.'));
    if (current != table) BOOST_TEST(closed.insert(current).second, current << " is opened twice");
    table = current;
  }
}

BOOST_AUTO_TEST_CASE(free_settings_are_those_that_may_change_when_a_run_goes_on) {
  std::set<std::string> free;
  for (const Setting& setting : spar::all_settings()) {
    if (setting.role == SettingRole::free) free.insert(setting.key);
  }
  const std::set<std::string> expected{"train.epochs",
                                       "evaluate.cutoffs",
                                       "evaluate.metrics",
                                       "checkpoint.every_minutes",
                                       "checkpoint.every_epochs",
                                       "checkpoint.keep",
                                       "parallel.node_memory",
                                       "parallel.threads",
                                       "parallel.deadline_seconds"};
  BOOST_TEST((free == expected));
}

BOOST_AUTO_TEST_CASE(a_recipe_with_only_a_system_has_the_systems_own_defaults_and_the_common_ones) {
  const spar::Recipe recipe = parse(gamer);
  BOOST_TEST(recipe.system() == "gamer");
  BOOST_TEST(recipe.name() == "my");
  BOOST_TEST(recipe.integer("model.dim") == 32);
  BOOST_TEST(recipe.text("optimizer.name") == "sgd");
  BOOST_TEST(recipe.integer("train.batch_size") == 512);
  BOOST_TEST(recipe.is_auto("parallel.shards"));
  BOOST_TEST(!recipe.is_auto("train.seed"));
  BOOST_TEST(!recipe.flag("model.item_bias"));
  BOOST_TEST((recipe.integers("evaluate.cutoffs") == std::vector<std::int64_t>{10, 50, 100}));
  BOOST_TEST(!parse("system = \"plain\"").has("adversary.epsilon"));
  BOOST_TEST(parse("system = \"plain\"").has("evaluate.cutoffs"));
}

BOOST_AUTO_TEST_CASE(files_may_use_tables_dotted_keys_and_inline_tables) {
  const std::string text =
      gamer + "adversary.epsilon = 1\noptimizer = { name = \"adam\", beta1 = 0.5 }\n[train]\nepochs = 3\n[evaluate]\n";
  const spar::Recipe recipe = parse(text);
  BOOST_TEST(recipe.real("adversary.epsilon") == 1.0);
  BOOST_TEST(recipe.real("optimizer.beta1") == 0.5);
  BOOST_TEST(recipe.integer("train.epochs") == 3);
}

BOOST_AUTO_TEST_CASE(overrides_win_over_the_file_and_take_bare_words_and_lists) {
  const spar::Recipe recipe =
      parse(gamer + "[train]\nepochs = 3\n",
            {"train.epochs=5", "adversary.method=random", "adversary.epsilon=2", "evaluate.cutoffs=5,20",
             "evaluate.metrics=hr,ndcg", "model.init=2024", "parallel.shards=32", "model.item_bias=true"});
  BOOST_TEST(recipe.integer("train.epochs") == 5);
  BOOST_TEST(recipe.text("adversary.method") == "random");
  BOOST_TEST(recipe.real("adversary.epsilon") == 2.0);
  BOOST_TEST((recipe.integers("evaluate.cutoffs") == std::vector<std::int64_t>{5, 20}));
  BOOST_TEST((recipe.texts("evaluate.metrics") == std::vector<std::string>{"hr", "ndcg"}));
  BOOST_TEST(recipe.text("model.init") == "2024");
  BOOST_TEST(recipe.integer("parallel.shards") == 32);
  BOOST_TEST(recipe.flag("model.item_bias"));
  const spar::Recipe quoted = parse(
      gamer, {"model.init=\"a b\"", "evaluate.cutoffs=[7]", "parallel.shards=auto", "optimizer.learning_rate=1e-3"});
  BOOST_TEST(quoted.text("model.init") == "a b");
  BOOST_TEST((quoted.integers("evaluate.cutoffs") == std::vector<std::int64_t>{7}));
  BOOST_TEST(quoted.is_auto("parallel.shards"));
  BOOST_TEST(quoted.real("optimizer.learning_rate") == 1e-3);
  BOOST_TEST(parse(gamer, {"model.init=runs/a=b c"}).text("model.init") == "runs/a=b c");
}

BOOST_AUTO_TEST_CASE(a_number_that_may_vary_may_be_a_schedule_in_one_spelling) {
  const auto recipe =
      parse(gamer + "[adversary]\nepsilon = \"ramp  0.0 1 over 1 epoch\"\n[optimizer]\nlearning_rate = 0.02\n");
  BOOST_TEST(recipe.schedule("adversary.epsilon").at({.epoch = 0, .step = 1, .steps = 2}) == 0.5);
  BOOST_TEST(recipe.schedule("optimizer.learning_rate").is_constant());
  BOOST_TEST(recipe.schedule("optimizer.learning_rate").first() == 0.02);
  BOOST_TEST(recipe.identity().find("adversary.epsilon = \"ramp 0 1 over 1 epochs\"\n") != std::string::npos);
  BOOST_TEST(parse(recipe.toml()).identity() == recipe.identity());
  BOOST_TEST(parse(gamer, {"adversary.epsilon=ramp 0 1 over 1 epochs", "optimizer.learning_rate=0.02"}).identity() ==
             recipe.identity());
  BOOST_TEST(
      set("adversary.epsilon=ramp -1 1 over 2 epochs") ==
      "--set: adversary.epsilon = \"ramp -1 1 over 2 epochs\" is out of range: it must be 0 or more, or a schedule");
  BOOST_TEST(set("optimizer.learning_rate=step 0.1 times 0.5 every 2 epochs") == "accepted");
  BOOST_TEST(set("model.init_std=ramp 0 1 over 2 epochs") ==
             "--set: model.init_std = \"ramp 0 1 over 2 epochs\" has the wrong type: it must be a number");
}

BOOST_AUTO_TEST_CASE(files_that_are_no_recipe_are_refused_at_their_line_and_column) {
  BOOST_TEST(refusal("system = \"gamer\"\n[train\n") ==
             "some/my.toml:2:7: not TOML: Error while parsing table header: expected ']', saw '\\n'");
  BOOST_TEST(refusal(gamer + "[train]\nseed = 1\nseed = 2\n") ==
             "some/my.toml:4:8: not TOML: Error while parsing key-value pair: cannot redefine existing integer 'seed'");
  BOOST_TEST(refusal("[train]\nseed = 1\n") ==
             "some/my.toml: no system: a recipe begins with system = \"NAME\", one of plain, gamer");
  BOOST_TEST(refusal("system = 3\n") == "some/my.toml:1:10: system = 3 has the wrong type: it must be a text");
  BOOST_TEST(refusal("system = \"gammer\"\n") == "some/my.toml:1:10: unknown system \"gammer\": did you mean gamer?");
  BOOST_TEST(refusal("system = \"zebra\"\n") == "some/my.toml:1:10: unknown system \"zebra\": there are plain, gamer");
}

BOOST_AUTO_TEST_CASE(unknown_settings_propose_the_nearest) {
  BOOST_TEST(refusal(gamer + "[adversary]\nepsilonn = 1\n") ==
             "some/my.toml:3:12: unknown setting adversary.epsilonn: did you mean adversary.epsilon?");
  BOOST_TEST(refusal(gamer + "epochs = 1\n") ==
             "some/my.toml:2:10: unknown setting epochs: did you mean train.epochs?");
  BOOST_TEST(refusal(gamer + "[adverary]\nscope = \"batch\"\n") ==
             "some/my.toml:3:9: unknown setting adverary.scope: did you mean adversary.scope?");
  BOOST_TEST(refusal(gamer + "[qqqqqqqqqq]\n") ==
             "some/my.toml:2:1: unknown setting qqqqqqqqqq: spar settings lists all");
  BOOST_TEST(refusal(gamer + "[model.dim]\nx = 1\n") ==
             "some/my.toml:2:1: model.dim = x = 1 has the wrong type: it must be an integer");
  BOOST_TEST(set("trian.epochs=2") == "--set: unknown setting trian.epochs: did you mean train.epochs?");
}

BOOST_AUTO_TEST_CASE(settings_of_other_systems_are_refused_by_name) {
  BOOST_TEST(refusal("system = \"plain\"\n[adversary]\nepsilon = 1.0\n") ==
             "some/my.toml:3:11: adversary.epsilon is no setting of plain, only of gamer");
  BOOST_TEST(refusal("system = \"plain\"\n", {"game.start_from=last"}) ==
             "--set: game.start_from is no setting of plain, only of gamer");
}

BOOST_AUTO_TEST_CASE(wrong_types_ranges_and_choices_are_refused_with_what_would_be_right) {
  BOOST_TEST(refusal(gamer + "[train]\nepochs = \"many\"\n") ==
             "some/my.toml:3:10: train.epochs = \"many\" has the wrong type: it must be an integer");
  BOOST_TEST(refusal(gamer + "[train]\nepochs = 1.5\n") ==
             "some/my.toml:3:10: train.epochs = 1.5 has the wrong type: it must be an integer");
  BOOST_TEST(refusal(gamer + "[evaluate]\ncutoffs = [10, \"x\"]\n") ==
             "some/my.toml:3:11: evaluate.cutoffs = [ 10, 'x' ] has the wrong type: it must be a list of integers");
  BOOST_TEST(set("train.epochs=2.5") == "--set: train.epochs = 2.5 has the wrong type: it must be an integer");
  BOOST_TEST(set("model.item_bias=yes") ==
             "--set: model.item_bias = \"yes\" has the wrong type: it must be true or false");
  BOOST_TEST(set("train.epochs=-1") == "--set: train.epochs = -1 is out of range: it must be 0 or more");
  BOOST_TEST(set("model.dim=5000") == "--set: model.dim = 5000 is out of range: it must be 1 to 4096");
  BOOST_TEST(set("optimizer.learning_rate=0") ==
             "--set: optimizer.learning_rate = 0.0 is out of range: it must be above 0, or a schedule");
  BOOST_TEST(set("adversary.epsilon=nan") ==
             "--set: adversary.epsilon = nan is out of range: it must be 0 or more, or a schedule");
  BOOST_TEST(set("adversary.epsilon=-0.5") ==
             "--set: adversary.epsilon = -0.5 is out of range: it must be 0 or more, or a schedule");
  BOOST_TEST(set("adversary.scope=bach") ==
             "--set: adversary.scope = \"bach\" is not allowed: it must be one of sample, shard, batch");
  BOOST_TEST(set("parallel.shards=12") ==
             "--set: parallel.shards = 12 is out of range: it must be a power of two from 1 to 1024, or \"auto\"");
  BOOST_TEST(set("parallel.shards=2048") ==
             "--set: parallel.shards = 2048 is out of range: it must be a power of two from 1 to 1024, or \"auto\"");
  BOOST_TEST(set("parallel.shards=many") ==
             "--set: parallel.shards = \"many\" has the wrong type: it must be an integer or \"auto\"");
  BOOST_TEST(set("evaluate.cutoffs=0") ==
             "--set: evaluate.cutoffs = [0] is not allowed: it must be a list, each 1 to 100000");
  BOOST_TEST(set("evaluate.cutoffs=") ==
             "--set: evaluate.cutoffs = [] is not allowed: it must be a list, each 1 to 100000");
  BOOST_TEST(set("evaluate.metrics=ndgc") ==
             "--set: evaluate.metrics = [\"ndgc\"] is not allowed: it must be a list of hr, ndcg, precision, recall, "
             "recall_min, f1, map, map_per_hit, mrr, auc, rmse, mae");
  for (const char* wrong : {"ndcg", "ndcg@", "ndcg@0", "ndcg@1x", "gain@10", "auc@10", "@10"}) {
    BOOST_TEST(set(std::string("evaluate.select_by=") + wrong) ==
               "--set: evaluate.select_by = \"" + std::string(wrong) +
                   "\" is not allowed: it must be a metric and a cut-off, such as ndcg@100, or one of auc, rmse, mae");
  }
  BOOST_TEST(parse(gamer, {"evaluate.select_by=auc"}).text("evaluate.select_by") == "auc");
}

BOOST_AUTO_TEST_CASE(overrides_that_are_no_key_and_value_or_come_twice_are_refused) {
  BOOST_TEST(set("train.epochs") == "--set train.epochs: it must be KEY=VALUE, such as --set train.epochs=20");
  BOOST_TEST(set("=3") == "--set =3: it must be KEY=VALUE, such as --set train.epochs=20");
  BOOST_TEST(set("system=plain") == "--set: the system is chosen by RECIPE, not by --set");
  BOOST_TEST(refusal(gamer, {"train.epochs=2", "train.epochs=3"}) == "--set: train.epochs is given twice");
}

BOOST_AUTO_TEST_CASE(a_setting_without_effect_beside_the_others_is_refused_where_it_is_written) {
  BOOST_TEST(set("optimizer.beta1=0.5") ==
             "--set: optimizer.beta1 has no effect with optimizer.name = \"sgd\", only with adam, lazy_adam");
  BOOST_TEST(refusal(gamer + "[optimizer]\nname = \"adam\"\ninitial_accumulator = 0.1\n") ==
             "some/my.toml:4:23: optimizer.initial_accumulator has no effect with optimizer.name = \"adam\", only with "
             "adagrad");
  // What had an effect in the file may lose it on the command line.
  const spar::Recipe recipe =
      parse(gamer + "[optimizer]\nname = \"adagrad\"\ninitial_accumulator = 0.2\n", {"optimizer.name=sgd"});
  BOOST_TEST(recipe.text("optimizer.name") == "sgd");
  BOOST_TEST(recipe.toml().find("initial_accumulator") == std::string::npos);
  BOOST_TEST(recipe.identity().find("initial_accumulator") == std::string::npos);
}

BOOST_AUTO_TEST_CASE(the_identity_has_every_identity_setting_and_no_free_one) {
  const std::string one = parse(gamer).identity();
  BOOST_TEST(one.starts_with("system = \"gamer\"\nmodel.dim = 32\n"));
  BOOST_TEST(one.find("train.epochs") == std::string::npos);
  BOOST_TEST(one.find("checkpoint.") == std::string::npos);
  BOOST_TEST(parse(gamer, {"train.epochs=7", "checkpoint.every_epochs=1", "parallel.threads=3", "evaluate.cutoffs=5"})
                 .identity() == one);
  for (const char* other :
       {"train.seed=2", "adversary.epsilon=0.25", "evaluate.patience=3", "parallel.pipeline=1", "parallel.shards=8"}) {
    BOOST_TEST(parse(gamer, {other}).identity() != one);
  }
  BOOST_TEST(parse(gamer, {"objective.l2=-0.0"}).identity() == one);
}

BOOST_AUTO_TEST_CASE(values_resolved_later_are_checked_like_input) {
  spar::Recipe recipe = parse(gamer);
  recipe.set("parallel.shards", std::int64_t{16});
  BOOST_TEST(recipe.integer("parallel.shards") == 16);
  BOOST_TEST(!recipe.is_auto("parallel.shards"));
  BOOST_CHECK_EXCEPTION(
      recipe.set("parallel.shards", std::int64_t{24}), spar::UserError, [](const spar::UserError& error) {
        return std::string(error.what()) ==
               "parallel.shards = 24 is not allowed: it must be a power of two from 1 to 1024, or \"auto\"";
      });
  BOOST_CHECK_THROW(parse("system = \"plain\"").real("adversary.epsilon"), spar::Bug);
}

BOOST_AUTO_TEST_CASE(a_printed_recipe_reads_back_to_the_same_recipe) {
  std::mt19937_64 generator(20240);
  const auto coin = [&] { return generator() % 2 == 0; };
  const auto number = [&](const Setting& setting) {
    const double low = setting.minimum.value_or(-1e6);
    const double high = std::min(setting.maximum.value_or(1e6), 1e6);
    const double value = low + (high - low) * std::uniform_real_distribution<double>(0, 1)(generator) *
                                   std::pow(10, -static_cast<double>(generator() % 12));
    return value > low ? value : std::nextafter(low, high);
  };
  const auto word = [&] {
    std::string text;
    for (std::size_t k = generator() % 12; k > 0; --k) text += "aZ09 \"\\'#=[]\n\t,.\x7f"[generator() % 18];
    return text + "é";
  };
  const auto draw = [&](const Setting& setting) -> SettingValue {
    switch (setting.kind) {
      case SettingKind::flag:
        return coin();
      case SettingKind::integer:
        if (setting.may_be_auto)
          return coin() ? SettingValue(std::string("auto")) : SettingValue(std::int64_t{1} << (generator() % 11));
        return static_cast<std::int64_t>(number(setting));
      case SettingKind::real:
        return number(setting);
      case SettingKind::text:
        if (setting.keeps != nullptr) return std::string("recall@7");
        return setting.choices.empty() ? word() : setting.choices[generator() % setting.choices.size()];
      case SettingKind::integers:
        return std::vector<std::int64_t>{1 + static_cast<std::int64_t>(generator() % 1000), 3};
      case SettingKind::reals:
        return std::vector<double>{number(setting)};
      case SettingKind::texts:
        return std::vector<std::string>{setting.choices[generator() % setting.choices.size()]};
    }
    return false;
  };
  for (int round = 0; round < 300; ++round) {
    spar::Recipe recipe = parse(coin() ? gamer : "system = \"plain\"\n");
    for (const Setting& setting : spar::all_settings()) {
      if (recipe.has(setting.key) && coin()) recipe.set(setting.key, draw(setting));
    }
    for (const bool comments : {false, true}) {
      const spar::Recipe again = parse(recipe.toml(comments));
      BOOST_TEST(same(recipe, again), recipe.toml());
      BOOST_TEST(again.identity() == recipe.identity());
      BOOST_TEST(again.toml() == recipe.toml());
    }
  }
}

BOOST_AUTO_TEST_CASE(a_recipe_with_comments_explains_each_line_and_says_where_defaults_come_from) {
  const std::string text = parse(gamer, {"adversary.epsilon=1"}).toml(true);
  BOOST_TEST(text.find("dim = 32                       # Width of the user and item vectors [its paper]\n") !=
                 std::string::npos,
             text);
  BOOST_TEST(text.find("epsilon = 1.0       # Size of the perturbation\n") != std::string::npos, text);
  BOOST_TEST(text.find("scope = \"batch\"     # sample | shard | batch: Whose loss") != std::string::npos, text);
}

BOOST_AUTO_TEST_CASE(the_nearest_word_is_within_a_third_of_its_length) {
  const std::vector<std::string> verbs{"train", "evaluate", "attack", "import"};
  BOOST_TEST(spar::nearest("trian", verbs).value_or("none") == "train");
  BOOST_TEST(spar::nearest("evalute", verbs).value_or("none") == "evaluate");
  BOOST_TEST(spar::nearest("imprt", verbs).value_or("none") == "import");
  BOOST_TEST(!spar::nearest("banana", verbs).has_value());
  BOOST_TEST(!spar::nearest("", verbs).has_value());
}

BOOST_AUTO_TEST_SUITE_END()
