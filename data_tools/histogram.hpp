#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace spar::data_tools {

/// Counts of counts in bins 0, 1, 2-3, 4-7, 8-15, ...: how many users have so many interactions.
class LogHistogram {
 public:
  void add(std::int64_t count);

  struct Bin {
    std::int64_t first = 0;  ///< counts first .. last
    std::int64_t last = 0;
    std::int64_t entities = 0;
  };
  /// From the first to the last bin with entities; empty bins between are in.
  std::vector<Bin> bins() const;
  std::int64_t entities() const { return entities_; }
  std::int64_t least() const { return least_; }
  std::int64_t most() const { return most_; }
  double mean() const { return entities_ == 0 ? 0.0 : static_cast<double>(total_) / static_cast<double>(entities_); }
  /// One line a bin: "     4-7  ########  123,456 users".
  std::string bars(const std::string& unit) const;

 private:
  std::array<std::int64_t, 65> in_bin_{};
  std::int64_t entities_ = 0;
  std::int64_t total_ = 0;
  std::int64_t least_ = 0;
  std::int64_t most_ = 0;
};

/// 1234567 as "1,234,567".
std::string with_commas(std::int64_t value);

}  // namespace spar::data_tools
