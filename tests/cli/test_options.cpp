#include <boost/test/unit_test.hpp>

#include "spar/base/error.hpp"
#include "spar/cli/options.hpp"

namespace {

template <class Options>
Options parse(const std::vector<std::string>& words) {
  Options options;
  spar::cli::OptionSet set("spar try");
  declare(set, options);
  set.parse(words);
  return options;
}

template <class Options>
std::string refusal(const std::vector<std::string>& words) {
  try {
    parse<Options>(words);
  } catch (const spar::UserError& error) {
    return error.what();
  }
  return "accepted";
}

}  // namespace

BOOST_AUTO_TEST_SUITE(options)

BOOST_AUTO_TEST_CASE(train) {
  const auto options =
      parse<spar::cli::TrainOptions>({"apr", "--data", "d.h5", "--run", "r", "--set", "train.epochs=2", "--set",
                                      "game.pretrain_epochs=1", "--dry-run", "--threads", "2", "--progress", "none"});
  BOOST_TEST(options.recipe == "apr");
  BOOST_TEST(options.data == "d.h5");
  BOOST_TEST(options.run == "r");
  BOOST_TEST((options.set == std::vector<std::string>{"train.epochs=2", "game.pretrain_epochs=1"}));
  BOOST_TEST(options.dry_run);
  BOOST_TEST(options.threads == 2);
  BOOST_TEST((options.progress_mode() == spar::ProgressMode::none));
  BOOST_TEST(refusal<spar::cli::TrainOptions>({"apr"}) == "spar try: --data FILE is missing (see spar try --help)");
  BOOST_TEST(refusal<spar::cli::TrainOptions>({"apr", "--data", "d", "--progress", "loud"}) ==
             "spar try --progress loud: it must be one of auto, bar, plain, none");
}

BOOST_AUTO_TEST_CASE(evaluate) {
  const auto options = parse<spar::cli::EvaluateOptions>(
      {"a",       "b",    "--json",     "--checkpoint", "last",       "--split",   "validation",
       "--group", "seed", "--per-user", "--cutoffs",    "5,10",       "--metrics", "hr,ndcg",
       "--users", "1000", "--ties",     "pessimistic",  "--protocol", "sampled"});
  BOOST_TEST((options.runs == std::vector<std::string>{"a", "b"}));
  BOOST_TEST(options.json);
  BOOST_TEST(options.checkpoint == "last");
  BOOST_TEST(options.split == "validation");
  BOOST_TEST(options.group == "seed");
  BOOST_TEST(options.per_user);
  BOOST_TEST((options.cutoffs == std::vector<std::int64_t>{5, 10}));
  BOOST_TEST((options.metrics == std::vector<std::string>{"hr", "ndcg"}));
  BOOST_TEST(options.users == 1000);
  BOOST_TEST(options.ties == "pessimistic");
  BOOST_TEST(options.protocol == "sampled");
  const auto defaults = parse<spar::cli::EvaluateOptions>({"a"});
  BOOST_TEST(defaults.checkpoint == "best");
  BOOST_TEST(defaults.split == "test");
  BOOST_TEST(defaults.cutoffs.empty());
  BOOST_TEST(defaults.ties.empty());
  BOOST_TEST(refusal<spar::cli::EvaluateOptions>({}) == "spar try: DIR is missing (see spar try --help)");
  BOOST_TEST(refusal<spar::cli::EvaluateOptions>({"a", "--metrics", "ndgc"}) ==
             "spar try --metrics ndgc: it must be one of hr, ndcg, precision, recall, recall_min, f1, map, "
             "map_per_hit, mrr, auc, rmse, mae");
}

BOOST_AUTO_TEST_CASE(attack) {
  const auto options = parse<spar::cli::AttackOptions>(
      {"a",    "--method", "fgm,pgd", "--epsilon", "0.5,1", "--steps", "20",   "--step-size",
       "0.1",  "--ball",   "linf",    "--scope",   "batch", "--taps",  "user", "--batch-size",
       "1024", "--seed",   "7",       "--split",   "test",  "--json"});
  BOOST_TEST((options.methods == std::vector<std::string>{"fgm", "pgd"}));
  BOOST_TEST((options.epsilon == std::vector<double>{0.5, 1}));
  BOOST_TEST(options.steps.value() == 20);
  BOOST_TEST(options.step_size.value() == 0.1);
  BOOST_TEST(options.ball == "linf");
  BOOST_TEST(options.scope == "batch");
  BOOST_TEST((options.taps == std::vector<std::string>{"user"}));
  BOOST_TEST(options.batch_size == 1024);
  BOOST_TEST(options.seed == 7U);
  BOOST_TEST(options.json);
  BOOST_TEST(
      refusal<spar::cli::AttackOptions>({"a", "--epsilon", "-1"}).starts_with("spar try --epsilon -1: it must be 0"));
  const auto search = parse<spar::cli::AttackOptions>(
      {"a", "--method", "cw", "--taps", "item_features", "--top", "20", "--push", "i7", "--confidence", "0.2"});
  BOOST_TEST((search.methods == std::vector<std::string>{"cw"}));
  BOOST_TEST((search.taps == std::vector<std::string>{"item_features"}));
  BOOST_TEST(search.top == 20);
  BOOST_TEST(search.push == "i7");
  BOOST_TEST(search.confidence == 0.2);
  const auto profile = parse<spar::cli::AttackOptions>(
      {"a", "--method", "cw", "--max-changes", "12", "--box", "0,3", "--goal", "label", "--draws", "10"});
  BOOST_TEST(profile.most_changes.value() == 12);
  BOOST_TEST((profile.box == std::vector<double>{0, 3}));
  BOOST_TEST(profile.goal == "label");
  BOOST_TEST(profile.draws == 10);
  BOOST_TEST(!search.most_changes.has_value());
  BOOST_TEST(search.goal == "list");
  BOOST_TEST(!search.steps.has_value());
  BOOST_TEST(parse<spar::cli::AttackOptions>({"a"}).taps.empty());
}

BOOST_AUTO_TEST_CASE(recommend_export_plan_inspect) {
  const auto recommend = parse<spar::cli::RecommendOptions>(
      {"a", "--users", "7,8", "--items", "5,6", "--posts", "p.tsv", "--top", "3", "--format", "jsonl"});
  BOOST_TEST((recommend.items == std::vector<std::string>{"5", "6"}));
  BOOST_TEST(recommend.posts == "p.tsv");
  BOOST_TEST(recommend.run == "a");
  BOOST_TEST((recommend.users == std::vector<std::string>{"7", "8"}));
  BOOST_TEST(recommend.top == 3);
  BOOST_TEST(recommend.format == "jsonl");
  const auto exported = parse<spar::cli::ExportOptions>({"a", "--to", "out", "--fold-bias", "--checkpoint", "last"});
  BOOST_TEST(exported.to == "out");
  BOOST_TEST(exported.fold_bias);
  BOOST_TEST(exported.checkpoint == "last");
  const auto plan = parse<spar::cli::PlanOptions>(
      {"apr", "--data", "d.h5", "--ranks", "32", "--threads", "2", "--set", "model.dim=8", "--json"});
  BOOST_TEST(plan.ranks == 32);
  BOOST_TEST(plan.threads == 2);
  BOOST_TEST(plan.json);
  BOOST_TEST(refusal<spar::cli::PlanOptions>({"apr", "--data", "d.h5"}) ==
             "spar try: --ranks N is missing (see spar try --help)");
  BOOST_TEST(parse<spar::cli::InspectOptions>({"d.h5", "--json"}).path == "d.h5");
}

BOOST_AUTO_TEST_SUITE_END()
