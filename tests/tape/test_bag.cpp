#define BOOST_TEST_DYN_LINK
#include "operation_check.hpp"
#include <boost/test/unit_test.hpp>

#include "spar/tape/bag.hpp"

namespace {

using namespace spar;
using namespace spar::test;

// Four bags, the second and the last empty; a row that comes twice in one.
const std::vector<std::int64_t> offsets{0, 3, 3, 5, 5};
const std::vector<std::int32_t> slots{2, 0, 2, 4, 0};
const tape::Bags bags{offsets, slots};

std::span<const double> weights_of(const tape::Tape<double>&) {
  static const std::vector<double> weights{0.5, -1.0, 2.0, 0.25, 3.0};
  return weights;
}
std::span<const float> weights_of(const tape::Tape<float>&) {
  static const std::vector<float> weights{0.5F, -1.0F, 2.0F, 0.25F, 3.0F};
  return weights;
}

template <class T>
tape::Var fixed_bag(tape::Tape<T>& t, tape::Var table) {
  return tape::embedding_bag<T>(t, table, bags, weights_of(t));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(bag)

BOOST_AUTO_TEST_CASE(bags_have_the_gradients_of_central_differences) {
  for (const int columns : {1, 5, 16, 20}) {
    check_operation({grid(5, columns, 1)}, [](auto& t, const Vars& v) { return tape::embedding_bag(t, v[0], bags); });
    check_operation({grid(5, columns, 1)}, [](auto& t, const Vars& v) { return fixed_bag(t, v[0]); });
    check_operation({grid(5, columns, 1), grid(5, 1, 2)},
                    [](auto& t, const Vars& v) { return tape::weighted_bag(t, v[0], v[1], bags); });
  }
  const std::vector<std::int64_t> nothing{0};
  check_operation({grid(5, 3, 1)}, [&](auto& t, const Vars& v) {
    return tape::embedding_bag(t, v[0], tape::Bags{nothing, {}});
  });
}

BOOST_AUTO_TEST_CASE(a_bag_is_the_weighted_sum_of_its_rows_and_an_empty_one_is_zero) {
  const auto table = matrix(5, 2, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10});
  check_numbers(values_of({table}, [](auto& t, const Vars& v) { return tape::embedding_bag(t, v[0], bags); }),
                {11, 14, 0, 0, 10, 12, 0, 0});
  const std::vector<double> weighted{11.5, 13, 0, 0, 5.25, 8.5, 0, 0};
  check_numbers(values_of({table}, [](auto& t, const Vars& v) { return fixed_bag(t, v[0]); }), weighted);
  check_numbers(values_of({table, matrix(5, 1, {0.5, -1.0, 2.0, 0.25, 3.0})},
                          [](auto& t, const Vars& v) { return tape::weighted_bag(t, v[0], v[1], bags); }),
                weighted);
}

BOOST_AUTO_TEST_CASE(bags_that_do_not_fit_are_named) {
  const std::vector<std::int64_t> falling{0, 3, 2, 5};
  const std::vector<std::int64_t> starts_late{1, 5};
  const auto bug = [](const tape::Bags& b) {
    return bug_of({grid(4, 2, 1)}, [&](auto& t, const Vars& v) { return tape::embedding_bag(t, v[0], b); });
  };
  BOOST_TEST(bug(bags) == "tape: embedding_bag does not fit 4 x 2 with slot 4");
  BOOST_TEST(bug({falling, slots}) == "tape: embedding_bag does not fit 4 x 2 with offsets that fall");
  BOOST_TEST(bug({starts_late, slots}) ==
             "tape: embedding_bag does not fit 4 x 2 with 5 slots, 2 offsets and 0 weights");
  BOOST_TEST(bug_of({grid(5, 2, 1), grid(4, 1, 2)}, [](auto& t, const Vars& v) {
               return tape::weighted_bag(t, v[0], v[1], bags);
             }) == "tape: weighted_bag does not fit 4 x 1 with 5 slots");
}

BOOST_AUTO_TEST_SUITE_END()
