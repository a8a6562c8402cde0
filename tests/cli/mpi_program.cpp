#include <stdexcept>

#include <boost/test/unit_test.hpp>

#include "spar/base/error.hpp"
#include "spar/cli/program.hpp"

BOOST_AUTO_TEST_SUITE(program)

BOOST_AUTO_TEST_CASE(all_ranks_leave_with_the_largest_code_of_any) {
  const auto world = spar::comm::Communicator::world();
  BOOST_TEST(spar::cli::run_together(world, [](const spar::comm::Communicator&) { return 0; }) == 0);
  const int last = world.size() - 1;
  BOOST_TEST(spar::cli::run_together(
                 world, [&](const spar::comm::Communicator& c) { return c.rank() == last ? 75 : 0; }) == 75);
}

BOOST_AUTO_TEST_CASE(a_mistake_that_one_rank_sees_gives_all_ranks_its_exit_code) {
  const auto world = spar::comm::Communicator::world();
  const int last = world.size() - 1;
  const int code = spar::cli::run_together(world, [&](const spar::comm::Communicator& c) {
    spar::comm::agree(c, [&] {
      if (c.rank() == last) throw spar::EnvironmentError("a mistake on purpose, of a test");
    });
    return 0;
  });
  BOOST_TEST(code == 3);
}

// Ends all ranks, so it is run by name only (end_to_end/test_cli_errors.py).
BOOST_AUTO_TEST_CASE(a_failure_that_one_rank_has_alone, *boost::unit_test::disabled()) {
  const auto world = spar::comm::Communicator::world();
  const int last = world.size() - 1;
  spar::cli::run_together(world, [&](const spar::comm::Communicator& c) {
    if (c.rank() == last) throw std::out_of_range("an index on purpose, of a test");
    c.barrier();
    return 0;
  });
}

BOOST_AUTO_TEST_SUITE_END()
