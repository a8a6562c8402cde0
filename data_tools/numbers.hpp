#pragma once
#include <bit>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

/// Numbers and times as they stand in text.
namespace spar::data_tools {

/// The decimal digits at `p`, at most eight: their number, and their value. Reads eight bytes. The bytes are tested and
/// joined in one word (the well-known trick of arithmetic within a register; needs a little-endian machine).
[[gnu::always_inline]] inline int digits_of_8(const char* p, std::uint64_t& value) {
  static_assert(std::endian::native == std::endian::little);
  std::uint64_t word;
  std::memcpy(&word, p, 8);
  word ^= 0x3030303030303030U;
  const std::uint64_t others = (word | (word + 0x7676767676767676U)) & 0x8080808080808080U;
  const int count = others == 0 ? 8 : std::countr_zero(others) / 8;
  if (count == 0) {
    value = 0;
    return 0;
  }
  word <<= 8 * (8 - count);
  word = word * 10 + (word >> 8);
  constexpr std::uint64_t mask = 0x000000ff000000ffU;
  value = ((word & mask) * 0x000f424000000064U + ((word >> 16) & mask) * 0x0000271000000001U) >> 32;
  return count;
}

inline constexpr std::uint64_t powers_of_10[9] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000};

/// The decimal digits at `p`: their number, at most 19, and their value, which is exact up to 18 digits. Reads up to 24
/// bytes.
[[gnu::always_inline]] inline int take_digits(const char* p, std::uint64_t& value) {
  int count = digits_of_8(p, value);
  if (count < 8) return count;
  std::uint64_t more = 0;
  const int second = digits_of_8(p + 8, more);
  value = value * powers_of_10[second] + more;
  count += second;
  while (count >= 16 && count < 19 && static_cast<unsigned char>(p[count] - '0') < 10) {
    if (count < 18) value = value * 10 + static_cast<std::uint64_t>(p[count] - '0');
    ++count;
  }
  return count;
}

/// A finite decimal number that is the whole of `text`.
std::optional<double> to_number(std::string_view text);

/// A moment: a number (fractions are cut off towards the past), or a date such as 2014-04-01, 2014-04-01 10:20:30 or
/// 2014-04-01T10:20:30.5+02:00, which becomes seconds since 1970 (UTC where no offset is given).
std::optional<std::int64_t> to_time(std::string_view text);

/// `text` for a sentence: quoted, at most 40 bytes, anything unprintable replaced.
std::string shown(std::string_view text);

/// `text` with every byte that is not part of valid UTF-8 read as Latin-1, and NUL replaced, so that any id can be
/// stored.
std::string valid_utf8(std::string_view text);

}  // namespace spar::data_tools
