#include "spar/tape/layers/parameters.hpp"

#include <cmath>

#include <fmt/format.h>

#include "spar/base/error.hpp"
#include "spar/base/random.hpp"

namespace spar::tape::layers {

namespace {

int declare(std::vector<Parameter>& list, Parameter parameter) {
  for (const auto& other : list) {
    if (other.name == parameter.name) throw Bug(fmt::format("tape: {} is declared twice", parameter.name));
  }
  list.push_back(std::move(parameter));
  return static_cast<int>(list.size()) - 1;
}

// FNV-1a (Fowler, Noll and Vo).
std::uint64_t hash_of(const std::string& name) {
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  return hash;
}

// A standard normal number within two standard deviations.
double truncated(const RandomStream& stream, std::uint32_t row, std::uint32_t column) {
  for (std::uint32_t attempt = 0;; ++attempt) {
    for (const double x : normal_pair(stream.block(row, column, attempt))) {
      if (std::abs(x) <= 2.0) return x;
    }
  }
}

double number_of(const Parameter& p, const RandomStream& stream, int r, int c) {
  const auto row = static_cast<std::uint32_t>(r);
  const auto column = static_cast<std::uint32_t>(c);
  const auto within = [&](double width) { return width * (2.0 * unit(word64(stream.block(row, column), 0)) - 1.0); };
  const auto normal = [&](double deviation) { return deviation * normal_pair(stream.block(row, column))[0]; };
  switch (p.start.law) {
    case Law::constant:
      return p.start.size;
    case Law::uniform:
      return within(p.start.size);
    case Law::normal:
      return normal(p.start.size);
    case Law::truncated_normal:
      return p.start.size * truncated(stream, row, column);
    case Law::xavier_uniform:
      return within(std::sqrt(6.0 / (p.rows + p.columns)));
    case Law::xavier_normal:
      return normal(std::sqrt(2.0 / (p.rows + p.columns)));
    case Law::fan_in_uniform:
      return within(1.0 / std::sqrt(p.rows));
  }
  throw Bug("tape: a law of initial numbers that is none of its kinds");
}

}  // namespace

int Declarations::parameter(std::string name, int rows, int columns, Start start) {
  return declare(parameters_, {std::move(name), rows, columns, start});
}

int Declarations::state(std::string name, int rows, int columns, Start start) {
  return declare(states_, {std::move(name), rows, columns, start});
}

void fill_start(const Parameter& parameter, std::uint64_t seed, const Matrix<float>& to) {
  SPAR_ASSERT(to.rows == parameter.rows && to.columns == parameter.columns);
  const std::uint64_t hash = hash_of(parameter.name);
  // The last counter keeps dense parameters apart from the rows of tables, which start from the same purpose.
  constexpr std::uint32_t dense = 0xFFFFFFFFU;
  const auto own = RandomStream(seed, Purpose::initial_rows)
                       .block(static_cast<std::uint32_t>(hash), static_cast<std::uint32_t>(hash >> 32), dense, dense);
  const RandomStream stream(word64(own, 0), Purpose::initial_rows);
  for (int r = 0; r < to.rows; ++r) {
    for (int c = 0; c < to.columns; ++c) to.row(r)[c] = static_cast<float>(number_of(parameter, stream, r, c));
  }
}

}  // namespace spar::tape::layers
