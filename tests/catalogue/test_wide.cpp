#include <cmath>
#include <limits>

#include "catalogue/wide_reference.hpp"
#include <boost/test/unit_test.hpp>

#include "spar/catalogue/wide_input.hpp"
#include "spar/catalogue/wide_output.hpp"

namespace {

using namespace spar;
using namespace spar::catalogue;
using test::FilledRows;

/// The losses and gradients of all slices together, as shards would make them.
struct Sliced {
  double loss = 0;
  std::vector<LogSum> log_sums;
  std::vector<std::vector<float>> rows;  // vector and bias
  std::vector<double> hidden;            // users x padded(dim)
};

Sliced by_slices(FilledRows& v, FilledRows& h, const test::Cells& cells, OutputLoss kind, double scale,
                 const std::vector<int>& cuts, bool keep) {
  Sliced out;
  const int users = cells.users;
  const auto n = static_cast<std::size_t>(users);
  out.log_sums.assign(n, LogSum::none());
  out.rows.resize(static_cast<std::size_t>(v.rows()));
  out.hidden.assign(n * static_cast<std::size_t>(padded(h.columns())), 0.0);
  std::vector<std::vector<float>> kept(cuts.size());
  WideOutput output;
  const auto for_slices = [&](auto&& body) {
    for (std::size_t s = 0; s + 1 < cuts.size(); ++s) {
      const int first = cuts[s], count = cuts[s + 1] - first;
      body(s, v.slice(first, count), cells.batch(first, count));
    }
  };
  if (kind == OutputLoss::multinomial) {
    for_slices([&](std::size_t s, const SliceRows& rows, const SliceBatch& batch) {
      kept[s].resize(WideOutput::kept_floats(users, rows.rows));
      std::vector<LogSum> sums(n);
      out.loss += output.forward(rows, h.matrix(), batch, keep ? kept[s].data() : nullptr, sums);
      for (std::size_t u = 0; u < n; ++u) out.log_sums[u].add(sums[u]);
    });
  }
  std::vector<float> totals(n);
  std::vector<double> log_sums(n);
  for (int u = 0; u < users; ++u) {
    for (int i = 0; i < cells.items; ++i) totals[static_cast<std::size_t>(u)] += static_cast<float>(cells.value(u, i));
    log_sums[static_cast<std::size_t>(u)] = out.log_sums[static_cast<std::size_t>(u)].log();
    if (kind == OutputLoss::multinomial)
      out.loss += static_cast<double>(totals[static_cast<std::size_t>(u)]) * log_sums[static_cast<std::size_t>(u)];
  }
  for_slices([&](std::size_t s, const SliceRows& rows, const SliceBatch& batch) {
    FilledRows part(users, h.columns(), 0);
    const LossTerms terms{kind, static_cast<float>(scale), totals, log_sums};
    const bool has_kept = keep && kind == OutputLoss::multinomial;
    out.loss += output.backward(rows, h.matrix(), batch, terms, has_kept ? kept[s].data() : nullptr, part.matrix(),
                                [&](int k, const float* gradient) {
                                  auto& row = out.rows[static_cast<std::size_t>(rows.first + k)];
                                  row.assign(gradient, gradient + h.columns());
                                  row.push_back(gradient[padded(h.columns())]);
                                });
    for (std::size_t k = 0; k < out.hidden.size(); ++k) out.hidden[k] += static_cast<double>(part.data()[k]);
  });
  return out;
}

double error_of(double got, double expected) {
  return std::abs(got - expected) / std::max(1.0, std::abs(expected));
}

double largest_error(const Sliced& got, const test::DenseLoss& expected, int dim) {
  double most = error_of(got.loss, expected.loss);
  const auto meet = [&](double a, double b) {
    const double error = error_of(a, b);
    most = error <= most ? most : error;
  };
  for (std::size_t i = 0; i < expected.rows.size(); ++i) {
    if (got.rows[i].size() != expected.rows[i].size()) return 1e300;
    for (std::size_t c = 0; c < expected.rows[i].size(); ++c)
      meet(static_cast<double>(got.rows[i][c]), expected.rows[i][c]);
  }
  for (std::size_t u = 0; u < expected.hidden.size(); ++u) {
    for (std::size_t c = 0; c < expected.hidden[u].size(); ++c)
      meet(got.hidden[u * static_cast<std::size_t>(padded(dim)) + c], expected.hidden[u][c]);
  }
  return most;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(wide_layers)

// One user, logits [0, ln 2 | ln 3, 0] in two slices, x = [1, 0, 1, 0].
BOOST_AUTO_TEST_CASE(the_multinomial_loss_of_two_slices_is_the_one_computed_by_hand) {
  FilledRows v(4, 1, 0, true);
  const double logits[] = {0.0, std::log(2.0), std::log(3.0), 0.0};
  for (int i = 0; i < 4; ++i) {
    v.at(i, 0) = 0.0F;
    v.at(i, 16) = static_cast<float>(logits[i]);
  }
  FilledRows h(1, 1, 0);
  h.at(0, 0) = 1.0F;
  const std::vector<LogSum> expected{{std::log(2.0), 1.5}, {std::log(3.0), 4.0 / 3.0}};
  WideOutput output;
  LogSum all = LogSum::none();
  double loss = 0;
  std::vector<SliceBatch> batches(2);
  for (int s = 0; s < 2; ++s) {
    auto& batch = batches[static_cast<std::size_t>(s)];
    batch.items = {0};
    batch.values = {1.0F};
    batch.inputs = {1.0F};
    batch.offsets = {0, 1};
    std::vector<LogSum> sums(1);
    loss += output.forward(v.slice(2 * s, 2), h.matrix(), batch, nullptr, sums);
    const LogSum& e = expected[static_cast<std::size_t>(s)];
    BOOST_TEST(std::abs(sums[0].largest - e.largest) < 1e-7);
    BOOST_TEST(std::abs(sums[0].sum - e.sum) < 1e-6);
    all.add(sums[0]);
  }
  BOOST_TEST(std::abs(all.log() - std::log(7.0)) < 1e-6);
  loss += 2.0 * all.log();
  BOOST_TEST(std::abs(loss - 2.793208) < 1e-6);
  const double d[] = {-5.0 / 7, 4.0 / 7, -1.0 / 7, 2.0 / 7};
  const std::vector<float> totals{2.0F};
  const std::vector<double> log_sums{all.log()};
  for (int s = 0; s < 2; ++s) {
    FilledRows part(1, 1, 0);
    output.backward(v.slice(2 * s, 2), h.matrix(), batches[static_cast<std::size_t>(s)],
                    {OutputLoss::multinomial, 1.0F, totals, log_sums}, nullptr, part.matrix(),
                    [&](int k, const float* gradient) {
                      BOOST_TEST(std::abs(static_cast<double>(gradient[0]) - d[2 * s + k]) < 1e-6);
                      BOOST_TEST(gradient[0] == gradient[16]);
                    });
  }
}

BOOST_AUTO_TEST_CASE(losses_and_gradients_agree_with_dense_ones_however_the_items_are_cut) {
  const test::Cells cells{11, 601};
  for (const auto kind : {OutputLoss::multinomial, OutputLoss::bce, OutputLoss::square}) {
    FilledRows v(cells.items, 21, 1, true);
    FilledRows h(cells.users, 21, 2);
    const test::DenseLoss expected(v, h, cells, kind, 0.25);
    for (const auto& cuts : {std::vector<int>{0, 601}, {0, 0, 37, 37, 590, 601}}) {
      BOOST_TEST_CONTEXT("loss " << static_cast<int>(kind) << ", slices " << cuts.size() - 1) {
        BOOST_TEST(largest_error(by_slices(v, h, cells, kind, 0.25, cuts, false), expected, 21) < 3e-6);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(logits_that_are_kept_give_the_bits_of_logits_made_twice) {
  const test::Cells cells{9, 601};
  FilledRows v(cells.items, 33, 1, true);
  FilledRows h(cells.users, 33, 2);
  const Sliced kept = by_slices(v, h, cells, OutputLoss::multinomial, 1.0, {0, 13, 601}, true);
  const Sliced made = by_slices(v, h, cells, OutputLoss::multinomial, 1.0, {0, 13, 601}, false);
  BOOST_TEST(kept.loss == made.loss);
  BOOST_TEST((kept.rows == made.rows));
  BOOST_TEST((kept.hidden == made.hidden));
}

BOOST_AUTO_TEST_CASE(gradients_of_a_users_logits_sum_to_zero_under_the_softmax) {
  const test::Cells cells{1, 97};
  FilledRows v(cells.items, 5, 3, true);
  for (int salt = 4; salt < 9; ++salt) {
    FilledRows h(1, 5, salt);
    const Sliced got = by_slices(v, h, cells, OutputLoss::multinomial, 1.0, {0, 40, 97}, false);
    double sum = 0, size = 0;
    for (const auto& row : got.rows) {
      sum += static_cast<double>(row.back());
      size += std::abs(static_cast<double>(row.back()));
    }
    BOOST_TEST(size > 10.0);
    BOOST_TEST(std::abs(sum) < 1e-5);
  }
}

BOOST_AUTO_TEST_CASE(a_shift_of_all_logits_by_a_thousand_changes_no_loss_and_overflows_nowhere) {
  const test::Cells cells{8, 97};
  FilledRows v(cells.items, 5, 3, true);
  FilledRows h(cells.users, 5, 4);
  const Sliced plain = by_slices(v, h, cells, OutputLoss::multinomial, 1.0, {0, 40, 97}, false);
  for (int i = 0; i < cells.items; ++i) v.at(i, 16) += 1000.0F;
  const Sliced far = by_slices(v, h, cells, OutputLoss::multinomial, 1.0, {0, 40, 97}, false);
  BOOST_TEST(std::abs(far.loss - plain.loss) < 1e-4 * plain.loss);
  for (std::size_t i = 0; i < far.rows.size(); ++i) {
    for (std::size_t c = 0; c < far.rows[i].size(); ++c)
      BOOST_TEST(std::abs(far.rows[i][c] - plain.rows[i][c]) < 2e-3F);
  }
}

BOOST_AUTO_TEST_CASE(slices_without_items_or_with_impossible_ones_merge_without_harm) {
  const double inf = std::numeric_limits<double>::infinity();
  LogSum sum = LogSum::none();
  sum.add(LogSum::none());
  BOOST_TEST(sum.log() == -inf);
  sum.add({2.0, 1.0});
  sum.add(LogSum::none());
  BOOST_TEST(sum.log() == 2.0);
  FilledRows v(3, 4, 1, true);
  FilledRows h(2, 4, 2);
  for (int i = 0; i < 3; ++i) v.at(i, 16) = -std::numeric_limits<float>::infinity();
  SliceBatch empty;
  empty.offsets = {0, 0, 0};
  std::vector<LogSum> sums(2);
  WideOutput output;
  BOOST_TEST(output.forward(v.slice(0, 3), h.matrix(), empty, nullptr, sums) == 0.0);
  for (const LogSum& s : sums) BOOST_TEST((s.largest == -inf && s.sum == 0.0));
  v.at(1, 0) = std::numeric_limits<float>::quiet_NaN();
  output.forward(v.slice(0, 3), h.matrix(), empty, nullptr, sums);
  BOOST_TEST(std::isnan(sums[0].log()));
}

BOOST_AUTO_TEST_CASE(listed_cells_alone_count_and_all_cells_listed_are_the_dense_loss) {
  const test::Cells cells{8, 41};
  FilledRows v(cells.items, 21, 1, true);
  FilledRows h(cells.users, 21, 2);
  SliceBatch all;
  for (int u = 0; u < cells.users; ++u) {
    for (int i = 0; i < cells.items; ++i) {
      all.items.push_back(i);
      all.values.push_back(static_cast<float>(cells.value(u, i)));
    }
    all.offsets.push_back(static_cast<std::int32_t>(all.items.size()));
  }
  WideOutput output;
  for (const auto kind : {OutputLoss::bce, OutputLoss::square}) {
    const test::DenseLoss expected(v, h, cells, kind, 0.5);
    TouchedRows touched;
    touched.reset(cells.items, v.width());
    FilledRows part(cells.users, 21, 0);
    const double loss =
        output.backward_cells(v.slice(0, cells.items), h.matrix(), all, {kind, 0.5F, {}, {}}, part.matrix(), touched);
    BOOST_TEST(std::abs(loss - expected.loss) < 1e-5 * expected.loss);
    BOOST_TEST(touched.count() == cells.items);
    for (int k = 0; k < touched.count(); ++k) {
      const auto& row = expected.rows[static_cast<std::size_t>(touched.row(k))];
      for (std::size_t c = 0; c < 21; ++c)
        BOOST_TEST(error_of(static_cast<double>(touched.gradient(k)[c]), row[c]) < 3e-6);
      BOOST_TEST(error_of(static_cast<double>(touched.gradient(k)[32]), row.back()) < 3e-6);
    }
    for (int u = 0; u < cells.users; ++u) {
      const auto& row = expected.hidden[static_cast<std::size_t>(u)];
      for (int c = 0; c < 21; ++c) BOOST_TEST(error_of(part.get(u, c), row[static_cast<std::size_t>(c)]) < 3e-6);
    }
  }
  // Targets that are not listed are never read.
  SliceBatch few = cells.batch(0, cells.items);
  TouchedRows touched;
  touched.reset(cells.items, v.width());
  FilledRows part(cells.users, 21, 0);
  output.backward_cells(v.slice(0, cells.items), h.matrix(), few, {OutputLoss::square, 1.0F, {}, {}}, part.matrix(),
                        touched);
  for (int k = 0; k < touched.count(); ++k) {
    bool listed = false;
    for (int u = 0; u < cells.users; ++u) listed |= cells.value(u, touched.row(k)) != 0.0;
    BOOST_TEST(listed);
  }
  for (int c = 0; c < 21; ++c) BOOST_TEST(part.get(5, c) == 0.0);  // user 5 has no cell
}

BOOST_AUTO_TEST_CASE(the_input_layer_is_the_product_with_the_matrix_of_inputs) {
  const test::Cells cells{9, 43};
  FilledRows w(cells.items, 19, 5);
  FilledRows delta(cells.users, 19, 6);
  for (const auto& cuts : {std::vector<int>{0, 43}, {0, 0, 20, 43}}) {
    std::vector<double> sums(static_cast<std::size_t>(cells.users * 32));
    for (std::size_t s = 0; s + 1 < cuts.size(); ++s) {
      const auto rows = w.slice(cuts[s], cuts[s + 1] - cuts[s]);
      const auto batch = cells.batch(cuts[s], rows.rows);
      FilledRows part(cells.users, 19, 0);
      input_forward(rows, batch, part.data());
      for (std::size_t k = 0; k < sums.size(); ++k) sums[k] += static_cast<double>(part.data()[k]);
      TouchedRows touched;
      touched.reset(rows.rows, w.width());
      input_backward(rows, batch, delta.data(), touched);
      for (int k = 0; k < rows.rows; ++k) {
        const int i = cuts[s] + k;
        for (int c = 0; c < 19; ++c) {
          double expected = 0;
          for (int u = 0; u < cells.users; ++u)
            expected += ((u + i) % 4 == 0 ? 0.0 : 2.0 * cells.value(u, i)) * delta.get(u, c);
          const double got = touched.place(k) < 0 ? 0.0 : static_cast<double>(touched.gradient(touched.place(k))[c]);
          BOOST_TEST(std::abs(got - expected) < 1e-5);
        }
      }
    }
    for (int u = 0; u < cells.users; ++u) {
      for (int c = 0; c < 19; ++c) {
        double expected = 0;
        for (int i = 0; i < cells.items; ++i)
          expected += ((u + i) % 4 == 0 ? 0.0 : 2.0 * cells.value(u, i)) * w.get(i, c);
        BOOST_TEST(std::abs(sums[static_cast<std::size_t>(u * 32 + c)] - expected) < 1e-5);
      }
      if (u == 5) BOOST_TEST(sums[static_cast<std::size_t>(u * 32)] == 0.0);  // no input: the bias alone remains
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
