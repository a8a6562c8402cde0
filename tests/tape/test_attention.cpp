#define BOOST_TEST_DYN_LINK
#include <algorithm>
#include <cmath>

#include "operation_check.hpp"
#include <boost/test/unit_test.hpp>

#include "spar/tape/attention.hpp"

namespace {

using namespace spar;
using namespace spar::test;
using tape::AttentionShape;

const tape::NoiseKey key{.seed = 5, .step = 3};

// Padding at the start, in the middle and at the end; the third sequence of five has none valid.
std::vector<std::uint8_t> marks(int sequences, int length) {
  std::vector<std::uint8_t> valid;
  for (int b = 0; b < sequences; ++b) {
    for (int i = 0; i < length; ++i)
      valid.push_back(static_cast<std::uint8_t>(b % 5 != 2 && i >= (b * 3) % length && (i + b) % 7 != 3 ? 1 : 0));
  }
  return valid;
}

template <class T>
tape::AttentionDropout<T> dropping(const tape::Tape<T>&, double keep, std::span<const Index> samples) {
  return {static_cast<T>(keep), key, samples};
}

// Pair by pair, with nothing shared and nothing skipped.
std::vector<double> slow_attention(const Grid<double>& q, const Grid<double>& k, const Grid<double>& v,
                                   const AttentionShape& shape) {
  const int columns = q.columns() / shape.heads;
  Grid<double> y(q.rows(), q.columns());
  for (int row = 0; row < q.rows(); ++row) {
    const int b = row / shape.query_length;
    if (!shape.valid_queries.empty() && shape.valid_queries[static_cast<std::size_t>(row)] == 0) continue;
    for (int h = 0; h < shape.heads; ++h) {
      double total = 0.0;
      std::vector<double> sums(static_cast<std::size_t>(columns));
      for (int j = 0; j < shape.key_length; ++j) {
        const int other = b * shape.key_length + j;
        if (!shape.valid_keys.empty() && shape.valid_keys[static_cast<std::size_t>(other)] == 0) continue;
        if (shape.causal && j > row % shape.query_length) continue;
        double score = 0.0;
        for (int c = h * columns; c < (h + 1) * columns; ++c) score += q.at(row, c) * k.at(other, c);
        const double e = std::exp(score / std::sqrt(columns));
        total += e;
        for (int c = 0; c < columns; ++c) sums[static_cast<std::size_t>(c)] += e * v.at(other, h * columns + c);
      }
      for (int c = 0; c < columns && total > 0.0; ++c)
        y.at(row, h * columns + c) = sums[static_cast<std::size_t>(c)] / total;
    }
  }
  return y.numbers();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(attention)

BOOST_AUTO_TEST_CASE(attention_has_the_gradients_of_central_differences) {
  for (const int heads : {1, 2, 3}) {
    for (const bool causal : {false, true}) {
      const auto valid = marks(3, 4);
      const std::vector<Grid<double>> inputs{grid(12, 6, 1), grid(12, 6, 2), grid(12, 6, 3)};
      const AttentionShape plain{4, 4, heads, causal, {}, {}};
      const AttentionShape padded{4, 4, heads, causal, valid, valid};
      check_operation(inputs, [&](auto& t, const Vars& v) { return tape::attention(t, v[0], v[1], v[2], plain); });
      check_operation(inputs, [&](auto& t, const Vars& v) { return tape::attention(t, v[0], v[1], v[2], padded); });
    }
  }
  check_operation({grid(5, 3, 1)}, [](auto& t, const Vars& v) {
    return tape::attention(t, v[0], v[0], v[0], {5, 5, 1, true, {}, {}});
  });
}

BOOST_AUTO_TEST_CASE(attention_over_other_sequences_has_the_gradients_of_central_differences) {
  const auto valid = marks(2, 5);
  const std::vector<Grid<double>> inputs{grid(6, 4, 1), grid(10, 4, 2), grid(10, 4, 3)};
  check_operation(inputs, [&](auto& t, const Vars& v) {
    return tape::attention(t, v[0], v[1], v[2], {3, 5, 2, false, {}, valid});
  });
  check_operation({grid(0, 4, 1), grid(0, 4, 2), grid(0, 4, 3)}, [&](auto& t, const Vars& v) {
    return tape::attention(t, v[0], v[1], v[2], {3, 5, 2, false, {}, {}});
  });
}

BOOST_AUTO_TEST_CASE(attention_with_dropout_has_the_gradients_of_central_differences) {
  const std::vector<Index> samples{40, 41, 77};
  const auto valid = marks(3, 4);
  for (const int heads : {1, 2}) {
    check_operation({grid(12, 6, 1), grid(12, 6, 2), grid(12, 6, 3)}, [&](auto& t, const Vars& v) {
      return tape::attention(t, v[0], v[1], v[2], {4, 4, heads, true, valid, valid}, dropping(t, 0.6, samples));
    });
  }
}

// Blocks of 32 positions, whole and begun, with heads that are whole lines and others.
BOOST_AUTO_TEST_CASE(attention_over_several_blocks_is_that_of_all_pairs) {
  for (const int length : {31, 32, 70}) {
    for (const auto& [columns, heads] : {std::pair{5, 1}, {32, 2}, {50, 2}}) {
      for (const bool causal : {false, true}) {
        const auto valid = marks(6, length);
        const AttentionShape shape{length, length, heads, causal, valid, valid};
        const auto q = grid(6 * length, columns, 1);
        const auto k = grid(6 * length, columns, 2);
        const auto v = grid(6 * length, columns, 3);
        const auto build = [&](auto& t, const Vars& x) { return tape::attention(t, x[0], x[1], x[2], shape); };
        check_numbers(values_of({q, k, v}, build), slow_attention(q, k, v, shape), 1e-12);
        check_padding({q, k, v}, build);
        check_float({q, k, v}, build, build);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(gradients_over_several_blocks_are_those_of_central_differences) {
  std::vector<std::uint8_t> valid(70, 1);
  std::fill_n(valid.begin(), 33, std::uint8_t{0});
  valid[50] = 0;
  check_operation(
      {grid(70, 3, 1), grid(70, 3, 2), grid(70, 3, 3)},
      [&](auto& t, const Vars& v) {
        return tape::attention(t, v[0], v[1], v[2], {70, 70, 1, true, valid, valid});
      },
      2e-8);
}

// Width 1, weights 1, X = (1, 2): outputs 1 and 1.880797.
BOOST_AUTO_TEST_CASE(values_are_those_computed_by_hand) {
  check_numbers(values_of({matrix(2, 1, {1, 2})},
                          [](auto& t, const Vars& v) {
                            return tape::attention(t, v[0], v[0], v[0], {2, 2, 1, true, {}, {}});
                          }),
                {1, 1.880797}, 1e-6);
}

BOOST_AUTO_TEST_CASE(fully_padded_sequences_give_zeros_and_get_no_gradient) {
  const std::vector<std::uint8_t> none(6, 0);
  std::vector<Grid<double>> inputs{grid(6, 4, 1)};
  const Build<double> build = [&](tape::Tape<double>& t, const Vars& v) {
    return tape::attention(t, v[0], v[0], v[0], {3, 3, 2, false, none, none});
  };
  for (const double y : values_of(inputs, build)) BOOST_TEST(y == 0.0);
  for (const double g : tape_gradients(inputs, build)[0].numbers()) BOOST_TEST(g == 0.0);
}

BOOST_AUTO_TEST_CASE(bits_of_a_sequence_do_not_depend_on_its_place_in_the_batch) {
  const int length = 40;
  const auto valid = marks(4, length);
  const auto x = grid(4 * length, 20, 1).as<float>();
  const std::vector<Index> samples{3, 9, 27, 81};
  const auto run = [&](const std::vector<int>& order) {
    Grid<float> mine(static_cast<int>(order.size()) * length, 20);
    std::vector<std::uint8_t> my_marks;
    std::vector<Index> my_samples;
    for (std::size_t b = 0; b < order.size(); ++b) {
      for (int i = 0; i < length; ++i) {
        for (int c = 0; c < 20; ++c) mine.at(static_cast<int>(b) * length + i, c) = x.at(order[b] * length + i, c);
        my_marks.push_back(valid[static_cast<std::size_t>(order[b] * length + i)]);
      }
      my_samples.push_back(samples[static_cast<std::size_t>(order[b])]);
    }
    tape::Tape<float> t;
    const auto v = t.constant(mine.view());
    const auto y = t.value(
        tape::attention(t, v, v, v, {length, length, 2, true, my_marks, my_marks}, dropping(t, 0.7, my_samples)));
    std::vector<std::vector<float>> rows;
    for (int r = 0; r < y.rows; ++r) rows.emplace_back(y.row(r), y.row(r) + y.columns);
    return rows;
  };
  const auto all = run({0, 1, 2, 3});
  const auto some = run({3, 1});
  for (std::size_t i = 0; i < static_cast<std::size_t>(length); ++i) {
    BOOST_TEST((some[i] == all[3 * length + i]));
    BOOST_TEST((some[length + i] == all[length + i]));
  }
}

BOOST_AUTO_TEST_CASE(sums_and_rows_of_sequences_have_the_gradients_of_central_differences) {
  const std::vector<std::int32_t> positions{2, -1, 0};
  for (const int columns : {1, 5, 20}) {
    check_operation({grid(9, columns, 1), grid(9, 1, 2)},
                    [](auto& t, const Vars& v) { return tape::sequence_sums(t, v[0], v[1], 3); });
    check_operation({grid(9, columns, 1)},
                    [&](auto& t, const Vars& v) { return tape::sequence_rows(t, v[0], positions, 3); });
  }
  check_numbers(values_of({matrix(4, 1, {1, 2, 3, 4}), matrix(4, 1, {1, 0.5, 2, -1})},
                          [](auto& t, const Vars& v) { return tape::sequence_sums(t, v[0], v[1], 2); }),
                {2, 2});
  check_numbers(
      values_of({matrix(6, 1, {1, 2, 3, 4, 5, 6})},
                [&](auto& t, const Vars& v) { return tape::sequence_rows(t, v[0], std::span(positions).first(2), 3); }),
      {3, 0});
}

BOOST_AUTO_TEST_CASE(attentions_that_do_not_fit_are_named) {
  const auto bug = [](const AttentionShape& shape, int rows) {
    return bug_of({grid(6, 4, 1), grid(rows, 4, 2)},
                  [&](auto& t, const Vars& v) { return tape::attention(t, v[0], v[1], v[1], shape); });
  };
  const std::vector<std::uint8_t> few(5, 1);
  BOOST_TEST(bug({4, 3, 1, false, {}, {}}, 6) == "tape: attention does not fit 6 x 4 with lengths 4 and 3, 1 heads");
  BOOST_TEST(bug({3, 3, 3, false, {}, {}}, 6) == "tape: attention does not fit 6 x 4 with lengths 3 and 3, 3 heads");
  BOOST_TEST(bug({3, 2, 1, true, {}, {}}, 4) == "tape: attention does not fit 6 x 4 with lengths 3 and 2, 1 heads");
  BOOST_TEST(bug({3, 3, 1, true, few, {}}, 6) == "tape: attention does not fit 6 x 4 with 5 and 0 marks");
  BOOST_TEST(bug_of({grid(6, 4, 1), grid(6, 5, 2)}, [](auto& t, const Vars& v) {
               return tape::attention(t, v[0], v[1], v[1], {3, 3, 1, false, {}, {}});
             }) == "tape: attention does not fit 6 x 4 and 6 x 5");
}

BOOST_AUTO_TEST_SUITE_END()
