#include "data_tools/numbers.hpp"

#include <array>
#include <charconv>
#include <chrono>
#include <cmath>

#include <fmt/format.h>

namespace spar::data_tools {

std::optional<double> to_number(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) return std::nullopt;
  return value;
}

namespace {

/// Takes `width` digits and, behind them, one of `ends` (where given) off the front.
bool take(std::string_view& text, std::size_t width, std::string_view ends, int& value) {
  if (text.size() < width) return false;
  value = 0;
  for (std::size_t k = 0; k < width; ++k) {
    if (text[k] < '0' || text[k] > '9') return false;
    value = value * 10 + (text[k] - '0');
  }
  text.remove_prefix(width);
  if (ends.empty()) return true;
  if (text.empty() || ends.find(text.front()) == std::string_view::npos) return false;
  text.remove_prefix(1);
  return true;
}

/// The rest of a time of day behind hours and minutes: seconds, a fraction (dropped), an offset from UTC in seconds.
bool take_seconds_and_offset(std::string_view text, int& seconds, int& offset) {
  seconds = offset = 0;
  if (text.starts_with(':')) {
    text.remove_prefix(1);
    if (!take(text, 2, "", seconds)) return false;
    if (text.starts_with('.')) {
      text.remove_prefix(1);
      while (!text.empty() && text.front() >= '0' && text.front() <= '9') text.remove_prefix(1);
    }
  }
  if (text.empty() || text == "Z") return true;
  const int sign = text.front() == '-' ? -1 : 1;
  if (text.front() != '+' && text.front() != '-') return false;
  text.remove_prefix(1);
  int hours = 0, minutes = 0;
  if (!take(text, 2, "", hours)) return false;
  if (text.starts_with(':')) text.remove_prefix(1);
  if (!text.empty() && !take(text, 2, "", minutes)) return false;
  offset = sign * (hours * 3600 + minutes * 60);
  return text.empty();
}

std::optional<std::int64_t> to_date(std::string_view text) {
  int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0, offset = 0;
  if (!take(text, 4, "-", year) || !take(text, 2, "-", month) || !take(text, 2, "", day)) return std::nullopt;
  if (!text.empty()) {
    if (text.front() != ' ' && text.front() != 'T') return std::nullopt;
    text.remove_prefix(1);
    if (!take(text, 2, ":", hour) || !take(text, 2, "", minute)) return std::nullopt;
    if (!take_seconds_and_offset(text, second, offset)) return std::nullopt;
  }
  const std::chrono::year_month_day date{std::chrono::year{year}, std::chrono::month{static_cast<unsigned>(month)},
                                         std::chrono::day{static_cast<unsigned>(day)}};
  if (!date.ok() || hour > 24 || minute > 59 || second > 60) return std::nullopt;
  const std::int64_t days = std::chrono::sys_days{date}.time_since_epoch().count();
  return days * 86400 + hour * 3600 + minute * 60 + second - offset;
}

}  // namespace

std::optional<std::int64_t> to_time(std::string_view text) {
  std::int64_t whole = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), whole);
  if (error == std::errc() && end == text.data() + text.size()) return whole;
  if (const auto number = to_number(text)) {
    if (std::abs(*number) > 9e18) return std::nullopt;
    return static_cast<std::int64_t>(std::floor(*number));
  }
  return to_date(text);
}

namespace {

/// Bytes of the valid UTF-8 character at the front of `text`, or 0 (Unicode 15, table 3-7).
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t k) { return static_cast<unsigned char>(text[k]); };
  const auto continues = [&](std::size_t k) { return k < text.size() && (byte(k) & 0xc0) == 0x80; };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) return continues(1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef) {
    if (!continues(1) || !continues(2)) return 0;
    if ((first == 0xe0 && byte(1) < 0xa0) || (first == 0xed && byte(1) > 0x9f)) return 0;
    return 3;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    if (!continues(1) || !continues(2) || !continues(3)) return 0;
    if ((first == 0xf0 && byte(1) < 0x90) || (first == 0xf4 && byte(1) > 0x8f)) return 0;
    return 4;
  }
  return 0;
}

}  // namespace

std::string valid_utf8(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    const auto first = static_cast<unsigned char>(text.front());
    if (first == 0) {
      result += "\xef\xbf\xbd";
    } else if (length > 0) {
      result += text.substr(0, length);
    } else {
      result += static_cast<char>(0xc0 | (first >> 6));
      result += static_cast<char>(0x80 | (first & 0x3f));
    }
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return result;
}

std::string shown(std::string_view text) {
  std::string result;
  for (const char c : text.substr(0, 40)) {
    const auto byte = static_cast<unsigned char>(c);
    result += byte < 0x20 || byte == 0x7f ? '?' : c;
  }
  return fmt::format("\"{}{}\"", valid_utf8(result), text.size() > 40 ? "..." : "");
}

}  // namespace spar::data_tools
