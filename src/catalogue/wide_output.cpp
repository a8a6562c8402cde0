#include "spar/catalogue/wide_output.hpp"

#include <algorithm>
#include <limits>

#include "spar/base/error.hpp"
#include "spar/base/lanes.hpp"
#include "spar/tape/functions.hpp"
#include "spar/tape/multiply.hpp"

namespace spar::catalogue {

namespace {

using tape::Matrix;
using tape::Side;

int tile_count(const SliceRows& rows, int first) {
  return std::min(WideOutput::tile_items, rows.rows - first);
}

Matrix<float> tile_rows(const SliceRows& rows, int first, int columns) {
  // Factors are read only.
  return {const_cast<float*>(rows.row(first)), tile_count(rows, first), columns, static_cast<int>(rows.stride)};
}

std::size_t area(int rows, int stride) {
  return static_cast<std::size_t>(rows) * static_cast<std::size_t>(stride);
}

// Calls f(column of the tile, cell of the batch) for the user's cells in [first, first + count).
template <class F>
void for_cells(const SliceBatch& batch, int user, int first, int count, F&& f) {
  const auto items = batch.items_of(user);
  const auto base = static_cast<std::size_t>(batch.offsets[static_cast<std::size_t>(user)]);
  auto at = static_cast<std::size_t>(std::lower_bound(items.begin(), items.end(), first) - items.begin());
  for (; at < items.size() && items[at] < first + count; ++at) f(items[at] - first, base + at);
}

// Columns beyond the tile's are -infinity in the logits, so that exp makes them 0.
LogSum log_sum(const float* row, int columns) {
  Lanes<float> best = all_lanes(-std::numeric_limits<float>::infinity());
  for (int c = 0; c < columns; c += lanes) {
    const Lanes<float> x = load_lanes(row + c);
    best = x > best ? x : best;
  }
  float largest = best[0];
  for (int k = 1; k < lanes; ++k) largest = best[k] > largest ? best[k] : largest;
  if (largest == -std::numeric_limits<float>::infinity()) {
    // All masked, unless there is a NaN, which no comparison lets through.
    for (int c = 0; c < columns; ++c) {
      if (row[c] != row[c]) return {0.0, std::numeric_limits<double>::quiet_NaN()};
    }
    return LogSum::none();
  }
  Lanes<float> sum{};
  for (int c = 0; c < columns; c += lanes) sum += tape::lane_exp(load_lanes(row + c) - largest);
  return {static_cast<double>(largest), static_cast<double>(lane_sum<float>(sum))};
}

// The gradient of every cell as if its target were 0, in place; the loss of these.
template <class Gradient, class Loss>
double zero_targets(const Matrix<float>& tile, Gradient&& gradient, Loss&& loss) {
  double total = 0;
  for (int u = 0; u < tile.rows; ++u) {
    Lanes<float> sum{};
    for (int c = 0; c < tile.columns; c += lanes) {
      const Lanes<float> l = load_lanes(tile.row(u) + c);
      sum += loss(u, l);
      store_lanes<float>(tile.row(u) + c, gradient(u, l));
    }
    total += static_cast<double>(lane_sum<float>(sum));
  }
  return total;
}

// What a listed cell changes against a target of 0: the loss, and the gradient before `scale`.
struct Target {
  double loss;
  float gradient;
};
Target target_of(OutputLoss loss, float value, float logit) {
  const double x = static_cast<double>(value);
  if (loss == OutputLoss::square) return {x * x - 2.0 * x * static_cast<double>(logit), -2.0F * value};
  return {loss == OutputLoss::bce ? -x * static_cast<double>(logit) : 0.0, -value};
}

Matrix<float> kept_tile(float* kept, int users, int first, int columns) {
  return {kept + area(users, first), users, columns, padded(columns)};
}

}  // namespace

OutputLoss output_loss_of(const std::string& name) {
  if (name == "multinomial") return OutputLoss::multinomial;
  if (name == "bce") return OutputLoss::bce;
  SPAR_ASSERT(name == "square");
  return OutputLoss::square;
}

std::size_t WideOutput::kept_floats(int users, int items) {
  return area(users, padded(items));
}

Matrix<float> WideOutput::logits(const SliceRows& rows, int first, const Matrix<float>& hidden,
                                 const SliceBatch* left_out, float* room) {
  const int columns = tile_count(rows, first);
  const int stride = padded(columns);
  const Matrix<float> tile{room, hidden.rows, columns, stride};
  tape::multiply(arena_, tile, hidden, Side::plain, tile_rows(rows, first, rows.dim), Side::transposed);
  biases_.assign(static_cast<std::size_t>(stride), -std::numeric_limits<float>::infinity());
  for (int k = 0; k < columns; ++k) biases_[static_cast<std::size_t>(k)] = rows.bias(first + k);
  for (int u = 0; u < hidden.rows; ++u) {
    float* row = tile.row(u);
    for (int c = 0; c < stride; c += lanes)
      store_lanes<float>(row + c, load_lanes(row + c) + load_lanes(biases_.data() + c));
    if (left_out != nullptr)
      for_cells(*left_out, u, first, columns,
                [&](int c, std::size_t) { row[c] = -std::numeric_limits<float>::infinity(); });
  }
  return tile;
}

double WideOutput::forward(const SliceRows& rows, const Matrix<float>& hidden, const SliceBatch& batch, float* kept,
                           std::span<LogSum> sums, const SliceBatch* left_out) {
  std::fill(sums.begin(), sums.end(), LogSum::none());
  tile_.require(area(hidden.rows, tile_items));
  double loss = 0;
  for (int first = 0; first < rows.rows; first += tile_items) {
    const Matrix<float> tile =
        logits(rows, first, hidden, left_out, kept == nullptr ? tile_.data() : kept + area(hidden.rows, first));
    for (int u = 0; u < hidden.rows; ++u) {
      sums[static_cast<std::size_t>(u)].add(log_sum(tile.row(u), tile.columns));
      for_cells(batch, u, first, tile.columns, [&](int c, std::size_t cell) {
        loss -= static_cast<double>(batch.values[cell]) * static_cast<double>(tile.at(u, c));
      });
    }
  }
  return loss;
}

double WideOutput::backward(const SliceRows& rows, const Matrix<float>& hidden, const SliceBatch& batch,
                            const LossTerms& terms, float* kept, const Matrix<float>& hidden_gradient,
                            const RowSink& sink, const SliceBatch* left_out) {
  tile_.require(area(hidden.rows, tile_items));
  gradients_.require(area(tile_items, rows.width));
  double loss = 0;
  const float scale = terms.scale;
  for (int first = 0; first < rows.rows; first += tile_items) {
    const Matrix<float> d = kept != nullptr ? kept_tile(kept, hidden.rows, first, tile_count(rows, first))
                                            : logits(rows, first, hidden, left_out, tile_.data());
    // The listed cells need their logits, which the gradient overwrites: remembered as what they change.
    changes_.clear();
    for (int u = 0; u < d.rows; ++u) {
      for_cells(batch, u, first, d.columns, [&](int c, std::size_t cell) {
        const Target target = target_of(terms.loss, batch.values[cell], d.at(u, c));
        loss += target.loss;
        changes_.push_back(scale * target.gradient);
      });
    }
    switch (terms.loss) {
      case OutputLoss::multinomial:
        zero_targets(
            d,
            [&](int u, Lanes<float> l) -> Lanes<float> {
              return (scale * terms.totals[static_cast<std::size_t>(u)]) *
                     tape::lane_exp(l - static_cast<float>(terms.log_sums[static_cast<std::size_t>(u)]));
            },
            [](int, Lanes<float>) { return Lanes<float>{}; });
        break;
      case OutputLoss::bce:
        loss += zero_targets(
            d, [&](int, Lanes<float> l) -> Lanes<float> { return scale * tape::lane_sigmoid(l); },
            [](int, Lanes<float> l) { return tape::lane_softplus(l); });
        break;
      case OutputLoss::square: {
        constexpr float none = -std::numeric_limits<float>::infinity();
        loss += zero_targets(
            d, [&](int, Lanes<float> l) -> Lanes<float> { return l != none ? 2.0F * scale * l : Lanes<float>{}; },
            [](int, Lanes<float> l) -> Lanes<float> { return l != none ? l * l : Lanes<float>{}; });
        break;
      }
    }
    auto change = changes_.begin();
    for (int u = 0; u < d.rows; ++u)
      for_cells(batch, u, first, d.columns, [&](int c, std::size_t) { d.at(u, c) += *change++; });
    tape::multiply(arena_, hidden_gradient, d, Side::plain, tile_rows(rows, first, rows.dim), Side::plain, first > 0);
    const Matrix<float> rows_gradient{gradients_.data(), d.columns, rows.dim, rows.width};
    tape::multiply(arena_, rows_gradient, d, Side::transposed, hidden, Side::plain);
    biases_.assign(static_cast<std::size_t>(d.stride), 0.0F);
    for (int u = 0; u < d.rows; ++u) {
      for (int c = 0; c < d.stride; c += lanes)
        store_lanes<float>(biases_.data() + c, load_lanes(biases_.data() + c) + load_lanes(d.row(u) + c));
    }
    for (int k = 0; k < d.columns; ++k) {
      float* gradient = rows_gradient.row(k);
      if (rows.bias_offset >= 0) {
        std::fill(gradient + rows.bias_offset, gradient + rows.width, 0.0F);
        gradient[rows.bias_offset] = biases_[static_cast<std::size_t>(k)];
      }
      sink(first + k, gradient);
    }
  }
  if (rows.rows == 0) {
    for (int u = 0; u < hidden.rows; ++u) std::fill_n(hidden_gradient.row(u), hidden_gradient.stride, 0.0F);
  }
  return loss;
}

double WideOutput::backward_cells(const SliceRows& rows, const Matrix<float>& hidden, const SliceBatch& cells,
                                  const LossTerms& terms, const Matrix<float>& hidden_gradient,
                                  TouchedRows& gradients) {
  SPAR_ASSERT(terms.loss != OutputLoss::multinomial);
  const int width = padded(rows.dim);
  double loss = 0;
  for (int u = 0; u < hidden.rows; ++u) {
    const float* h = hidden.row(u);
    float* dh = hidden_gradient.row(u);
    std::fill_n(dh, width, 0.0F);
    for_cells(cells, u, 0, rows.rows, [&](int k, std::size_t cell) {
      const float* v = rows.row(k);
      Lanes<float> dot{};
      for (int c = 0; c < width; c += lanes) dot = lane_fma(load_lanes(h + c), load_lanes(v + c), dot);
      const float l = lane_sum<float>(dot) + rows.bias(k);
      const Target target = target_of(terms.loss, cells.values[cell], l);
      const Lanes<float> all = all_lanes(l);
      const bool bce = terms.loss == OutputLoss::bce;
      loss += static_cast<double>(bce ? tape::lane_softplus(all)[0] : l * l) + target.loss;
      const float d = terms.scale * ((bce ? tape::lane_sigmoid(all)[0] : 2.0F * l) + target.gradient);
      float* g = gradients.add(k);
      for (int c = 0; c < width; c += lanes) {
        store_lanes(g + c, lane_fma(all_lanes(d), load_lanes(h + c), load_lanes(g + c)));
        store_lanes(dh + c, lane_fma(all_lanes(d), load_lanes(v + c), load_lanes(dh + c)));
      }
      if (rows.bias_offset >= 0) g[rows.bias_offset] += d;
    });
  }
  return loss;
}

}  // namespace spar::catalogue
