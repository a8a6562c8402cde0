#include <algorithm>
#include <cstdint>
#include <utility>

#include <boost/test/unit_test.hpp>

#include "spar/base/error.hpp"
#include "spar/base/memory.hpp"

namespace {
bool aligned(const void* memory, std::size_t unit) {
  return reinterpret_cast<std::uintptr_t>(memory) % unit == 0;
}
}  // namespace

BOOST_AUTO_TEST_SUITE(memory)

BOOST_AUTO_TEST_CASE(buffers_start_zeroed_on_a_cache_line_and_large_ones_on_a_huge_page) {
  for (const std::size_t size : {std::size_t{1}, std::size_t{17}, std::size_t{100000}, std::size_t{3} << 20}) {
    spar::Buffer<float> buffer(size);
    BOOST_TEST(buffer.size() == size);
    BOOST_TEST(aligned(buffer.data(), spar::line_bytes));
    if (size * sizeof(float) >= std::size_t{2} << 20) BOOST_TEST(aligned(buffer.data(), std::size_t{2} << 20));
    BOOST_TEST(std::all_of(buffer.begin(), buffer.end(), [](float value) { return value == 0.0F; }));
  }
}

BOOST_AUTO_TEST_CASE(an_empty_buffer_needs_no_memory) {
  const spar::Buffer<int> buffer(0);
  BOOST_TEST(buffer.size() == 0U);
  BOOST_TEST((buffer.begin() == buffer.end()));
}

BOOST_AUTO_TEST_CASE(moving_a_buffer_moves_its_memory) {
  spar::Buffer<int> first(10);
  first[3] = 7;
  const int* memory = first.data();
  spar::Buffer<int> second(std::move(first));
  BOOST_TEST(second.data() == memory);
  BOOST_TEST(second[3] == 7);
  spar::Buffer<int> third;
  third = std::move(second);
  BOOST_TEST(third.data() == memory);
  BOOST_TEST(third.size() == 10U);
}

BOOST_AUTO_TEST_CASE(scratch_memory_grows_with_room_to_spare_and_does_not_shrink) {
  spar::Buffer<int> scratch;
  scratch.require(100);
  BOOST_TEST(scratch.size() >= 100U);
  const int* memory = scratch.data();
  scratch.require(101);
  scratch.require(5);
  BOOST_TEST(scratch.data() == memory);
}

BOOST_AUTO_TEST_CASE(refused_memory_is_an_environment_error_that_names_the_size) {
  BOOST_CHECK_EXCEPTION(spar::allocate_lines(std::size_t{1} << 60), spar::EnvironmentError,
                        [](const spar::EnvironmentError& error) {
                          return std::string(error.what()) == "no memory: 1152921504.61 GB were refused" &&
                                 error.code() == spar::ExitCode::environment;
                        });
}

BOOST_AUTO_TEST_CASE(strides_are_whole_cache_lines) {
  BOOST_TEST(spar::padded(1) == 16);
  BOOST_TEST(spar::padded(16) == 16);
  BOOST_TEST(spar::padded(17) == 32);
  BOOST_TEST(spar::padded(65) == 80);
}

BOOST_AUTO_TEST_CASE(a_broken_invariant_is_a_bug_that_names_its_place) {
  BOOST_CHECK_EXCEPTION(SPAR_ASSERT(1 + 1 == 3), spar::Bug, [](const spar::Bug& bug) {
    const std::string text = bug.what();
    return text.find("broken invariant 1 + 1 == 3 at ") == 0 && text.find("test_memory.cpp:") != std::string::npos;
  });
}

BOOST_AUTO_TEST_SUITE_END()
