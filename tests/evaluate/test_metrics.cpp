#define BOOST_TEST_DYN_LINK
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "spar/base/error.hpp"
#include "spar/evaluate/metrics.hpp"

namespace {

using namespace spar;
using evaluate::EvaluationOptions;
using evaluate::MetricColumns;

double metric(const std::string& name, std::int64_t cutoff, const std::vector<double>& places, Index targets,
              double auc = 0) {
  EvaluationOptions options;
  options.metrics = {name};
  options.cutoffs = {cutoff};
  double value = -1;
  MetricColumns(options).values({places, targets, auc}, {&value, 1});
  return value;
}

std::string refusal(const EvaluationOptions& options) {
  try {
    const MetricColumns columns(options);
  } catch (const UserError& error) {
    return error.what();
  }
  return "accepted";
}

}  // namespace

BOOST_AUTO_TEST_SUITE(metrics)

// List a b c d e, targets b, d and z: hits at places 2 and 4 of 5.
BOOST_AUTO_TEST_CASE(the_worked_example_gives_its_published_values, *boost::unit_test::tolerance(1e-6)) {
  const std::vector<double> places = {1, 3, 57};
  BOOST_TEST(metric("hr", 5, places, 3) == 1.0);
  BOOST_TEST(metric("precision", 5, places, 3) == 0.4);
  BOOST_TEST(metric("recall", 5, places, 3) == 0.6666667);
  BOOST_TEST(metric("recall_min", 5, places, 3) == 0.6666667);
  BOOST_TEST(metric("f1", 5, places, 3) == 0.5);
  BOOST_TEST(metric("ndcg", 5, places, 3) == 0.4981893);
  BOOST_TEST(metric("map", 5, places, 3) == 1.0 / 3.0);
  BOOST_TEST(metric("map_per_hit", 5, places, 3) == 0.5);
  BOOST_TEST(metric("mrr", 5, places, 3) == 0.5);
}

BOOST_AUTO_TEST_CASE(one_target_at_a_place_has_the_gain_of_the_place, *boost::unit_test::tolerance(1e-6)) {
  const std::vector<double> gains = {1.0, 0.6309298, 0.5, 0.4306766, 0.3868528};
  for (std::size_t place = 0; place < gains.size(); ++place) {
    BOOST_TEST(metric("ndcg", 10, {static_cast<double>(place)}, 1) == gains[place]);
  }
  BOOST_TEST(metric("ndcg", 10, {10}, 1) == 0.0);
  BOOST_TEST(metric("ndcg", 10, {9}, 1) == 1.0 / std::log2(11.0));
}

BOOST_AUTO_TEST_CASE(a_perfect_ranking_is_exactly_one) {
  for (const Index targets : {1, 2, 7, 100, 5000}) {
    std::vector<double> places;
    for (Index k = 0; k < targets; ++k) places.push_back(static_cast<double>(k));
    for (const std::int64_t cutoff : {1, 10, 100, 4500}) {
      for (const char* name : {"hr", "ndcg", "recall_min", "map", "map_per_hit", "mrr"})
        BOOST_TEST(metric(name, cutoff, places, targets) == 1.0);
    }
  }
}

BOOST_AUTO_TEST_CASE(nothing_found_is_zero_everywhere) {
  for (const char* name : {"hr", "ndcg", "precision", "recall", "recall_min", "f1", "map", "map_per_hit", "mrr"}) {
    BOOST_TEST(metric(name, 10, {}, 4) == 0.0);
    BOOST_TEST(metric(name, 10, {10, 11}, 4) == 0.0);
  }
}

BOOST_AUTO_TEST_CASE(precision_divides_by_the_cut_off_even_where_the_list_is_shorter) {
  BOOST_TEST(metric("precision", 10, {0, 1}, 2) == 0.2);
}

BOOST_AUTO_TEST_CASE(f1_is_averaged_over_users_and_not_made_of_averages, *boost::unit_test::tolerance(1e-6)) {
  // Users with (precision, recall) of (1, 1/2), (0, 0) and (1/2, 1) at cut-off 2.
  const double mean = (metric("f1", 2, {0, 1}, 4) + metric("f1", 2, {}, 3) + metric("f1", 2, {1}, 1)) / 3;
  BOOST_TEST(mean == 0.4444444);
  const double precision = (metric("precision", 2, {0, 1}, 4) + metric("precision", 2, {1}, 1)) / 3;
  const double recall = (metric("recall", 2, {0, 1}, 4) + metric("recall", 2, {1}, 1)) / 3;
  BOOST_TEST(2 * precision * recall / (precision + recall) == 0.5);
}

BOOST_AUTO_TEST_CASE(half_places_of_mean_ties_count_up_to_the_cut_off) {
  BOOST_TEST(metric("hr", 2, {1.5}, 1) == 1.0);
  BOOST_TEST(metric("hr", 1, {1.5}, 1) == 0.0);
  BOOST_TEST(metric("mrr", 2, {1.5}, 1) == 0.4);
}

BOOST_AUTO_TEST_CASE(columns_come_in_the_order_asked_for_and_a_sampled_protocol_is_in_every_name) {
  EvaluationOptions options;
  options.metrics = {"ndcg", "auc", "hr"};
  options.cutoffs = {20, 5};
  const std::vector<std::string> names = {"ndcg@20", "ndcg@5", "auc", "hr@20", "hr@5"};
  BOOST_TEST(MetricColumns(options).names() == names, boost::test_tools::per_element());
  BOOST_TEST(MetricColumns(options).last_cutoff() == 20);
  options.protocol = evaluate::Protocol::sampled;
  const MetricColumns sampled(options);
  for (std::size_t k = 0; k < names.size(); ++k) BOOST_TEST(sampled.names()[k] == "sampled-" + names[k]);
}

BOOST_AUTO_TEST_CASE(wrong_options_get_one_sentence) {
  EvaluationOptions options;
  options.metrics = {"ndgc"};
  BOOST_TEST(refusal(options) ==
             "unknown metric \"ndgc\" in evaluate.metrics: choose from hr, ndcg, precision, recall, recall_min, f1, "
             "map, map_per_hit, mrr, auc, rmse, mae");
  options.metrics = {"hr"};
  options.cutoffs = {10, 0};
  BOOST_TEST(refusal(options) == "evaluate.cutoffs has 0, but a list has at least 1 place");
  options.cutoffs = {};
  BOOST_TEST(refusal(options) == "evaluate.cutoffs is empty, but hr needs one: for example [10]");
  options.cutoffs = {10, 10};
  BOOST_TEST(refusal(options) == "hr@10 is asked for twice: evaluate.metrics and evaluate.cutoffs must not repeat");
  options.metrics = {};
  BOOST_TEST(refusal(options) ==
             "evaluate.metrics is empty: choose from hr, ndcg, precision, recall, recall_min, f1, map, map_per_hit, "
             "mrr, auc, rmse, mae");
}

BOOST_AUTO_TEST_SUITE_END()
