#include "data_tools/histogram.hpp"

#include <algorithm>
#include <bit>

#include <fmt/format.h>

#include "spar/base/error.hpp"

namespace spar::data_tools {

namespace {

constexpr int bar_width = 40;

int bin_of(std::int64_t count) {
  return static_cast<int>(std::bit_width(static_cast<std::uint64_t>(count)));
}

}  // namespace

void LogHistogram::add(std::int64_t count) {
  SPAR_ASSERT(count >= 0);
  ++in_bin_[static_cast<std::size_t>(bin_of(count))];
  least_ = entities_ == 0 ? count : std::min(least_, count);
  most_ = std::max(most_, count);
  ++entities_;
  total_ += count;
}

std::vector<LogHistogram::Bin> LogHistogram::bins() const {
  std::vector<Bin> bins;
  if (entities_ == 0) return bins;
  const int first = bin_of(least_);
  const int last = bin_of(most_);
  for (int k = first; k <= last; ++k) {
    const std::int64_t begin = k == 0 ? 0 : std::int64_t{1} << (k - 1);
    bins.push_back({begin, k == 0 ? 0 : 2 * begin - 1, in_bin_[static_cast<std::size_t>(k)]});
  }
  return bins;
}

std::string LogHistogram::bars(const std::string& unit) const {
  std::string text;
  std::int64_t highest = 1;
  for (const Bin& bin : bins()) highest = std::max(highest, bin.entities);
  for (const Bin& bin : bins()) {
    const std::string range = bin.first == bin.last
                                  ? with_commas(bin.first)
                                  : fmt::format("{}-{}", with_commas(bin.first), with_commas(bin.last));
    // Any entity at all shows as a mark.
    const auto length = static_cast<std::size_t>((bin.entities * bar_width + highest - 1) / highest);
    text += fmt::format("{:>17}  {:<{}}  {} {}\n", range, std::string(length, '#'), bar_width,
                        with_commas(bin.entities), unit);
  }
  return text;
}

std::string with_commas(std::int64_t value) {
  const std::string digits = std::to_string(value);
  std::string text;
  for (std::size_t k = 0; k < digits.size(); ++k) {
    const bool group_starts = (digits.size() - k) % 3 == 0 && k > 0 && digits[k - 1] != '-';
    if (group_starts) text += ',';
    text += digits[k];
  }
  return text;
}

}  // namespace spar::data_tools
