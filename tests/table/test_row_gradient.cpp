#define BOOST_TEST_DYN_LINK
#include <cmath>
#include <vector>

#include "support/gradient_check.hpp"
#include "support/moments.hpp"
#include <boost/test/unit_test.hpp>

#include "spar/table/row_gradient.hpp"

namespace {

using namespace spar;
using table::MomentGradients;
using table::Moments;
using test::Grid;
using test::moments_of;

// Weights that no two entries share, and no symmetry, so that neither a transposition nor a missing half passes.
double weight(int a, int b) {
  return 0.2 + std::cos(1.1 + 0.9 * a - 1.7 * b);
}

// sum weight_ab M_ab^2 / 2 of whatever matrix of moments; its gradient is weight_ab M_ab.
template <class Entry>
double half_squares(int d, Entry&& entry) {
  double sum = 0.0;
  for (int a = 0; a < d; ++a) {
    for (int b = 0; b < d; ++b) sum += 0.5 * weight(a, b) * entry(a, b) * entry(a, b);
  }
  return sum;
}

template <class Entry>
std::vector<double> gradient_of(int d, Entry&& entry) {
  std::vector<double> gradient;
  for (int a = 0; a < d; ++a) {
    for (int b = 0; b < d; ++b) gradient.push_back(weight(a, b) * entry(a, b));
  }
  return gradient;
}

struct Kinds {
  bool mean = false;
  bool gram = false;
  bool covariance = false;
};

double value(const Moments& m, const Kinds& kinds) {
  double sum = 0.0;
  for (int a = 0; kinds.mean && a < m.columns; ++a) sum += std::sin(m.mean[static_cast<std::size_t>(a)] * (a + 1));
  if (kinds.gram) sum += half_squares(m.columns, [&](int a, int b) { return 0.01 * m.product(a, b); });
  if (kinds.covariance) sum += half_squares(m.columns, [&](int a, int b) { return m.covariance(a, b); });
  return sum;
}

MomentGradients gradients(const Moments& m, const Kinds& kinds) {
  MomentGradients all;
  for (int a = 0; kinds.mean && a < m.columns; ++a)
    all.mean.push_back(std::cos(m.mean[static_cast<std::size_t>(a)] * (a + 1)) * (a + 1));
  if (kinds.gram) all.gram = gradient_of(m.columns, [&](int a, int b) { return 1e-4 * m.product(a, b); });
  if (kinds.covariance) all.covariance = gradient_of(m.columns, [&](int a, int b) { return m.covariance(a, b); });
  return all;
}

const std::vector<Kinds> all_kinds{
    {true, false, false}, {false, true, false}, {false, false, true}, {true, true, true}};

}  // namespace

BOOST_AUTO_TEST_SUITE(row_gradient)

BOOST_AUTO_TEST_CASE(a_function_of_mean_gram_and_covariance_has_the_gradient_of_central_differences_at_every_row) {
  for (const Kinds& kinds : all_kinds) {
    for (const int columns : {1, 5, 17, 70}) {
      std::vector<Grid<double>> rows{Grid<double>(7, columns, 1.0, columns)};
      const auto numeric = test::numeric_gradients(
          rows, [&](std::vector<Grid<double>>& moved) { return value(moments_of(moved[0]), kinds); });
      const Moments moments = moments_of(rows[0]);
      const table::RowGradient<double> at_rows(moments, 0, gradients(moments, kinds));
      std::vector<Grid<double>> got{Grid<double>(7, columns)};
      for (int r = 0; r < 7; ++r) at_rows.add(rows[0].row(r), &got[0].at(r, 0));
      test::check_close(got, numeric, 1e-7);
    }
  }
}

BOOST_AUTO_TEST_CASE(it_is_added_times_both_factors_in_the_columns_of_the_stack_alone) {
  const Grid<double> x(6, 5, 1.0, 3);
  const Moments moments = moments_of(x);
  const MomentGradients all = gradients(moments, all_kinds.back());
  const table::RowGradient<double> plain(moments, 0, all);
  const table::RowGradient<double> moved(moments, 3, all, 2.5);
  std::vector<double> once(16);
  plain.add(x.row(4), once.data());
  std::vector<double> row(16, 99.0);
  std::copy_n(x.row(4), 5, row.begin() + 3);
  std::vector<double> sum(16, 7.0);
  moved.add(row.data(), sum.data(), 2.0);
  for (int c = 0; c < 16; ++c) {
    const auto at = static_cast<std::size_t>(c);
    const double expected = c >= 3 && c < 8 ? 7.0 + 5.0 * once[at - 3] : 7.0;
    BOOST_TEST(sum[at] == expected, boost::test_tools::tolerance(1e-12));
  }
}

// With a mean of 1,000 deviations, x (S + S') in float would keep no digit of the difference.
BOOST_AUTO_TEST_CASE(in_float_rows_far_from_zero_keep_their_digits) {
  Grid<double> x(50, 20, 0.01, 1);
  for (int r = 0; r < 50; ++r) {
    for (int c = 0; c < 20; ++c) x.at(r, c) = static_cast<double>(static_cast<float>(x.at(r, c) + 10.0));
  }
  const Moments moments = moments_of(x);
  const MomentGradients of{{}, {}, gradient_of(20, [](int, int) { return 1.0; })};
  const table::RowGradient<double> exact(moments, 0, of);
  const table::RowGradient<float> quick(moments, 0, of);
  const Grid<float> narrow = x.as<float>();
  double largest = 0.0;
  double wrong = 0.0;
  for (int r = 0; r < 50; ++r) {
    std::vector<double> a(32);
    std::vector<float> b(32);
    exact.add(x.row(r), a.data());
    quick.add(narrow.row(r), b.data());
    for (std::size_t c = 0; c < 20; ++c) {
      largest = std::max(largest, std::abs(a[c]));
      wrong = std::max(wrong, std::abs(a[c] - static_cast<double>(b[c])));
    }
  }
  BOOST_TEST(largest > 1e-4);
  BOOST_TEST(wrong < 1e-3 * largest);
}

BOOST_AUTO_TEST_CASE(of_no_rows_and_of_no_function_it_is_zero) {
  const table::RowGradient<float> none;
  BOOST_TEST(none.is_zero());
  float gradient[16] = {1.0F};
  none.add(gradient, gradient);
  BOOST_TEST(gradient[0] == 1.0F);
  const Moments empty{0, 4, std::vector<double>(4), std::vector<double>(16)};
  BOOST_TEST(table::RowGradient<float>(empty, 0, {std::vector<double>(4, 1.0), {}, {}}).is_zero());
}

BOOST_AUTO_TEST_SUITE_END()
