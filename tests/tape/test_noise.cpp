#define BOOST_TEST_DYN_LINK
#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "operation_check.hpp"
#include <boost/test/unit_test.hpp>

#include "spar/tape/noise.hpp"

namespace {

using namespace spar;
using namespace spar::test;
using tape::NoiseKey;
using tape::SampleRows;

const NoiseKey key{.seed = 7, .epoch = 3, .step = 11, .place = 2};

std::vector<Index> samples_from(Index first, int count) {
  std::vector<Index> samples(static_cast<std::size_t>(count));
  std::iota(samples.begin(), samples.end(), first);
  return samples;
}

Grid<double> ones(int rows, int columns) {
  Grid<double> x(rows, columns);
  x.fill(1.0);
  return x;
}

std::vector<double> dropped(const NoiseKey& k, const std::vector<Index>& samples, int length, int columns) {
  return values_of({ones(static_cast<int>(samples.size()) * length, columns)}, [&](auto& t, const Vars& v) {
    return tape::dropout(t, v[0], 0.7, k, SampleRows{samples, length});
  });
}

}  // namespace

BOOST_AUTO_TEST_SUITE(noise)

BOOST_AUTO_TEST_CASE(dropout_has_the_gradients_of_central_differences) {
  for (const auto& [rows, columns] : shapes) {
    const auto samples = samples_from(1'000'000'000'000, rows);
    check_operation({grid(rows, columns, 1)}, [&](auto& t, const Vars& v) {
      return tape::dropout(t, v[0], as(t, 0.6), key, SampleRows{samples, 1});
    });
  }
}

BOOST_AUTO_TEST_CASE(dropout_keeps_its_share_and_scales_by_its_inverse) {
  const auto numbers = dropped(key, samples_from(0, 400), 1, 250);
  double kept = 0.0;
  for (const double x : numbers) {
    BOOST_REQUIRE((x == 0.0 || std::abs(x - 1.0 / 0.7) < 1e-15));
    kept += x > 0.0 ? 1.0 : 0.0;
  }
  // Five standard errors of 100,000 draws.
  BOOST_TEST(std::abs(kept / 1e5 - 0.7) < 5.0 * std::sqrt(0.7 * 0.3 / 1e5));
}

BOOST_AUTO_TEST_CASE(a_mask_belongs_to_the_sample_and_not_to_its_row) {
  const auto all = dropped(key, samples_from(100, 20), 3, 70);
  const auto part = dropped(key, samples_from(113, 4), 3, 70);
  BOOST_TEST(std::equal(part.begin(), part.end(), all.begin() + 13 * 3 * 70));
  const auto narrow = dropped(key, samples_from(100, 1), 1, 33);
  BOOST_TEST(std::equal(narrow.begin(), narrow.end(), all.begin()));
}

BOOST_AUTO_TEST_CASE(the_same_key_gives_the_same_mask_and_every_part_of_it_another) {
  const auto samples = samples_from(5, 10);
  const auto first = dropped(key, samples, 1, 100);
  BOOST_TEST(first == dropped(key, samples, 1, 100));
  for (const auto& other :
       {NoiseKey{.seed = 8, .epoch = 3, .step = 11, .place = 2},
        NoiseKey{.seed = 7, .epoch = 4, .step = 11, .place = 2},
        NoiseKey{.seed = 7, .epoch = 3, .step = 12, .place = 2}, key.at(3),
        NoiseKey{.seed = 7, .purpose = Purpose::adversary_noise, .epoch = 3, .step = 11, .place = 2}}) {
    const auto numbers = dropped(other, samples, 1, 100);
    int differing = 0;
    for (std::size_t k = 0; k < first.size(); ++k) differing += first[k] != numbers[k] ? 1 : 0;
    // 2 * 0.7 * 0.3 of 1,000 cells, five standard deviations about it.
    BOOST_TEST(std::abs(differing - 420) < 80);
  }
}

BOOST_AUTO_TEST_CASE(positions_and_columns_of_a_sample_differ) {
  const auto numbers = dropped(key, samples_from(5, 1), 2, 256);
  int rows_differ = 0;
  int blocks_differ = 0;
  for (std::size_t c = 0; c < 256; ++c) rows_differ += numbers[c] != numbers[256 + c] ? 1 : 0;
  for (std::size_t c = 0; c < 128; ++c) blocks_differ += numbers[c] != numbers[128 + c] ? 1 : 0;
  BOOST_TEST(std::abs(rows_differ - 107) < 40);
  BOOST_TEST(std::abs(blocks_differ - 54) < 28);
}

BOOST_AUTO_TEST_CASE(keeping_everything_is_the_identity) {
  tape::Tape<float> tape;
  Grid<float> x(2, 3, 1.0, 1);
  const auto v = tape.constant(x.view());
  const auto samples = samples_from(0, 2);
  BOOST_TEST(tape::dropout(tape, v, 1.0F, key, SampleRows{samples, 1}).id == v.id);
}

BOOST_AUTO_TEST_CASE(drawn_numbers_have_the_moments_of_their_laws) {
  constexpr int rows = 500, columns = 401;
  constexpr double count = static_cast<double>(rows) * columns;
  const auto samples = samples_from(0, rows);
  const SampleRows where{samples, 1};
  Grid<float> x(rows, columns);
  const auto check_moments = [&](double mean, double variance) {
    double sum = 0.0;
    double squares = 0.0;
    for (const float number : x.numbers()) {
      sum += static_cast<double>(number);
      squares += static_cast<double>(number) * static_cast<double>(number);
    }
    BOOST_TEST(std::abs(sum / count - mean) < 5.0 * std::sqrt(variance / count));
    BOOST_TEST(std::abs(squares / count - mean * mean - variance) < 0.03 * variance);
  };
  tape::fill_uniform(key, where, x.view());
  check_moments(0.5, 1.0 / 12);
  const auto uniform = x.numbers();
  BOOST_TEST(*std::min_element(uniform.begin(), uniform.end()) > 0.0F);
  BOOST_TEST(*std::max_element(uniform.begin(), uniform.end()) < 1.0F);
  tape::fill_normal(key, where, x.view());
  check_moments(0.0, 1.0);
  tape::fill_gumbel(key, where, x.view());
  check_moments(0.57721566490153286, 1.6449340668482264);
  BOOST_TEST(x.padding_is_zero());
}

BOOST_AUTO_TEST_CASE(noise_that_does_not_fit_is_named) {
  const auto samples = samples_from(0, 2);
  BOOST_TEST(bug_of({grid(3, 2, 1)}, [&](auto& t, const Vars& v) {
               return tape::dropout(t, v[0], 0.5, key, SampleRows{samples, 1});
             }) == "tape: dropout does not fit 3 x 2 with 2 samples of 1 rows");
  BOOST_TEST(bug_of({grid(2, 2, 1)}, [&](auto& t, const Vars& v) {
               return tape::dropout(t, v[0], 0.0, key, SampleRows{samples, 1});
             }) == "tape: dropout does not fit 2 x 2 with a share of 0 kept");
}

BOOST_AUTO_TEST_SUITE_END()
