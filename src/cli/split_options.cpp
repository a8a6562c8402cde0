#include "split_options.hpp"

#include <fmt/format.h>

#include "spar/base/error.hpp"

namespace spar::cli {

namespace {

const std::vector<std::string>& split_names() {
  using data_tools::SplitKind;
  static const std::vector<std::string> names = [] {
    std::vector<std::string> list;
    for (const SplitKind kind : {SplitKind::leave_one_out, SplitKind::random_leave_one_out, SplitKind::ratio,
                                 SplitKind::temporal, SplitKind::random, SplitKind::given, SplitKind::none}) {
      list.emplace_back(data_tools::split_kind_name(kind));
    }
    return list;
  }();
  return names;
}

constexpr Bounds any_time{-9e18, 9e18};

}  // namespace

void SplitWords::apply(data_tools::SplitRules& rules) const {
  if (!split.empty()) rules.split = data_tools::parse_split_kind("--split", split);
  if (!validation.empty()) rules.validation = data_tools::parse_split_kind("--validation", validation);
  if (held_out_users.empty()) {
    if (fold_in || drop_unseen_items)
      throw UserError(fmt::format("{} needs --held-out-users", fold_in ? "--fold-in" : "--drop-unseen-items"));
    return;
  }
  if (held_out_users.size() != 2) {
    throw UserError(
        "--held-out-users takes two numbers, users for validation and users for the test: --held-out-users 500,500");
  }
  data_tools::HeldOutUsers held_out{held_out_users[0], held_out_users[1]};
  held_out.fold_in = fold_in.value_or(held_out.fold_in);
  held_out.drop_unseen = drop_unseen_items;
  rules.held_out = held_out;
}

void declare_split(OptionSet& set, SplitWords& words, data_tools::SplitRules& rules) {
  set.choice("--split", split_names(), words.split,
             "How the test part is made; default: given where there is one, else leave-one-out");
  set.choice("--validation", split_names(), words.validation,
             "How the validation part is made; default: given where there is one, else as the test part");
  set.real("--test-ratio", "X", rules.test_ratio, {0, 1}, "ratio, random, temporal: share of the test part");
  set.real("--validation-ratio", "X", rules.validation_ratio, {0, 1},
           "ratio, random, temporal: share of the validation part");
  set.integer("--test-from", "TIME", rules.test_from, any_time, "temporal: first time of the test part");
  set.integer("--validation-from", "TIME", rules.validation_from, any_time,
              "temporal: first time of the validation part");
  set.integers("--held-out-users", "N,N", words.held_out_users, at_least(0),
               "Hold whole users out of training, for validation and for the test, in place of --split");
  set.real("--fold-in", "X", words.fold_in, {0, 1},
           "--held-out-users: share of such a user's interactions that evaluation may know; default: 0.8");
  set.flag("--drop-unseen-items", words.drop_unseen_items, "--held-out-users: drop items that no training user has");
  set.real("--min-rating", "X", rules.min_rating, {-1e300, 1e300}, "Drop interactions rated lower");
  set.integer("--min-user", "N", rules.min_user, at_least(0), "Drop users with fewer interactions, counted once");
  set.integer("--min-item", "N", rules.min_item, at_least(0), "Drop items with fewer interactions, counted once");
  set.integer("--k-core", "N", rules.k_core, at_least(0),
              "Drop users and items with fewer interactions, until none is left");
  set.integer("--candidates", "N", rules.candidates, at_least(0),
              "Draw N items that he lacks for each test user: candidates of the sampled protocol");
  set.seed("--seed", rules.seed, "Fixes the random draws of the split");
}

}  // namespace spar::cli
