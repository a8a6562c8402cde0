#include <array>
#include <cmath>

#include <boost/test/unit_test.hpp>

#include "spar/adversary/carlini_wagner.hpp"

namespace {

using namespace spar;
using adversary::CarliniWagnerSearch;
using adversary::CarliniWagnerSettings;

using Row = std::array<float, 2>;

// A user's row against two items: the margin by which i leads j, linear in the row.
constexpr Row user{1.0F, 2.0F};
constexpr Row ahead{0.9F, 0.25F};
constexpr Row behind{0.1F, 0.5F};

double margin(std::span<const float> row, std::span<float> gradient) {
  double sum = 0.0;
  for (std::size_t k = 0; k < 2; ++k) {
    gradient[k] = ahead[k] - behind[k];
    sum += static_cast<double>(row[k]) * static_cast<double>(gradient[k]);
  }
  return sum;
}

double norm(const CarliniWagnerSearch& search, std::span<const float> row) {
  double squares = 0.0;
  for (std::size_t k = 0; k < row.size(); ++k)
    squares += std::pow(static_cast<double>(search.best()[k]) - static_cast<double>(row[k]), 2.0);
  return std::sqrt(squares);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(carlini_wagner)

// Of a linear score: D = -s (q_i - q_j) / ||q_i - q_j||^2.
BOOST_AUTO_TEST_CASE(a_linear_score_gives_the_closed_form) {
  const auto search = adversary::search_row({}, user, margin);
  BOOST_REQUIRE(search.has_reached());
  BOOST_TEST(std::abs(static_cast<double>(search.best()[0]) - 1.0 - -0.341637) < 1e-3);
  BOOST_TEST(std::abs(static_cast<double>(search.best()[1]) - 2.0 - 0.106762) < 1e-3);
  BOOST_TEST(std::abs(search.distortion() - 0.357930) < 1e-3);
  BOOST_TEST(std::abs(search.distortion() - norm(search, user)) < 1e-12);
  Row gradient{};
  BOOST_TEST(margin(search.best(), gradient) < 0.0);
}

// The closed form on the columns that may change: s / ||the gradient on them||.
BOOST_AUTO_TEST_CASE(a_cap_leaves_the_columns_of_the_largest_gradient_that_the_box_lets_move) {
  const std::vector<float> row{0.0F, 1.0F, 0.0F, 0.5F, 1.0F, 0.0F};
  const std::vector<float> slope{0.4F, -0.3F, -0.2F, 0.15F, 0.1F, 0.0F};
  const auto linear = [&](std::span<const float> at, std::span<float> gradient) {
    double sum = 0.35;
    for (std::size_t k = 0; k < row.size(); ++k) {
      gradient[k] = slope[k];
      sum += static_cast<double>(slope[k]) * static_cast<double>(at[k]);
    }
    return sum;
  };
  // Columns 0 and 1 stand at the ends of the box that they would have to leave.
  const double steepest[] = {0.2, 0.15, 0.1};
  double before = std::numeric_limits<double>::infinity();
  for (const std::int64_t most : {1, 2, 3, 5}) {
    const auto search = adversary::search_row({.lowest = 0.0, .highest = 1.0, .most_changes = most}, row, linear);
    const double margin = 0.35 - 0.3 + 0.15 * 0.5 + 0.1;
    double squares = 0.0;
    for (std::int64_t k = 0; k < std::min<std::int64_t>(3, most); ++k) squares += steepest[k] * steepest[k];
    BOOST_TEST(search.changes() <= std::min<std::int64_t>(3, most));
    BOOST_TEST(search.has_reached() == (most > 1));
    if (!search.has_reached()) continue;
    if (most == 2) {
      BOOST_TEST(search.best()[4] == row[4]);
    } else {
      BOOST_TEST(std::abs(search.distortion() - margin / std::sqrt(squares)) < 0.02);
    }
    BOOST_TEST(search.distortion() <= before);
    before = search.distortion();
    for (const float x : search.best()) BOOST_TEST((x >= 0.0F && x <= 1.0F));
  }
}

BOOST_AUTO_TEST_CASE(more_confidence_costs_more_distortion_and_is_kept) {
  double before = 0.0;
  for (const double confidence : {0.0, 0.1, 0.3}) {
    const auto search = adversary::search_row({.confidence = confidence}, user, margin);
    BOOST_REQUIRE(search.has_reached());
    Row gradient{};
    BOOST_TEST(margin(search.best(), gradient) <= -confidence);
    BOOST_TEST(search.distortion() > before);
    // ||D|| = (s + kappa) / ||q_i - q_j||
    BOOST_TEST(std::abs(search.distortion() - (0.3 + confidence) / std::sqrt(0.7025)) < 2e-3);
    before = search.distortion();
  }
}

BOOST_AUTO_TEST_CASE(a_row_that_is_there_already_stays_where_it_is) {
  const Row there{0.0F, 2.0F};
  const auto search = adversary::search_row({}, there, margin);
  BOOST_TEST(search.has_reached());
  BOOST_TEST(search.distortion() == 0.0);
  BOOST_TEST((std::ranges::equal(search.best(), there)));
}

// With the first column held by the box at 0.9, the second pays for the rest: 0.8 * 0.9 < 0.25 y.
BOOST_AUTO_TEST_CASE(the_changed_row_stays_in_the_box) {
  const auto search = adversary::search_row({.lowest = 0.9, .highest = 4.0}, user, margin);
  BOOST_REQUIRE(search.has_reached());
  BOOST_TEST(search.best()[0] >= 0.9F);
  BOOST_TEST(search.best()[1] <= 4.0F);
  BOOST_TEST(std::abs(static_cast<double>(search.best()[0]) - 0.9) < 1e-3);
  BOOST_TEST(std::abs(static_cast<double>(search.best()[1]) - 2.88) < 1e-2);
}

BOOST_AUTO_TEST_CASE(a_goal_out_of_the_box_is_never_reached) {
  const auto search = adversary::search_row({.lowest = 1.0, .highest = 2.0}, user, margin);
  BOOST_TEST(search.is_done());
  BOOST_TEST(!search.has_reached());
}

// A ring: the nearest point of the disc of radius 0.5 around (3, 0) from the origin is (2.5, 0), whatever the
// direction of the gradient elsewhere.
BOOST_AUTO_TEST_CASE(a_curved_goal_is_reached_at_its_nearest_point) {
  const auto disc = [](std::span<const float> row, std::span<float> gradient) {
    const double x = static_cast<double>(row[0]) - 3.0;
    const double y = static_cast<double>(row[1]);
    gradient[0] = static_cast<float>(2.0 * x);
    gradient[1] = static_cast<float>(2.0 * y);
    return x * x + y * y - 0.25;
  };
  const Row origin{0.0F, 0.0F};
  const auto search = adversary::search_row({}, origin, disc);
  BOOST_REQUIRE(search.has_reached());
  BOOST_TEST(std::abs(search.distortion() - 2.5) < 5e-3);
}

BOOST_AUTO_TEST_CASE(the_same_search_gives_the_same_bits) {
  const auto one = adversary::search_row({}, user, margin);
  const auto other = adversary::search_row({}, user, margin);
  BOOST_TEST((std::ranges::equal(one.best(), other.best())));
}

BOOST_AUTO_TEST_SUITE_END()
