#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <sys/resource.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "spar/base/signals.hpp"

using namespace spar;

namespace {

void wait_ms(int milliseconds) {
  std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
}

// The exit code of a child that installs the handlers and runs `body`.
int in_child(int (*body)()) {
  const pid_t child = fork();
  if (child == 0) {
    install_signal_handlers();
    _exit(body());
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(signals)

BOOST_AUTO_TEST_CASE(each_signal_asks_for_a_stop_and_the_first_is_remembered) {
  BOOST_CHECK_EQUAL(in_child([] {
                      for (const int signal : {SIGUSR1, SIGTERM, SIGINT}) {
                        forget_stop_request();
                        if (stop_requested() || stop_signal() != 0) return 1;
                        raise(signal);
                        if (!stop_requested() || stop_signal() != signal) return 2;
                        raise(SIGUSR1);
                        raise(SIGTERM);
                        if (stop_signal() != signal) return 3;
                      }
                      return 0;
                    }),
                    0);
}

BOOST_AUTO_TEST_CASE(an_interrupt_delivered_twice_is_one) {
  BOOST_CHECK_EQUAL(in_child([] {
                      raise(SIGINT);
                      wait_ms(20);
                      raise(SIGINT);
                      return stop_requested() ? 0 : 1;
                    }),
                    0);
}

BOOST_AUTO_TEST_CASE(a_second_interrupt_leaves_at_once) {
  BOOST_CHECK_EQUAL(in_child([] {
                      raise(SIGINT);
                      wait_ms(20);
                      raise(SIGINT);
                      wait_ms(200);
                      raise(SIGINT);
                      return 0;
                    }),
                    130);
}

BOOST_AUTO_TEST_CASE(other_signals_never_leave_at_once) {
  BOOST_CHECK_EQUAL(in_child([] {
                      raise(SIGTERM);
                      wait_ms(220);
                      raise(SIGTERM);
                      raise(SIGUSR1);
                      wait_ms(220);
                      raise(SIGINT);
                      return 0;
                    }),
                    0);
}

BOOST_AUTO_TEST_CASE(every_thread_sees_the_request) {
  BOOST_CHECK_EQUAL(in_child([] {
                      std::atomic<int> seen{0};
                      std::vector<std::thread> threads;
                      for (int k = 0; k < 4; ++k)
                        threads.emplace_back([&] {
                          while (!stop_requested()) std::this_thread::yield();
                          ++seen;
                        });
                      kill(getpid(), SIGTERM);
                      for (auto& thread : threads) thread.join();
                      return seen == 4 ? 0 : 1;
                    }),
                    0);
}

BOOST_AUTO_TEST_CASE(a_file_that_outgrows_its_limit_fails_to_be_written) {
  BOOST_CHECK_EQUAL(in_child([] {
                      const rlimit limit{10, 10};
                      setrlimit(RLIMIT_FSIZE, &limit);
                      char name[] = "/tmp/spar-test-limit-XXXXXX";
                      const int file = mkstemp(name);
                      unlink(name);
                      const bool first = write(file, "0123456789", 10) == 10;
                      const bool second = write(file, "x", 1) == -1 && errno == EFBIG;
                      return first && second ? 0 : 1;
                    }),
                    0);
}

BOOST_AUTO_TEST_CASE(names_are_those_of_the_system) {
  BOOST_CHECK_EQUAL(signal_name(SIGUSR1), "SIGUSR1");
  BOOST_CHECK_EQUAL(signal_name(SIGTERM), "SIGTERM");
  BOOST_CHECK_EQUAL(signal_name(SIGINT), "SIGINT");
  BOOST_CHECK_EQUAL(signal_name(0), "none");
}

BOOST_AUTO_TEST_SUITE_END()
