#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "data_tools/id_map.hpp"
#include "data_tools/reading.hpp"
#include "data_tools/spill.hpp"

/// The second form of the interactions: clean lists by user. Importing and re-splitting meet here; filters, splits and
/// writing know nothing else.
namespace spar::data_tools {

/// Interactions of some users. Within a user: each item once, ascending by number.
struct Block {
  std::vector<std::uint32_t> users;      ///< numbers, each once
  std::vector<std::uint64_t> begins{0};  ///< users + 1 places in the arrays below
  std::vector<std::uint32_t> items;      ///< numbers
  std::vector<std::uint32_t> order;      ///< larger: later in the input; decides among equal times
  std::vector<std::uint8_t> parts;       ///< data::Part that the input gives
  std::vector<float> ratings;            ///< where the schema has them
  std::vector<std::int64_t> times;       ///< where the schema has them
  void clear();
};

/// Blocks on disk.
class BlockStore {
 public:
  BlockStore(const SpillPlace& place, std::size_t blocks) : file_(place), extents_(blocks) {}

  std::size_t count() const { return extents_.size(); }
  /// Any threads, different blocks.
  void save(std::size_t index, const Block& block);
  void load(std::size_t index, Block& block) const;
  /// Users and items only: block.users, begins, items.
  void load_pairs(std::size_t index, Block& block) const;

 private:
  struct Extents {
    SpillFile::Extent users, begins, items, order, parts, ratings, times;
  };
  SpillFile file_;
  std::vector<Extents> extents_;
};

/// A fixed candidate of a user's test part, as numbers.
struct Candidate {
  std::uint32_t user;
  std::uint32_t item;
};

/// The candidates of the users of each block, in file order, on disk.
class CandidateStore {
 public:
  /// Records of negatives_schema. With `within_blocks`, their users are counted within the blocks as in Records; else
  /// they are whole numbers.
  CandidateStore(std::unique_ptr<SpillFile> file, std::unique_ptr<Buckets> records, bool within_blocks)
      : file_(std::move(file)), records_(std::move(records)), within_blocks_(within_blocks) {}
  void load(std::size_t block, std::vector<Candidate>& candidates) const;

 private:
  std::unique_ptr<SpillFile> file_;
  std::unique_ptr<Buckets> records_;
  bool within_blocks_;
};

/// Pairs that are no interactions but rated low. Blocks hold users, begins, items and, where the schema has them,
/// times.
struct Dislikes {
  std::unique_ptr<BlockStore> blocks;  ///< null: none are kept
  std::int64_t pairs = 0;
  std::string rule;  ///< that found them, for people; empty: not known
};

/// Everything between reading and writing.
struct Collection {
  IdMap users{"users"};
  IdMap items{"items"};
  Schema schema;
  bool given_test = false, given_validation = false;  ///< the input has such parts
  std::unique_ptr<BlockStore> blocks;
  std::unique_ptr<CandidateStore> candidates;  ///< null where the input has none
  Dislikes dislikes;                           ///< not in the blocks, and counted nowhere below
  std::uint32_t items_with_rows = 0;           ///< items from here on are named by candidate lists only
  std::vector<std::int64_t> user_counts;       ///< interactions kept, all parts, by number
  std::vector<std::int64_t> item_counts;
  bool filtered = false;  ///< the blocks hold interactions of users or items whose count is 0
};

/// Adds to a counter that several threads share; sums of integers need no order.
inline void add_shared(std::int64_t& counter, std::int64_t amount) {
  __atomic_fetch_add(&counter, amount, __ATOMIC_RELAXED);
}
/// Adds one to the count of each item; any number of threads at once.
void count_items(const std::vector<std::uint32_t>& items, std::vector<std::int64_t>& counts);

}  // namespace spar::data_tools
