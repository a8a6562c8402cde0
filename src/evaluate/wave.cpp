#include "wave.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>

#include <fmt/format.h>

#include "spar/base/error.hpp"
#include "spar/base/threads.hpp"
#include "spar/catalogue/count.hpp"

namespace spar::evaluate {

namespace {

// Users that a task scores against pairs of single rows.
constexpr int users_in_task = 256;

float checked_score(const ItemRow& item, const float* user_row, int dim, Index user, ItemId id) {
  const float score = item.score(user_row, dim);
  if (std::isfinite(score)) return score;
  throw DivergenceError(
      fmt::format("the score of user row {} and item row {} is {}: the model's values have left the finite numbers",
                  user, id, score));
}

bool has_greater_score(const Target& a, const Target& b) {
  return a.score > b.score;
}

}  // namespace

Wave::Wave(const Scorer& scorer, const EvaluationLists& lists, bool cold_items, const CountRules& rules,
           const ItemBounds& bounds)
    : scorer_(&scorer), lists_(&lists), cold_items_(cold_items), rules_(rules), bounds_(bounds) {}

std::int64_t Wave::bytes(Index rank_users, const EvaluationOptions& options) {
  const auto users = std::min<std::int64_t>(rank_users, most_users);
  const auto targets = std::min<std::int64_t>(32 * users, most_targets);
  const std::int64_t retrieved = options.protocol == Protocol::reranked
                                     ? std::min(users * options.retrieved, most_retrieved + options.retrieved)
                                     : 0;
  return users * static_cast<std::int64_t>(sizeof(WaveUser)) + targets * static_cast<std::int64_t>(sizeof(Target)) +
         retrieved * static_cast<std::int64_t>(sizeof(Recommendation) + sizeof(ItemId));
}

bool Wave::is_masked(Index list, ItemId item) const {
  return std::any_of(lists_->masked.begin(), lists_->masked.end(), [&](const data::UserLists* mask) {
    const auto items = mask->of(list);
    return std::binary_search(items.begin(), items.end(), item);
  });
}

// The first of the masked lists is the training's.
bool Wave::has_profile(Index list) const {
  return !lists_->masked.front()->of(list).empty() ||
         (lists_->fold_in != nullptr && !lists_->fold_in->of(list).empty());
}

Index Wave::fill(Index next) {
  users_.clear();
  targets_.clear();
  skipped_ = 0;
  const Index end = lists_->targets->users();
  const auto has_room = [&] {
    return users_.size() < most_users && targets_.size() < most_targets &&
           static_cast<std::int64_t>(users_.size()) * rules_.retrieved < most_retrieved;
  };
  for (; next < end && has_room(); ++next) {
    if (!lists_->takes_part(next)) continue;
    WaveUser user;
    user.list = next;
    user.begin = targets_.size();
    const auto items = lists_->targets->of(next);
    for (std::size_t k = 0; k < items.size(); ++k) {
      if (is_masked(next, items[k])) continue;
      Target target;
      target.item = items[k];
      if (lists_->scale) target.rating = lists_->targets->ratings_of(next)[k];
      targets_.push_back(target);
    }
    user.end = targets_.size();
    users_.push_back(user);
  }
  return next;
}

std::size_t Wave::take_items(std::size_t first, Protocol protocol, Index most, std::vector<ItemId>& items) const {
  items.clear();
  std::size_t last = first;
  for (; last < users_.size() && static_cast<Index>(items.size()) < most; ++last) {
    const WaveUser& user = users_[last];
    for (std::size_t t = user.begin; t < user.end; ++t) items.push_back(targets_[t].item);
    if (protocol == Protocol::full) continue;
    const auto candidates = candidates_of(last);
    items.insert(items.end(), candidates.begin(), candidates.end());
  }
  return last;
}

void Wave::score_targets(const comm::Communicator& communicator, ItemRows& rows, Protocol protocol) {
  std::vector<ItemId> items;
  std::size_t first = 0;
  while (communicator.any(first < users_.size())) {
    const std::size_t last = take_items(first, protocol, ItemRows::items_in_fetch(scorer_->items.dim), items);
    rows.fetch(items);
    comm::agree(communicator, [&] {
      const int tasks = static_cast<int>((last - first + users_in_task - 1) / users_in_task);
      parallel_for(tasks, [&](int task) {
        const std::size_t begin = first + static_cast<std::size_t>(task) * users_in_task;
        for (std::size_t k = begin; k < std::min(last, begin + users_in_task); ++k) {
          score_user(users_[k], rows);
          if (protocol == Protocol::sampled) count_fixed_candidates(k, rows);
          if (protocol == Protocol::reranked) count_retrieved(k, rows);
        }
      });
    });
    first = last;
  }
  const auto without = [](const WaveUser& user) { return user.begin == user.end; };
  skipped_ = std::count_if(users_.begin(), users_.end(), without);
  std::erase_if(users_, without);
}

void Wave::score_user(WaveUser& user, const ItemRows& rows) {
  const int dim = scorer_->items.dim;
  const float* const row = scorer_->users.row(user.list);
  const bool has_score = !lists_->scale || has_profile(user.list);
  std::size_t kept = user.begin;
  for (std::size_t t = user.begin; t < user.end; ++t) {
    Target target = targets_[t];
    const ItemRow item = rows.find(target.item);
    if (!cold_items_ && !item.seen) continue;
    target.score = checked_score(item, row, dim, lists_->user_of(*scorer_, user.list), target.item);
    target.below = catalogue::below(target.score);
    if (const auto& scale = lists_->scale) {
      const float rating = has_score && item.seen ? std::clamp(target.score, scale->low, scale->high) : scale->unknown;
      user.errors.add(static_cast<double>(rating) - static_cast<double>(target.rating));
    }
    targets_[kept++] = target;
  }
  user.end = kept;
  user.open = kept;
  float greatest = 0.0F;
  for (int k = 0; k < dim; ++k) greatest = std::max(greatest, std::abs(row[k]));
  const double bound =
      static_cast<double>(greatest) * static_cast<double>(bounds_.row) * dim + static_cast<double>(bounds_.bias);
  // What a pair function makes of finite rows is not known.
  user.bounded = scorer_->pairs == nullptr && bound < 0.5 * static_cast<double>(std::numeric_limits<float>::max());
}

std::span<const ItemId> Wave::candidates_of(std::size_t k) const {
  if (rules_.retrieved == 0) return lists_->candidates->of(users_[k].list);
  const std::size_t from = k == 0 ? 0 : retrieved_to_[k - 1];
  return std::span(retrieved_).subspan(from, retrieved_to_[k] - from);
}

void Wave::count_fixed_candidates(std::size_t k, const ItemRows& rows) {
  WaveUser& user = users_[k];
  const auto targets = targets_of(user);
  std::vector<ItemId> others;
  for (const ItemId item : candidates_of(k)) {
    const bool is_target =
        std::any_of(targets.begin(), targets.end(), [&](const Target& target) { return target.item == item; });
    if (!is_target && !is_masked(user.list, item) && (cold_items_ || rows.find(item).seen)) others.push_back(item);
  }
  std::sort(others.begin(), others.end());
  others.erase(std::unique(others.begin(), others.end()), others.end());
  if (others.empty()) user.end = user.begin;  // no candidates were drawn for this user: nothing can be said
  count_among(user, targets, others, rows);
  user.candidates = static_cast<Index>(others.size() + targets.size());
}

// What stands before the targets among them and the others.
void Wave::count_among(const WaveUser& user, std::span<Target> targets, std::span<const ItemId> others,
                       const ItemRows& rows) {
  const auto add = [](Target& target, float score, ItemId item) {
    target.greater += score > target.score ? 1 : 0;
    target.at_least += score >= target.score ? 1 : 0;
    target.before += score > target.score || (score == target.score && item < target.item) ? 1 : 0;
  };
  const float* const row = scorer_->users.row(user.list);
  for (const ItemId item : others) {
    const float score =
        checked_score(rows.find(item), row, scorer_->items.dim, lists_->user_of(*scorer_, user.list), item);
    for (Target& target : targets) add(target, score, item);
  }
  for (Target& target : targets) {
    for (const Target& other : targets) add(target, other.score, other.item);
  }
}

void Wave::retrieve(const comm::Communicator& communicator) {
  std::vector<std::uint8_t> chosen(static_cast<std::size_t>(lists_->targets->users()));
  for (const WaveUser& user : users_) chosen[static_cast<std::size_t>(user.list)] = user.targets() > 0 ? 1 : 0;
  EvaluationLists lists = *lists_;
  lists.chosen_users = &chosen;
  if (cold_items_) lists.seen_items = nullptr;
  const auto best = recommend(communicator, *lists_->retriever, lists, static_cast<int>(rules_.retrieved));
  retrieved_.clear();
  retrieved_to_.clear();
  auto list = best.begin();
  for (const WaveUser& user : users_) {
    const auto from = static_cast<std::ptrdiff_t>(retrieved_.size());
    if (user.targets() > 0) {
      for (const Recommendation& item : *list++) retrieved_.push_back(static_cast<ItemId>(item.item));
      std::sort(retrieved_.begin() + from, retrieved_.end());
    }
    retrieved_to_.push_back(retrieved_.size());
  }
}

// Targets that were not retrieved go to the end of the list and have no place.
void Wave::count_retrieved(std::size_t k, const ItemRows& rows) {
  WaveUser& user = users_[k];
  const auto retrieved = candidates_of(k);
  const auto targets = targets_of(user);
  const auto missed = std::partition(targets.begin(), targets.end(), [&](const Target& target) {
    return std::binary_search(retrieved.begin(), retrieved.end(), target.item);
  });
  user.missed = targets.end() - missed;
  const auto found = targets.first(targets.size() - static_cast<std::size_t>(user.missed));
  std::vector<ItemId> found_items;
  for (const Target& target : found) found_items.push_back(target.item);
  std::sort(found_items.begin(), found_items.end());
  std::vector<ItemId> others;
  std::set_difference(retrieved.begin(), retrieved.end(), found_items.begin(), found_items.end(),
                      std::back_inserter(others));
  count_among(user, found, others, rows);
  user.candidates = static_cast<Index>(retrieved.size()) + user.missed;
}

void Wave::count(catalogue::BlockScan& scan, const catalogue::ItemBlock& block, std::size_t first, std::size_t last) {
  std::vector<catalogue::ScanUser> scanned;
  std::vector<std::size_t> places;
  for (std::size_t k = first; k < last; ++k) {
    if (users_[k].open == users_[k].begin) continue;
    scanned.push_back({scorer_->users.row(users_[k].list), users_[k].list});
    places.push_back(k);
  }
  std::vector<float> thresholds;
  std::vector<std::uint32_t> above;
  scan.scan(scanned, block, [&](std::size_t k, const catalogue::ScoredItems& scored) {
    return count_piece(users_[places[k]], scored, thresholds, above);
  });
}

bool Wave::count_piece(WaveUser& user, const catalogue::ScoredItems& scored, std::vector<float>& thresholds,
                       std::vector<std::uint32_t>& above) {
  const auto open = std::span(targets_).subspan(user.begin, user.open - user.begin);
  const Index end_item = scored.first_item + scored.count;
  // Of two equal scores the smaller id comes first: an item left of the target needs the same score to stand before it,
  // an item right of it a greater one.
  const auto is_right = [&](const Target& target) { return static_cast<Index>(target.item) < end_item; };
  const std::size_t at_least = rules_.needs_ties() ? open.size() : 0;
  thresholds.clear();
  for (const Target& target : open)
    thresholds.push_back(rules_.needs_ties() || is_right(target) ? target.score : target.below);
  if (rules_.needs_ties()) {
    for (const Target& target : open) thresholds.push_back(target.below);
  }
  above.assign(thresholds.size(), 0);
  catalogue::count_above(scored.scores, scored.count, thresholds, above.data());
  for (std::size_t t = 0; t < open.size(); ++t) {
    Target& target = open[t];
    target.before += is_right(target) ? above[t] : above[at_least + t];
    const Index inside = static_cast<Index>(target.item) - scored.first_item;
    if (inside >= 0 && inside < scored.count)
      target.before += catalogue::count_equal(scored.scores, inside, target.score);
    if (!rules_.needs_ties()) continue;
    target.greater += above[t];
    target.at_least += above[at_least + t];
  }
  user.excluded += scored.excluded;
  if (!rules_.auc && user.bounded) drop_hopeless(user);
  return user.open > user.begin;
}

// Targets that cannot come to a place that matters any more go to the end of the list.
void Wave::drop_hopeless(WaveUser& user) {
  for (std::size_t t = user.begin; t < user.open;) {
    const std::uint32_t certain = rules_.needs_ties() ? targets_[t].greater : targets_[t].before;
    if (static_cast<std::int64_t>(certain) < rules_.last_place) {
      ++t;
    } else {
      std::swap(targets_[t], targets_[--user.open]);
    }
  }
}

void Wave::close(Index total_items) {
  for (WaveUser& user : users_) user.candidates = total_items - user.excluded;
}

UserRanks Wave::ranks(std::size_t k, std::vector<double>& places) {
  const WaveUser& user = users_[k];
  const auto targets = targets_of(user).first(static_cast<std::size_t>(user.targets() - user.missed));
  // Equal scores beside each other, in the order of ids.
  std::sort(targets.begin(), targets.end(),
            [](const Target& a, const Target& b) { return a.score != b.score ? a.score > b.score : a.item < b.item; });
  const Index others = users_[k].candidates - users_[k].targets();
  places.clear();
  double wins = 0.0;
  for (auto first = targets.begin(); first != targets.end();) {
    const auto last = std::upper_bound(first, targets.end(), *first, has_greater_score);
    for (auto target = first; target != last; ++target) {
      // A hopeless target was not counted to the end and may not have met itself.
      const double tied_others =
          std::max(0.0, static_cast<double>(target->at_least) - static_cast<double>(target->greater) -
                            static_cast<double>(last - first));
      const auto better_others = static_cast<double>(target->greater) - static_cast<double>(first - targets.begin());
      wins += static_cast<double>(others) - better_others - tied_others + 0.5 * tied_others;
      const double optimistic = static_cast<double>(target->greater) + static_cast<double>(target - first);
      switch (rules_.ties) {
        case Ties::by_id:
          places.push_back(static_cast<double>(target->before));
          break;
        case Ties::optimistic:
          places.push_back(optimistic);
          break;
        case Ties::pessimistic:
          places.push_back(optimistic + tied_others);
          break;
        case Ties::mean:
          places.push_back(optimistic + 0.5 * tied_others);
          break;
      }
    }
    first = last;
  }
  std::sort(places.begin(), places.end());
  UserRanks ranks{places, users_[k].targets(), std::numeric_limits<double>::quiet_NaN(), users_[k].errors};
  if (rules_.auc && others > 0) ranks.auc = wins / (static_cast<double>(others) * static_cast<double>(targets.size()));
  return ranks;
}

}  // namespace spar::evaluate
