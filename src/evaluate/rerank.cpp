#include <algorithm>
#include <cmath>

#include "item_rows.hpp"
#include "tasks.hpp"
#include <fmt/format.h>

#include "spar/base/error.hpp"
#include "spar/catalogue/top.hpp"
#include "spar/evaluate/evaluator.hpp"

namespace spar::evaluate {

namespace {

using Lists = std::vector<std::vector<Recommendation>>;

// Scores a list anew and leaves its best `top` in front.
void reorder(const Scorer& scorer, const ItemRows& rows, const float* user_row, Index user, std::size_t top,
             std::vector<Recommendation>& list) {
  for (Recommendation& item : list) {
    item.score = rows.find(static_cast<ItemId>(item.item)).score(user_row, scorer.items.dim);
    if (std::isfinite(item.score)) continue;
    throw DivergenceError(
        fmt::format("the score of user row {} and item row {} is {}: the model's values have left the finite numbers",
                    user, item.item, item.score));
  }
  std::sort(list.begin(), list.end(), [](const Recommendation& a, const Recommendation& b) {
    return catalogue::make_key(a.score, static_cast<ItemId>(a.item)) >
           catalogue::make_key(b.score, static_cast<ItemId>(b.item));
  });
  list.resize(std::min(list.size(), top));
}

}  // namespace

Lists recommend_reranked(const comm::Communicator& communicator, int shards, const Scorer& scorer,
                         const EvaluationLists& lists, int retrieved, int top) {
  SPAR_ASSERT(lists.retriever != nullptr && top >= 1);
  if (retrieved < top)
    throw UserError(
        fmt::format("{} candidates cannot fill lists of {} items: retrieve at least as many", retrieved, top));
  Lists found = recommend(communicator, *lists.retriever, lists, retrieved);
  std::vector<Index> users;
  for (Index k = 0; k < scorer.users.rows; ++k) {
    if (lists.takes_part(k)) users.push_back(k);
  }
  SPAR_ASSERT(users.size() == found.size());
  ItemRows rows(communicator, shards, scorer, nullptr);
  const auto most = static_cast<std::size_t>(ItemRows::items_in_fetch(scorer.items.dim));
  for (std::size_t first = 0; communicator.any(first < found.size());) {
    std::vector<ItemId> items;
    std::size_t last = first;
    for (; last < found.size() && items.size() < most; ++last) {
      for (const Recommendation& item : found[last]) items.push_back(static_cast<ItemId>(item.item));
    }
    rows.fetch(items);
    comm::agree(communicator, [&] {
      for_user_ranges(last - first, most_users_in_task, [&](std::size_t begin, std::size_t end, int) {
        for (std::size_t k = first + begin; k < first + end; ++k)
          reorder(scorer, rows, scorer.users.row(users[k]), scorer.users.first_row + users[k],
                  static_cast<std::size_t>(top), found[k]);
      });
    });
    first = last;
  }
  return found;
}

}  // namespace spar::evaluate
