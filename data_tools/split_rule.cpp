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

constexpr std::array<std::pair<SplitKind, const char*>, 7> kinds = {
    {{SplitKind::leave_one_out, "leave-one-out"},
     {SplitKind::random_leave_one_out, "random-leave-one-out"},
     {SplitKind::ratio, "ratio"},
     {SplitKind::temporal, "temporal"},
     {SplitKind::random, "random"},
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
    case SplitKind::random:
      return fmt::format("{} of all at random", ratio);
    case SplitKind::given:
      return "given";
    case SplitKind::held_out_users:
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
      "{} {} is unknown; it can be leave-one-out, random-leave-one-out, ratio, temporal, random, given or none", option,
      word));
}

const char* split_kind_name(SplitKind kind) {
  for (const auto& [known, name] : kinds) {
    if (known == kind) return name;
  }
  return "automatic";
}

bool ResolvedSplit::draws() const {
  const auto random = [](SplitKind kind) {
    return kind == SplitKind::random_leave_one_out || kind == SplitKind::ratio || kind == SplitKind::random ||
           kind == SplitKind::held_out_users;
  };
  return random(test) || random(validation);
}

std::string ResolvedSplit::phrase() const {
  const std::string drawn = candidates > 0 ? fmt::format("; {} candidates drawn", candidates) : "";
  if (held_out) {
    return fmt::format(
        "test: {} users held out of training; validation: {} such users; {} of each folded in{}{}; seed {}",
        held_out->test, held_out->validation, held_out->fold_in,
        held_out->drop_unseen ? "; no items that training lacks" : "", drawn, seed);
  }
  std::string result = fmt::format("test: {}; validation: {}{}", kind_phrase(test, test_ratio, test_from),
                                   kind_phrase(validation, validation_ratio, validation_from), drawn);
  if (draws() || candidates > 0) result += fmt::format("; seed {}", seed);
  return result;
}

namespace {

void resolve_held_out(const SplitRules& rules, ResolvedSplit& split) {
  if (rules.split != SplitKind::automatic || rules.validation != SplitKind::automatic) {
    throw UserError("--held-out-users makes the test part and the validation part: leave --split and --validation out");
  }
  if (rules.test_from || rules.validation_from)
    throw UserError("--test-from and --validation-from need a temporal split, which --held-out-users is not");
  const HeldOutUsers& wanted = *rules.held_out;
  check_ratio("--fold-in", wanted.fold_in);
  if (wanted.validation < 0 || wanted.test < 0 || wanted.validation + wanted.test == 0)
    throw UserError(
        fmt::format("--held-out-users {},{} holds nobody out: it takes two numbers, for validation and test",
                    wanted.validation, wanted.test));
  split.test = split.validation = SplitKind::held_out_users;
  split.held_out = wanted;
}

}  // namespace

ResolvedSplit resolve_split(const SplitRules& rules, bool given_test, bool given_validation, bool has_times) {
  ResolvedSplit split;
  split.seed = rules.seed;
  split.candidates = rules.candidates;
  split.test_ratio = rules.test_ratio;
  split.validation_ratio = rules.validation_ratio;
  check_ratio("--test-ratio", rules.test_ratio);
  check_ratio("--validation-ratio", rules.validation_ratio);
  if (rules.held_out) {
    resolve_held_out(rules, split);
    return split;
  }

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
  if (split.candidates > 0 && split.test == SplitKind::none)
    throw UserError("--candidates are drawn for the users of a test part, and this split has none");
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

std::uint64_t Splitter::key_of(const UserList& list, int half) const {
  const auto user = static_cast<std::uint32_t>(list.user_hash);
  return word64(stream_.block(user, static_cast<std::uint32_t>(list.user_hash >> 32)), half);
}

void Splitter::take_each(const UserList& list, std::uint8_t mark, double ratio, int half) const {
  const std::uint64_t key = key_of(list, half);
  const auto below = static_cast<std::uint64_t>(ratio * 0x1.0p64);
  for (std::size_t k = 0; k < list.parts.size(); ++k) {
    if (list.parts[k] == training && scattered(list.item_hashes[list.items[k]] ^ key) < below) list.parts[k] = mark;
  }
}

void Splitter::take_drawn(const UserList& list, std::uint8_t mark, SplitKind kind, double ratio, int half) {
  const std::uint64_t key = key_of(list, half);
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
    case SplitKind::random:
      return take_each(list, mark, ratio, part == data::Part::test ? 0 : 1);
    case SplitKind::given:
    case SplitKind::held_out_users:
    case SplitKind::none:
    case SplitKind::automatic:
      return;
  }
}

void Splitter::fold_in(const UserList& list) {
  if (list.role == training) return;
  take_drawn(list, list.role, SplitKind::ratio, 1.0 - split_.held_out->fold_in, 0);
  std::replace(list.parts.begin(), list.parts.end(), training, static_cast<std::uint8_t>(data::Part::fold_in));
}

void Splitter::assign(const UserList& list) {
  if (split_.held_out) return fold_in(list);
  take(list, data::Part::test, split_.test, split_.test_ratio, split_.test_from);
  take(list, data::Part::validation, split_.validation, split_.validation_ratio, split_.validation_from);
}

}  // namespace spar::data_tools
