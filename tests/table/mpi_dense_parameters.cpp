#include <algorithm>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "spar/table/dense_parameters.hpp"

using namespace spar;

BOOST_AUTO_TEST_SUITE(dense_parameters)

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
