#include "data_tools/npy_reader.hpp"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>

#include <fmt/format.h>

#include "data_tools/numbers.hpp"
#include "spar/base/error.hpp"

namespace spar::data_tools {

namespace {

constexpr std::string_view magic = "\x93NUMPY";
constexpr std::size_t longest_header = std::size_t{1} << 20;
constexpr Index widest = Index{1} << 20;
static_assert(std::endian::native == std::endian::little);

/// The text behind 'key': in the header, which is the text of a Python dictionary.
std::string_view value_of(std::string_view header, std::string_view key) {
  const std::size_t at = header.find(fmt::format("'{}':", key));
  if (at == std::string_view::npos) return {};
  std::string_view rest = header.substr(at + key.size() + 3);
  rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
  return rest;
}

/// The numbers of "(3, 4), ..."; nothing where it is something else.
std::vector<Index> numbers_of_shape(std::string_view text) {
  std::vector<Index> numbers;
  if (!text.starts_with('(')) return numbers;
  const std::size_t close = std::min(text.find(')'), text.size());
  const char* at = text.data() + 1;
  const char* end = text.data() + close;
  while (at < end) {
    Index value = 0;
    const auto [next, error] = std::from_chars(at, end, value);
    if (error != std::errc()) return {};
    numbers.push_back(value);
    at = next;
    while (at < end && (*at == ',' || *at == ' ' || *at == 'L')) ++at;
  }
  return numbers;
}

std::string quoted_word(std::string_view text) {
  if (!text.starts_with('\'')) return std::string(text.substr(0, 40));
  return std::string(text.substr(1, text.find('\'', 1) - 1));
}

}  // namespace

bool NpyReader::is_npy(const std::string& path) {
  return TextSource::open(path)->peek(magic.size()) == magic;
}

NpyReader::NpyReader(const std::string& path) : source_(TextSource::open(path)) {
  read_header();
  bytes_.resize(static_cast<std::size_t>(columns_) * (doubles_ ? 8 : 4));
  values_.resize(static_cast<std::size_t>(columns_));
}

void NpyReader::read_header() {
  const auto broken = [&] { return UserError(fmt::format("{} has a .npy header that cannot be read", name())); };
  char start[8];
  if (source_->read(start, 8) < 8 || std::string_view(start, 6) != magic) throw broken();
  std::uint32_t size = 0;
  const std::size_t width = start[6] == 1 ? 2 : 4;
  if (source_->read(reinterpret_cast<char*>(&size), width) < width || size > longest_header) throw broken();
  std::string header(size, '\0');
  if (source_->read(header.data(), size) < size) throw broken();

  const std::string type = quoted_word(value_of(header, "descr"));
  if (type != "<f4" && type != "<f8") {
    throw UserError(
        fmt::format("{} holds elements of type {} where float32 (<f4) or float64 (<f8) belong: save "
                    "x.astype('float32')",
                    name(), shown(type)));
  }
  doubles_ = type == "<f8";
  if (!value_of(header, "fortran_order").starts_with("False")) {
    throw UserError(
        fmt::format("{} is stored column by column (Fortran order) where rows belong: save "
                    "numpy.ascontiguousarray(x)",
                    name()));
  }
  const std::string_view shape_text = value_of(header, "shape");
  const std::vector<Index> shape = numbers_of_shape(shape_text);
  if (shape.empty() || shape.size() > 2 || *std::min_element(shape.begin(), shape.end()) < 1) {
    throw UserError(fmt::format("{} has the shape {} where rows x columns belong, a row of numbers for each id", name(),
                                shape_text.substr(0, shape_text.find(')') + 1)));
  }
  rows_ = shape[0];
  columns_ = shape.size() == 2 ? shape[1] : 1;
  if (columns_ > widest)
    throw UserError(fmt::format("{} has rows of {} numbers; at most {} are allowed", name(), columns_, widest));
}

std::span<const float> NpyReader::next() {
  if (source_->read(bytes_.data(), bytes_.size()) < bytes_.size())
    throw UserError(fmt::format("{} is truncated: it ends within row {} of {} (counted from 0)", name(), row_, rows_));
  for (std::size_t k = 0; k < values_.size(); ++k) {
    if (doubles_) {
      double value = 0;
      std::memcpy(&value, &bytes_[8 * k], 8);
      values_[k] = static_cast<float>(value);
    } else {
      std::memcpy(&values_[k], &bytes_[4 * k], 4);
    }
    if (!std::isfinite(values_[k])) {
      throw UserError(
          fmt::format("{}, row {}, column {} (counted from 0): the feature {} is not a finite number as "
                      "float32",
                      name(), row_, k, values_[k]));
    }
  }
  ++row_;
  return values_;
}

void NpyReader::finish() {
  char more = 0;
  if (source_->read(&more, 1) > 0)
    throw UserError(fmt::format("{} goes on behind the {} rows that its header announces", name(), rows_));
}

}  // namespace spar::data_tools
