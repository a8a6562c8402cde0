#define BOOST_TEST_DYN_LINK
#include <cmath>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "spar/base/threads.hpp"
#include "spar/table/row_stamps.hpp"
#include "spar/table/table.hpp"

namespace {

using namespace spar;
using table::RowShape;
using table::Table;

const optim::OptimizerSettings adagrad{.rule = optim::Rule::adagrad};
const optim::OptimizerSettings sgd{.rule = optim::Rule::sgd};

struct Moments {
  double mean = 0;
  double deviation = 0;
  double largest = 0;
};

Moments moments(const Table& t) {
  Moments m;
  const auto count = static_cast<double>(t.rows()) * t.shape().dim;
  double squares = 0;
  for (Index k = 0; k < t.rows(); ++k) {
    for (int c = 0; c < t.shape().dim; ++c) {
      const auto x = static_cast<double>(t.record(k)[c]);
      m.mean += x / count;
      squares += x * x / count;
      m.largest = std::max(m.largest, std::abs(x));
    }
  }
  m.deviation = std::sqrt(squares - m.mean * m.mean);
  return m;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(tables)

BOOST_AUTO_TEST_CASE(starting_values_are_the_same_bits_on_any_number_of_ranks_and_threads) {
  for (const char* law : {"truncated_normal", "normal", "uniform"}) {
    for (const Index rows : {Index{3}, Index{97}, Index{10'007}}) {
      for (const int dim : {5, 16}) {
        constexpr int shards = 8;
        set_threads(1);
        Table whole("item", rows, {shards, 1}, 0, RowShape{dim, true, 0}, adagrad);
        BOOST_TEST(whole.rows() == rows);
        whole.initialize(42, 1, law, 0.01);
        for (const int ranks : {2, 3, 5, 8}) {
          set_threads(1 + ranks % 2);
          Index next = 0;
          std::int64_t different = 0;
          for (int rank = 0; rank < ranks; ++rank) {
            Table part("item", rows, {shards, ranks}, rank, RowShape{dim, true, 0}, adagrad);
            part.initialize(42, 1, law, 0.01);
            BOOST_TEST(part.first_row() == next);
            next += part.rows();
            for (Index k = 0; k < part.rows(); ++k) {
              for (Index c = 0; c < part.shape().record(); ++c)
                different += part.record(k)[c] == whole.record(part.first_row() + k)[c] ? 0 : 1;
            }
          }
          BOOST_TEST(next == rows);
          BOOST_TEST(different == 0);
        }
      }
    }
  }
  set_threads(1);
}

BOOST_AUTO_TEST_CASE(starting_values_follow_their_law) {
  const auto table_of = [](const char* law) {
    Table t("user", 4001, {8, 1}, 0, RowShape{20, false, 0}, sgd);
    t.initialize(7, 0, law, 0.5);
    return moments(t);
  };
  const Moments normal = table_of("normal");
  BOOST_TEST(std::abs(normal.mean) < 0.01);
  BOOST_TEST(normal.deviation == 0.5, boost::test_tools::tolerance(0.02));
  BOOST_TEST(normal.largest > 1.5);
  // Cut at two deviations, the deviation that is left is 0.8796 of it.
  const Moments truncated = table_of("truncated_normal");
  BOOST_TEST(truncated.deviation == 0.5 * 0.87963, boost::test_tools::tolerance(0.02));
  BOOST_TEST(truncated.largest <= 1.0);
  BOOST_TEST(truncated.largest > 0.98);
  const Moments uniform = table_of("uniform");
  BOOST_TEST(uniform.deviation == 0.5, boost::test_tools::tolerance(0.02));
  BOOST_TEST(uniform.largest <= 0.5 * std::sqrt(3.0));
}

BOOST_AUTO_TEST_CASE(seeds_tables_rows_and_columns_differ) {
  const auto first = [](std::uint64_t seed, std::uint32_t number, Index row, int column) {
    Table t("user", 50, {8, 1}, 0, RowShape{5, false, 0}, sgd);
    t.initialize(seed, number, "normal", 1.0);
    return t.record(row)[column];
  };
  const float value = first(1, 0, 0, 0);
  BOOST_TEST(value == first(1, 0, 0, 0));
  BOOST_TEST(value != first(2, 0, 0, 0));
  BOOST_TEST(value != first(1, 1, 0, 0));
  BOOST_TEST(value != first(1, 0, 1, 0));
  BOOST_TEST(value != first(1, 0, 0, 1));
}

BOOST_AUTO_TEST_CASE(padding_and_biases_start_at_zero_and_state_where_the_rule_says) {
  Table t("item", 31, {8, 1}, 0, RowShape{5, true, 0}, adagrad);
  t.initialize(1, 1, "normal", 1.0);
  for (Index k = 0; k < t.rows(); ++k) {
    const float* record = t.record(k);
    for (int c = 5; c < 32; ++c) BOOST_TEST(record[c] == 0.0F);
    for (int c = 32; c < 64; ++c) BOOST_TEST(record[c] == 0.1F);
    t.record(k)[40] = 9.0F;
  }
  t.reset_state(adagrad);
  BOOST_TEST(t.record(7)[40] == 0.1F);
}

BOOST_AUTO_TEST_CASE(a_row_knows_its_shape_in_memory) {
  const RowShape plain{64, false, 1};
  BOOST_TEST(plain.width() == 64);
  BOOST_TEST(plain.record() == 128);
  const RowShape bias{20, true, 3};
  BOOST_TEST(bias.bias_offset() == 32);
  BOOST_TEST(bias.width() == 48);
  BOOST_TEST(bias.record() == 192);
  BOOST_TEST(Table::bytes(10, bias) == 10 * 192 * 4);
}

BOOST_AUTO_TEST_CASE(checkpoints_see_values_and_state_under_their_names) {
  const auto names = [](optim::Rule rule, bool bias, bool state) {
    Table t("item", 10, {8, 1}, 0, RowShape{5, bias, 0}, {.rule = rule});
    std::string all;
    for (const auto& field : t.stored(state).fields)
      all += field.name + ":" + std::to_string(field.columns) + "@" + std::to_string(field.offset) + " ";
    return all;
  };
  BOOST_TEST(names(optim::Rule::sgd, false, true) == "vector:5@0 ");
  BOOST_TEST(names(optim::Rule::adagrad, true, false) == "vector:5@0 bias:1@16 ");
  BOOST_TEST(names(optim::Rule::adagrad, true, true) ==
             "vector:5@0 bias:1@16 vector.accumulator:5@32 bias.accumulator:1@48 ");
  BOOST_TEST(names(optim::Rule::lazy_adam, false, true) ==
             "vector:5@0 vector.first_moment:5@16 vector.second_moment:5@32 steps:1@48 ");
}

BOOST_AUTO_TEST_CASE(stamps_number_the_distinct_rows_of_every_list_anew) {
  table::RowStamps stamps(7);
  for (int list = 0; list < 3; ++list) {
    stamps.start();
    std::uint32_t next = 0;
    for (const std::uint32_t row : {6U, 2U, 6U, 0U, 2U, 5U, 6U}) {
      bool fresh = false;
      const std::uint32_t place = stamps.find(row, fresh);
      if (fresh) BOOST_TEST(place == next++);
      BOOST_TEST(place == (row == 6 ? 0U : row == 2 ? 1U : row == 0 ? 2U : 3U));
    }
    BOOST_TEST(next == 4U);
  }
}

BOOST_AUTO_TEST_SUITE_END()
