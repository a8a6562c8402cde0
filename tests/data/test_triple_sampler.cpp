#define BOOST_TEST_DYN_LINK
#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <tuple>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "spar/base/sharding.hpp"
#include "spar/data/triple_sampler.hpp"

namespace {

using namespace spar;
using data::MicroBatch;
using data::TripleSampler;
using data::UserLists;

constexpr Index users = 131;
constexpr Index items = 53;
constexpr int shards = 8;

// User u has u % 9 items, every 40th has all of them, user 7 all but one.
std::vector<ItemId> list_of(Index user) {
  std::vector<ItemId> list;
  for (Index i = 0; i < items; ++i) {
    const bool all = user % 40 == 39;
    const bool all_but_one = user == 7 && i != 20;
    if (all || all_but_one || (user != 7 && (i * 5 + user) % items < user % 9)) list.push_back(static_cast<ItemId>(i));
  }
  return list;
}

UserLists lists_of(Index first, Index end) {
  UserLists lists;
  lists.first_user = first;
  for (Index u = first; u < end; ++u) {
    const auto list = list_of(u);
    lists.items.insert(lists.items.end(), list.begin(), list.end());
    lists.offsets.push_back(static_cast<std::int64_t>(lists.items.size()));
  }
  return lists;
}

using Triple = std::tuple<Index, Index, Index>;

std::vector<Triple> triples_of(const MicroBatch& batch, Index first_user) {
  std::vector<Triple> triples;
  for (int t = 0; t < batch.triples(); ++t) {
    const auto at = static_cast<std::size_t>(t);
    triples.emplace_back(first_user + batch.users[static_cast<std::size_t>(batch.user[at])],
                         batch.items[static_cast<std::size_t>(batch.positive[at])],
                         batch.items[static_cast<std::size_t>(batch.negative[at])]);
  }
  return triples;
}

struct Sampled {
  std::vector<std::vector<Triple>> by_step;  ///< of all shards, shard after shard
  std::int64_t skipped = 0;
};

// An epoch as `ranks` ranks would draw it.
Sampled draw(int ranks, std::int64_t epoch, std::int64_t steps, std::uint64_t seed = 5,
             Purpose order = Purpose::shuffle, Purpose negatives = Purpose::negatives) {
  const Partition partition{users, shards};
  const ShardLayout layout{shards, ranks};
  Sampled all;
  all.by_step.resize(static_cast<std::size_t>(steps));
  for (int rank = 0; rank < ranks; ++rank) {
    const Index first = partition.begin(layout.first_shard(rank));
    const UserLists lists = lists_of(first, partition.begin(layout.end_shard(rank)));
    for (int shard = layout.first_shard(rank); shard < layout.end_shard(rank); ++shard) {
      TripleSampler sampler(lists, partition.begin(shard) - first, partition.size(shard), shard, items, seed, order,
                            negatives);
      MicroBatch batch;
      sampler.begin_epoch(epoch);
      for (std::int64_t step = 0; step < steps; ++step) {
        sampler.sample(step, steps, batch);
        BOOST_TEST(batch.triples() <= sampler.most_triples(steps));
        const auto drawn = triples_of(batch, first);
        auto& to = all.by_step[static_cast<std::size_t>(step)];
        to.insert(to.end(), drawn.begin(), drawn.end());
      }
      all.skipped += sampler.skipped();
    }
  }
  return all;
}

std::vector<Triple> flat(const Sampled& sampled) {
  std::vector<Triple> all;
  for (const auto& step : sampled.by_step) all.insert(all.end(), step.begin(), step.end());
  return all;
}

bool owns_everything(Index user) {
  return static_cast<Index>(list_of(user).size()) == items;
}

std::multiset<std::pair<Index, Index>> positives(const std::vector<Triple>& triples) {
  std::multiset<std::pair<Index, Index>> pairs;
  for (const auto& [u, i, j] : triples) pairs.emplace(u, i);
  return pairs;
}

std::multiset<std::pair<Index, Index>> all_positives() {
  std::multiset<std::pair<Index, Index>> pairs;
  for (Index u = 0; u < users; ++u) {
    if (owns_everything(u)) continue;
    for (const ItemId i : list_of(u)) pairs.emplace(u, i);
  }
  return pairs;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(triple_sampler)

BOOST_AUTO_TEST_CASE(an_epoch_visits_every_positive_once_however_many_steps_it_has) {
  const auto expected = all_positives();
  for (const std::int64_t steps : {1, 2, 7, 50, 1000}) BOOST_TEST((positives(flat(draw(1, 3, steps))) == expected));
}

BOOST_AUTO_TEST_CASE(negatives_are_never_in_the_list_of_their_user) {
  for (std::int64_t epoch = 0; epoch < 20; ++epoch) {
    for (const auto& [u, i, j] : flat(draw(1, epoch, 5))) {
      const auto list = list_of(u);
      BOOST_TEST(!std::binary_search(list.begin(), list.end(), static_cast<ItemId>(j)));
      BOOST_TEST(j >= 0);
      BOOST_TEST(j < items);
      if (u == 7) BOOST_TEST(j == 20);
    }
  }
}

// Lists of every length at every place in a line, so that halves, lines and ends of all kinds occur.
BOOST_AUTO_TEST_CASE(whether_a_user_has_an_item_is_exact_for_lists_of_every_length_and_place) {
  constexpr Index most = 83;
  constexpr ItemId range = 401;
  UserLists lists;
  std::uint32_t state = 1;
  for (Index round = 0; round < 3; ++round) {
    for (Index length = 0; length < most; ++length) {
      std::set<ItemId> list;
      while (static_cast<Index>(list.size()) < length) {
        state = state * 1664525U + 1013904223U;
        list.insert((state >> 8) % range);
      }
      lists.items.insert(lists.items.end(), list.begin(), list.end());
      lists.offsets.push_back(static_cast<std::int64_t>(lists.items.size()));
    }
  }
  const TripleSampler sampler(lists, 0, lists.users(), 0, range, 5);
  std::size_t wrong = 0;
  for (Index user = 0; user < lists.users(); ++user) {
    const auto list = lists.of(user);
    for (ItemId item = 0; item < range + 20; ++item)
      wrong += sampler.owns(user, item) == std::binary_search(list.begin(), list.end(), item) ? 0 : 1;
  }
  BOOST_TEST(wrong == 0U);
}

BOOST_AUTO_TEST_CASE(users_who_have_every_item_are_left_out_and_counted) {
  std::int64_t hopeless = 0;
  for (Index u = 0; u < users; ++u) hopeless += owns_everything(u) ? items : 0;
  BOOST_TEST(hopeless == 3 * items);
  BOOST_TEST(draw(1, 0, 7).skipped == hopeless);
  BOOST_TEST(draw(3, 4, 1).skipped == hopeless);
}

BOOST_AUTO_TEST_CASE(negatives_are_uniform_over_the_items_that_the_user_lacks) {
  std::map<Index, std::map<Index, int>> counts;
  std::map<Index, int> draws;
  for (std::int64_t epoch = 0; epoch < 1500; ++epoch) {
    for (const auto& [u, i, j] : flat(draw(1, epoch, 2))) {
      if (u != 8 && u != 17 && u != 26) continue;
      ++counts[u][j];
      ++draws[u];
    }
  }
  for (const auto& [u, by_item] : counts) {
    const auto free = static_cast<double>(items - static_cast<Index>(list_of(u).size()));
    BOOST_TEST(static_cast<double>(by_item.size()) == free);
    const double expected = draws[u] / free;
    double chi_square = 0.0;
    for (const auto& [j, n] : by_item) chi_square += (n - expected) * (n - expected) / expected;
    // Mean free - 1, deviation sqrt(2 (free - 1)): five deviations.
    BOOST_TEST(chi_square < free - 1 + 5.0 * std::sqrt(2.0 * (free - 1)));
  }
}

// Every place of the order holds every positive about as often.
BOOST_AUTO_TEST_CASE(orders_are_shuffles_without_a_favourite) {
  UserLists lists;
  lists.items = {0, 1, 2, 3, 4, 5, 6};
  lists.offsets = {0, 3, 7};
  TripleSampler sampler(lists, 0, 2, 0, 50, 11);
  MicroBatch batch;
  constexpr int epochs = 7000;
  std::map<std::pair<int, Index>, int> counts;
  for (int epoch = 0; epoch < epochs; ++epoch) {
    sampler.begin_epoch(epoch);
    sampler.sample(0, 1, batch);
    const auto triples = triples_of(batch, 0);
    for (int place = 0; place < 7; ++place) ++counts[{place, std::get<1>(triples[static_cast<std::size_t>(place)])}];
  }
  BOOST_TEST(counts.size() == 49U);
  for (const auto& [place, n] : counts) BOOST_TEST(std::abs(n - epochs / 7.0) < 5.0 * std::sqrt(epochs / 7.0));
}

BOOST_AUTO_TEST_CASE(the_triples_of_a_shard_do_not_depend_on_the_rank_that_holds_it) {
  for (const std::int64_t steps : {1, 6, 300}) {
    const auto alone = draw(1, 2, steps);
    for (const int ranks : {2, 3, 4, 5, 8}) {
      const auto together = draw(ranks, 2, steps);
      BOOST_TEST((together.by_step == alone.by_step));
      BOOST_TEST(together.skipped == alone.skipped);
    }
  }
}

BOOST_AUTO_TEST_CASE(steps_may_be_drawn_again_and_in_any_order) {
  const Partition partition{users, shards};
  const UserLists lists = lists_of(0, users);
  const auto sampler = [&] { return TripleSampler(lists, partition.begin(3), partition.size(3), 3, items, 5); };
  TripleSampler straight = sampler();
  TripleSampler resumed = sampler();
  straight.begin_epoch(1);
  straight.begin_epoch(2);
  resumed.begin_epoch(2);
  MicroBatch a;
  MicroBatch b;
  for (std::int64_t step = 0; step < 9; ++step) {
    straight.sample(step, 9, a);
    if (step < 5) continue;
    resumed.sample(step, 9, b);
    BOOST_TEST((triples_of(a, 0) == triples_of(b, 0)));
  }
  resumed.sample(8, 9, b);
  BOOST_TEST((triples_of(a, 0) == triples_of(b, 0)));
}

BOOST_AUTO_TEST_CASE(epochs_seeds_and_purposes_draw_differently) {
  const auto first = flat(draw(1, 0, 3));
  BOOST_TEST((flat(draw(1, 0, 3)) == first));
  BOOST_TEST((flat(draw(1, 1, 3)) != first));
  BOOST_TEST((flat(draw(1, 0, 3, 6)) != first));
  BOOST_TEST((flat(draw(1, 0, 3, 5, Purpose::attack_start)) != first));
  BOOST_TEST((flat(draw(1, 0, 3, 5, Purpose::shuffle, Purpose::attack_negatives)) != first));
}

BOOST_AUTO_TEST_CASE(slots_name_distinct_rows_in_order_of_first_appearance) {
  const UserLists lists = lists_of(0, users);
  TripleSampler sampler(lists, 0, users, 0, items, 5);
  MicroBatch batch;
  sampler.begin_epoch(0);
  sampler.sample(0, 1, batch);
  const auto in_order = [](const std::vector<Index>& rows, const std::vector<std::int32_t>& slots) {
    BOOST_TEST(std::set<Index>(rows.begin(), rows.end()).size() == rows.size());
    std::int32_t next = 0;
    for (const std::int32_t slot : slots) {
      BOOST_TEST(slot <= next);
      next = std::max(next, slot + 1);
    }
    BOOST_TEST(static_cast<std::size_t>(next) == rows.size());
  };
  in_order(batch.users, batch.user);
  std::vector<std::int32_t> both;
  for (int t = 0; t < batch.triples(); ++t) {
    both.push_back(batch.positive[static_cast<std::size_t>(t)]);
    both.push_back(batch.negative[static_cast<std::size_t>(t)]);
  }
  in_order(batch.items, both);
}

BOOST_AUTO_TEST_CASE(a_shard_without_positives_draws_nothing) {
  UserLists lists;
  lists.offsets = {0, 0, 0};
  TripleSampler sampler(lists, 0, 2, 1, items, 5);
  MicroBatch batch;
  sampler.begin_epoch(0);
  for (std::int64_t step = 0; step < 3; ++step) {
    sampler.sample(step, 3, batch);
    BOOST_TEST(batch.triples() == 0);
  }
  BOOST_TEST(sampler.skipped() == 0);
}

// One micro-batch may serve many samplers, one after the other.
BOOST_AUTO_TEST_CASE(a_micro_batch_that_served_a_larger_sampler_serves_a_fresh_one) {
  const UserLists lists = lists_of(0, users);
  TripleSampler larger(lists, 0, users, 0, items, 5);
  MicroBatch batch;
  larger.begin_epoch(0);
  larger.sample(0, 1, batch);
  TripleSampler fresh(lists, 0, users / 2, 0, items, 5);
  MicroBatch own;
  fresh.begin_epoch(0);
  fresh.sample(0, 1, batch);
  fresh.sample(0, 1, own);
  BOOST_TEST((triples_of(batch, 0) == triples_of(own, 0)));
}

BOOST_AUTO_TEST_CASE(the_slot_finder_numbers_keys_in_order_of_first_appearance) {
  data::SlotFinder finder(100);
  for (int round = 0; round < 3; ++round) {
    finder.clear();
    for (std::uint32_t k = 0; k < 100; ++k) {
      bool fresh = false;
      BOOST_TEST(finder.find(k << 20, fresh) == static_cast<std::int32_t>(k));
      BOOST_TEST(fresh);
    }
    for (std::uint32_t k = 0; k < 100; ++k) {
      bool fresh = true;
      BOOST_TEST(finder.find(k << 20, fresh) == static_cast<std::int32_t>(k));
      BOOST_TEST(!fresh);
    }
  }
}

BOOST_AUTO_TEST_CASE(the_sampler_that_draws_next_changes_nothing) {
  const Partition partition{users, shards};
  const UserLists lists = lists_of(0, users);
  TripleSampler first(lists, partition.begin(3), partition.size(3), 3, items, 5);
  TripleSampler second(lists, partition.begin(4), partition.size(4), 4, items, 5);
  first.begin_epoch(0);
  second.begin_epoch(0);
  MicroBatch alone;
  MicroBatch followed;
  for (std::int64_t step = 0; step < 9; ++step) {
    first.sample(step, 9, alone);
    first.sample(step, 9, followed, &second);
    BOOST_TEST((triples_of(alone, 0) == triples_of(followed, 0)));
  }
}

BOOST_AUTO_TEST_SUITE_END()
