#define BOOST_TEST_DYN_LINK
#include <cmath>

#include "operation_check.hpp"
#include <boost/test/unit_test.hpp>

#include "spar/tape/linear.hpp"
#include "spar/tape/recurrent.hpp"

namespace {

using namespace spar;
using namespace spar::test;
using tape::GruForm;
using tape::Steps;

const GruForm published{true, true};
const GruForm frameworks{false, false};

// Gaps at the start, in the middle and at the end; the second sequence has no step at all.
const std::vector<std::uint8_t> gaps{0, 1, 1, 0, 0, 0, 1, 0, 1};

}  // namespace

BOOST_AUTO_TEST_SUITE(recurrent)

BOOST_AUTO_TEST_CASE(gated_recurrent_units_have_the_gradients_of_central_differences) {
  for (const int width : {1, 3, 17}) {
    for (const GruForm& form : {published, frameworks, GruForm{true, false}, GruForm{false, true}}) {
      const std::vector<Grid<double>> inputs{grid(9, 3 * width, 1), grid(width, 3 * width, 2, 0.4), grid(3, width, 3),
                                             grid(1, 3 * width, 4)};
      check_operation(inputs, [&](auto& t, const Vars& v) {
        return tape::gru(t, v[0], v[1], v[2], Steps{3, gaps}, form, v[3]);
      });
      check_operation({inputs[0], inputs[1]}, [&](auto& t, const Vars& v) {
        return tape::gru(t, v[0], v[1], {}, Steps{3, {}}, form);
      });
    }
  }
  check_operation({grid(0, 6, 1), grid(2, 6, 2)}, [](auto& t, const Vars& v) {
    return tape::gru(t, v[0], v[1], {}, Steps{3, {}});
  });
}

BOOST_AUTO_TEST_CASE(long_short_term_memories_have_the_gradients_of_central_differences) {
  for (const int width : {1, 3, 17}) {
    const std::vector<Grid<double>> inputs{grid(9, 4 * width, 1), grid(width, 4 * width, 2, 0.4),
                                           grid(3, 2 * width, 3)};
    check_operation(inputs, [&](auto& t, const Vars& v) {
      return tape::lstm(t, v[0], v[1], v[2], Steps{3, gaps}, as(t, 1.0));
    });
    check_operation({inputs[0], inputs[1]}, [&](auto& t, const Vars& v) {
      return tape::lstm(t, v[0], v[1], {}, Steps{3, {}}, as(t, 0.0));
    });
  }
}

// Scalar x = 1, h = 0.5, weights 1, biases 0.
BOOST_AUTO_TEST_CASE(one_gru_step_is_that_computed_by_hand) {
  const std::vector<Grid<double>> inputs{matrix(1, 3, {1, 1, 1}), matrix(1, 3, {1, 1, 1}), matrix(1, 1, {0.5})};
  const auto step = [&](const GruForm& form) {
    return values_of(inputs, [&](auto& t, const Vars& v) {
      return tape::gru(t, v[0], v[1], v[2], Steps{1, {}}, form);
    });
  };
  check_numbers(step({true, true}), {0.816595}, 1e-6);
  check_numbers(step({false, true}), {0.570642}, 1e-6);
}

// Scalar x = 1, h = 0.5, c = 0.25, weights 1, biases 0.
BOOST_AUTO_TEST_CASE(one_lstm_step_is_that_computed_by_hand) {
  const std::vector<Grid<double>> inputs{matrix(1, 4, {1, 1, 1, 1}), matrix(1, 4, {1, 1, 1, 1}),
                                         matrix(1, 2, {0.5, 0.25})};
  const auto step = [&](double forget_offset) {
    return values_of(inputs, [&](auto& t, const Vars& v) {
      return tape::lstm(t, v[0], v[1], v[2], Steps{1, {}}, forget_offset);
    });
  };
  check_numbers(step(0.0), {0.602754, 0.944420}, 1e-6);
  check_numbers(step(1.0), {0.612503, 0.971062}, 1e-6);
}

BOOST_AUTO_TEST_CASE(a_step_that_does_not_count_keeps_the_state) {
  const auto start = grid(3, 4, 3);
  const auto states = values_of({grid(9, 12, 1), grid(4, 12, 2), start}, [](auto& t, const Vars& v) {
    return tape::gru(t, v[0], v[1], v[2], Steps{3, gaps});
  });
  const auto at = [&](int row) { return std::vector<double>(states.begin() + row * 4, states.begin() + row * 4 + 4); };
  const auto start_of = [&](int b) { return std::vector<double>(start.row(b), start.row(b) + 4); };
  BOOST_TEST(at(0) == start_of(0));
  BOOST_TEST(at(1) != start_of(0));
  for (int t = 3; t < 6; ++t) BOOST_TEST(at(t) == start_of(1));
  BOOST_TEST(at(7) == at(6));
}

BOOST_AUTO_TEST_CASE(bits_of_a_sequence_do_not_depend_on_its_place_in_the_batch) {
  const auto gates = grid(20 * 3, 3 * 17, 1).as<float>();
  const auto weights = grid(17, 3 * 17, 2, 0.4).as<float>();
  const auto run = [&](int first, int count) {
    Grid<float> part(count * 3, 3 * 17);
    for (int r = 0; r < part.rows(); ++r) {
      for (int c = 0; c < part.columns(); ++c) part.at(r, c) = gates.at(first * 3 + r, c);
    }
    Grid<float> u = weights;
    tape::Tape<float> t;
    const auto y = t.value(tape::gru(t, t.constant(part.view()), t.constant(u.view()), {}, Steps{3, {}}));
    std::vector<float> numbers;
    for (int r = 0; r < y.rows; ++r) numbers.insert(numbers.end(), y.row(r), y.row(r) + y.columns);
    return numbers;
  };
  const auto all = run(0, 20);
  const auto some = run(13, 7);
  BOOST_TEST(std::equal(some.begin(), some.end(), all.begin() + 13 * 3 * 17));
}

BOOST_AUTO_TEST_CASE(recurrences_that_do_not_fit_are_named) {
  const std::vector<Grid<double>> inputs{grid(6, 6, 1), grid(2, 6, 2), grid(3, 2, 3), grid(2, 8, 4), grid(1, 5, 5)};
  BOOST_TEST(bug_of(inputs, [](auto& t, const Vars& v) {
               return tape::gru(t, v[0], v[3], {}, Steps{3, {}});
             }) == "tape: gru does not fit 6 x 6 and 2 x 8");
  BOOST_TEST(bug_of(inputs, [](auto& t, const Vars& v) {
               return tape::gru(t, v[0], v[1], {}, Steps{4, {}});
             }) == "tape: gru does not fit 6 x 6 with length 4 and 0 marks");
  BOOST_TEST(bug_of(inputs, [](auto& t, const Vars& v) {
               return tape::gru(t, v[0], v[1], v[2], Steps{3, {}});
             }) == "tape: gru does not fit 6 x 6 and 3 x 2");
  BOOST_TEST(bug_of(inputs, [](auto& t, const Vars& v) {
               return tape::gru(t, v[0], v[1], {}, Steps{3, {}}, {}, v[4]);
             }) == "tape: gru does not fit 6 x 6 and 1 x 5");
  BOOST_TEST(bug_of(inputs, [](auto& t, const Vars& v) {
               return tape::lstm(t, v[0], v[3], {}, Steps{3, {}});
             }) == "tape: lstm does not fit 6 x 6 and 2 x 8");
}

BOOST_AUTO_TEST_SUITE_END()
