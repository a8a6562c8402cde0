#include "spar/base/signals.hpp"

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <fmt/format.h>

#include "spar/base/error.hpp"

namespace spar {

namespace {

constexpr std::int64_t repeat_delay = 200'000'000;  // nanoseconds within which a second SIGINT is the first one again
constexpr int interrupted_exit = 128 + SIGINT;      // what shells report for a program that Ctrl-C ended

// Handlers may touch lock-free atomics only.
std::atomic<bool> requested{false};
std::atomic<int> first_signal{0};
std::atomic<std::int64_t> first_interrupt{0};
static_assert(std::atomic<bool>::is_always_lock_free && std::atomic<int>::is_always_lock_free);
static_assert(std::atomic<std::int64_t>::is_always_lock_free);

std::int64_t now() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

void on_signal(int signal) {
  const int saved_errno = errno;
  request_stop(signal);
  if (signal == SIGINT) {
    std::int64_t first = 0;
    const std::int64_t time = now();
    if (!first_interrupt.compare_exchange_strong(first, time) && time - first >= repeat_delay) _exit(interrupted_exit);
  }
  errno = saved_errno;
}

void handle(int signal, void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  if (sigaction(signal, &action, nullptr) != 0)
    throw EnvironmentError(fmt::format("cannot handle {}: {}", signal_name(signal), std::strerror(errno)));
}

}  // namespace

void install_signal_handlers() {
  for (const int signal : {SIGUSR1, SIGTERM, SIGINT}) handle(signal, on_signal);
  handle(SIGXFSZ, SIG_IGN);
}

bool stop_requested() noexcept {
  return requested.load(std::memory_order_relaxed);
}

int stop_signal() noexcept {
  return first_signal.load(std::memory_order_relaxed);
}

const char* signal_name(int signal) noexcept {
  switch (signal) {
    case 0:
      return "none";
    case SIGUSR1:
      return "SIGUSR1";
    case SIGTERM:
      return "SIGTERM";
    case SIGINT:
      return "SIGINT";
    case SIGXFSZ:
      return "SIGXFSZ";
    default:
      return "a signal";
  }
}

void request_stop(int signal) noexcept {
  int none = 0;
  first_signal.compare_exchange_strong(none, signal);
  requested.store(true);
}

void forget_stop_request() noexcept {
  requested.store(false);
  first_signal.store(0);
  first_interrupt.store(0);
}

}  // namespace spar
