#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data_tools/blocks.hpp"
#include "data_tools/import.hpp"
#include "spar/base/random.hpp"
#include "spar/data/dataset_file.hpp"

/// Which interactions of a user go where (the definitions are those of SplitKind).
namespace spar::data_tools {

/// One user's interactions: views of a block, one entry each; hashes only where the split draws, times only where the
/// data set has them.
struct UserList {
  std::uint64_t user_hash = 0;
  const std::uint64_t* item_hashes = nullptr;  ///< by item number
  std::span<const std::uint32_t> items;
  std::span<const std::int64_t> times;
  std::span<const std::uint32_t> order;
  std::span<std::uint8_t> parts;  ///< in: of the input; out: of the data set (data::Part)
  std::uint8_t role = 0;          ///< train, or the part whose held-out user this is
};

/// A split with nothing left open: kinds resolved, moments fixed.
struct ResolvedSplit {
  SplitKind test = SplitKind::none;
  SplitKind validation = SplitKind::none;
  double test_ratio = 0.2, validation_ratio = 0.1;
  std::int64_t test_from = 0, validation_from = 0;  ///< of temporal
  std::optional<HeldOutUsers> held_out;
  /// By number of the user, where users are held out (hold_out_users): train, or the part whose user he is.
  std::shared_ptr<const std::vector<std::uint8_t>> roles;
  std::uint64_t seed = 1;
  int candidates = 0;  ///< drawn for each user of the test part

  bool draws() const;          ///< whether the parts need random numbers
  std::string phrase() const;  ///< "leave-one-out by time; validation: leave-one-out by time"
};

/// Replaces automatic kinds, and leave_one_out where there are no times. UserError: given without a given part;
/// temporal without times; a share outside (0, 1); a moment for a split that has none; another kind of split beside
/// users held out, or none of these.
ResolvedSplit resolve_split(const SplitRules& rules, bool given_test, bool given_validation, bool has_times);

/// Finds the moments of temporal splits from shares: the latest moment such that at least the share of all interactions
/// (validation: of those before the test) lies at or behind it. Passes over the times on disk. UserError: all times are
/// the same.
void find_moments(const Collection& collection, const SplitRules& rules, ResolvedSplit& split);

/// Assigns the parts of one user. Drawn interactions are those with the smallest numbers scatter(hash of the item's id
/// ^ key of the user), where the key is the Philox block at the hash of the user's id: a draw depends on the seed and
/// the two ids only, neither on the input's order nor on other users, and the draws of the test part and of the
/// validation part are independent.
class Splitter {
 public:
  explicit Splitter(const ResolvedSplit& split) : split_(split), stream_(split.seed, Purpose::split) {}
  void assign(const UserList& list);

 private:
  void fold_in(const UserList& list);
  /// Takes the interactions of `part` from those that are still in training.
  void take(const UserList& list, data::Part part, SplitKind kind, double ratio, std::int64_t from);
  void take_last(const UserList& list, std::uint8_t mark) const;
  std::uint64_t key_of(const UserList& list, int half) const;
  void take_each(const UserList& list, std::uint8_t mark, double ratio, int half) const;
  void take_drawn(const UserList& list, std::uint8_t mark, SplitKind kind, double ratio, int half);

  struct Draw {
    std::uint64_t number;
    std::uint32_t place;
  };
  ResolvedSplit split_;
  RandomStream stream_;
  std::vector<Draw> draws_;
};

}  // namespace spar::data_tools
