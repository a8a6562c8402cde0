#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "data_tools/text_source.hpp"
#include "spar/base/types.hpp"

/// Matrices as numpy.save writes them (the .npy format, versions 1 to 3), perhaps packed by gzip.
namespace spar::data_tools {

class NpyReader {
 public:
  /// Whether the file begins as a .npy file does.
  static bool is_npy(const std::string& path);

  /// UserError: not float32 or float64 of little-endian bytes, not of two dimensions, stored by column, a header that
  /// cannot be read. A vector of n numbers is a matrix of one column.
  explicit NpyReader(const std::string& path);

  const std::string& name() const { return source_->name(); }
  Index rows() const { return rows_; }
  Index columns() const { return columns_; }

  /// The next row as float32. To be called rows() times. UserError: the file ends too early, or a number is not finite
  /// (as float32).
  std::span<const float> next();
  /// UserError where bytes follow the last row.
  void finish();

 private:
  void read_header();

  std::unique_ptr<TextSource> source_;
  Index rows_ = 0;
  Index columns_ = 0;
  bool doubles_ = false;
  Index row_ = 0;
  std::vector<char> bytes_;
  std::vector<float> values_;
};

}  // namespace spar::data_tools
