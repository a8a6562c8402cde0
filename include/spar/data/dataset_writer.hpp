#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "spar/base/types.hpp"
#include "spar/comm/communicator.hpp"
#include "spar/data/dataset_file.hpp"
#include "spar/data/partial_file.hpp"
#include "spar/data/side_writer.hpp"
#include "spar/store/array_file.hpp"

/// Writes the data set file of dataset_file.hpp one row group at a time, so that memory never holds more than a group
/// and any rank or thread may write any group.
namespace spar::data {

/// What must be known before the first value is written. Counts by group have row_groups (1,024) entries: entry g is
/// the sum over the users of group g.
struct DatasetPlan {
  std::string name;  ///< empty: the file's name without ending, whatever it is when it is read; so equal data are equal
                     ///< bytes under any name
  std::string source;  ///< where the interactions come from, one phrase
  std::string split;   ///< how train, validation and test were made, one phrase
  Index users = 0;
  Index items = 0;
  /// Interactions, by Part; empty: none. Where that of fold_in is empty, no user is held out.
  std::array<std::vector<std::int64_t>, 4> group_counts;
  std::optional<std::vector<std::int64_t>> negatives_group_counts;  ///< fixed candidates of a sampled protocol
  bool has_ratings = false;
  bool has_times = false;
  bool holds_out_users() const { return !group_counts[static_cast<std::size_t>(Part::fold_in)].empty(); }
  std::size_t user_id_bytes = 1;  ///< of the longest user id in UTF-8; at least 1
  std::size_t item_id_bytes = 1;
  std::vector<SidePlan> side;                ///< what is known of users and items besides; see SideWriter
  std::vector<store::Attribute> attributes;  ///< more attributes for people and tools
};

/// One user group's interactions of one part.
struct GroupSlice {
  std::span<const std::int64_t> offsets;  ///< users of the group + 1, starting at 0
  std::span<const ItemId> items;          ///< item rows, ascending and distinct within a user
  std::span<const float> ratings;         ///< as items where the plan has ratings, else empty
  std::span<const std::int64_t> times;    ///< as items where the plan has times, else empty
};

class DatasetWriter {
 public:
  /// One process creates the file and writes all of it. Errors as store::ArrayFileWriter::create; UserError for a
  /// catalogue beyond 2^32 - 1 items.
  static DatasetWriter create(const std::string& path, const DatasetPlan& plan);
  /// All ranks write one file: rank 0 creates it, the others join. Collective; the plan must be the same on every rank.
  static DatasetWriter create_together(const comm::Communicator& communicator, const std::string& path,
                                       const DatasetPlan& plan);

  /// The parts that the file has.
  std::span<const Part> parts() const { return parts_of(plan_.holds_out_users()); }
  /// Writes the interactions of user group `group`: each group of each part once, by any rank, in any order.
  /// Thread-safe for different groups. The number of items must be the plan's.
  void write_group(Part part, int group, const GroupSlice& slice);
  /// The fixed candidates of the users of a group, in any order within a user.
  void write_negatives(int group, std::span<const std::int64_t> offsets, std::span<const ItemId> items);
  /// Original ids of one group of users / items, one for each row. UserError for an id with a zero byte.
  void write_user_ids(int group, std::span<const std::string> ids);
  void write_item_ids(int group, std::span<const std::string> ids);

  /// Makes all durable and gives the file its name. After create().
  void commit();
  /// The same for create_together(). Collective; failures are agreed on.
  void commit_together(const comm::Communicator& communicator);

 private:
  friend class SideWriter;
  DatasetWriter(DatasetPlan plan, store::ArrayFileWriter writer);
  void write_lists(const std::string& offsets_array, const std::string& items_array,
                   const std::vector<std::int64_t>& group_offsets, int group, std::span<const std::int64_t> offsets,
                   std::span<const ItemId> items);
  void write_texts(const std::string& array, std::size_t bytes, int segment, std::span<const std::string> texts);

  DatasetPlan plan_;
  std::array<std::vector<std::int64_t>, 4> group_offsets_;  ///< by Part, 1,025 each
  std::vector<std::int64_t> negatives_group_offsets_;
  store::ArrayFileWriter writer_;
  std::unique_ptr<RemovedBySignals> removed_by_signals_;  ///< of every process that writes the file
};

}  // namespace spar::data
