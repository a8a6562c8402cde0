#include <vector>

#include "toy_game.hpp"
#include <boost/test/unit_test.hpp>

#include "spar/data/transpose.hpp"
#include "spar/game/profile_batch.hpp"

namespace {

using namespace spar;
using game::NeuralBatch;

const test::ToyData toy;
constexpr std::int64_t steps = 5;
constexpr int shards = 8;

// The rows of one profile of an example, which a pass would sum.
std::vector<Index> members(const NeuralBatch& batch, std::size_t role, std::size_t example) {
  const auto bag = static_cast<std::size_t>(batch.slots[role][example]);
  std::vector<Index> rows;
  for (std::int64_t j = batch.bags[role].offsets[bag]; j < batch.bags[role].offsets[bag + 1]; ++j)
    rows.push_back(batch.rows[1 - role][static_cast<std::size_t>(batch.bags[role].slots[static_cast<std::size_t>(j)])]);
  return rows;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(profile_batch)

BOOST_AUTO_TEST_CASE(bags_are_the_training_profiles_of_both_sides_whoever_holds_the_items) {
  const auto world = comm::Communicator::world();
  const ShardLayout layout{shards, world.size()};
  const Partition of_users{toy.users, shards};
  const Partition of_items{toy.items, shards};
  const int first = layout.first_shard(world.rank());
  const int end = layout.end_shard(world.rank());
  const data::UserLists lists = toy.lists(of_users.begin(first), of_users.begin(end));
  const data::UserLists by_item = data::transpose(world, lists, of_items);
  game::ProfileBatcher batcher(world, lists, by_item, of_items);
  std::vector<game::PointSource> sources;
  for (int shard = first; shard < end; ++shard) {
    sources.emplace_back(lists, of_users.begin(shard) - lists.first_user, of_users.size(shard), shard, toy.items, 1, 3);
    sources.back().begin_epoch(0);
  }
  std::vector<NeuralBatch> batches(sources.size());
  std::vector<NeuralBatch> drawn(sources.size());
  for (std::int64_t step = 0; step < steps; ++step) {
    std::vector<NeuralBatch*> all;
    for (std::size_t k = 0; k < sources.size(); ++k) {
      sources[k].draw(step, steps, drawn[k]);
      batches[k] = drawn[k];
      all.push_back(&batches[k]);
    }
    batcher.complete(all);
    for (std::size_t k = 0; k < sources.size(); ++k) {
      for (std::size_t e = 0; e < drawn[k].labels.size(); ++e) {
        const Index user = drawn[k].rows[0][static_cast<std::size_t>(drawn[k].slots[0][e])];
        const Index item = drawn[k].rows[1][static_cast<std::size_t>(drawn[k].slots[1][e])];
        std::vector<Index> items_of_user;
        std::vector<Index> users_of_item;
        for (Index i = 0; i < toy.items; ++i) {
          if (toy.has(user, i)) items_of_user.push_back(i);
        }
        for (Index u = 0; u < toy.users; ++u) {
          if (toy.has(u, item)) users_of_item.push_back(u);
        }
        BOOST_TEST((members(batches[k], 0, e) == items_of_user));
        BOOST_TEST((members(batches[k], 1, e) == users_of_item));
      }
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
