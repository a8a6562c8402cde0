#pragma once
#include <algorithm>
#include <bit>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#include "support/shared_folder.hpp"

#include "spar/base/memory.hpp"
#include "spar/comm/communicator.hpp"
#include "spar/store/checkpoint.hpp"

/// Tables whose every value says where it belongs, for the tests of checkpoints.
namespace spar::test {

/// What stands in a column of a row: hardly ever the same at two places, or in two `version`s of the tables.
inline float value_at(int table, int field, Index row, int column, int version) {
  const std::uint32_t place[] = {static_cast<std::uint32_t>(table), static_cast<std::uint32_t>(field),
                                 static_cast<std::uint32_t>(row), static_cast<std::uint32_t>(column),
                                 static_cast<std::uint32_t>(version)};
  std::uint64_t mixed = 0;
  for (const std::uint32_t part : place) mixed = (mixed ^ part) * 0x9e3779b97f4a7c15ULL + (mixed >> 29);
  return std::bit_cast<float>(0x3f800000U | static_cast<std::uint32_t>(mixed >> 41));
}

/// Shapes of two tables as a trainer has them: records of vector, bias and optimiser state, with padding between.
struct Shape {
  Index users = 0;
  Index items = 0;
  int dim = 5;
};

inline std::vector<store::Field> user_fields(int dim) {
  return {{"vector", dim, 0}, {"vector.accumulator", dim, dim + 3}};
}
inline std::vector<store::Field> item_fields(int dim) {
  return {{"vector", dim, 1}, {"bias", 1, dim + 1}, {"vector.accumulator", dim, dim + 2}};
}

/// A rank's rows of both tables in memory.
class Tables {
 public:
  Tables(const Shape& shape, int shards, int ranks, int rank) {
    const ShardLayout layout{shards, ranks};
    add("user", shape.users, user_fields(shape.dim), layout, rank);
    add("item", shape.items, item_fields(shape.dim), layout, rank);
  }

  std::vector<store::TableRows>& rows() { return rows_; }
  const std::vector<store::TableRows>& rows() const { return rows_; }

  void fill(int version) {
    each([&](float& value, int table, int field, Index row, int column) {
      value = value_at(table, field, row, column, version);
    });
  }
  /// How many values differ from what fill(version) writes.
  Index wrong(int version) {
    Index count = 0;
    each([&](float& value, int table, int field, Index row, int column) {
      count += value != value_at(table, field, row, column, version);
    });
    return count;
  }

 private:
  void add(const std::string& name, Index total, const std::vector<store::Field>& fields, const ShardLayout& layout,
           int rank) {
    const Partition partition{total, layout.shards};
    const Index first = partition.begin(layout.first_shard(rank));
    const Index count = partition.begin(layout.end_shard(rank)) - first;
    const Index stride = fields.back().offset + fields.back().columns + 2;
    memory_.emplace_back(static_cast<std::size_t>(std::max<Index>(1, count * stride)));
    rows_.push_back({name, total, first, count, memory_.back().data(), stride, fields});
  }

  template <class Action>
  void each(Action&& action) {
    for (std::size_t t = 0; t < rows_.size(); ++t) {
      store::TableRows& table = rows_[t];
      for (std::size_t f = 0; f < table.fields.size(); ++f)
        for (Index k = 0; k < table.rows; ++k)
          for (int c = 0; c < table.fields[f].columns; ++c)
            action(table.records[k * table.stride + table.fields[f].offset + c], static_cast<int>(t),
                   static_cast<int>(f), table.first_row + k, c);
    }
  }

  std::vector<Buffer<float>> memory_;
  std::vector<store::TableRows> rows_;
};

/// Every third row of the rank's items waits for a gradient.
inline std::vector<store::PendingRows> pending_of(const Tables& tables) {
  store::PendingRows pending{"item", 3, {}, {}};
  const store::TableRows& items = tables.rows()[1];
  for (Index row = items.first_row; row < items.first_row + items.rows; ++row) {
    if (row % 3 != 1) continue;
    pending.rows.push_back(row);
    for (int c = 0; c < 3; ++c) pending.values.push_back(static_cast<float>(row) + 0.25F * static_cast<float>(c));
  }
  return {pending};
}

inline store::CheckpointInfo info_of(const std::string& name) {
  return {name, R"({"epoch":3,"loss":0.25})", "system = \"apr\"\n", "train.seed = 1", {{"d.h5", "0123456789abcdef"}}};
}

inline std::string bytes_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// The bytes of every file of a directory, by name.
inline std::map<std::string, std::string> contents(const std::string& directory) {
  std::map<std::string, std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(directory))
    files[entry.path().filename().string()] = bytes_of(entry.path().string());
  return files;
}

}  // namespace spar::test
