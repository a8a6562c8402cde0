#include <boost/test/unit_test.hpp>

#include "spar/data/transpose.hpp"

namespace {

using namespace spar;

constexpr Index users = 103;
constexpr Index items = 41;
constexpr int shards = 8;

bool has(Index user, Index item) {
  return user % 10 != 3 && item != 17 && (user * 7 + item * 5) % 11 < 3;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(transpose)

BOOST_AUTO_TEST_CASE(each_rank_gets_the_users_of_its_items_in_order) {
  const auto world = comm::Communicator::world();
  const ShardLayout layout{shards, world.size()};
  const Partition of_users{users, shards};
  data::UserLists lists;
  lists.first_user = of_users.begin(layout.first_shard(world.rank()));
  for (Index u = lists.first_user; u < of_users.begin(layout.end_shard(world.rank())); ++u) {
    for (Index i = 0; i < items; ++i) {
      if (has(u, i)) lists.items.push_back(static_cast<ItemId>(i));
    }
    lists.offsets.push_back(static_cast<std::int64_t>(lists.items.size()));
  }
  const Partition of_items{items, shards};
  const data::UserLists by_item = data::transpose(world, lists, of_items);
  BOOST_TEST(by_item.first_user == of_items.begin(layout.first_shard(world.rank())));
  BOOST_TEST(by_item.first_user + by_item.users() == of_items.begin(layout.end_shard(world.rank())));
  for (Index k = 0; k < by_item.users(); ++k) {
    std::vector<ItemId> expected;
    for (Index u = 0; u < users; ++u) {
      if (has(u, by_item.first_user + k)) expected.push_back(static_cast<ItemId>(u));
    }
    const auto list = by_item.of(k);
    BOOST_TEST(std::vector<ItemId>(list.begin(), list.end()) == expected, boost::test_tools::per_element());
  }
}

BOOST_AUTO_TEST_SUITE_END()
