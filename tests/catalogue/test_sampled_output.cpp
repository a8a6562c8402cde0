#include <cmath>
#include <limits>
#include <set>

#include "catalogue/wide_reference.hpp"
#include <boost/test/unit_test.hpp>

#include "spar/catalogue/sampled_output.hpp"

namespace {

using namespace spar;
using namespace spar::catalogue;
using test::FilledRows;

tape::NoiseKey key_of(std::uint32_t step) {
  return {5, Purpose::negatives, 2, step, 3};
}

// Draws of a law, with weights of their own, as draws by popularity have.
void draw_uneven(const OutputLaw& law, int shard, DrawnItems& drawn) {
  law.draw(shard, key_of(3), drawn);
  for (std::size_t k = 0; k < drawn.log_weights.size(); ++k)
    drawn.log_weights[k] = static_cast<float>(std::sin(3.0 * static_cast<double>(k) + shard));
}

/// Everything that shards make of a step's loss together; `draw(s, drawn)` says what shard s has drawn.
struct Sampled {
  double loss = 0;
  std::vector<double> log_sums;
  std::vector<std::vector<double>> rows;  // items x (dim + 1), the bias last; 0 where untouched
  std::vector<double> hidden;             // users x dim
  std::set<int> touched;

  template <class Draw>
  Sampled(FilledRows& v, FilledRows& h, const test::Cells& cells, int shards, bool keep, Draw&& draw) {
    const auto users = static_cast<std::size_t>(cells.users);
    const int dim = h.columns();
    const Partition items{cells.items, shards};
    std::vector<SampledOutput> outputs(static_cast<std::size_t>(shards));
    std::vector<std::vector<float>> kept(outputs.size());
    std::vector<SliceBatch> batches;
    std::vector<LogSum> sums(users, LogSum::none());
    WideOutput wide;
    const auto slice = [&](int s) {
      return v.slice(static_cast<int>(items.begin(s)), static_cast<int>(items.size(s)));
    };
    for (int s = 0; s < shards; ++s) {
      const auto at = static_cast<std::size_t>(s);
      draw(s, outputs[at].drawn);
      batches.push_back(cells.batch(static_cast<int>(items.begin(s)), static_cast<int>(items.size(s))));
      kept[at].resize(WideOutput::kept_floats(cells.users, outputs[at].drawn.count()));
      std::vector<LogSum> part(users);
      loss += outputs[at].forward(wide, slice(s), h.matrix(), batches[at], keep ? kept[at].data() : nullptr, part);
      for (std::size_t u = 0; u < users; ++u) sums[u].add(part[u]);
    }
    std::vector<float> totals(users);
    for (std::size_t u = 0; u < users; ++u) {
      for (int i = 0; i < cells.items; ++i) totals[u] += static_cast<float>(cells.value(static_cast<int>(u), i));
      log_sums.push_back(sums[u].log());
      if (totals[u] > 0.0F) loss += static_cast<double>(totals[u]) * log_sums[u];
    }
    rows.assign(static_cast<std::size_t>(cells.items), std::vector<double>(static_cast<std::size_t>(dim) + 1));
    hidden.assign(users * static_cast<std::size_t>(dim), 0.0);
    for (int s = 0; s < shards; ++s) {
      const auto at = static_cast<std::size_t>(s);
      FilledRows part(cells.users, dim, 9);
      TouchedRows gradients;
      gradients.reset(static_cast<int>(items.size(s)), v.width());
      outputs[at].backward(wide, slice(s), h.matrix(), batches[at], {OutputLoss::multinomial, 0.5F, totals, log_sums},
                           keep ? kept[at].data() : nullptr, part.matrix(), gradients);
      for (int t = 0; t < gradients.count(); ++t) {
        const auto item = static_cast<std::size_t>(items.begin(s)) + static_cast<std::size_t>(gradients.row(t));
        touched.insert(static_cast<int>(item));
        for (int c = 0; c < dim; ++c)
          rows[item][static_cast<std::size_t>(c)] = static_cast<double>(gradients.gradient(t)[c]);
        rows[item].back() = static_cast<double>(gradients.gradient(t)[padded(dim)]);
      }
      for (std::size_t u = 0; u < users; ++u) {
        for (int c = 0; c < dim; ++c)
          hidden[u * static_cast<std::size_t>(dim) + static_cast<std::size_t>(c)] += part.get(static_cast<int>(u), c);
      }
    }
  }
};

double logit(const FilledRows& v, const FilledRows& h, int u, int i) {
  double l = v.bias(i);
  for (int c = 0; c < h.columns(); ++c) l += v.get(i, c) * h.get(u, c);
  return l;
}

double error_of(double got, double expected) {
  return std::abs(got - expected) / std::max(1.0, std::abs(expected));
}

DrawnItems drawn_of(int items, const std::vector<std::int32_t>& rows, float log_weight) {
  DrawnItems drawn{rows, std::vector<float>(rows.size(), log_weight),
                   std::vector<bool>(static_cast<std::size_t>(items))};
  for (const std::int32_t row : rows) drawn.taken[static_cast<std::size_t>(row)] = true;
  return drawn;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(sampled_outputs)

// One user with items 0 and 1 of four, whose logits are 0, ln 2, ln 3 and ln 5; items 1 and 2 are drawn, each of weight
// 2: Z^ = 1 + 2 + 2 * 3 = 9, where Z is 11.
BOOST_AUTO_TEST_CASE(the_loss_over_draws_is_the_one_computed_by_hand) {
  FilledRows v(4, 1, 0, true);
  const double exponentials[] = {1.0, 2.0, 3.0, 5.0};
  for (int i = 0; i < 4; ++i) {
    v.at(i, 0) = static_cast<float>(0.5 * i);
    v.at(i, 16) = static_cast<float>(std::log(exponentials[i]) - 0.5 * i);
  }
  FilledRows h(1, 1, 0);
  h.at(0, 0) = 1.0F;
  SliceBatch batch;
  batch.items = {0, 1};
  batch.values = batch.inputs = {1.0F, 1.0F};
  batch.offsets = {0, 2};
  SampledOutput output;
  output.drawn = drawn_of(4, {1, 2}, static_cast<float>(std::log(2.0)));
  WideOutput wide;
  std::vector<LogSum> sums(1);
  const double own = output.forward(wide, v.slice(0, 4), h.matrix(), batch, nullptr, sums);
  BOOST_TEST(std::abs(sums[0].log() - std::log(9.0)) < 1e-6);
  BOOST_TEST(std::abs(own + 2.0 * sums[0].log() - (2.0 * std::log(9.0) - std::log(2.0))) < 1e-6);
  const std::vector<float> totals{2.0F};
  const std::vector<double> log_sums{sums[0].log()};
  FilledRows part(1, 1, 0);
  TouchedRows gradients;
  gradients.reset(4, v.width());
  output.backward(wide, v.slice(0, 4), h.matrix(), batch, {OutputLoss::multinomial, 1.0F, totals, log_sums}, nullptr,
                  part.matrix(), gradients);
  const double d[] = {2.0 / 9 - 1, 4.0 / 9 - 1, 12.0 / 9};
  BOOST_TEST(gradients.count() == 3);
  BOOST_TEST(gradients.place(3) == -1);
  double hidden = 0;
  for (int i = 0; i < 3; ++i) {
    const float* gradient = gradients.gradient(gradients.place(i));
    BOOST_TEST(std::abs(static_cast<double>(gradient[0]) - d[i]) < 1e-6);
    BOOST_TEST(gradient[16] == gradient[0]);
    hidden += d[i] * 0.5 * i;
  }
  BOOST_TEST(std::abs(part.get(0, 0) - hidden) < 1e-6);
}

BOOST_AUTO_TEST_CASE(with_all_items_drawn_loss_and_gradients_are_those_of_the_whole_catalogue) {
  const test::Cells cells{31, 1301};
  FilledRows v(cells.items, 23, 0, true);
  FilledRows h(cells.users, 23, 4);
  const test::DenseLoss expected(v, h, cells, OutputLoss::multinomial, 0.5);
  for (const int shards : {1, 4, 2048}) {
    const OutputLaw law({shards, 1}, cells.items, cells.items);
    const Sampled got(v, h, cells, shards, true, [&](int s, DrawnItems& drawn) { law.draw(s, key_of(1), drawn); });
    BOOST_TEST(error_of(got.loss, expected.loss) < 1e-6);
    double most = 0;
    for (std::size_t i = 0; i < got.rows.size(); ++i) {
      for (std::size_t c = 0; c < got.rows[i].size(); ++c)
        most = std::max(most, error_of(got.rows[i][c], expected.rows[i][c]));
    }
    for (std::size_t u = 0; u < expected.hidden.size(); ++u) {
      for (std::size_t c = 0; c < 23; ++c)
        most = std::max(most, error_of(got.hidden[u * 23 + c], expected.hidden[u][c]));
    }
    BOOST_TEST(most < 1e-5);
  }
}

// The gradient by central differences of the loss that the header defines, in double precision, with the draws held.
BOOST_AUTO_TEST_CASE(gradients_are_those_of_the_loss_with_the_draws_held) {
  const test::Cells cells{3, 67};
  FilledRows v(cells.items, 5, 0, true);
  FilledRows h(cells.users, 5, 4);
  const OutputLaw law({4, 1}, cells.items, 21);
  std::vector<double> weights(static_cast<std::size_t>(cells.items));
  const Partition items{cells.items, 4};
  std::set<int> expected_rows;
  for (int s = 0; s < 4; ++s) {
    DrawnItems drawn;
    draw_uneven(law, s, drawn);
    for (std::size_t k = 0; k < drawn.rows.size(); ++k) {
      const auto item = static_cast<int>(items.begin(s)) + drawn.rows[k];
      weights[static_cast<std::size_t>(item)] = std::exp(static_cast<double>(drawn.log_weights[k]));
      expected_rows.insert(item);
    }
  }
  for (int i = 0; i < cells.items; ++i) {
    for (int u = 0; u < cells.users; ++u) {
      if (cells.value(u, i) != 0.0) expected_rows.insert(i);
    }
  }
  const Sampled got(v, h, cells, 4, false, [&](int s, DrawnItems& drawn) { draw_uneven(law, s, drawn); });
  BOOST_TEST((got.touched == expected_rows));
  BOOST_TEST(static_cast<int>(got.touched.size()) < cells.items);
  // The loss with `by` added to bias i and coordinate c of hidden row j.
  const auto loss = [&](int i, double bias, int j, int c, double by) {
    double total = 0;
    for (int u = 0; u < cells.users; ++u) {
      double n = 0, z = 0;
      for (int k = 0; k < cells.items; ++k) {
        const double x = cells.value(u, k);
        const double l = logit(v, h, u, k) + (k == i ? bias : 0.0) + (u == j ? by * v.get(k, c) : 0.0);
        total -= x * l;
        n += x;
        z += (x != 0.0 ? 1.0 : weights[static_cast<std::size_t>(k)]) * std::exp(l);
      }
      total += n > 0.0 ? n * std::log(z) : 0.0;
    }
    return total;
  };
  BOOST_TEST(error_of(got.loss, loss(-1, 0, -1, 0, 0)) < 1e-6);
  const double e = 1e-5;
  for (int i = 0; i < cells.items; ++i) {
    const double slope = (loss(i, e, -1, 0, 0) - loss(i, -e, -1, 0, 0)) / (2 * e);
    BOOST_TEST(std::abs(got.rows[static_cast<std::size_t>(i)].back() - 0.5 * slope) < 1e-5);
  }
  for (int u = 0; u < cells.users; ++u) {
    for (int c = 0; c < 5; ++c) {
      const double slope = (loss(-1, 0, u, c, e) - loss(-1, 0, u, c, -e)) / (2 * e);
      BOOST_TEST(error_of(got.hidden[static_cast<std::size_t>(5 * u + c)], 0.5 * slope) < 1e-5);
    }
  }
}

BOOST_AUTO_TEST_CASE(logits_that_are_made_twice_give_the_same_bits) {
  const test::Cells cells{17, 2203};
  FilledRows v(cells.items, 11, 0, true);
  FilledRows h(cells.users, 11, 4);
  const OutputLaw law({2, 1}, cells.items, 1500);
  const auto draw = [&](int s, DrawnItems& drawn) { law.draw(s, key_of(8), drawn); };
  const Sampled kept(v, h, cells, 2, true, draw);
  const Sampled again(v, h, cells, 2, false, draw);
  BOOST_TEST(kept.loss == again.loss);
  BOOST_TEST((kept.rows == again.rows && kept.hidden == again.hidden));
}

// Users who have all items leave nothing to draw for: the softmax is over their own items, exactly.
BOOST_AUTO_TEST_CASE(a_batch_whose_positives_cover_everything_has_the_loss_of_the_whole_catalogue) {
  FilledRows v(7, 3, 0, true);
  FilledRows h(2, 3, 4);
  SliceBatch batch;
  for (int u = 0; u < 2; ++u) {
    for (int i = 0; i < 7; ++i) batch.items.push_back(i);
    batch.offsets.push_back(static_cast<std::int32_t>(batch.items.size()));
  }
  batch.values.assign(batch.items.size(), 1.0F);
  SampledOutput output;
  OutputLaw({1, 1}, 7, 3).draw(0, key_of(0), output.drawn);
  BOOST_TEST(output.drawn.count() == 3);
  WideOutput wide;
  std::vector<LogSum> sums(2);
  output.forward(wide, v.slice(0, 7), h.matrix(), batch, nullptr, sums);
  for (int u = 0; u < 2; ++u) {
    double z = 0;
    for (int i = 0; i < 7; ++i) z += std::exp(logit(v, h, u, i));
    BOOST_TEST(std::abs(sums[static_cast<std::size_t>(u)].log() - std::log(z)) < 1e-6);
  }
  const std::vector<float> totals{7.0F, 7.0F};
  const std::vector<double> log_sums{sums[0].log(), sums[1].log()};
  FilledRows part(2, 3, 0);
  TouchedRows gradients;
  gradients.reset(7, v.width());
  output.backward(wide, v.slice(0, 7), h.matrix(), batch, {OutputLoss::multinomial, 1.0F, totals, log_sums}, nullptr,
                  part.matrix(), gradients);
  double sum = 0;
  for (int t = 0; t < gradients.count(); ++t) sum += static_cast<double>(gradients.gradient(t)[16]);
  BOOST_TEST(gradients.count() == 7);
  BOOST_TEST(std::abs(sum) < 1e-5);
}

// In a law where the mean is exact, the mean of many draws is within four standard errors of it.
BOOST_AUTO_TEST_CASE(the_mean_of_the_sampled_partition_function_is_that_of_the_catalogue) {
  const test::Cells cells{6, 211};
  FilledRows v(cells.items, 4, 0, true);
  FilledRows h(cells.users, 4, 4);
  const OutputLaw laws[] = {OutputLaw({8, 1}, cells.items, 29), OutputLaw({8, 1}, cells.items, 5)};
  constexpr int steps = 4000;
  for (const OutputLaw& law : laws) {
    std::vector<double> sum(6), squares(6);
    for (int step = 0; step < steps; ++step) {
      const Sampled got(v, h, cells, 8, true, [&](int s, DrawnItems& drawn) {
        law.draw(s, key_of(static_cast<std::uint32_t>(step)), drawn);
      });
      for (std::size_t u = 0; u < 6; ++u) {
        sum[u] += std::exp(got.log_sums[u]);
        squares[u] += std::exp(2.0 * got.log_sums[u]);
      }
    }
    for (std::size_t u = 0; u < 6; ++u) {
      double z = 0;
      for (int i = 0; i < cells.items; ++i) z += std::exp(logit(v, h, static_cast<int>(u), i));
      const double mean = sum[u] / steps;
      const double deviation = std::sqrt((squares[u] / steps - mean * mean) / steps);
      BOOST_TEST(std::abs(mean - z) < 4.0 * deviation);
      BOOST_TEST(deviation < 0.05 * z);
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
