#include <boost/test/unit_test.hpp>

#include "spar/base/error.hpp"
#include "spar/cli/option_set.hpp"

namespace {

struct Everything {
  bool json = false;
  std::string data;
  std::string format = "tsv";
  std::int64_t top = 10;
  int threads = 0;
  std::optional<std::int64_t> from;
  std::uint64_t seed = 1;
  double ratio = 0.2;
  std::optional<double> step;
  std::vector<std::int64_t> cutoffs{10, 50};
  std::vector<double> epsilon{0.5};
  std::vector<std::string> taps{"user", "item"};
  std::vector<std::string> users;
  std::vector<std::string> set;
  std::string recipe;
  std::vector<std::string> rest;
};

void declare(spar::cli::OptionSet& set, Everything& o) {
  set.flag("--json", o.json, "Flag");
  set.text("--data", "FILE", o.data, "Text", spar::cli::Need::required);
  set.choice("--format", {"tsv", "jsonl"}, o.format, "Choice");
  set.integer("--top", "N", o.top, {1, 100}, "Integer");
  set.integer("--threads", "N", o.threads, spar::cli::at_least(0), "Integer");
  set.integer("--from", "N", o.from, spar::cli::at_least(-1000), "Integer");
  set.seed("--seed", o.seed, "Seed");
  set.real("--ratio", "X", o.ratio, {0, 1}, "Real");
  set.real("--step", "X", o.step, {0, 5}, "Real");
  set.integers("--cutoffs", "N,...", o.cutoffs, {1, 1000}, "Integers");
  set.reals("--epsilon", "X,...", o.epsilon, {0, 10}, "Reals");
  set.choices("--taps", {"user", "item"}, o.taps, "Choices");
  set.list("--users", "ID,...", o.users, "List");
  set.repeated("--set", "KEY=VALUE", o.set, "Repeated");
  set.argument("RECIPE", o.recipe, "Argument");
  set.arguments("MORE", o.rest, "Arguments", spar::cli::Need::optional);
}

Everything parse(const std::vector<std::string>& words) {
  Everything options;
  spar::cli::OptionSet set("spar try");
  declare(set, options);
  set.parse(words);
  return options;
}

std::string refusal(std::vector<std::string> words, bool complete = true) {
  if (complete) words.insert(words.begin(), {"apr", "--data", "d.h5"});
  try {
    parse(words);
  } catch (const spar::UserError& error) {
    return error.what();
  }
  return "accepted";
}

}  // namespace

BOOST_AUTO_TEST_SUITE(option_set)

BOOST_AUTO_TEST_CASE(options_that_are_not_given_keep_their_defaults) {
  const Everything options = parse({"apr", "--data", "d.h5"});
  BOOST_TEST(options.recipe == "apr");
  BOOST_TEST(options.data == "d.h5");
  BOOST_TEST(!options.json);
  BOOST_TEST(options.format == "tsv");
  BOOST_TEST(options.top == 10);
  BOOST_TEST(!options.from.has_value());
  BOOST_TEST((options.cutoffs == std::vector<std::int64_t>{10, 50}));
  BOOST_TEST(options.rest.empty());
}

BOOST_AUTO_TEST_CASE(options_and_arguments_may_stand_in_any_order_and_with_an_equals_sign) {
  const Everything options =
      parse({"--json",      "--top=7",   "apr",     "--set",     "a=1",    "more",      "--set=b=[1, 2]",
             "--data=d.h5", "--epsilon", "0.5,1",   "--epsilon", "2",      "--cutoffs", "5",
             "--taps",      "item",      "--users", "u 1,u2",    "--from", "-5",        "--seed",
             "9",           "--ratio",   "0.25",    "--step",    "1e-3",   "even more"});
  BOOST_TEST(options.json);
  BOOST_TEST(options.top == 7);
  BOOST_TEST(options.recipe == "apr");
  BOOST_TEST((options.rest == std::vector<std::string>{"more", "even more"}));
  BOOST_TEST((options.set == std::vector<std::string>{"a=1", "b=[1, 2]"}));
  BOOST_TEST((options.epsilon == std::vector<double>{0.5, 1, 2}));
  BOOST_TEST((options.cutoffs == std::vector<std::int64_t>{5}));
  BOOST_TEST((options.taps == std::vector<std::string>{"item"}));
  BOOST_TEST((options.users == std::vector<std::string>{"u 1", "u2"}));
  BOOST_TEST(options.from.value() == -5);
  BOOST_TEST(options.seed == 9U);
  BOOST_TEST(options.ratio == 0.25);
  BOOST_TEST(options.step.value() == 1e-3);
}

BOOST_AUTO_TEST_CASE(a_lone_dash_is_an_argument) {
  BOOST_TEST(parse({"-", "--data", "x"}).recipe == "-");
}

BOOST_AUTO_TEST_CASE(unknown_options_propose_the_nearest_also_where_others_are_missing) {
  BOOST_TEST(refusal({"--tpo", "3"}) == "spar try: unknown option --tpo: did you mean --top? (see spar try --help)");
  BOOST_TEST(refusal({"apr", "--dat", "d.h5"}, false) ==
             "spar try: unknown option --dat: did you mean --data? (see spar try --help)");
  BOOST_TEST(refusal({"--dat=d.h5", "apr"}, false) ==
             "spar try: unknown option --dat: did you mean --data? (see spar try --help)");
  BOOST_TEST(refusal({"--zzzzzzzzz"}) == "spar try: unknown option --zzzzzzzzz (see spar try --help)");
  BOOST_TEST(refusal({"-x"}) == "spar try: unknown option -x (see spar try --help)");
}

BOOST_AUTO_TEST_CASE(what_is_missing_or_too_much_is_named) {
  BOOST_TEST(refusal({"--data", "d.h5"}, false) == "spar try: RECIPE is missing (see spar try --help)");
  BOOST_TEST(refusal({"apr"}, false) == "spar try: --data FILE is missing (see spar try --help)");
  BOOST_TEST(refusal({"--top"}) == "spar try: --top needs a value: N (see spar try --help)");
  BOOST_TEST(refusal({"--top", "--json"}) == "spar try: --top needs a value: N (see spar try --help)");
  BOOST_TEST(refusal({"--top", "3", "--top", "4"}) == "spar try: --top is given twice (see spar try --help)");
  BOOST_TEST(refusal({"--data", ""}, false) == "spar try: RECIPE is missing (see spar try --help)");
  BOOST_TEST(refusal({"apr", "--data", ""}, false) == "spar try --data \"\": it must be FILE");
}

BOOST_AUTO_TEST_CASE(values_of_the_wrong_kind_range_or_choice_are_refused_with_what_would_be_right) {
  BOOST_TEST(refusal({"--top", "ten"}) == "spar try --top ten: it must be an integer, 1 to 100");
  BOOST_TEST(refusal({"--top", "5.5"}) == "spar try --top 5.5: it must be an integer, 1 to 100");
  BOOST_TEST(refusal({"--top", "101"}) == "spar try --top 101: it must be 1 to 100");
  BOOST_TEST(refusal({"--top", "99999999999999999999"}) ==
             "spar try --top 99999999999999999999: it must be an integer, 1 to 100");
  BOOST_TEST(refusal({"--threads", "-1"}) == "spar try --threads -1: it must be 0 to 2147483647");
  BOOST_TEST(refusal({"--ratio", "1.5"}) == "spar try --ratio 1.5: it must be 0 to 1");
  BOOST_TEST(refusal({"--ratio", "nan"}) == "spar try --ratio nan: it must be a number, 0 to 1");
  BOOST_TEST(refusal({"--epsilon", "0.5,x"}) == "spar try --epsilon x: it must be a number, 0 to 10");
  BOOST_TEST(refusal({"--epsilon", ","}) == "spar try --epsilon \"\": it must be a list such as X,...");
  BOOST_TEST(refusal({"--format", "csv"}) == "spar try --format csv: it must be one of tsv, jsonl");
  BOOST_TEST(refusal({"--taps", "user,itm"}) == "spar try --taps itm: it must be one of user, item");
  BOOST_TEST(refusal({"--seed", "-1"}) == "spar try --seed -1: it must be 0 or more");
}

BOOST_AUTO_TEST_SUITE_END()
