#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data_tools/id_map.hpp"
#include "data_tools/placing.hpp"
#include "data_tools/row_records.hpp"
#include "data_tools/split_rule.hpp"
#include "spar/base/types.hpp"
#include "spar/data/side_writer.hpp"

/// Side data on its way into the file. Rows come in any order and wait in the spill file; memory holds a bit or a word
/// for each row where a comment says so, the texts of categories and vocabularies, and a range of rows for each thread.
namespace spar::data_tools {

/// One set of side data: rows are added, then finish() counts, then write() writes.
class SideSink {
 public:
  virtual ~SideSink() = default;
  const data::SidePlan& plan() const { return plan_; }
  std::int64_t covered() const { return covered_; }    ///< rows that have some, after finish()
  std::int64_t entries() const { return entries_; }    ///< values, words, edges or assignments, after finish()
  std::int64_t repeated() const { return repeated_; }  ///< edges or assignments given again, after finish()

  virtual void finish() = 0;
  virtual void write(data::SideWriter& writer) const = 0;

 protected:
  SideSink(data::SideKind kind, data::Side side, std::string name);
  data::SidePlan plan_;
  std::int64_t covered_ = 0, entries_ = 0, repeated_ = 0;
};

/// Holds a bit for each row.
class FeatureSink : public SideSink {
 public:
  FeatureSink(SpillFile& file, data::Side side, std::string name, Index rows, Index width);
  /// False where the row has features already.
  bool add(Index row, std::span<const float> values);
  void finish() override;
  void write(data::SideWriter& writer) const override;

 private:
  void write_range(int range, data::SideWriter& writer) const;
  RowRecords records_;
  std::vector<bool> seen_;
  std::vector<char> record_;
};

/// One category a row, at most once a row: the caller sees to it.
class AttributeSink : public SideSink {
 public:
  AttributeSink(SpillFile& file, data::Side side, std::string name, Index rows, std::int64_t expected_bytes);
  void add(Index row, std::string_view category);
  /// Whether `separator` stands in any category so far.
  bool has_lists(const std::string& separator) const;
  /// Calls visit(row, category) for all rows, by ranges.
  void visit(const std::function<void(Index, const std::string&)>& visit) const;
  void finish() override;
  void write(data::SideWriter& writer) const override;

 private:
  struct Record {
    std::uint32_t row;
    std::uint32_t number;
  };
  RowRecords records_;
  IdMap categories_{"categories"};
  std::vector<std::uint32_t> code_of_;  ///< by number of the category
  std::vector<std::string> values_;     ///< by code
};

/// Sparse rows: bags (columns are words) or graphs (columns are user rows).
class SparseSink : public SideSink {
 public:
  /// A bag: repeated words of a row add up.
  SparseSink(SpillFile& file, data::Side side, std::string name, Index rows, std::int64_t expected_bytes);
  /// A graph over `users` users: repeated edges count once, with the first weight.
  SparseSink(SpillFile& file, std::string name, Index users, bool weighted, std::int64_t expected_bytes);

  void add_word(Index row, std::string_view word, float weight);
  void add_edge(Index from, Index to, float weight);
  void finish() override;
  void write(data::SideWriter& writer) const override;

 private:
  struct Record {
    std::uint32_t row;
    std::uint32_t column;
    float weight;
  };
  bool is_bag() const { return plan_.kind == data::SideKind::bag; }
  /// The records of a range by row and column, each pair once; how many were repeats.
  std::int64_t load_merged(int range, std::vector<Record>& records) const;
  void count_range(int range, std::vector<std::int64_t>& word_counts);
  void write_range(int range, data::SideWriter& writer) const;

  RowRecords records_;
  IdMap words_{"words"};
  RowMap vocabulary_;  ///< of words; empty for graphs
};

/// How posts are parted: none, or one random post of each user with two or more to the test part, one of the rest to
/// validation where two are left. Draws as those of Splitter.
struct PostSplit {
  bool leave_one_out = true;
  std::uint64_t seed = 1;
  std::vector<std::uint64_t> user_hashes, item_hashes;  ///< of ids, by row; only where posts are drawn
};

/// The hashes of ids (IdMap::hashes) by row.
std::vector<std::uint64_t> hashes_by_row(const IdMap& ids, const RowMap& rows);

class PostSink : public SideSink {
 public:
  /// `given`: each record's part is told (a data set is read back); else `split` decides.
  PostSink(SpillFile& file, Index users, bool timed, std::int64_t expected_bytes);
  void add(Index user, Index item, std::string_view tag, std::int64_t time, data::Part part = data::Part::train);
  /// Posts get their parts from the split in place of those that add() was told.
  void set_split(PostSplit split) { split_ = std::move(split); }
  void finish() override;
  void write(data::SideWriter& writer) const override;

 private:
  struct Record {
    std::int64_t time;
    std::uint32_t user, item, tag;
    std::uint32_t part;
  };
  std::int64_t load_merged(int range, std::vector<Record>& records) const;
  void part_users(std::vector<Record>& records) const;
  void count_range(int range, std::vector<std::int64_t>& tag_counts);
  void write_range(int range, data::SideWriter& writer) const;

  RowRecords records_;
  IdMap tags_{"tags"};
  RowMap vocabulary_;
  std::optional<PostSplit> split_;
};

/// The items that a user dislikes: each pair once, the caller sees to it.
class DislikeSink : public SideSink {
 public:
  DislikeSink(SpillFile& file, Index users, bool timed, std::int64_t expected_bytes);
  /// `time` is not looked at where they have none.
  void add(Index user, Index item, std::int64_t time);
  void finish() override;
  void write(data::SideWriter& writer) const override;

 private:
  struct Record {
    std::int64_t time;
    std::uint32_t user, item;
  };
  void count_range(int range);
  void write_range(int range, data::SideWriter& writer) const;

  RowRecords records_;
};

/// Rows for words: dealt by falling count, equal counts by text; words without a count get none.
RowMap deal_words(const IdMap& words, const std::vector<std::int64_t>& counts);
/// Bytes of the longest of them, and their texts, group by group.
std::size_t longest_word(const IdMap& words, const RowMap& rows);
void write_words(const IdMap& words, const RowMap& rows, data::SideWriter& writer);

}  // namespace spar::data_tools
