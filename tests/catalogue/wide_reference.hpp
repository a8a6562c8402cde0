#pragma once
#include <cmath>
#include <vector>

#include "spar/base/memory.hpp"
#include "spar/catalogue/slice_batch.hpp"
#include "spar/catalogue/wide_output.hpp"
#include "spar/tape/tape.hpp"

/// Dense matrices of users x items in double precision: what the layers over slices must agree with.
namespace spar::test {

/// Padded rows of floats that behave like any numbers between -1 and 1.
class FilledRows {
 public:
  FilledRows(int rows, int columns, int salt, bool with_bias = false)
      : rows_(rows), columns_(columns), width_(padded(columns) + (with_bias ? 16 : 0)), with_bias_(with_bias) {
    data_.resize(static_cast<std::size_t>(rows) * static_cast<std::size_t>(width_));
    for (int r = 0; r < rows; ++r) {
      for (int c = 0; c < columns; ++c) at(r, c) = static_cast<float>(std::sin(1.0 + salt + 37.0 * r + 11.3 * c));
      if (with_bias) at(r, padded(columns)) = static_cast<float>(std::cos(3.0 * salt + r));
    }
  }
  float& at(int r, int c) {
    return data_[static_cast<std::size_t>(r) * static_cast<std::size_t>(width_) + static_cast<std::size_t>(c)];
  }
  double get(int r, int c) const {
    return static_cast<double>(
        data_[static_cast<std::size_t>(r) * static_cast<std::size_t>(width_) + static_cast<std::size_t>(c)]);
  }
  double bias(int r) const { return with_bias_ ? get(r, padded(columns_)) : 0.0; }
  int rows() const { return rows_; }
  int columns() const { return columns_; }
  int width() const { return width_; }
  float* data() { return data_.data(); }
  tape::Matrix<float> matrix() { return {data_.data(), rows_, columns_, width_}; }
  /// FilledRows [first, first + count) as a slice.
  catalogue::SliceRows slice(int first, int count) {
    return {count == 0 ? nullptr : &at(first, 0), first, count, columns_, width_,
            with_bias_ ? padded(columns_) : -1,   width_};
  }

 private:
  int rows_;
  int columns_;
  int width_;
  bool with_bias_;
  std::vector<float> data_;
};

/// Cells of users x items by a rule; users 5, 12, ... have none.
struct Cells {
  int users;
  int items;

  double value(int u, int i) const {
    if (u % 7 == 5) return 0.0;
    return (u * 13 + i * 7) % 5 == 0 ? 1.0 + 0.5 * ((u + i) % 3) : 0.0;
  }
  catalogue::SliceBatch batch(int first, int count) const {
    catalogue::SliceBatch b;
    for (int u = 0; u < users; ++u) {
      for (int k = 0; k < count; ++k) {
        const double x = value(u, first + k);
        if (x == 0.0) continue;
        b.items.push_back(k);
        b.values.push_back(static_cast<float>(x));
        b.inputs.push_back(static_cast<float>((u + first + k) % 4 == 0 ? 0.0 : 2.0 * x));
      }
      b.offsets.push_back(static_cast<std::int32_t>(b.items.size()));
    }
    return b;
  }
};

/// The loss of all cells and its gradients, times `scale`: rows (bias in the last column) and hidden.
struct DenseLoss {
  double loss = 0;
  std::vector<std::vector<double>> rows;
  std::vector<std::vector<double>> hidden;
  std::vector<double> log_sums;

  DenseLoss(const FilledRows& v, const FilledRows& h, const Cells& cells, catalogue::OutputLoss kind, double scale) {
    using catalogue::OutputLoss;
    const int d = h.columns();
    rows.assign(static_cast<std::size_t>(cells.items), std::vector<double>(static_cast<std::size_t>(d) + 1));
    hidden.assign(static_cast<std::size_t>(cells.users), std::vector<double>(static_cast<std::size_t>(d)));
    for (int u = 0; u < cells.users; ++u) {
      std::vector<double> l(static_cast<std::size_t>(cells.items));
      double total = 0, sum = 0;
      for (int i = 0; i < cells.items; ++i) {
        double& x = l[static_cast<std::size_t>(i)];
        x = v.bias(i);
        for (int c = 0; c < d; ++c) x += v.get(i, c) * h.get(u, c);
        total += cells.value(u, i);
        sum += std::exp(x - l[0]);
      }
      log_sums.push_back(l[0] + std::log(sum));
      for (int i = 0; i < cells.items; ++i) {
        const double x = cells.value(u, i), y = l[static_cast<std::size_t>(i)];
        double g = 0;
        if (kind == OutputLoss::multinomial) {
          g = total * std::exp(y - log_sums.back()) - x;
          loss += x * (log_sums.back() - y);
        } else if (kind == OutputLoss::bce) {
          g = 1.0 / (1.0 + std::exp(-y)) - x;
          loss += std::log1p(std::exp(y)) - x * y;
        } else {
          g = 2.0 * (y - x);
          loss += (y - x) * (y - x);
        }
        g *= scale;
        for (int c = 0; c < d; ++c) {
          rows[static_cast<std::size_t>(i)][static_cast<std::size_t>(c)] += g * h.get(u, c);
          hidden[static_cast<std::size_t>(u)][static_cast<std::size_t>(c)] += g * v.get(i, c);
        }
        rows[static_cast<std::size_t>(i)].back() += g;
      }
    }
  }
};

}  // namespace spar::test
