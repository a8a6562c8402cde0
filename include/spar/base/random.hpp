#pragma once
#include <array>
#include <cstdint>

#include <Random123/philox.h>

/// Counter-based random numbers (Philox4x32-10; Salmon, Moraes, Dror and Shaw, SC 2011). A number is a pure function of
/// (seed, purpose, counter): there is no state to save and none that depends on ranks, threads or the order of calls.
namespace spar {

/// What a stream of random numbers is for. Values are part of the meaning of a seed: append, never renumber.
enum class Purpose : std::uint32_t {
  initial_rows = 1,
  shuffle = 2,
  negatives = 3,
  adversary_noise = 4,
  attack_start = 5,
  attack_negatives = 6,
  validation_users = 7,
  split = 8,
  synthetic = 9,
  sampled_candidates = 10,
  dropout = 11,
  user_order = 12,
};

/// Philox counters of one (seed, purpose). Value type; cheap to copy.
class RandomStream {
 public:
  using Block = std::array<std::uint32_t, 4>;

  RandomStream(std::uint64_t seed, Purpose purpose) : key_(derive_key(seed, purpose)) {}

  /// Four independent 32-bit words for the counter (a, b, c, d).
  Block block(std::uint32_t a, std::uint32_t b = 0, std::uint32_t c = 0, std::uint32_t d = 0) const {
    const r123::Philox4x32::ctr_type counter = {{a, b, c, d}};
    const auto words = r123::Philox4x32()(counter, key_);
    return {words[0], words[1], words[2], words[3]};
  }

  const r123::Philox4x32::key_type& key() const { return key_; }

 private:
  static r123::Philox4x32::key_type derive_key(std::uint64_t seed, Purpose purpose);
  r123::Philox4x32::key_type key_;
};

/// Two words of a block as one 64-bit number.
inline std::uint64_t word64(const RandomStream::Block& block, int half) {
  const auto k = static_cast<std::size_t>(2 * half);
  return block[k] | (static_cast<std::uint64_t>(block[k + 1]) << 32);
}

__extension__ typedef unsigned __int128 Word128;

/// A uniform integer in [0, n) from 64 random bits; the bias is below n / 2^64.
inline std::uint64_t bounded(std::uint64_t word, std::uint64_t n) {
  return static_cast<std::uint64_t>((static_cast<Word128>(word) * n) >> 64);
}

/// A uniform number in [0, 1) with 53 bits / in (0, 1) with 52 (one more would round up to 1).
inline double unit(std::uint64_t word) {
  return static_cast<double>(word >> 11) * 0x1.0p-53;
}
inline double open_unit(std::uint64_t word) {
  return (static_cast<double>(word >> 12) + 0.5) * 0x1.0p-52;
}

/// Two independent standard normal numbers from one block (Box and Muller 1958).
std::array<double, 2> normal_pair(const RandomStream::Block& block);

}  // namespace spar
