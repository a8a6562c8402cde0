#include "item_rows.hpp"

#include <algorithm>
#include <cstring>

#include "spar/base/error.hpp"
#include "spar/base/sharding.hpp"
#include "spar/catalogue/score.hpp"

namespace spar::evaluate {

namespace {

constexpr std::int64_t fetch_bytes = std::int64_t{4} << 20;

// What travels for an item: its row, its bias, whether training has it.
std::size_t record_floats(int dim) {
  return static_cast<std::size_t>(dim) + 2;
}

}  // namespace

float ItemRow::score(const float* user, int dim) const {
  const float product =
      pairs != nullptr ? catalogue::score_pair(*pairs, user, row, dim) : catalogue::score_pair(user, row, dim);
  return has_bias ? product + bias : product;
}

ItemRows::ItemRows(const comm::Communicator& communicator, int shards, const Scorer& scorer,
                   const std::vector<std::uint8_t>* seen_items)
    : communicator_(&communicator),
      scorer_(&scorer),
      seen_items_(seen_items),
      has_bias_(communicator.any(scorer.item_bias != nullptr)) {
  const ShardLayout layout{shards, communicator.size()};
  const Partition items{scorer.total_items, shards};
  for (int rank = 0; rank <= layout.ranks; ++rank) first_items_.push_back(items.begin(layout.first_shard(rank)));
  SPAR_ASSERT(scorer.items.first_row == first_items_[static_cast<std::size_t>(communicator.rank())]);
  SPAR_ASSERT(scorer.items.first_row + scorer.items.rows ==
              first_items_[static_cast<std::size_t>(communicator.rank()) + 1]);
}

Index ItemRows::items_in_fetch(int dim) {
  return std::max<Index>(1, fetch_bytes / static_cast<Index>(record_floats(dim) * sizeof(float)));
}

std::int64_t ItemRows::bytes(int dim) {
  return 3 * items_in_fetch(dim) * static_cast<std::int64_t>(record_floats(dim) * sizeof(float));
}

void ItemRows::write_row(Index item, float* to) const {
  const Index k = item - scorer_->items.first_row;
  std::copy_n(scorer_->items.row(k), scorer_->items.dim, to);
  to[scorer_->items.dim] = scorer_->item_bias != nullptr ? scorer_->item_bias[k * scorer_->bias_stride] : 0.0F;
  to[scorer_->items.dim + 1] = seen_items_ == nullptr || (*seen_items_)[static_cast<std::size_t>(k)] != 0 ? 1.0F : 0.0F;
}

void ItemRows::fetch(std::span<const ItemId> items) {
  if (communicator_->size() == 1) return;
  fetched_.clear();
  std::copy_if(items.begin(), items.end(), std::back_inserter(fetched_), [&](ItemId item) { return !is_own(item); });
  std::sort(fetched_.begin(), fetched_.end());
  fetched_.erase(std::unique(fetched_.begin(), fetched_.end()), fetched_.end());
  // Ranks hold ascending ranges, so ascending items lie by rank.
  std::vector<std::vector<std::byte>> questions;
  auto from = fetched_.begin();
  for (int rank = 0; rank < communicator_->size(); ++rank) {
    const auto to = std::lower_bound(from, fetched_.end(), first_items_[static_cast<std::size_t>(rank) + 1],
                                     [](ItemId item, Index end) { return static_cast<Index>(item) < end; });
    const auto bytes = std::as_bytes(std::span(from, to));
    questions.emplace_back(bytes.begin(), bytes.end());
    from = to;
  }
  SPAR_ASSERT(from == fetched_.end());
  auto asked = communicator_->exchange(questions);
  const std::size_t record = record_floats(scorer_->items.dim);
  std::vector<float> answer;
  for (auto& question : asked) {
    const std::size_t count = question.size() / sizeof(ItemId);
    answer.resize(count * record);
    for (std::size_t k = 0; k < count; ++k) {
      ItemId item;
      std::memcpy(&item, question.data() + k * sizeof item, sizeof item);
      SPAR_ASSERT(is_own(item));
      write_row(item, answer.data() + k * record);
    }
    const auto bytes = std::as_bytes(std::span(answer));
    question.assign(bytes.begin(), bytes.end());
  }
  const auto answers = communicator_->exchange(asked);
  rows_.resize(fetched_.size() * record);
  std::size_t done = 0;
  for (const auto& bytes : answers) {
    if (!bytes.empty()) std::memcpy(reinterpret_cast<std::byte*>(rows_.data()) + done, bytes.data(), bytes.size());
    done += bytes.size();
  }
  SPAR_ASSERT(done == rows_.size() * sizeof(float));
}

ItemRow ItemRows::find(ItemId item) const {
  if (is_own(item)) {
    const Index k = static_cast<Index>(item) - scorer_->items.first_row;
    const bool seen = seen_items_ == nullptr || (*seen_items_)[static_cast<std::size_t>(k)] != 0;
    return {scorer_->items.row(k), has_bias_ ? scorer_->item_bias[k * scorer_->bias_stride] : 0.0F, has_bias_, seen,
            scorer_->pairs};
  }
  const auto place = std::lower_bound(fetched_.begin(), fetched_.end(), item);
  SPAR_ASSERT(place != fetched_.end() && *place == item);
  const float* const row =
      rows_.data() + static_cast<std::size_t>(place - fetched_.begin()) * record_floats(scorer_->items.dim);
  return {row, row[scorer_->items.dim], has_bias_, row[scorer_->items.dim + 1] != 0.0F, scorer_->pairs};
}

}  // namespace spar::evaluate
