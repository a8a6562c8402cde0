#include <atomic>
#include <mutex>
#include <numeric>
#include <stdexcept>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "spar/base/threads.hpp"

namespace {
struct ThreadsForOneTest {
  explicit ThreadsForOneTest(int count) { spar::set_threads(count); }
  ~ThreadsForOneTest() { spar::set_threads(1); }
};
}  // namespace

BOOST_AUTO_TEST_SUITE(threads)

BOOST_AUTO_TEST_CASE(at_least_one_processor_and_one_thread) {
  BOOST_TEST(spar::available_processors() >= 1);
  const ThreadsForOneTest none(0);
  BOOST_TEST(spar::threads() == 1);
}

BOOST_AUTO_TEST_CASE(every_index_is_visited_once_on_any_number_of_threads) {
  for (const int count : {1, 2, 4}) {
    const ThreadsForOneTest pool(count);
    BOOST_TEST(spar::threads() == count);
    for (const int size : {0, 1, 2, 1000}) {
      std::vector<std::atomic<int>> visits(static_cast<std::size_t>(size));
      spar::parallel_for(size, [&](int k) { ++visits[static_cast<std::size_t>(k)]; });
      for (const auto& visit : visits) BOOST_TEST(visit == 1);
    }
  }
}

BOOST_AUTO_TEST_CASE(no_two_bodies_share_a_worker_at_the_same_time) {
  const ThreadsForOneTest pool(4);
  std::vector<std::atomic<int>> busy(4);
  std::atomic<bool> shared = false;
  std::atomic<bool> outside = false;
  spar::parallel_for_worker(2000, [&](int, int worker) {
    if (worker < 0 || worker >= 4) {
      outside = true;
      return;
    }
    if (busy[static_cast<std::size_t>(worker)].fetch_add(1) != 0) shared = true;
    volatile int work = 0;
    for (int k = 0; k < 200; ++k) work = work + k;
    busy[static_cast<std::size_t>(worker)].fetch_sub(1);
  });
  BOOST_TEST(!outside);
  BOOST_TEST(!shared);
}

BOOST_AUTO_TEST_CASE(an_exception_of_a_body_reaches_the_caller) {
  for (const int count : {1, 4}) {
    const ThreadsForOneTest pool(count);
    BOOST_CHECK_THROW(spar::parallel_for(100,
                                         [](int k) {
                                           if (k == 37) throw std::runtime_error("37");
                                         }),
                      std::runtime_error);
  }
}

BOOST_AUTO_TEST_SUITE_END()
