#include "spar/catalogue/output_law.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "spar/base/error.hpp"

namespace spar::catalogue {

namespace {

constexpr std::uint32_t offset_place = 0xFFFFFFFFU;  // in the stream of a step, beside the shards'
constexpr double weight_unit = 4096.0;
constexpr double uniform_part = 0.1;

std::uint64_t word(const RandomStream& stream, int shard, std::int64_t k) {
  return word64(stream.block(static_cast<std::uint32_t>(k / 2), static_cast<std::uint32_t>(shard)),
                static_cast<int>(k % 2));
}

std::uint32_t weight_of(double popularity, double mean) {
  const double share = (1.0 - uniform_part) * popularity / mean + uniform_part;
  return static_cast<std::uint32_t>(
      std::min(std::round(weight_unit * share), static_cast<double>(std::numeric_limits<std::uint32_t>::max())));
}

}  // namespace

int DrawnItems::place(std::int32_t row) const {
  if (!taken[static_cast<std::size_t>(row)]) return -1;
  return static_cast<int>(std::lower_bound(rows.begin(), rows.end(), row) - rows.begin());
}

OutputLaw::OutputLaw(const ShardLayout& layout, Index items, std::int64_t draws)
    : items_{items, layout.shards}, draws_(draws) {
  SPAR_ASSERT(draws >= 1 && draws <= items);
  for (int s = 0; s <= layout.shards; ++s) begins_.push_back(items_.begin(s));
}

OutputLaw::OutputLaw(const comm::Communicator& communicator, const ShardLayout& layout, Index items, std::int64_t draws,
                     std::span<const std::uint32_t> counts, double power)
    : items_{items, layout.shards}, draws_(draws), first_shard_(layout.first_shard(communicator.rank())) {
  const int own = layout.shard_count(communicator.rank());
  const Index first = items_.begin(first_shard_);
  SPAR_ASSERT(draws >= 1 && static_cast<Index>(counts.size()) == items_.begin(first_shard_ + own) - first);
  std::vector<double> popularity(counts.size());
  std::vector<double> sums(static_cast<std::size_t>(own));
  std::vector<std::int64_t> totals(static_cast<std::size_t>(layout.shards));
  const auto for_shard = [&](int k, auto&& body) {
    for (Index i = items_.begin(first_shard_ + k); i < items_.end(first_shard_ + k); ++i)
      body(static_cast<std::size_t>(i - first));
  };
  for (int k = 0; k < own; ++k) {
    for_shard(k, [&](std::size_t i) {
      popularity[i] = counts[i] == 0 ? 0.0 : std::pow(static_cast<double>(counts[i]), power);
      sums[static_cast<std::size_t>(k)] += popularity[i];
    });
  }
  const double mean = comm::tree_sum(communicator, layout.shards, sums, 1).front() / static_cast<double>(items);
  SPAR_ASSERT(mean > 0.0);
  weights_.resize(counts.size());
  for (int k = 0; k < own; ++k) {
    for_shard(k, [&](std::size_t i) {
      weights_[i] = weight_of(popularity[i], mean);
      totals[static_cast<std::size_t>(first_shard_ + k)] += weights_[i];
    });
    std::vector<double> weights;
    for_shard(k, [&](std::size_t i) { weights.push_back(weights_[i]); });
    laws_.emplace_back(weights);
  }
  communicator.sum(totals);
  begins_.assign(1, 0);
  for (const std::int64_t total : totals) begins_.push_back(begins_.back() + total);
}

std::int64_t OutputLaw::share(int shard, std::int64_t offset) const {
  const auto before = [&](int s) {
    const Word128 at = static_cast<Word128>(draws_) * static_cast<Word128>(begins_[static_cast<std::size_t>(s)]);
    return static_cast<std::int64_t>((at + static_cast<Word128>(offset)) / static_cast<Word128>(total_weight()));
  };
  return before(shard + 1) - before(shard);
}

void OutputLaw::draw(int shard, const tape::NoiseKey& key, DrawnItems& drawn) const {
  for (const std::int32_t row : drawn.rows) drawn.taken[static_cast<std::size_t>(row)] = false;
  drawn.rows.clear();
  drawn.log_weights.clear();
  drawn.taken.resize(static_cast<std::size_t>(items_.size(shard)));
  const RandomStream stream = key.stream();
  const auto offset = static_cast<std::int64_t>(
      bounded(word64(stream.block(0, offset_place), 0), static_cast<std::uint64_t>(total_weight())));
  const std::int64_t count = share(shard, offset);
  laws_.empty() ? draw_distinct(shard, count, stream, drawn) : draw_by_weight(shard, count, stream, drawn);
}

void OutputLaw::draw_distinct(int shard, std::int64_t count, const RandomStream& stream, DrawnItems& drawn) const {
  const std::int64_t size = items_.size(shard);
  for (std::int64_t k = size - count; k < size; ++k) {
    auto row = static_cast<std::size_t>(bounded(word(stream, shard, k), static_cast<std::uint64_t>(k) + 1));
    if (drawn.taken[row]) row = static_cast<std::size_t>(k);
    drawn.taken[row] = true;
    drawn.rows.push_back(static_cast<std::int32_t>(row));
  }
  std::sort(drawn.rows.begin(), drawn.rows.end());
  const double each = static_cast<double>(items_.rows) / static_cast<double>(draws_);
  drawn.log_weights.assign(drawn.rows.size(), static_cast<float>(std::log(each)));
}

void OutputLaw::draw_by_weight(int shard, std::int64_t count, const RandomStream& stream, DrawnItems& drawn) const {
  const data::AliasTable& law = laws_[static_cast<std::size_t>(shard - first_shard_)];
  for (std::int64_t k = 0; k < count; ++k)
    drawn.rows.push_back(static_cast<std::int32_t>(law.draw(word(stream, shard, k))));
  std::sort(drawn.rows.begin(), drawn.rows.end());
  const Index first = items_.begin(shard) - items_.begin(first_shard_);
  std::size_t kept = 0;
  for (std::size_t k = 0; k < drawn.rows.size();) {
    const std::int32_t row = drawn.rows[k];
    double times = 0;
    for (; k < drawn.rows.size() && drawn.rows[k] == row; ++k) times += 1.0;
    const double expected = static_cast<double>(draws_) *
                            static_cast<double>(weights_[static_cast<std::size_t>(first + row)]) /
                            static_cast<double>(total_weight());
    drawn.log_weights.push_back(static_cast<float>(std::log(times / expected)));
    drawn.taken[static_cast<std::size_t>(row)] = true;
    drawn.rows[kept++] = row;
  }
  drawn.rows.resize(kept);
}

}  // namespace spar::catalogue
