#pragma once
#include <vector>

#include "evaluate/reference.hpp"

#include "spar/base/sharding.hpp"
#include "spar/comm/communicator.hpp"
#include "spar/evaluate/evaluator.hpp"

namespace spar::test {

/// One rank's part of a World, as evaluate() takes it.
class Sharded {
 public:
  Sharded(const World& world, int shards, int rank, int ranks) {
    const ShardLayout layout{shards, ranks};
    const Partition users{world.users, shards};
    const Partition items{world.items, shards};
    const Index first_user = users.begin(layout.first_shard(rank));
    const Index end_user = users.begin(layout.end_shard(rank));
    const Index first_item = items.begin(layout.first_shard(rank));
    const Index end_item = items.begin(layout.end_shard(rank));
    scorer.users = {world.user_rows.row(first_user), first_user, end_user - first_user, world.dim,
                    world.user_rows.stride};
    scorer.items = {world.item_rows.row(first_item), first_item, end_item - first_item, world.dim,
                    world.item_rows.stride};
    if (!world.bias.empty()) scorer.item_bias = world.bias.data() + first_item;
    scorer.total_users = world.users;
    scorer.total_items = world.items;
    seen.assign(world.seen.begin() + first_item, world.seen.begin() + end_item);
    for (Index u = first_user; u < end_user; ++u) {
      const auto k = static_cast<std::size_t>(u);
      add(train, world.train[k]);
      add(validation, world.validation[k]);
      add(test, world.test[k]);
      add(negatives, world.negatives[k]);
    }
    for (data::UserLists* part : {&train, &validation, &test, &negatives}) part->first_user = first_user;
    lists.targets = &test;
    lists.masked = {&train, &validation};
    lists.candidates = &negatives;
    lists.seen_items = &seen;
  }
  Sharded(const Sharded&) = delete;
  Sharded& operator=(const Sharded&) = delete;

  evaluate::Scorer scorer;
  evaluate::EvaluationLists lists;

 private:
  template <class Items>
  static void add(data::UserLists& lists, const Items& items) {
    lists.items.insert(lists.items.end(), items.begin(), items.end());
    lists.offsets.push_back(static_cast<std::int64_t>(lists.items.size()));
  }

  data::UserLists train, validation, test, negatives;
  std::vector<std::uint8_t> seen;
};

/// All metrics at cut-offs below, at and above the number of items.
inline evaluate::EvaluationOptions all_metrics(std::vector<std::int64_t> cutoffs) {
  evaluate::EvaluationOptions options;
  options.metrics = {"hr", "ndcg", "precision", "recall", "recall_min", "f1", "map", "map_per_hit", "mrr", "auc"};
  options.cutoffs = std::move(cutoffs);
  options.per_user = true;
  return options;
}

}  // namespace spar::test
