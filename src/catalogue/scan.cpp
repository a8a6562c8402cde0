#include "spar/catalogue/scan.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>

#include <fmt/format.h>

#include "spar/base/error.hpp"

namespace spar::catalogue {

namespace {

constexpr float minus_infinity = -std::numeric_limits<float>::infinity();
constexpr int users_together = 16;
constexpr std::size_t piece_bytes = std::size_t{256} << 10;
constexpr int most_piece_items = 1008;

Index count_excluded(const ItemBlock& block, Index first, Index count) {
  if (block.penalty.empty()) return 0;
  const auto begin = block.penalty.begin() + first;
  return std::count_if(begin, begin + count, [](float penalty) { return penalty != 0.0F; });
}

}  // namespace

int BlockScan::piece_panels(int dim) {
  const auto fitting = static_cast<int>(piece_bytes / (ItemPanels::panel_floats(dim) * sizeof(float)));
  return std::clamp(fitting, 1, most_piece_items / panel_items);
}

std::int64_t BlockScan::bytes(int dim, int masks, int users) {
  return static_cast<std::int64_t>(users_together) * piece_panels(dim) * panel_items *
             static_cast<std::int64_t>(sizeof(float)) +
         static_cast<std::int64_t>(users) * masks * static_cast<std::int64_t>(sizeof(Cursor));
}

BlockScan::BlockScan(int dim, Index first_user, std::span<const data::UserLists* const> masks,
                     const PairFunction* pairs)
    : first_user_(first_user),
      masks_(masks),
      pairs_(pairs),
      piece_panels_(piece_panels(dim)),
      stride_(static_cast<Index>(piece_panels_) * panel_items),
      scores_(static_cast<std::size_t>(users_together * stride_)) {}

void BlockScan::find_cursors(std::span<const ScanUser> users, Index first_item) {
  cursors_.resize(masks_.size() * users.size());
  for (std::size_t m = 0; m < masks_.size(); ++m) {
    for (std::size_t u = 0; u < users.size(); ++u) {
      const auto list = masks_[m]->of(users[u].list);
      cursors_[m * users.size() + u] = std::lower_bound(list.data(), list.data() + list.size(), first_item);
    }
  }
}

Index BlockScan::exclude_masked(Index first_item, Index count, std::size_t user, const ScanUser& who, float* scores) {
  Index excluded = 0;
  for (std::size_t m = 0; m < masks_.size(); ++m) {
    const auto list = masks_[m]->of(who.list);
    Cursor& cursor = cursors_[m * (cursors_.size() / masks_.size()) + user];
    for (; cursor != list.data() + list.size() && *cursor < first_item + count; ++cursor) {
      float& score = scores[*cursor - first_item];
      excluded += score != minus_infinity ? 1 : 0;
      score = minus_infinity;
    }
  }
  return excluded;
}

void BlockScan::score_group(std::span<const ScanUser> users, std::span<const std::size_t> group,
                            const ItemPanels& panels, int first_panel, int count) {
  std::array<const float*, users_together> rows;
  std::transform(group.begin(), group.end(), rows.begin(), [&](std::size_t k) { return users[k].row; });
  const auto users_in_group = static_cast<int>(group.size());
  const bool finite =
      pairs_ == nullptr
          ? score_panels(rows.data(), users_in_group, panels, first_panel, count, scores_.data(), stride_)
          : score_panels(*pairs_, rows.data(), users_in_group, panels, first_panel, count, scores_.data(), stride_);
  if (finite) return;
  for (std::size_t u = 0; u < group.size(); ++u) {
    for (Index k = 0; k < static_cast<Index>(count) * panel_items; ++k) {
      const float score = scores_[static_cast<std::size_t>(static_cast<Index>(u) * stride_ + k)];
      if (std::isfinite(score)) continue;
      throw DivergenceError(
          fmt::format("the score of user row {} and item row {} is {}: the model's values have left the finite numbers",
                      first_user_ + users[group[u]].list,
                      panels.first_item() + static_cast<Index>(first_panel) * panel_items + k, score));
    }
  }
}

void BlockScan::scan(std::span<const ScanUser> users, const ItemBlock& block,
                     const std::function<bool(std::size_t, const ScoredItems&)>& consume) {
  const ItemPanels& panels = block.panels;
  find_cursors(users, panels.first_item());
  live_.resize(users.size());
  std::iota(live_.begin(), live_.end(), std::size_t{0});
  for (int p = 0; p < panels.panels() && !live_.empty(); p += piece_panels_) {
    const int together = std::min(piece_panels_, panels.panels() - p);
    const Index first = static_cast<Index>(p) * panel_items;
    const Index first_item = panels.first_item() + first;
    const Index count = std::min(static_cast<Index>(together) * panel_items, panels.items() - first);
    const Index nobodys = count_excluded(block, first, count);
    std::size_t still_live = 0;
    for (std::size_t g = 0; g < live_.size(); g += users_together) {
      const auto group = std::span(live_).subspan(g, std::min<std::size_t>(users_together, live_.size() - g));
      score_group(users, group, panels, p, together);
      for (std::size_t u = 0; u < group.size(); ++u) {
        float* const scores = scores_.data() + static_cast<Index>(u) * stride_;
        std::fill(scores + count, scores + static_cast<Index>(together) * panel_items, minus_infinity);
        if (nobodys > 0) {
          const float* const penalty = block.penalty.data() + first;
          for (Index k = 0; k < count; ++k) scores[k] += penalty[k];
        }
        const std::size_t user = group[u];
        const Index masked = exclude_masked(first_item, count, user, users[user], scores);
        if (consume(user, {scores, first_item, count, nobodys + masked})) live_[still_live++] = user;
      }
    }
    live_.resize(still_live);
  }
}

}  // namespace spar::catalogue
