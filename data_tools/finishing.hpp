#pragma once
#include <chrono>
#include <functional>
#include <string>

#include "data_tools/blocks.hpp"
#include "data_tools/import.hpp"
#include "data_tools/side_set.hpp"
#include "data_tools/split_rule.hpp"

/// What import_dataset and split_dataset do alike.
namespace spar::data_tools {

class Stopwatch {
 public:
  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

/// Sets the threads of the process for as long as it lives; 0: all processors.
class ThreadScope {
 public:
  explicit ThreadScope(int threads);
  ~ThreadScope();
  ThreadScope(const ThreadScope&) = delete;
  ThreadScope& operator=(const ThreadScope&) = delete;

 private:
  int before_;
};

/// UserError: a minimum count or k-core below 0.
void check_rules(const SplitRules& rules);

struct Destination {
  std::string to;
  std::string name;  ///< empty: from `to`
  std::string source;
  SpillPlace place;
};

/// Puts side data into the set, once it is known which users and items have which rows.
using SideReader = std::function<void(const RowMap& users, const RowMap& items, SideSet& set)>;

struct Finish {
  bool keep = false;         ///< rows stay as they are where nothing was dropped
  bool strict_side = false;  ///< as SideSet::finish
  SideReader read_side;
};

/// Filters, finds the moments of temporal splits, deals rows, reads side data and writes.
void finish(Collection& collection, const SplitRules& rules, ResolvedSplit split, const Destination& destination,
            const Finish& how, ImportReport& report);

}  // namespace spar::data_tools
