#include <map>
#include <set>
#include <tuple>

#include "systems/toy_posts.hpp"
#include <boost/test/unit_test.hpp>

#include "spar/game/post_source.hpp"

namespace {

using namespace spar;
using game::NeuralBatch;

const test::ToyPosts toy;
constexpr std::int64_t steps = 7;

Index row(const NeuralBatch& batch, std::size_t table, std::size_t role, std::size_t example) {
  return batch.rows[table][static_cast<std::size_t>(batch.slots[role][example])];
}

}  // namespace

BOOST_AUTO_TEST_SUITE(post_source)

BOOST_AUTO_TEST_CASE(every_tag_of_a_post_comes_once_an_epoch_with_one_that_the_post_lacks) {
  const Index first = 10;
  const data::PostRows posts = toy.rows(first, first + 40);
  game::PostSource source(posts, 5, 30, 2, toy.tags, 1);
  source.begin_epoch(4);
  std::map<std::tuple<Index, Index, Index>, int> seen;
  std::set<Index> samples;
  std::set<Index> others;
  NeuralBatch batch;
  for (std::int64_t step = 0; step < steps; ++step) {
    source.draw(step, steps, batch);
    BOOST_REQUIRE(batch.rows.size() == 3U);
    BOOST_REQUIRE(batch.slots.size() == 4U);
    for (const auto& rows : batch.rows) BOOST_TEST(std::set<Index>(rows.begin(), rows.end()).size() == rows.size());
    for (std::size_t k = 0; k < static_cast<std::size_t>(batch.examples); ++k) {
      const Index user = row(batch, 0, 0, k);
      const Index item = row(batch, 1, 1, k);
      BOOST_TEST(user >= first + 5);
      BOOST_TEST(user < first + 35);
      BOOST_REQUIRE(toy.has(user, item));
      const auto tags = toy.tags_of(user, item);
      BOOST_TEST(std::ranges::binary_search(tags, static_cast<std::uint32_t>(row(batch, 2, 2, k))));
      BOOST_TEST(!std::ranges::binary_search(tags, static_cast<std::uint32_t>(row(batch, 2, 3, k))));
      ++seen[{user, item, row(batch, 2, 2, k)}];
      others.insert(row(batch, 2, 3, k));
      BOOST_TEST(samples.insert(batch.samples[k]).second);
    }
  }
  std::size_t assignments = 0;
  for (Index user = first + 5; user < first + 35; ++user) {
    for (Index item = 0; item < toy.items; ++item) {
      if (toy.has(user, item)) assignments += toy.tags_of(user, item).size();
    }
  }
  BOOST_TEST(assignments > 200U);
  BOOST_TEST(seen.size() == assignments);
  for (const auto& [triple, times] : seen) BOOST_TEST(times == 1);
  BOOST_TEST(source.entries() == static_cast<std::int64_t>(assignments));
  BOOST_TEST(source.skipped() == 0);
  BOOST_TEST(others.size() == static_cast<std::size_t>(toy.tags));
}

BOOST_AUTO_TEST_CASE(a_draw_is_a_function_of_epoch_and_step) {
  const data::PostRows posts = toy.rows(0, toy.users);
  game::PostSource once(posts, 0, 40, 1, toy.tags, 1);
  game::PostSource again(posts, 0, 40, 1, toy.tags, 1);
  NeuralBatch a;
  NeuralBatch b;
  once.begin_epoch(0);
  for (std::int64_t step = 0; step < steps; ++step) once.draw(step, steps, a);
  once.begin_epoch(3);
  once.draw(5, steps, a);
  again.begin_epoch(3);
  again.draw(5, steps, b);
  BOOST_TEST((a.rows == b.rows));
  BOOST_TEST((a.slots == b.slots));
  BOOST_TEST((a.samples == b.samples));
  again.begin_epoch(4);
  again.draw(5, steps, b);
  BOOST_TEST((a.rows != b.rows));
}

BOOST_AUTO_TEST_CASE(a_post_with_every_tag_is_left_out_and_counted) {
  data::Posts posts;
  posts.offsets = {0, 2};
  posts.items = {3, 8};
  posts.tag_offsets = {0, 4, 5};
  posts.tags = {0, 1, 2, 3, 2};
  const data::PostRows rows = data::rows_of(posts);
  game::PostSource source(rows, 0, 1, 0, 4, 1);
  source.begin_epoch(0);
  NeuralBatch batch;
  source.draw(0, 1, batch);
  BOOST_TEST(batch.examples == 1);
  BOOST_TEST((batch.rows[1] == std::vector<Index>{8}));
  BOOST_TEST(source.skipped() == 4);
}

BOOST_AUTO_TEST_SUITE_END()
