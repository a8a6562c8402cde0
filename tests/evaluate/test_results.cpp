#define BOOST_TEST_DYN_LINK
#include <cmath>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>
#include <nlohmann/json.hpp>

#include "spar/evaluate/results.hpp"
#include "spar/store/durable.hpp"

namespace {

using namespace spar;
using evaluate::RunDifference;
using evaluate::RunResult;

constexpr double undefined = std::numeric_limits<double>::quiet_NaN();

RunResult make_run(const std::string& directory, std::int64_t seed, double hr, double ndcg) {
  RunResult run;
  run.run = directory;
  run.system = "apr";
  run.data = "ml-100k";
  run.content = "00ff";
  run.group = "apr";
  run.seed = seed;
  run.split = "test";
  run.checkpoint = "best";
  run.epoch = 131;
  run.selected_by = "ndcg@100";
  run.selected_on = "validation";
  run.protocol = "full";
  run.ties = "by_id";
  run.values.users = 943;
  run.values.skipped = 1000;
  run.values.names = {"hr@10", "ndcg@10"};
  run.values.metrics = {{"hr@10", {hr, 0.0114}}, {"ndcg@10", {ndcg, 0.0061}}};
  return run;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(results)

BOOST_AUTO_TEST_CASE(the_object_of_a_run_has_what_programs_stand_on) {
  RunResult run = make_run("runs/apr-ml-100k", 7, 0.1421, 0.0721);
  run.values.metrics["ndcg@10"].standard_error = undefined;
  const std::string text = evaluate::run_json(run, -1);
  BOOST_TEST(text.find('\n') == text.size() - 1);
  const auto object = nlohmann::json::parse(text);
  BOOST_TEST(object.at("system") == "apr");
  BOOST_TEST(object.at("split") == "test");
  BOOST_TEST(object.at("users") == 943);
  BOOST_TEST(object.at("skipped") == 1000);
  BOOST_TEST(object.at("protocol") == "full");
  BOOST_TEST(object.at("metrics").size() == 2U);
  BOOST_TEST(object.at("metrics").at("hr@10").get<double>() == 0.1421);
  BOOST_TEST(object.at("standard_errors").at("hr@10").get<double>() == 0.0114);
  BOOST_TEST(object.at("standard_errors").at("ndcg@10").is_null());
}

BOOST_AUTO_TEST_CASE(a_table_states_how_it_was_made_and_tests_the_difference) {
  const std::vector<RunResult> runs = {make_run("runs/bpr-ml-100k", 1, 0.1421, 0.0721),
                                       make_run("runs/apr-ml-100k/", 1, 0.1506, 0.0768)};
  const RunDifference difference{0, 1, {{943, 0.0085, 0.004, 2.1, 0.0361}, {943, 0.0047, 0.001, 4.7, 0.00000297}}};
  BOOST_TEST(evaluate::run_table(runs, {difference}) ==
             "test, 943 users (1,000 skipped), full ranking, best checkpoint by validation ndcg@100\n"
             "run          epoch  hr@10           ndcg@10\n"
             "bpr-ml-100k  131    0.1421 ±0.0114  0.0721 ±0.0061\n"
             "apr-ml-100k  131    0.1506 ±0.0114  0.0768 ±0.0061\n"
             "difference          +0.0085         +0.0047\n"
             "paired t, p         0.036           <0.0001\n"
             "±: standard error over users\n"
             "p: over users; other seeds may differ more (--group seed)\n");
}

BOOST_AUTO_TEST_CASE(a_wide_table_of_one_run_has_cut_offs_as_columns_and_one_of_several_runs_is_turned) {
  RunResult run = make_run("runs/apr", 1, 0.1, 0.2);
  for (const char* name : {"hr@50", "ndcg@50", "hr@100", "ndcg@100", "recall@10", "recall@50", "recall@100", "auc"}) {
    run.values.names.push_back(name);
    run.values.metrics[name] = {0.5, undefined};
  }
  const std::string one = evaluate::run_table({run}, {});
  BOOST_TEST(one.find("apr, epoch 131  @10             @50     @100    all\n"
                      "hr              0.1000 ±0.0114  0.5000  0.5000\n"
                      "ndcg            0.2000 ±0.0061  0.5000  0.5000\n"
                      "recall          0.5000          0.5000  0.5000\n"
                      "auc                                             0.5000\n") != std::string::npos,
             one);
  RunResult other = run;
  other.run = "runs/bpr";
  const std::string two = evaluate::run_table({run, other}, {});
  BOOST_TEST(two.find("run         apr             bpr\n"
                      "epoch       131             131\n"
                      "hr@10       0.1000 ±0.0114  0.1000 ±0.0114\n") != std::string::npos,
             two);
}

BOOST_AUTO_TEST_CASE(what_is_not_usual_is_said) {
  RunResult run = make_run("x", 1, 0.1, 0.2);
  BOOST_TEST(run.file_name() == "evaluate-test-best.json");
  run.protocol = "sampled";
  run.ties = "pessimistic";
  run.cold_items = false;
  run.selected_on = "test";
  run.sampled_users = 500;
  BOOST_TEST(run.statement() ==
             "test, 943 users (1,000 skipped), fixed candidates (sampled protocol) of items seen in training, "
             "pessimistic ties, "
             "best checkpoint by test ndcg@100 (selected on the test split)");
  BOOST_TEST(run.file_name() == "evaluate-test-best-sampled-500-users.json");
  run.selected_by = run.selected_on = "";
  run.checkpoint = "last";
  BOOST_TEST(run.statement().ends_with("pessimistic ties, last checkpoint"));
}

BOOST_AUTO_TEST_CASE(runs_of_one_name_are_told_apart_by_their_directories) {
  const std::string table = evaluate::run_table({make_run("a/apr", 1, 0.1, 0.2), make_run("b/apr", 1, 0.1, 0.2)}, {});
  BOOST_TEST(table.find("\na/apr  ") != std::string::npos);
  BOOST_TEST(table.find("\nb/apr  ") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(runs_that_cannot_be_compared_say_why) {
  const RunResult run = make_run("a", 1, 0.1, 0.2);
  BOOST_TEST(evaluate::obstacle_to_comparison(run, run) == "");
  RunResult other = run;
  other.content = "1234";
  BOOST_TEST(evaluate::obstacle_to_comparison(run, other) == "they were trained on different data");
  other = run;
  other.protocol = "sampled";
  BOOST_TEST(evaluate::obstacle_to_comparison(run, other) == "they were judged by different protocols");
  other = run;
  other.values.names = {"hr@10"};
  BOOST_TEST(evaluate::obstacle_to_comparison(run, other) == "they have different metrics");
}

BOOST_AUTO_TEST_CASE(seeds_become_one_row_with_mean_and_spread) {
  std::vector<RunResult> runs = {make_run("r/apr-seed-1", 1, 0.10, 0.2), make_run("r/bpr-seed-1", 1, 0.09, 0.1),
                                 make_run("r/apr-seed-2", 2, 0.14, 0.2), make_run("r/bpr-seed-2", 2, 0.09, 0.1)};
  runs[1].group = runs[3].group = "bpr";
  const std::string table = evaluate::group_table(runs);
  BOOST_TEST(table.find("runs          seeds  hr@10           ndcg@10\n"
                        "apr           2      0.1200 ±0.0283  0.2000 ±0.0000\n"
                        "bpr           2      0.0900 ±0.0000  0.1000 ±0.0000\n"
                        "difference           -0.0300         -0.1000\n"
                        "Welch's t, p         0.37            <0.0001\n"
                        "±: standard deviation over seeds\n") != std::string::npos,
             table);
  const auto object = nlohmann::json::parse(evaluate::comparison_json(runs, {}, true));
  BOOST_TEST(object.at("runs").size() == 4U);
  BOOST_TEST(object.at("groups").at(0).at("label") == "apr");
  BOOST_TEST(object.at("groups").at(0).at("seeds").dump() == "[1,2]");
  BOOST_TEST(std::abs(object.at("groups").at(0).at("metrics").at("hr@10").get<double>() - 0.12) < 1e-15);
  BOOST_TEST(object.at("group_differences").at(0).at("metrics").at("hr@10").at("count") == 4);
}

BOOST_AUTO_TEST_CASE(a_result_is_saved_under_its_name_and_read_back) {
  const auto directory = std::filesystem::temp_directory_path() / ("spar-results-" + store::make_nonce());
  const std::string path = evaluate::save_result((directory / "results").string(), make_run("r", 1, 0.125, 0.25));
  BOOST_TEST(path == (directory / "results" / "evaluate-test-best.json").string());
  const auto object = nlohmann::json::parse(store::read_text(path));
  BOOST_TEST(object.at("format") == "spar-evaluation");
  BOOST_TEST(object.at("version") == 1);
  BOOST_TEST(object.at("metrics").at("ndcg@10").get<double>() == 0.25);
  std::filesystem::remove_all(directory);
}

BOOST_AUTO_TEST_SUITE_END()
