#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "spar/base/types.hpp"
#include "spar/store/array_file.hpp"

/// The data set on disk (docs/formats.md, "Data set"): interactions as CSR by user in three parts, original ids, and
/// where they came from.
///
///   /                 format = "spar-dataset", version = 1, users, items, train, validation, test, content, source,
///   split [, name] /users/ids        text [users]           original ids, by row /items/ids        text [items]
///   /train/offsets    i64 [users + 1]        interactions of user u: offsets[u] .. offsets[u+1]
///   /train/items      u32 [train]            item rows, ascending within a user
///   /train/ratings    f32 [train]            optional
///   /train/times      i64 [train]            optional, seconds since 1970 or input order
///   /validation/...   /test/...              as train; absent parts have 0 interactions and all-zero offsets
///   /fold_in/...                             optional, as train: what is told of users held out of training
///   /test/negatives_offsets i64 [users + 1], /test/negatives u32    optional: fixed candidates of a sampled protocol
///   /users/..., /items/..., /graphs/..., /tags/..., /dislikes/...    optional: side data (side_data.hpp)
///
/// Rows (users and items) are dealt out by falling number of interactions (RowDealing), so any shard holds about as
/// many interactions as any other. Interaction arrays are cut into checksum segments at the groups' offsets; offsets
/// arrays have one segment per group of users, segment g holding offsets[begin(g)] .. offsets[end(g)-1], the last
/// segment also the closing one.
namespace spar::data {

inline constexpr const char* dataset_format = "spar-dataset";
/// The newest version that is read. Files that hold users out have it; others are of version 1, which says the same of
/// them.
inline constexpr std::int64_t dataset_version = 2;

/// Users held out of training (strong generalisation: Liang et al., WWW 2018) have no interaction in train: what may be
/// known of them stands in fold_in, what must be found in validation or in test.
enum class Part { train, validation, test, fold_in };
const char* part_name(Part part);  ///< "train", "validation", "test", "fold_in"
/// The parts that a data set has: fold_in is the last, and only there where users are held out.
std::span<const Part> parts_of(bool holds_out_users);

/// The id spaces of a data set: rows of users, of items, of tags.
enum class IdSpace { users, items, tags };

/// What the header of a data set says; cheap to read.
struct DatasetHeader {
  std::string path;
  std::string name;  ///< for run directories and first lines: the file's name without ending, or what import was told
  Index users = 0;
  Index items = 0;
  Index counts[4] = {0, 0, 0, 0};    ///< interactions by Part
  Index tags = 0;                    ///< 0: the data set has no posts (posts.hpp)
  Index posts[3] = {0, 0, 0};        ///< by Part
  Index assignments[3] = {0, 0, 0};  ///< tags of all posts, by Part
  Index dislikes = 0;                ///< of all users (dislikes.hpp); 0: the data set keeps none
  bool has_ratings = false;
  bool has_times = false;
  bool has_negatives = false;
  bool holds_out_users = false;
  std::string content;  ///< 16 hexadecimal digits: the checksum of all checksums; the identity of the data
  std::string split;    ///< how train, validation and test were made, one phrase

  Index rows(IdSpace space) const { return space == IdSpace::users ? users : space == IdSpace::items ? items : tags; }
};

/// Reads the header and checks that the arrays fit it (their lengths, element types and segments). UserError where they
/// do not.
DatasetHeader read_header(const store::ArrayFile& file);

/// Opens a data set for reading; UserError sentences as ArrayFile::open.
store::ArrayFile open_dataset(const std::string& path);

/// The path of one of a part's arrays ("offsets", "items", "ratings", "times"): "/train/items".
std::string part_array(Part part, const std::string& array);

/// How rows are dealt out: a snake over the row groups (whose sizes are those of Partition{rows, 1024}) in an order
/// that is a snake over any number of shards at once. Entities go out in rounds, by falling count, one to each group;
/// the entity at place p of that order goes to the group whose number is the Gray code of p, its lowest 10 bits
/// reversed, so that 2, 4, 8 ... 1,024 entities in a row meet each of as many shards once, and the next as many meet
/// them in the opposite order. The last round visits, in the same order, only the groups that have one row more. (A
/// plain left-to-right snake leaves the heads of all rounds side by side: 1.9 to 2.9 times the mean at 64 shards for
/// the items of MovieLens-1M and Amazon-book, where this leaves 1.08.)
class RowDealing {
 public:
  explicit RowDealing(Index rows);

  Index rows() const { return rows_; }
  /// The place in the order of falling counts (0: the largest) of the entity that gets `row`.
  Index place_of_row(Index row) const;
  /// Its inverse: the row that the entity at `place` gets.
  Index row_of_place(Index place) const;

 private:
  Index rows_ = 0;
  Index full_rounds_ = 0;                     ///< the last round, if any, is not full
  std::array<std::vector<int>, 2> group_at_;  ///< by step, in even and in odd rounds
  std::array<std::vector<int>, 2> step_of_;   ///< by group
  std::vector<int> last_group_at_;            ///< the last round
  std::vector<int> last_step_of_;             ///< by group; -1 where the group has no row in it
};

/// The row order of the importer: order[k] = the index (0-based, by first appearance in the input) of the entity that
/// gets row k, for entities with `counts[e]` interactions; falling counts (ties: first appearance) dealt out by
/// RowDealing.
std::vector<Index> deal_rows(const std::vector<std::int64_t>& counts);

}  // namespace spar::data
