#define BOOST_TEST_DYN_LINK
#include <atomic>
#include <cstdlib>
#include <new>
#include <vector>

#include "allocations.hpp"
#include "slow_ranking.hpp"
#include <boost/test/unit_test.hpp>

#include "spar/base/error.hpp"
#include "spar/tape/operations.hpp"
#include "spar/tape/pairwise.hpp"
#include "spar/tape/sample_scope.hpp"

namespace {
std::atomic<std::int64_t> allocations{0};
}

std::int64_t spar::test::allocations_so_far() {
  return allocations;
}

// Not inlined: the compiler would take malloc and delete for a mismatch.
[[gnu::noinline]] void* operator new(std::size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}

namespace {

using namespace spar;
using test::Grid;

// What a training step does: a ranking, its perturbed second pass, and what small operations make of them.
void train_step(tape::Tape<float>& tape, Grid<float>& users, Grid<float>& items, Grid<float>& user_gradient,
                Grid<float>& item_gradient, Grid<float>& delta, const test::TripleList& triples) {
  tape.reset();
  tape.perturb("user", delta.view());
  const auto u = tape.tap("user", tape.parameter(users.view(), user_gradient.view()));
  const auto v = tape.parameter(items.view(), item_gradient.view());
  const auto clean = tape::pairwise_ranking(tape, u, v, triples.view(), {.l2 = 0.1}, -1, nullptr);
  const auto sample = tape::pairwise_sample_scope(tape, u, v, triples.view(), {}, {}, -1, nullptr, nullptr);
  const auto rows = tape::row_dot(tape, tape::gather(tape, u, triples.user), tape::gather(tape, v, triples.positive));
  const auto loss = tape::add(tape, tape::add(tape, clean, sample),
                              tape::scale(tape, tape::sum(tape, tape::logistic_loss(tape, rows, -80.0F)), 0.5F));
  tape.backward(tape::add(tape, loss, tape::squared_norm(tape, v)));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(tape_machinery)

BOOST_AUTO_TEST_CASE(the_steady_state_allocates_nothing_and_gives_the_same_bits) {
  const test::TripleList triples = test::some_triples(700, 300, 500);
  Grid<float> users(300, 64, 0.3, 1);
  Grid<float> items(500, 64, 0.3, 2);
  Grid<float> user_gradient(300, 64);
  Grid<float> item_gradient(500, 64);
  Grid<float> delta(300, 64, 0.01, 3);
  tape::Tape<float> tape;
  train_step(tape, users, items, user_gradient, item_gradient, delta, triples);
  const std::vector<float> first(item_gradient.row(0), item_gradient.row(499) + 64);
  train_step(tape, users, items, user_gradient, item_gradient, delta, triples);
  tape.reset();
  const float* start = tape.arena().take<float>(1);
  bool same_memory = true;
  const std::int64_t before = allocations;
  for (int step = 0; step < 5; ++step) {
    train_step(tape, users, items, user_gradient, item_gradient, delta, triples);
    tape.reset();
    same_memory = same_memory && tape.arena().take<float>(1) == start;
  }
  const std::int64_t during = allocations - before;
  BOOST_TEST(during == 0);
  BOOST_TEST(same_memory);
  BOOST_TEST(first == std::vector<float>(item_gradient.row(0), item_gradient.row(499) + 64));
}

BOOST_AUTO_TEST_CASE(the_arena_gives_whole_lines_that_do_not_overlap) {
  tape::Arena arena;
  for (int round = 0; round < 3; ++round) {
    std::vector<std::pair<const std::byte*, std::size_t>> taken;
    for (const std::size_t bytes : {1UL, 64UL, 65UL, 300'000UL, 7UL, 2'000'000UL, 64UL}) {
      std::byte* memory = arena.take<std::byte>(bytes);
      BOOST_TEST(reinterpret_cast<std::uintptr_t>(memory) % line_bytes == 0U);
      std::fill_n(memory, bytes, std::byte{0xAB});
      for (const auto& [other, size] : taken) BOOST_TEST((memory + bytes <= other || other + size <= memory));
      taken.emplace_back(memory, bytes);
    }
    arena.reset();
  }
}

BOOST_AUTO_TEST_CASE(backward_takes_a_scalar_and_scales_by_its_seed) {
  Grid<double> x(2, 3, 1.0, 1);
  Grid<double> gradient(2, 3);
  tape::Tape<double> tape;
  const auto a = tape.parameter(x.view(), gradient.view());
  tape.backward(tape::squared_norm(tape, a), -3.0);
  for (int r = 0; r < 2; ++r) {
    for (int c = 0; c < 3; ++c) BOOST_TEST(gradient.at(r, c) == -6.0 * x.at(r, c));
  }
  tape.reset();
  const auto b = tape.parameter(x.view(), gradient.view());
  BOOST_CHECK_THROW(tape.backward(b), Bug);
  const auto c = tape::sum(tape, tape.constant(x.view()));
  BOOST_CHECK_THROW(tape.backward(c), Bug);
}

BOOST_AUTO_TEST_CASE(parameters_that_the_loss_does_not_depend_on_get_gradient_zero) {
  Grid<double> x(2, 3, 1.0, 1);
  Grid<double> gradient(2, 3);
  Grid<double> other_gradient(2, 3);
  other_gradient.fill(5.0);
  tape::Tape<double> tape;
  const auto a = tape.parameter(x.view(), gradient.view());
  const auto unused = tape.parameter(x.view(), other_gradient.view());
  tape::scale(tape, unused, 2.0);
  tape.backward(tape::sum(tape, a));
  for (int c = 0; c < 3; ++c) BOOST_TEST(other_gradient.at(1, c) == 0.0);
  for (int c = 0; c < 3; ++c) BOOST_TEST(gradient.at(1, c) == 1.0);
}

BOOST_AUTO_TEST_CASE(constants_have_no_gradient) {
  Grid<double> x(2, 3, 1.0, 1);
  Grid<double> gradient(2, 3);
  tape::Tape<double> tape;
  const auto constant = tape.constant(x.view());
  const auto a = tape.parameter(x.view(), gradient.view());
  const auto product = tape::multiply(tape, a, constant);
  BOOST_TEST(!tape.needs_gradient(constant));
  BOOST_TEST(!tape.needs_gradient(tape::add(tape, constant, constant)));
  BOOST_TEST(tape.needs_gradient(product));
  tape.backward(tape::sum(tape, product));
  for (int c = 0; c < 3; ++c) BOOST_TEST(gradient.at(1, c) == x.at(1, c));
  BOOST_CHECK_THROW(tape.gradient(constant), Bug);
}

BOOST_AUTO_TEST_CASE(added_parameters_keep_what_their_gradient_held) {
  Grid<double> x(2, 3, 1.0, 1);
  Grid<double> gradient(2, 3);
  gradient.fill(5.0);
  tape::Tape<double> tape;
  const auto a = tape.added_parameter(x.view(), gradient.view());
  tape.backward(tape::sum(tape, a), 0.5);
  for (int c = 0; c < 3; ++c) BOOST_TEST(gradient.at(1, c) == 5.5);
}

BOOST_AUTO_TEST_SUITE_END()
