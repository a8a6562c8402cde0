#include "spar/catalogue/sampled_output.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "spar/base/error.hpp"
#include "spar/base/lanes.hpp"
#include "spar/table/contributions.hpp"

namespace spar::catalogue {

namespace {

using tape::Matrix;

float logit_of(const SliceRows& rows, int row, const float* hidden) {
  const float* v = rows.row(row);
  Lanes<float> dot{};
  for (int c = 0; c < padded(rows.dim); c += lanes) dot = lane_fma(load_lanes(hidden + c), load_lanes(v + c), dot);
  return lane_sum<float>(dot) + rows.bias(row);
}

// Of numbers that may be none; a NaN among them makes the sum one.
LogSum log_sum(std::span<const float> logits) {
  if (logits.empty()) return LogSum::none();
  LogSum sum{-std::numeric_limits<double>::infinity(), 0.0};
  for (const float l : logits) sum.largest = std::max(sum.largest, static_cast<double>(l));
  for (const float l : logits) sum.sum += std::exp(static_cast<double>(l) - sum.largest);
  return sum;
}

// Calls f(row, cell) for the cells of a user.
template <class F>
void for_cells(const SliceBatch& batch, int user, F&& f) {
  const auto end = static_cast<std::size_t>(batch.offsets[static_cast<std::size_t>(user) + 1]);
  for (auto cell = static_cast<std::size_t>(batch.offsets[static_cast<std::size_t>(user)]); cell < end; ++cell)
    f(batch.items[cell], cell);
}

}  // namespace

void SampledOutput::list_hits(const SliceBatch& batch) {
  none_.offsets.assign(batch.offsets.size(), 0);
  hits_.offsets.assign(1, 0);
  hits_.items.clear();
  for (int u = 0; u < batch.users(); ++u) {
    for_cells(batch, u, [&](std::int32_t row, std::size_t) {
      if (const int place = drawn.place(row); place >= 0) hits_.items.push_back(place);
    });
    hits_.offsets.push_back(static_cast<std::int32_t>(hits_.items.size()));
  }
}

// The draws' rows side by side, a slice of their own.
SliceRows SampledOutput::drawn_rows(const SliceRows& rows) {
  SPAR_ASSERT(rows.bias_offset >= 0);
  SliceRows own = rows;
  own.first = 0;
  own.rows = drawn.count();
  own.stride = rows.width;
  own.data = values_.data();
  return own;
}

double SampledOutput::forward(WideOutput& output, const SliceRows& rows, const Matrix<float>& hidden,
                              const SliceBatch& batch, float* kept, std::span<LogSum> sums) {
  list_hits(batch);
  values_.require(static_cast<std::size_t>(drawn.count()) * static_cast<std::size_t>(rows.width));
  for (int k = 0; k < drawn.count(); ++k) {
    float* to = values_.data() + static_cast<std::ptrdiff_t>(k) * rows.width;
    std::copy_n(rows.row(drawn.rows[static_cast<std::size_t>(k)]), rows.width, to);
    to[rows.bias_offset] += drawn.log_weights[static_cast<std::size_t>(k)];
  }
  output.forward(drawn_rows(rows), hidden, none_, kept, sums, &hits_);
  logits_.resize(batch.items.size());
  double loss = 0;
  for (int u = 0; u < hidden.rows; ++u) {
    for_cells(batch, u, [&](std::int32_t row, std::size_t cell) {
      logits_[cell] = logit_of(rows, row, hidden.row(u));
      loss -= static_cast<double>(batch.values[cell]) * static_cast<double>(logits_[cell]);
    });
    const auto begin = static_cast<std::size_t>(batch.offsets[static_cast<std::size_t>(u)]);
    sums[static_cast<std::size_t>(u)].add(log_sum(std::span(logits_).subspan(begin, batch.items_of(u).size())));
  }
  return loss;
}

void SampledOutput::backward(WideOutput& output, const SliceRows& rows, const Matrix<float>& hidden,
                             const SliceBatch& batch, const LossTerms& terms, float* kept,
                             const Matrix<float>& hidden_gradient, TouchedRows& gradients) {
  SPAR_ASSERT(terms.loss == OutputLoss::multinomial);
  output.backward(
      drawn_rows(rows), hidden, none_, terms, kept, hidden_gradient,
      [&](int k, const float* gradient) {
        table::add_row(gradients.add(drawn.rows[static_cast<std::size_t>(k)]), gradient, rows.width);
      },
      &hits_);
  const int width = padded(rows.dim);
  for (int u = 0; u < hidden.rows; ++u) {
    const auto user = static_cast<std::size_t>(u);
    const float* h = hidden.row(u);
    float* dh = hidden_gradient.row(u);
    for_cells(batch, u, [&](std::int32_t row, std::size_t cell) {
      const double share = std::exp(static_cast<double>(logits_[cell]) - terms.log_sums[user]);
      const float d = terms.scale * (terms.totals[user] * static_cast<float>(share) - batch.values[cell]);
      const Lanes<float> factor = all_lanes(d);
      const float* v = rows.row(row);
      float* g = gradients.add(row);
      for (int c = 0; c < width; c += lanes) {
        store_lanes(g + c, lane_fma(factor, load_lanes(h + c), load_lanes(g + c)));
        store_lanes(dh + c, lane_fma(factor, load_lanes(v + c), load_lanes(dh + c)));
      }
      g[rows.bias_offset] += d;
    });
  }
}

}  // namespace spar::catalogue
