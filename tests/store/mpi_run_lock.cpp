#include <ctime>
#include <fcntl.h>
#include <fstream>
#include <memory>
#include <sys/stat.h>

#include "store/checkpoint_case.hpp"
#include "support/sentence.hpp"
#include <boost/test/unit_test.hpp>

#include "spar/store/run_lock.hpp"

using namespace spar;
using namespace spar::store;
using namespace spar::test;
using comm::Communicator;

BOOST_AUTO_TEST_SUITE(run_lock_of_all_ranks)

BOOST_AUTO_TEST_CASE(all_ranks_hold_the_nonce_that_rank_0_wrote) {
  const Communicator world = Communicator::world();
  const SharedFolder folder(world);
  {
    RunLock lock = RunLock::acquire(world, folder.path());
    BOOST_CHECK_EQUAL(lock.nonce().size(), 16U);
    BOOST_CHECK_EQUAL(read_lock(folder.path())->nonce, lock.nonce());
    BOOST_CHECK(lock.still_owner());
    for (const std::string& nonce : world.allgather(lock.nonce())) BOOST_CHECK_EQUAL(nonce, lock.nonce());
    lock.touch();
    world.barrier();
  }
  world.barrier();
  BOOST_CHECK(!read_lock(folder.path()));
}

BOOST_AUTO_TEST_CASE(all_ranks_leave_when_another_job_runs_there) {
  const Communicator world = Communicator::world();
  const SharedFolder folder(world);
  const RunLock lock = RunLock::acquire(world, folder.path());
  const std::string sentence = sentence_of(ExitCode::usage, [&] { RunLock::acquire(world, folder.path()); });
  BOOST_CHECK(sentence.find(folder.path() + " is in use by process ") == 0);
  for (const std::string& other : world.allgather(sentence)) BOOST_CHECK_EQUAL(other, sentence);
  BOOST_CHECK(lock.still_owner());
  world.barrier();
}

BOOST_AUTO_TEST_CASE(a_directory_that_is_not_shared_is_said) {
  const Communicator world = Communicator::world();
  if (world.size() == 1) return;
  const SharedFolder folder(world);
  const ScratchFolder own;  // the last rank has another disk at this path
  const bool elsewhere = world.rank() == world.size() - 1;
  LockTimes times;
  times.visible_seconds = 0.3;
  const std::string sentence = sentence_of(
      ExitCode::environment, [&] { RunLock::acquire(world, elsewhere ? own.path() : folder.path(), times); });
  for (const std::string& other : world.allgather(sentence)) BOOST_CHECK_EQUAL(other, sentence);
  BOOST_CHECK(sentence.find(" is not shared by all nodes: rank " + std::to_string(world.size() - 1) + " on host ") !=
              std::string::npos);
  BOOST_CHECK(sentence.find("; choose a --run on a file system that every node mounts") != std::string::npos);
  world.barrier();
  BOOST_CHECK(!read_lock(folder.path()));  // and the lock is not left behind
}

BOOST_AUTO_TEST_CASE(who_lost_the_lock_learns_it_at_the_next_touch_and_leaves_the_new_one_alone) {
  const Communicator world = Communicator::world();
  const SharedFolder folder(world);
  LockTimes times;
  times.touch_seconds = 0;
  std::string stolen;
  {
    RunLock lock = RunLock::acquire(world, folder.path(), times);
    world.barrier();
    if (world.is_root()) {
      std::ofstream(folder.file("run.lock"))
          << R"({"nonce":"thief","host":"n","machine":"m","process":1,"process_start":1,"job":"","restarts":0,"since":"s"})";
      stolen = sentence_of(ExitCode::environment, [&] { lock.touch(); });
      BOOST_CHECK(stolen.find(folder.file("run.lock") + " is no longer this run's: ") == 0);
    }
    world.barrier();
    BOOST_CHECK(!lock.still_owner());
    lock.release();
  }
  world.barrier();
  BOOST_CHECK_EQUAL(read_lock(folder.path()) ? read_lock(folder.path())->nonce : "", "thief");
}

BOOST_AUTO_TEST_SUITE_END()
