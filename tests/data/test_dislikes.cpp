#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "data/sample_dataset.hpp"
#include "support/scratch.hpp"
#include "support/sentence.hpp"
#include <boost/test/unit_test.hpp>

#include "spar/data/dislike_law.hpp"
#include "spar/data/dislikes.hpp"
#include "spar/data/item_law.hpp"
#include "spar/data/side_data.hpp"
#include "spar/data/triple_sampler.hpp"

using namespace spar;
using namespace spar::test;

namespace {

constexpr Index total = 30;

data::UserLists lists_of(const std::vector<std::vector<ItemId>>& by_user) {
  data::UserLists lists;
  for (const auto& of_user : by_user) {
    lists.items.insert(lists.items.end(), of_user.begin(), of_user.end());
    lists.offsets.push_back(static_cast<std::int64_t>(lists.items.size()));
  }
  return lists;
}

// User 0 has no dislikes, user 1 has three, user 2 likes nothing.
data::UserLists train() {
  return lists_of({{0, 5, 7}, {2, 3, 11, 20}, {}});
}
std::shared_ptr<const data::UserLists> disliked() {
  return std::make_shared<const data::UserLists>(lists_of({{}, {4, 9, 29}, {1, 2}}));
}

data::ItemLaw law_of(double share, data::LawOptions options = {}) {
  data::ItemLaw law(total, options);
  law.use_dislikes(std::make_shared<const data::DislikeLaw>(disliked(), share));
  return law;
}

// How often each item is a user's negative, by user and item.
std::vector<std::vector<std::int64_t>> negatives(const data::ItemLaw* law, std::int64_t epochs) {
  const data::UserLists lists = train();
  data::TripleSampler sampler(lists, 0, 3, 2, total, 5);
  sampler.use_law(law);
  std::vector<std::vector<std::int64_t>> drawn(3, std::vector<std::int64_t>(total));
  data::MicroBatch batch;
  for (std::int64_t epoch = 0; epoch < epochs; ++epoch) {
    sampler.begin_epoch(epoch);
    sampler.sample(0, 1, batch);
    for (int k = 0; k < batch.triples(); ++k) {
      const auto at = static_cast<std::size_t>(k);
      const Index user = batch.users[static_cast<std::size_t>(batch.user[at])];
      const Index item = batch.items[static_cast<std::size_t>(batch.negative[at])];
      ++drawn[static_cast<std::size_t>(user)][static_cast<std::size_t>(item)];
    }
  }
  return drawn;
}

// A count of `draws` that each have probability p, as standard deviations from what is expected.
double deviations(std::int64_t count, std::int64_t draws, double p) {
  const double n = static_cast<double>(draws);
  return (static_cast<double>(count) - n * p) / std::sqrt(n * p * (1 - p));
}

class DislikesOnDisk {
 public:
  explicit DislikesOnDisk(bool times) : sample(SampleDataset::random(1511, 97, 4, times)) {
    data::DatasetPlan plan = sample.plan();
    data::SidePlan dislikes;
    dislikes.kind = data::SideKind::dislikes;
    dislikes.side = data::Side::users;
    dislikes.name = "dislikes";
    dislikes.timed = times;
    std::vector<std::vector<ItemId>> all;
    for (Index user = 0; user < sample.users; ++user) all.push_back(of(user));
    dislikes.group_entries[0] = sample.group_counts(all);
    plan.side = {dislikes};
    data::DatasetWriter writer = data::DatasetWriter::create(path(), plan);
    const Partition groups{sample.users, row_groups};
    for (int group = 0; group < row_groups; ++group) {
      sample.write_group(writer, group);
      const auto [offsets, items] = SampleDataset::flatten(all, groups.begin(group), groups.end(group));
      std::vector<std::int64_t> of_items;
      for (std::size_t k = 0; times && k < items.size(); ++k) of_items.push_back(SampleDataset::time(items[k]));
      data::SideWriter(writer, 0).write_dislikes(group, {offsets, items, of_items});
    }
    writer.commit();
  }

  // What a user has in no part, of every third item.
  std::vector<ItemId> of(Index user) const {
    std::vector<ItemId> items;
    for (ItemId item = static_cast<ItemId>(user % 3); item < static_cast<ItemId>(sample.items); item += 3) {
      const bool taken = std::ranges::any_of(sample.lists, [&](const auto& part) {
        const auto& list = part[static_cast<std::size_t>(user)];
        return std::ranges::binary_search(list, item);
      });
      if (!taken && user % 4 != 1) items.push_back(item);
    }
    return items;
  }
  std::string path() const { return folder.file("d.h5"); }

  ScratchFolder folder;
  SampleDataset sample;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(dislikes)

BOOST_AUTO_TEST_CASE(a_block_of_random_numbers_decides_by_its_halves) {
  const data::DislikeLaw law(disliked(), 0.25);
  const auto block = [](std::uint64_t first, std::uint64_t second) {
    return RandomStream::Block{static_cast<std::uint32_t>(first), static_cast<std::uint32_t>(first >> 32),
                               static_cast<std::uint32_t>(second), static_cast<std::uint32_t>(second >> 32)};
  };
  constexpr std::uint64_t quarter = std::uint64_t{1} << 62;
  constexpr std::uint64_t third = ~std::uint64_t{0} / 3;
  ItemId item = 77;
  BOOST_TEST(!law.draw(1, block(quarter, 0), item));
  BOOST_TEST(!law.draw(0, block(0, 0), item));
  BOOST_TEST(item == 77);
  BOOST_TEST((law.draw(1, block(quarter - 2048, 0), item) && item == 4));
  BOOST_TEST((law.draw(1, block(0, third), item) && item == 4));
  BOOST_TEST((law.draw(1, block(0, third + 1), item) && item == 9));
  BOOST_TEST((law.draw(1, block(0, ~std::uint64_t{0}), item) && item == 29));
  BOOST_TEST((law.draw(2, block(0, ~std::uint64_t{0}), item) && item == 2));
  BOOST_TEST(!law.knows(0));
  BOOST_TEST(law.knows(1));
}

BOOST_AUTO_TEST_CASE(the_share_of_a_users_negatives_are_his_dislikes_and_the_others_uniform) {
  for (const double share : {0.2, 0.7}) {
    const data::ItemLaw law = law_of(share);
    const auto drawn = negatives(&law, 30000);
    const data::UserLists own = train();
    const std::vector<Index> free{total - 3, total - 4};
    for (Index user = 0; user < 2; ++user) {
      const auto& of_user = drawn[static_cast<std::size_t>(user)];
      std::int64_t draws = 0;
      for (const std::int64_t n : of_user) draws += n;
      BOOST_TEST(draws == 30000 * static_cast<std::int64_t>(own.of(user).size()));
      for (Index item = 0; item < total; ++item) {
        const auto count = of_user[static_cast<std::size_t>(item)];
        if (own.contains(user, static_cast<ItemId>(item))) {
          BOOST_TEST(count == 0);
          continue;
        }
        const double uniform = 1.0 / static_cast<double>(free[static_cast<std::size_t>(user)]);
        const bool is_disliked = disliked()->contains(user, static_cast<ItemId>(item));
        const double of_law = user == 0 ? uniform : (1 - share) * uniform + (is_disliked ? share / 3 : 0.0);
        BOOST_TEST(std::abs(deviations(count, draws, of_law)) < 4.5, "user " << user << ", item " << item);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(without_a_share_the_draws_are_those_of_the_uniform_law_and_with_all_of_it_dislikes_alone) {
  const data::ItemLaw none = law_of(0.0);
  BOOST_TEST((negatives(&none, 200) == negatives(nullptr, 200)));
  const data::ItemLaw all = law_of(1.0);
  const auto drawn = negatives(&all, 200);
  BOOST_TEST((drawn[0] == negatives(nullptr, 200)[0]));
  BOOST_TEST(drawn[1][4] + drawn[1][9] + drawn[1][29] == 800);
}

// What is not a dislike is the draw that it would be without dislikes: they have random numbers of their own.
BOOST_AUTO_TEST_CASE(a_draw_that_is_no_dislike_is_the_one_of_the_law_behind_them) {
  const data::UserLists lists = train();
  const data::ItemLaw law = law_of(0.5);
  data::TripleSampler with(lists, 0, 3, 2, total, 5);
  data::TripleSampler without(lists, 0, 3, 2, total, 5);
  with.use_law(&law);
  int same = 0;
  int others = 0;
  for (std::int64_t epoch = 0; epoch < 100; ++epoch) {
    with.begin_epoch(epoch);
    without.begin_epoch(epoch);
    for (std::uint32_t place = 0; place < 8; ++place) {
      ItemId a = 0;
      ItemId b = 0;
      BOOST_TEST(with.draw_negative(1, 3, place, a));
      BOOST_TEST(without.draw_negative(1, 3, place, b));
      BOOST_TEST((a == b || disliked()->contains(1, a)));
      (a == b ? same : others) += 1;
      BOOST_TEST(with.rejects(1, b));
    }
  }
  BOOST_TEST(same > 300);
  BOOST_TEST(others > 300);
}

BOOST_AUTO_TEST_CASE(every_further_candidate_follows_the_law_with_dislikes) {
  const data::UserLists lists = train();
  const data::ItemLaw law = law_of(0.6, {.candidates = 5});
  data::TripleSampler sampler(lists, 0, 3, 2, total, 5);
  sampler.use_law(&law);
  BOOST_TEST(sampler.candidates() == 5);
  std::int64_t of_dislikes = 0;
  std::int64_t draws = 0;
  for (std::int64_t epoch = 0; epoch < 500; ++epoch) {
    sampler.begin_epoch(epoch);
    for (std::uint32_t place = 7; place < 7 * 5; ++place, ++draws) {
      ItemId item = 0;
      BOOST_TEST(sampler.draw_negative(1, 0, place, item));
      of_dislikes += disliked()->contains(1, item) ? 1 : 0;
    }
  }
  BOOST_TEST(std::abs(deviations(of_dislikes, draws, 0.6 + 0.4 * 3.0 / 26.0)) < 4.0);
}

BOOST_AUTO_TEST_CASE(dislikes_come_back_by_blocks_of_users) {
  for (const bool times : {false, true}) {
    const DislikesOnDisk disk(times);
    const store::ArrayFile file = data::open_dataset(disk.path());
    std::int64_t all = 0;
    const Partition quarters{disk.sample.users, 4};
    for (int quarter = 0; quarter < 4; ++quarter) {
      const Index first = quarters.begin(quarter);
      const data::UserLists lists = data::read_dislikes(file, first, quarters.end(quarter));
      const auto moments = data::read_dislike_times(file, first, quarters.end(quarter));
      BOOST_TEST(lists.first_user == first);
      BOOST_REQUIRE(lists.users() == quarters.size(quarter));
      for (Index k = 0; k < lists.users(); ++k) BOOST_TEST((std::ranges::equal(lists.of(k), disk.of(first + k))));
      BOOST_REQUIRE(moments.size() == (times ? lists.items.size() : 0));
      for (std::size_t k = 0; k < moments.size(); ++k) BOOST_TEST(moments[k] == SampleDataset::time(lists.items[k]));
      all += lists.count();
    }
    BOOST_TEST(data::read_header(file).dislikes == all);
    const auto side = data::list_side_data(file);
    BOOST_REQUIRE(side.size() == 1U);
    BOOST_TEST((side[0].kind == data::SideKind::dislikes && side[0].name == "dislikes"));
    BOOST_TEST((side[0].entries == all && side[0].width == 97 && side[0].rows == 1511 && side[0].timed == times));
  }
}

BOOST_AUTO_TEST_CASE(a_data_set_without_dislikes_says_which_option_makes_them) {
  const ScratchFolder folder;
  const SampleDataset sample = SampleDataset::random(11, 7, 4, false);
  sample.write(folder.file("d.h5"));
  const store::ArrayFile file = data::open_dataset(folder.file("d.h5"));
  BOOST_TEST(data::read_header(file).dislikes == 0);
  BOOST_TEST(sentence_of(ExitCode::usage, [&] { data::read_dislikes(file, 0, 11); }) ==
             file.path() + " has no dislikes: --dislikes-below of spar import makes them");
}

BOOST_AUTO_TEST_SUITE_END()
