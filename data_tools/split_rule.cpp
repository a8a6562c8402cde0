#include "data_tools/split_rule.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "data_tools/filters.hpp"
#include "spar/base/error.hpp"
#include "spar/base/threads.hpp"

namespace spar::data_tools {

namespace {

constexpr auto training = static_cast<std::uint8_t>(data::Part::train);

constexpr std::array<std::pair<SplitKind, const char*>, 6> kinds = {
    {{SplitKind::leave_one_out, "leave-one-out"},
     {SplitKind::random_leave_one_out, "random-leave-one-out"},
     {SplitKind::ratio, "ratio"},
     {SplitKind::temporal, "temporal"},
     {SplitKind::given, "given"},
     {SplitKind::none, "none"}}};

void check_ratio(const char* option, double ratio) {
  if (!(ratio > 0 && ratio < 1)) throw UserError(fmt::format("{} must lie between 0 and 1, not {}", option, ratio));
}

std::string kind_phrase(SplitKind kind, double ratio, std::int64_t from) {
  switch (kind) {
    case SplitKind::leave_one_out:
      return "leave-one-out by time";
    case SplitKind::random_leave_one_out:
      return "random leave-one-out";
    case SplitKind::ratio:
      return fmt::format("{} of each user at random", ratio);
    case SplitKind::temporal:
      return fmt::format("from time {} on", from);
    case SplitKind::given:
      return "given";
    case SplitKind::none:
    case SplitKind::automatic:
      break;
  }
  return "none";
}

}  // namespace

SplitKind parse_split_kind(const std::string& option, const std::string& word) {
  for (const auto& [kind, name] : kinds) {
    if (word == name) return kind;
  }
  throw UserError(fmt::format(
      "{} {} is unknown; it can be leave-one-out, random-leave-one-out, ratio, temporal, given or none", option, word));
}

const char* split_kind_name(SplitKind kind) {
  for (const auto& [known, name] : kinds) {
    if (known == kind) return name;
  }
  return "automatic";
}

bool ResolvedSplit::draws() const {
  const auto random = [](SplitKind kind) {
    return kind == SplitKind::random_leave_one_out || kind == SplitKind::ratio;
  };
  return random(test) || random(validation);
}

std::string ResolvedSplit::phrase() const {
  std::string result = fmt::format("test: {}; validation: {}", kind_phrase(test, test_ratio, test_from),
                                   kind_phrase(validation, validation_ratio, validation_from));
  if (draws()) result += fmt::format("; seed {}", seed);
  return result;
}

ResolvedSplit resolve_split(const SplitRules& rules, bool given_test, bool given_validation, bool has_times) {
  ResolvedSplit split;
  split.seed = rules.seed;
  split.test_ratio = rules.test_ratio;
  split.validation_ratio = rules.validation_ratio;
  check_ratio("--test-ratio", rules.test_ratio);
  check_ratio("--validation-ratio", rules.validation_ratio);

  split.test = rules.split;
  if (split.test == SplitKind::automatic) split.test = given_test ? SplitKind::given : SplitKind::leave_one_out;
  if (split.test == SplitKind::given && !given_test)
    throw UserError("--split given needs a test part: name it with --test");
  split.validation = rules.validation;
  if (split.validation == SplitKind::automatic) {
    const bool keep = split.test == SplitKind::given && given_validation;
    const bool own = split.test != SplitKind::given && split.test != SplitKind::none;
    split.validation = keep ? SplitKind::given : own ? split.test : SplitKind::leave_one_out;
  }
  if (split.validation == SplitKind::given && !given_validation) {
    throw UserError("--validation given needs a validation part in the input");
  }
  if (split.validation == SplitKind::given && split.test != SplitKind::given) {
    throw UserError(
        fmt::format("--validation given keeps parts of the input, which --split {} makes anew; use --split given",
                    split_kind_name(split.test)));
  }
  for (SplitKind* kind : {&split.test, &split.validation}) {
    if (*kind == SplitKind::leave_one_out && !has_times) *kind = SplitKind::random_leave_one_out;
    if (*kind == SplitKind::temporal && !has_times)
      throw UserError("a temporal split needs a time for every interaction, which the input lacks");
  }
  if (rules.test_from && split.test != SplitKind::temporal) throw UserError("--test-from needs --split temporal");
  if (rules.validation_from && split.validation != SplitKind::temporal) {
    throw UserError("--validation-from needs --validation temporal");
  }
  split.test_from = rules.test_from.value_or(0);
  split.validation_from = rules.validation_from.value_or(0);
  return split;
}

namespace {

/// Calls use(time) for the time of every interaction that is kept and that the test part does not take.
template <class Use>
void for_times(const Collection& collection, const std::function<bool(std::int64_t time, std::uint8_t part)>& wanted,
               Use&& use) {
  Block block;
  for (std::size_t k = 0; k < collection.blocks->count(); ++k) {
    collection.blocks->load(k, block);
    for (std::size_t u = 0; u < block.users.size(); ++u) {
      if (collection.user_counts[block.users[u]] == 0) continue;
      for (std::size_t at = block.begins[u]; at < block.begins[u + 1]; ++at) {
        if (is_kept(collection, block.items[at]) && wanted(block.times[at], block.parts[at])) use(block.times[at]);
      }
    }
  }
}

/// The latest moment with at least `share` of the wanted interactions at or behind it: bisection by histograms of
/// 65,536 bins.
std::int64_t find_moment(const Collection& collection, double share, const char* option,
                         const std::function<bool(std::int64_t time, std::uint8_t part)>& wanted) {
  std::int64_t low = std::numeric_limits<std::int64_t>::max();
  std::int64_t high = std::numeric_limits<std::int64_t>::min();
  std::int64_t count = 0;
  for_times(collection, wanted, [&](std::int64_t time) {
    low = std::min(low, time);
    high = std::max(high, time);
    ++count;
  });
  if (count == 0 || low == high)
    throw UserError(fmt::format("--{} temporal finds no moment to cut at: all times are the same", option));
  const std::int64_t earliest = low;
  const auto target = static_cast<std::int64_t>(std::ceil(share * static_cast<double>(count)));
  std::int64_t behind = 0;  // interactions later than `high`
  while (low < high) {
    constexpr std::size_t bins = 65536;
    std::vector<std::int64_t> histogram(bins);
    const std::uint64_t width = (static_cast<std::uint64_t>(high) - static_cast<std::uint64_t>(low)) / bins + 1;
    for_times(collection, wanted, [&](std::int64_t time) {
      if (time >= low && time <= high)
        ++histogram[(static_cast<std::uint64_t>(time) - static_cast<std::uint64_t>(low)) / width];
    });
    std::size_t bin = bins - 1;
    while (bin > 0 && behind + histogram[bin] < target) behind += histogram[bin--];
    const std::uint64_t begin = static_cast<std::uint64_t>(low) + bin * width;
    const std::uint64_t room = static_cast<std::uint64_t>(high) - begin;
    low = static_cast<std::int64_t>(begin);
    high = static_cast<std::int64_t>(begin + std::min(room, width - 1));
  }
  if (low == earliest)
    throw UserError(fmt::format("--{} temporal would leave nothing before the cut at time {}", option, low));
  return low;
}

}  // namespace

void find_moments(const Collection& collection, const SplitRules& rules, ResolvedSplit& split) {
  if (split.test == SplitKind::temporal && !rules.test_from) {
    split.test_from =
        find_moment(collection, split.test_ratio, "split", [](std::int64_t, std::uint8_t) { return true; });
  }
  if (split.validation == SplitKind::temporal && !rules.validation_from) {
    const bool cut = split.test == SplitKind::temporal;
    const bool given = split.test == SplitKind::given;
    split.validation_from =
        find_moment(collection, split.validation_ratio, "validation", [&](std::int64_t time, std::uint8_t part) {
          return (!cut || time < split.test_from) && (!given || part == static_cast<std::uint8_t>(data::Part::train));
        });
  }
}

namespace {

/// A bijection of 64-bit numbers that scatters them (the finalizer of MurmurHash3; A. Appleby, 2011).
std::uint64_t scattered(std::uint64_t number) {
  number = (number ^ (number >> 33)) * 0xff51afd7ed558ccdU;
  number = (number ^ (number >> 33)) * 0xc4ceb9fe1a85ec53U;
  return number ^ (number >> 33);
}

}  // namespace

void Splitter::take_last(const UserList& list, std::uint8_t mark) const {
  std::size_t last = list.parts.size();
  std::size_t count = 0;
  for (std::size_t k = 0; k < list.parts.size(); ++k) {
    if (list.parts[k] != training) continue;
    ++count;
    if (last == list.parts.size() ||
        std::pair(list.times[k], list.order[k]) > std::pair(list.times[last], list.order[last]))
      last = k;
  }
  if (count > 1) list.parts[last] = mark;
}

void Splitter::take_drawn(const UserList& list, std::uint8_t mark, SplitKind kind, double ratio, int half) {
  const auto user = static_cast<std::uint32_t>(list.user_hash);
  const std::uint64_t key = word64(stream_.block(user, static_cast<std::uint32_t>(list.user_hash >> 32)), half);
  draws_.clear();
  Draw smallest{~std::uint64_t{0}, 0};
  std::uint32_t count = 0;
  for (std::uint32_t k = 0; k < list.parts.size(); ++k) {
    if (list.parts[k] != training) continue;
    ++count;
    const Draw draw{scattered(list.item_hashes[list.items[k]] ^ key), k};
    if (draw.number < smallest.number) smallest = draw;
    if (kind == SplitKind::ratio) draws_.push_back(draw);
  }
  if (count < 2) return;
  const auto share = static_cast<std::size_t>(ratio * static_cast<double>(count) + 1e-9);
  if (kind != SplitKind::ratio || share < 2) {
    list.parts[smallest.place] = mark;
    return;
  }
  const auto less = [](const Draw& a, const Draw& b) { return a.number < b.number; };
  std::nth_element(draws_.begin(), draws_.begin() + static_cast<std::ptrdiff_t>(share - 1), draws_.end(), less);
  for (std::size_t k = 0; k < share; ++k) list.parts[draws_[k].place] = mark;
}

void Splitter::take(const UserList& list, data::Part part, SplitKind kind, double ratio, std::int64_t from) {
  const auto mark = static_cast<std::uint8_t>(part);
  switch (kind) {
    case SplitKind::leave_one_out:
      return take_last(list, mark);
    case SplitKind::random_leave_one_out:
    case SplitKind::ratio:
      return take_drawn(list, mark, kind, ratio, part == data::Part::test ? 0 : 1);
    case SplitKind::temporal:
      for (std::size_t k = 0; k < list.parts.size(); ++k) {
        if (list.parts[k] == training && list.times[k] >= from) list.parts[k] = mark;
      }
      return;
    case SplitKind::given:
    case SplitKind::none:
    case SplitKind::automatic:
      return;
  }
}

void Splitter::assign(const UserList& list) {
  take(list, data::Part::test, split_.test, split_.test_ratio, split_.test_from);
  take(list, data::Part::validation, split_.validation, split_.validation_ratio, split_.validation_from);
}

}  // namespace spar::data_tools
