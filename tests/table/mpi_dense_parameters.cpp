#include <cmath>
#include <vector>

#include "slow_tree.hpp"
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include "spar/base/random.hpp"
#include "spar/table/dense_parameters.hpp"

namespace {

using namespace spar;

// Sizes over six decades, so that any other order of summation shows.
float part_of(int shard, std::size_t c) {
  const auto block =
      RandomStream(5, Purpose::synthetic).block(static_cast<std::uint32_t>(shard), static_cast<std::uint32_t>(c));
  return static_cast<float>(std::pow(10.0, static_cast<double>(block[0] % 7) - 3.0) *
                            (2.0 * unit(word64(block, 1)) - 1.0));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(dense_parameters)

BOOST_DATA_TEST_CASE(gradients_of_all_shards_are_summed_along_the_tree,
                     boost::unit_test::data::make({4, 8, 64}) * boost::unit_test::data::make({16, 48, 1040}), shards,
                     count) {
  const auto world = comm::Communicator::world();
  const ShardLayout layout{shards, world.size()};
  const auto floats = static_cast<std::size_t>(count);
  std::vector<float> mine;
  for (int s = layout.first_shard(world.rank()); s < layout.end_shard(world.rank()); ++s) {
    for (std::size_t c = 0; c < floats; ++c) mine.push_back(part_of(s, c));
  }
  std::vector<float> total(floats, -1.0F);
  table::sum_dense(world, layout, mine.data(), floats, total.data());
  std::map<int, test::FloatRow> present;
  for (int s = 0; s < shards; ++s) {
    for (std::size_t c = 0; c < floats; ++c) present[s].push_back(part_of(s, c));
  }
  BOOST_TEST((total == test::slow_tree_sum(present, 0, shards)));
}

BOOST_AUTO_TEST_CASE(a_rank_stores_the_rows_of_its_shards_and_gets_the_others_back) {
  const auto world = comm::Communicator::world();
  const ShardLayout layout{8, world.size()};
  const std::vector<table::DenseShape> shapes{{"w", 5, 20, "normal", 1.0}, {"b", 1, 20, "constant", 0.5}};
  const optim::OptimizerSettings adagrad{.rule = optim::Rule::adagrad};
  table::DenseParameters whole(shapes, layout, world.rank(), adagrad);
  whole.initialize(3, 7);
  BOOST_TEST(whole.table(1).record(0)[19] == 0.5F);
  table::DenseParameters part(shapes, layout, world.rank(), adagrad);
  part.initialize(4, 7);
  auto from = whole.stored(true);
  auto to = part.stored(true);
  Index rows = 0;
  for (std::size_t k = 0; k < from.size(); ++k) {
    BOOST_TEST(from[k].name == (k == 0 ? "dense.w" : "dense.b"));
    BOOST_TEST(from[k].total_rows == shapes[k].rows);
    rows += from[k].rows;
    std::copy_n(from[k].records, from[k].rows * from[k].stride, to[k].records);
  }
  BOOST_TEST(world.sum(static_cast<std::int64_t>(rows)) == 6);
  part.complete(world);
  for (int k = 0; k < part.count(); ++k) {
    const auto numbers = static_cast<std::size_t>(shapes[static_cast<std::size_t>(k)].rows * part.stride(k));
    BOOST_TEST(std::equal(part.table(k).record(0), part.table(k).record(0) + numbers, whole.table(k).record(0)));
  }
}

BOOST_AUTO_TEST_CASE(an_update_moves_every_matrix_by_its_own_gradient) {
  const auto world = comm::Communicator::world();
  table::DenseParameters dense({{"w", 3, 2, "constant", 1.0}, {"b", 1, 17, "constant", 2.0}}, {8, world.size()},
                               world.rank(), {.rule = optim::Rule::sgd});
  dense.initialize(1, 0);
  BOOST_TEST(dense.gradient_floats() == 3U * 16U + 32U);
  BOOST_TEST(dense.find("b") == 1);
  std::vector<float> gradient(dense.gradient_floats());
  gradient[dense.offset(0) + 16 + 1] = 4.0F;  // w, row 1, column 1
  gradient[dense.offset(1) + 16] = 8.0F;      // b, column 16
  optim::Updater updater({.rule = optim::Rule::sgd, .learning_rate = 0.25F});
  updater.begin_step(1);
  dense.update(updater, gradient.data());
  BOOST_TEST(dense.table(0).record(1)[1] == 0.0F);
  BOOST_TEST(dense.table(0).record(1)[0] == 1.0F);
  BOOST_TEST(dense.table(0).record(2)[1] == 1.0F);
  BOOST_TEST(dense.table(1).record(0)[16] == 0.0F);
  BOOST_TEST(dense.table(1).record(0)[15] == 2.0F);
}

BOOST_AUTO_TEST_SUITE_END()
