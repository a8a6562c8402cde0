#define BOOST_TEST_DYN_LINK
#include "operation_check.hpp"
#include <boost/test/unit_test.hpp>

#include "spar/tape/convolution.hpp"

namespace {

using namespace spar;
using namespace spar::test;
using tape::ImageSize;
using tape::Kernel;
using tape::Padding;

Grid<double> ones(int rows, int columns) {
  Grid<double> x(rows, columns);
  x.fill(1.0);
  return x;
}

const std::vector<Kernel> kernels{{3, 1, Padding::symmetric, 1}, {3, 2, Padding::symmetric, 1},
                                  {2, 2, Padding::symmetric, 0}, {3, 2, Padding::same},
                                  {2, 1, Padding::same},         {1, 1, Padding::symmetric, 0}};

double product_sum(const std::vector<double>& a, const Grid<double>& b) {
  double total = 0.0;
  const auto other = b.numbers();
  BOOST_REQUIRE_EQUAL(a.size(), other.size());
  for (std::size_t k = 0; k < a.size(); ++k) total += a[k] * other[k];
  return total;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(convolution)

BOOST_AUTO_TEST_CASE(convolutions_have_the_gradients_of_central_differences) {
  const ImageSize size{4, 5};
  for (const Kernel& kernel : kernels) {
    const int patch = kernel.size * kernel.size;
    check_operation(
        {grid(2 * 20, 3, 1), grid(patch * 3, 2, 2, 0.5)},
        [&](auto& t, const Vars& v) { return tape::conv2d(t, v[0], v[1], size, kernel); }, 2e-8);
    check_operation(
        {grid(2 * 20, 2, 1), grid(patch * 3, 2, 2, 0.5)},
        [&](auto& t, const Vars& v) { return tape::conv_transpose2d(t, v[0], v[1], size, kernel); }, 2e-8);
  }
  check_operation({grid(0, 3, 1), grid(27, 17, 2)},
                  [&](auto& t, const Vars& v) { return tape::conv2d(t, v[0], v[1], size, kernels[0]); });
}

BOOST_AUTO_TEST_CASE(pooling_and_enlarging_have_the_gradients_of_central_differences) {
  const ImageSize size{4, 5};
  check_operation({grid(40, 3, 1)}, [&](auto& t, const Vars& v) { return tape::max_pool2d(t, v[0], size, 2, 2); });
  check_operation({grid(40, 3, 1)}, [&](auto& t, const Vars& v) { return tape::max_pool2d(t, v[0], size, 3, 1); });
  check_operation({grid(40, 8, 1)}, [&](auto& t, const Vars& v) { return tape::depth_to_space(t, v[0], size, 2); });
  check_operation({grid(40, 3, 1)}, [&](auto& t, const Vars& v) { return tape::nearest_resize(t, v[0], size, 3); });
}

// 4 x 4 ones, a 3 x 3 kernel of ones, stride 2.
BOOST_AUTO_TEST_CASE(the_two_paddings_are_those_computed_by_hand) {
  const auto by = [](const Kernel& kernel) {
    return values_of({ones(16, 1), ones(9, 1)}, [&](auto& t, const Vars& v) {
      return tape::conv2d(t, v[0], v[1], {4, 4}, kernel);
    });
  };
  check_numbers(by({3, 2, Padding::same}), {9, 6, 6, 4});
  check_numbers(by({3, 2, Padding::symmetric, 1}), {4, 6, 6, 9});
}

// 2 x 2 ones, a 4 x 4 kernel of ones, stride 2, padding 1: the outer product of (1, 2, 2, 1) with itself.
BOOST_AUTO_TEST_CASE(the_transposed_convolution_is_that_computed_by_hand) {
  check_numbers(values_of({ones(4, 1), ones(16, 1)},
                          [](auto& t, const Vars& v) {
                            return tape::conv_transpose2d(t, v[0], v[1], {2, 2}, {4, 2, Padding::symmetric, 1});
                          }),
                {1, 2, 2, 1, 2, 4, 4, 2, 2, 4, 4, 2, 1, 2, 2, 1});
}

BOOST_AUTO_TEST_CASE(the_transposed_convolution_is_the_adjoint) {
  for (const Kernel& kernel : kernels) {
    const ImageSize narrow{3, 2};
    const ImageSize wide = kernel.widened(narrow);
    BOOST_REQUIRE_EQUAL(kernel.convolved(wide).height, narrow.height);
    BOOST_REQUIRE_EQUAL(kernel.convolved(wide).width, narrow.width);
    const auto x = grid(2 * wide.pixels(), 3, 1);
    const auto y = grid(2 * narrow.pixels(), 4, 2);
    const auto w = grid(kernel.size * kernel.size * 3, 4, 3);
    const auto forward =
        values_of({x, w}, [&](auto& t, const Vars& v) { return tape::conv2d(t, v[0], v[1], wide, kernel); });
    const auto back = values_of(
        {y, w}, [&](auto& t, const Vars& v) { return tape::conv_transpose2d(t, v[0], v[1], narrow, kernel); });
    BOOST_TEST(product_sum(forward, y) == product_sum(back, x), boost::test_tools::tolerance(1e-12));
  }
}

BOOST_AUTO_TEST_CASE(pixels_go_where_the_layout_says) {
  check_numbers(values_of({matrix(4, 1, {1, 5, 5, 2})},
                          [](auto& t, const Vars& v) {
                            return tape::max_pool2d(t, v[0], {2, 2}, 2, 2);
                          }),
                {5});
  check_numbers(values_of({matrix(2, 4, {1, 2, 3, 4, 5, 6, 7, 8})},
                          [](auto& t, const Vars& v) {
                            return tape::depth_to_space(t, v[0], {1, 2}, 2);
                          }),
                {1, 2, 5, 6, 3, 4, 7, 8});
  check_numbers(values_of({matrix(2, 1, {1, 2})},
                          [](auto& t, const Vars& v) {
                            return tape::nearest_resize(t, v[0], {1, 2}, 2);
                          }),
                {1, 1, 2, 2, 1, 1, 2, 2});
  std::vector<Grid<double>> tied{matrix(4, 1, {1, 5, 5, 2})};
  const Build<double> pool = [](tape::Tape<double>& t, const Vars& v) {
    return tape::max_pool2d(t, v[0], {2, 2}, 2, 2);
  };
  const auto gradient = tape_gradients(tied, pool)[0];
  BOOST_TEST(gradient.at(1, 0) == scaliser(0, 0));
  BOOST_TEST(gradient.at(2, 0) == 0.0);
}

BOOST_AUTO_TEST_CASE(bits_of_an_image_do_not_depend_on_its_place_in_the_batch) {
  const ImageSize size{5, 6};
  const auto x = grid(3 * 30, 4, 1);
  const auto w = grid(9 * 4, 7, 2);
  const auto build = [&](auto& t, const Vars& v) { return tape::conv2d(t, v[0], v[1], size, kernels[0]); };
  const auto all = values_of({x, w}, build);
  Grid<double> last(30, 4);
  for (int r = 0; r < 30; ++r) {
    for (int c = 0; c < 4; ++c) last.at(r, c) = x.at(60 + r, c);
  }
  const auto one = values_of({last, w}, build);
  BOOST_TEST(std::equal(one.begin(), one.end(), all.begin() + 60 * 7));
}

BOOST_AUTO_TEST_CASE(images_that_do_not_fit_are_named) {
  const std::vector<Grid<double>> inputs{grid(16, 2, 1), grid(9, 1, 2)};
  const auto bug = [&](ImageSize size, const Kernel& kernel) {
    return bug_of(inputs, [&](auto& t, const Vars& v) { return tape::conv2d(t, v[0], v[1], size, kernel); });
  };
  BOOST_TEST(bug({4, 4}, kernels[0]) == "tape: conv2d does not fit 16 x 2 and 9 x 1");
  BOOST_TEST(bug({3, 4}, kernels[0]) == "tape: conv2d does not fit 16 x 2 with images of 3 x 4");
  BOOST_TEST(bug({1, 1}, {3, 1, Padding::symmetric, 0}) ==
             "tape: conv2d has a kernel of 3 with stride 1 and padding 0 that fits no image");
  BOOST_TEST(bug_of(inputs, [](auto& t, const Vars& v) {
               return tape::depth_to_space(t, v[0], {4, 4}, 2);
             }) == "tape: depth_to_space does not fit 16 x 2 with a factor of 2");
}

BOOST_AUTO_TEST_SUITE_END()
