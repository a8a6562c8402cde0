#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "spar/base/types.hpp"
#include "spar/data/side_data.hpp"
#include "spar/store/array_file.hpp"

namespace spar::data {

class DatasetWriter;

/// What must be known of one set of side data before the first value is written (DatasetPlan::side). Counts by group
/// have row_groups entries, or none where all are 0.
struct SidePlan {
  SideKind kind = SideKind::features;
  Side side = Side::items;
  std::string name;            ///< is_side_name; tags: "tags"; dislikes: "dislikes"
  Index width = 1;             ///< as SideDescription::width; graphs, dislikes: not used
  std::size_t text_bytes = 1;  ///< attribute, bag, tags: of the longest category, word or tag; at least 1
  Index missing = 0;           ///< features: rows without
  bool weighted = false;       ///< graph
  bool timed = false;          ///< tags; dislikes: as the data set's interactions
  std::array<std::vector<std::int64_t>, 3> group_entries;  ///< bag, graph, dislikes: [0], entries; tags: assignments,
                                                           ///< by Part
  std::array<std::vector<std::int64_t>, 3> group_posts;    ///< tags: posts, by Part
};

/// A group's entries of a bag or a graph.
struct SparseSlice {
  std::span<const std::int64_t> offsets;   ///< rows of the group + 1, starting at 0
  std::span<const std::uint32_t> columns;  ///< ascending and distinct within a row
  std::span<const float> weights;          ///< as columns; graphs without weights: empty
};

/// A user group's posts of one part.
struct PostSlice {
  std::span<const std::int64_t> offsets;      ///< users of the group + 1, starting at 0
  std::span<const ItemId> items;              ///< by post, ascending within a user
  std::span<const std::int64_t> tag_offsets;  ///< posts + 1, starting at 0
  std::span<const std::uint32_t> tags;        ///< ascending and distinct within a post
  std::span<const std::int64_t> times;        ///< as tags where the plan has times, else empty
};

/// A user group's dislikes.
struct DislikeSlice {
  std::span<const std::int64_t> offsets;  ///< users of the group + 1, starting at 0
  std::span<const ItemId> items;          ///< ascending and distinct within a user
  std::span<const std::int64_t> times;    ///< as items where the plan has times, else empty
};

/// Writes the k-th side data of the plan of `writer`, which must outlive it. Each group of each array once, by any
/// rank, in any order; thread-safe for different groups.
class SideWriter {
 public:
  SideWriter(DatasetWriter& writer, std::size_t k);
  const SidePlan& plan() const { return plan_; }

  /// Features of a group's rows: rows x width; `present` (1 or 0) has one entry a row where the plan has missing rows,
  /// else it is not looked at.
  void write_features(int group, std::span<const float> values, std::span<const std::uint32_t> present);
  /// Codes of an attribute of a group's rows.
  void write_codes(int group, std::span<const std::uint32_t> codes);
  /// The categories of an attribute by code; once, by one rank.
  void write_values(std::span<const std::string> values);
  /// Entries of a bag or a graph.
  void write_sparse(int group, const SparseSlice& slice);
  /// Texts of the words of a bag / of tags in group `group` of the vocabulary (Partition{width, 1,024}).
  void write_vocabulary(int group, std::span<const std::string> words);
  void write_posts(Part part, int group, const PostSlice& slice);
  void write_dislikes(int group, const DislikeSlice& slice);

 private:
  std::string path(const std::string& array) const;
  void write_segment(const std::string& array, int segment, const void* values);
  /// `offsets` of one group, shifted by `base`; the closing one goes into the last group only.
  void write_offsets(const std::string& array, int group, std::int64_t base, std::span<const std::int64_t> offsets);
  std::size_t rows_of(int group) const;

  DatasetWriter& writer_;
  const SidePlan& plan_;
  Index rows_;
  std::array<std::vector<std::int64_t>, 3> entry_offsets_;  ///< running sums of the plan's counts
  std::array<std::vector<std::int64_t>, 3> post_offsets_;
};

}  // namespace spar::data
