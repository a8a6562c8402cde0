#pragma once
#include <cstdint>
#include <span>

#include "spar/base/types.hpp"

/// How many scores lie above given ones: the ranks of known items without any list (the owner of an item tells its
/// score, everybody counts).
namespace spar::catalogue {

/// above[t] += the number of k in [0, count) with scores[k] > thresholds[t]. `scores` is aligned to a vector
/// (lanes.hpp), and the values beyond `count` are -inf up to the end of the last vector; count < 2^31. Thresholds are
/// finite or -inf.
void count_above(const float* scores, Index count, std::span<const float> thresholds, std::uint32_t* above);

/// The number of k in [0, count) with scores[k] == value.
std::uint32_t count_equal(const float* scores, Index count, float value);

/// The next float below x: scores[k] >= x is scores[k] > below(x). x is finite.
float below(float x);

}  // namespace spar::catalogue
