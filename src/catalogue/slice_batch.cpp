#include "spar/catalogue/slice_batch.hpp"

#include <algorithm>
#include <cmath>

#include "spar/base/error.hpp"

namespace spar::catalogue {

namespace {

// Apart from the positions of the tape's own noise.
constexpr std::uint32_t input_place = 0xFFFFFFFFU;

std::uint32_t low(Index x) {
  return static_cast<std::uint32_t>(x);
}
std::uint32_t high(Index x) {
  return static_cast<std::uint32_t>(static_cast<std::uint64_t>(x) >> 32);
}

}  // namespace

SliceRows slice_rows(const table::Table& table, int shard) {
  const Index first = table.partition().begin(shard);
  const auto rows = static_cast<int>(table.partition().size(shard));
  const table::RowShape& shape = table.shape();
  return {rows == 0 ? nullptr : table.record(first - table.first_row()),
          first,
          rows,
          shape.dim,
          shape.width(),
          shape.has_bias ? shape.bias_offset() : -1,
          shape.record()};
}

void list_batch(const ItemSlices& slices, const SliceRows& rows, std::span<const Index> users,
                const Corruption& corruption, SliceBatch& batch) {
  batch.offsets.assign(1, 0);
  batch.items.clear();
  batch.values.clear();
  batch.inputs.clear();
  const RandomStream stream = corruption.key.stream();
  const auto threshold = static_cast<std::uint32_t>(std::clamp(corruption.keep * 0x1.0p32, 0.0, 0x1.0p32 - 1.0));
  const auto scale = static_cast<float>(1.0 / corruption.keep);
  for (const Index user : users) {
    const Cells cells = slices.of(user, rows.first, rows.first + rows.rows);
    ItemId block_of = 0;
    RandomStream::Block block{};
    for (std::size_t k = 0; k < cells.items.size(); ++k) {
      const ItemId item = cells.items[k];
      const float value = cells.values.empty() ? 1.0F : cells.values[k];
      bool kept = true;
      if (corruption.keep < 1.0) {
        if (k == 0 || item / 4 != block_of) {
          block_of = item / 4;
          block = stream.block(block_of, input_place, low(user), high(user));
        }
        kept = block[item % 4] < threshold;
      }
      batch.items.push_back(static_cast<std::int32_t>(item - rows.first));
      batch.values.push_back(value);
      batch.inputs.push_back(!kept ? 0.0F : corruption.keep < 1.0 ? scale * value : value);
    }
    batch.offsets.push_back(static_cast<std::int32_t>(batch.items.size()));
  }
}

void add_negatives(const SliceBatch& batch, const SliceRows& rows, Index items, std::span<const Index> users,
                   std::span<const float> positives, double per_positive, const tape::NoiseKey& key,
                   SliceBatch& cells) {
  cells.offsets.assign(1, 0);
  cells.items.clear();
  cells.values.clear();
  const RandomStream stream = key.stream();
  std::vector<std::int32_t> drawn;
  for (std::size_t u = 0; u < users.size(); ++u) {
    const auto own = batch.items_of(static_cast<int>(u));
    const auto draws = std::llround(per_positive * static_cast<double>(positives[u]));
    drawn.clear();
    for (long long k = 0; k < draws; k += 2) {
      const auto block = stream.block(static_cast<std::uint32_t>(k), input_place, low(users[u]), high(users[u]));
      for (int half = 0; half < 2 && k + half < draws; ++half) {
        const auto item = static_cast<Index>(bounded(word64(block, half), static_cast<std::uint64_t>(items)));
        if (item < rows.first || item >= rows.first + rows.rows) continue;
        const auto row = static_cast<std::int32_t>(item - rows.first);
        if (!std::binary_search(own.begin(), own.end(), row)) drawn.push_back(row);
      }
    }
    std::sort(drawn.begin(), drawn.end());
    drawn.erase(std::unique(drawn.begin(), drawn.end()), drawn.end());
    std::size_t next = 0;
    const auto put = [&](std::int32_t row, float value) {
      cells.items.push_back(row);
      cells.values.push_back(value);
    };
    for (std::size_t k = 0; k < own.size(); ++k) {
      for (; next < drawn.size() && drawn[next] < own[k]; ++next) put(drawn[next], 0.0F);
      put(own[k], batch.values[static_cast<std::size_t>(batch.offsets[u]) + k]);
    }
    for (; next < drawn.size(); ++next) put(drawn[next], 0.0F);
    cells.offsets.push_back(static_cast<std::int32_t>(cells.items.size()));
  }
}

void TouchedRows::reset(int rows, int width) {
  if (place_.size() != static_cast<std::size_t>(rows)) {
    place_.assign(static_cast<std::size_t>(rows), -1);
  } else {
    for (const std::int32_t row : rows_) place_[static_cast<std::size_t>(row)] = -1;
  }
  rows_.clear();
  gradients_.clear();
  width_ = static_cast<std::size_t>(width);
}

float* TouchedRows::add(int row) {
  std::int32_t& place = place_[static_cast<std::size_t>(row)];
  if (place < 0) {
    place = static_cast<std::int32_t>(rows_.size());
    rows_.push_back(row);
    gradients_.resize(gradients_.size() + width_);
  }
  return gradient(place);
}

}  // namespace spar::catalogue
