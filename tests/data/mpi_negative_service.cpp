#include <memory>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "spar/comm/communicator.hpp"
#include "spar/data/negative_service.hpp"

namespace {

using namespace spar;

constexpr Index users = 61;
constexpr Index items = 97;
constexpr int shards = 8;
constexpr std::int64_t steps = 5;
const Partition user_shards{users, shards};

// Long and short lists over popular items; user 17 has every item that anybody has, user 18 all but the rarest.
std::vector<ItemId> list_of(Index user) {
  std::vector<ItemId> list;
  for (Index item = 0; item < items; ++item) {
    if (item % 5 == 4) continue;
    if (user == 17 || (user == 18 && item != 93) ||
        (user != 18 && user * 31 + item * item * 7) % (3 + item) < 2 + user % 3)
      list.push_back(static_cast<ItemId>(item));
  }
  return list;
}

data::UserLists lists_of(Index first, Index end) {
  data::UserLists lists;
  lists.first_user = first;
  for (Index user = first; user < end; ++user) {
    const auto list = list_of(user);
    lists.items.insert(lists.items.end(), list.begin(), list.end());
    lists.offsets.push_back(static_cast<std::int64_t>(lists.items.size()));
  }
  return lists;
}

struct Side {
  data::UserLists lists;
  data::ItemLaw law;
  std::vector<std::unique_ptr<data::TripleSampler>> samplers{};

  // The samplers of shards [first, end), whose users are those of `lists`.
  Side(const comm::Communicator& communicator, const ShardLayout& layout, int first, int end, bool all,
       data::LawOptions options, int negatives)
      : lists(all ? lists_of(0, users) : lists_of(user_shards.begin(first), user_shards.begin(end))),
        law(std::make_shared<data::Popularity>(communicator, layout, items, lists.items, 0.75), options) {
    for (int shard = first; shard < end; ++shard) {
      samplers.push_back(std::make_unique<data::TripleSampler>(lists, user_shards.begin(shard) - lists.first_user,
                                                               user_shards.size(shard), shard, items, 11));
      samplers.back()->use_law(&law);
      samplers.back()->set_negatives_each(negatives);
    }
  }
};

std::vector<ItemId> draws_of(const data::TripleSampler& sampler, std::int64_t step) {
  std::vector<ItemId> drawn;
  for (std::int64_t place = 0; place < sampler.places(step, steps); ++place) {
    const Index user = sampler.first_user() + sampler.positive_at(step, steps, place).user;
    ItemId item = 0;
    const bool any = sampler.draw_negative(user, step, static_cast<std::uint32_t>(place), item);
    BOOST_TEST(any == !sampler.lacks_negatives(user));
    if (any) BOOST_TEST(!sampler.rejects(user, item));
    drawn.push_back(any ? item : static_cast<ItemId>(items));
  }
  return drawn;
}

void compare(data::LawOptions options, int negatives) {
  const auto world = comm::Communicator::world();
  const auto alone = comm::Communicator::alone();
  const ShardLayout layout{shards, world.size()};
  const int first = layout.first_shard(world.rank());
  const int end = layout.end_shard(world.rank());
  Side served(world, layout, first, end, false, options, negatives);
  Side whole(alone, {shards, 1}, first, end, true, options, negatives);
  BOOST_TEST(served.law.needs_service() == (world.size() > 1));
  BOOST_TEST(served.law.drawable() == whole.law.drawable());
  std::vector<data::TripleSampler*> samplers;
  for (const auto& sampler : served.samplers) samplers.push_back(sampler.get());
  data::NegativeService service(world, *served.law.popularity(), samplers);
  data::MicroBatch a;
  data::MicroBatch b;
  for (const std::int64_t epoch : {0, 3}) {
    for (std::size_t k = 0; k < samplers.size(); ++k) {
      served.samplers[k]->begin_epoch(epoch);
      whole.samplers[k]->begin_epoch(epoch);
    }
    service.begin_epoch();
    // A resumed run begins within an epoch.
    for (std::int64_t step = epoch == 3 ? 2 : 0; step < steps; ++step) {
      service.prepare(step, steps);
      for (std::size_t k = 0; k < samplers.size(); ++k) {
        BOOST_TEST(draws_of(*served.samplers[k], step) == draws_of(*whole.samplers[k], step),
                   boost::test_tools::per_element());
        if (negatives > 1) continue;  // triples have one
        served.samplers[k]->sample(step, steps, a);
        whole.samplers[k]->sample(step, steps, b);
        BOOST_TEST((a.items == b.items && a.negative == b.negative && a.positive == b.positive && a.user == b.user));
      }
    }
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(negative_service)

BOOST_AUTO_TEST_CASE(owners_draw_what_a_rank_with_the_whole_law_draws) {
  compare({}, 1);
}

BOOST_AUTO_TEST_CASE(owners_draw_the_same_for_several_negatives_and_candidates) {
  compare({.candidates = 3}, 1);
  compare({.candidates = 3}, 4);
}

BOOST_AUTO_TEST_CASE(owners_draw_the_same_where_own_items_may_be_negatives) {
  compare({.own_items = true}, 1);
}

BOOST_AUTO_TEST_CASE(no_rank_holds_the_law_of_items_that_are_not_its_own) {
  const auto world = comm::Communicator::world();
  const ShardLayout layout{shards, world.size()};
  const Side side(world, layout, layout.first_shard(world.rank()), layout.end_shard(world.rank()), false, {}, 1);
  for (int shard = 0; shard < shards; ++shard)
    BOOST_TEST(side.law.popularity()->holds(shard) == (layout.rank_of(shard) == world.rank()));
}

BOOST_AUTO_TEST_SUITE_END()
