#pragma once
#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <vector>

#include "data_tools/blocks.hpp"
#include "data_tools/candidates.hpp"
#include "data_tools/placing.hpp"
#include "data_tools/radix_sort.hpp"
#include "data_tools/ranges.hpp"
#include "data_tools/split_rule.hpp"

/// From blocks of numbers to lists of rows: filters applied, parts assigned, items in row order.
namespace spar::data_tools {

/// What one worker has counted.
struct Tally {
  std::array<std::vector<std::int64_t>, 4> group_counts;  ///< interactions by data::Part and group of users
  std::vector<std::int64_t> candidate_counts;             ///< by group of users
  std::int64_t users_without_train = 0, users_without_test = 0;
  std::int64_t held_out_validation = 0, held_out_test = 0;
  std::int64_t first_time = std::numeric_limits<std::int64_t>::max();
  std::int64_t last_time = std::numeric_limits<std::int64_t>::min();
  std::int64_t candidates_in_test = 0, candidates_repeated = 0, candidates_dropped = 0;
  Tally();
  void add(const Tally& other);
};

/// Memory of one worker.
struct PlacerWorker {
  PlacerWorker(const ResolvedSplit& split, Index all_items, SpillFile& file, std::size_t ranges)
      : splitter(split), lists(file, ranges), candidate_lists(file, ranges) {
    if (split.candidates > 0) drawer.emplace(all_items, split.candidates, split.seed);
  }
  Splitter splitter;
  RangeSpill lists, candidate_lists;
  Tally tally;
  Block block;
  std::vector<std::uint64_t> words, more_words;
  std::vector<WideWord> wide_words, more_wide_words;
  std::vector<Candidate> candidates;
  std::optional<CandidateDrawer> drawer;  // where candidates are drawn
};

class Placer {
 public:
  Placer(const Collection& collection, const RowMap& users, const RowMap& items, const ResolvedSplit& split);

  /// Stores the lists of one block's users with the worker. Any threads, one worker each.
  void place_block(std::size_t index, PlacerWorker& worker);
  /// Items with test interactions and no others, once all blocks are placed.
  std::int64_t items_only_in_test() const;

 private:
  void compact(Block& block) const;
  void assign_parts(PlacerWorker& worker) const;
  template <class Word>
  void order_and_store(PlacerWorker& worker, std::vector<Word>& words, std::vector<Word>& more);
  void count_list(const ListHead& head, const char* items, Tally& tally);
  void draw_candidates(std::uint32_t user_row, const char* items, std::size_t count, PlacerWorker& worker) const;
  void place_candidates(std::size_t index, PlacerWorker& worker) const;
  void store_candidates(std::uint32_t user_row, std::span<const std::uint32_t> items, PlacerWorker& worker) const;
  void place_candidates_of(std::uint32_t user, std::size_t begin, std::size_t end, PlacerWorker& worker) const;
  std::size_t group_of(std::uint32_t row) const;

  const Collection& collection_;
  const RowMap& users_;
  const RowMap& items_;
  const std::vector<std::uint8_t>* roles_;                ///< null where no user is held out
  bool filtered_;                                         ///< whether blocks hold what filters have dropped
  std::vector<std::uint64_t> user_hashes_, item_hashes_;  ///< where the split draws
  std::vector<std::uint8_t> in_known_, in_test_;          ///< by item row: occurs in train or validation; in test
};

}  // namespace spar::data_tools
