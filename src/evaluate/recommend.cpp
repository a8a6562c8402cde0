#include <algorithm>
#include <memory>

#include "ring.hpp"
#include "tasks.hpp"

#include "spar/base/error.hpp"
#include "spar/base/memory.hpp"
#include "spar/catalogue/top.hpp"
#include "spar/evaluate/evaluator.hpp"

namespace spar::evaluate {

namespace {

// Candidate buffers of the users that are scored together.
constexpr std::size_t wave_bytes = std::size_t{16} << 20;

// Fewer than an evaluation takes, since their candidate buffers have to stay in the cache too.
constexpr std::size_t users_in_task = 64;

std::vector<Index> chosen_users(const EvaluationLists& lists, Index users) {
  std::vector<Index> chosen;
  for (Index k = 0; k < users; ++k) {
    if (lists.takes_part(k)) chosen.push_back(k);
  }
  return chosen;
}

std::vector<Recommendation> unpack(const catalogue::TopList& list) {
  std::vector<Recommendation> best;
  best.reserve(static_cast<std::size_t>(list.count));
  for (int k = 0; k < list.count; ++k)
    best.push_back({static_cast<Index>(catalogue::key_item(list.keys[k])), catalogue::key_score(list.keys[k])});
  return best;
}

}  // namespace

std::vector<std::vector<Recommendation>> recommend(const comm::Communicator& communicator, const Scorer& scorer,
                                                   const EvaluationLists& lists, int top) {
  if (top < 1) throw UserError("a list of recommendations has at least 1 place");
  for (const data::UserLists* mask : lists.masked) SPAR_ASSERT(mask->users() == scorer.users.rows);
  SPAR_ASSERT(lists.posts == nullptr || lists.posts->count() == scorer.users.rows);
  const auto places = static_cast<int>(std::min<Index>(top, scorer.total_items));
  const auto capacity = static_cast<std::size_t>(catalogue::top_capacity(places));
  const std::size_t users_in_wave = std::clamp<std::size_t>(wave_bytes / (capacity * sizeof(catalogue::Key)),
                                                            most_users_in_task, std::size_t{1} << 16);
  const std::vector<Index> chosen = chosen_users(lists, scorer.users.rows);

  ItemRing ring(communicator, scorer, lists.seen_items);
  WorkerScans scans(scorer, lists.masked);
  std::vector<catalogue::TopSelector> selectors(static_cast<std::size_t>(threads()), catalogue::TopSelector(places));
  Buffer<catalogue::Key> keys(std::min(chosen.size(), users_in_wave) * capacity);
  std::vector<std::vector<Recommendation>> result;
  for (std::size_t next = 0; communicator.any(next < chosen.size());) {
    const std::size_t count = std::min(users_in_wave, chosen.size() - next);
    std::vector<catalogue::ScanUser> users(count);
    std::vector<catalogue::TopList> best(count);
    for (std::size_t k = 0; k < count; ++k) {
      users[k] = {scorer.users.row(chosen[next + k]), chosen[next + k]};
      best[k].keys = keys.data() + k * capacity;
    }
    ring.each_block([&](const catalogue::ItemBlock& block) {
      for_user_ranges(count, users_in_task, [&](std::size_t first, std::size_t last, int worker) {
        auto& selector = selectors[static_cast<std::size_t>(worker)];
        scans.of(worker).scan(std::span(users).subspan(first, last - first), block,
                              [&](std::size_t k, const catalogue::ScoredItems& scored) {
                                selector.offer(scored.scores, scored.count, scored.first_item, best[first + k]);
                                return true;
                              });
      });
    });
    for_user_ranges(count, users_in_task, [&](std::size_t first, std::size_t last, int worker) {
      for (std::size_t k = first; k < last; ++k) selectors[static_cast<std::size_t>(worker)].finish(best[k]);
    });
    for (std::size_t k = 0; k < count; ++k) result.push_back(unpack(best[k]));
    next += count;
  }
  return result;
}

}  // namespace spar::evaluate
