#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <limits>
#include <numeric>
#include <utility>

#include <fmt/format.h>

#include "data_tools/dislikes.hpp"
#include "data_tools/finishing.hpp"
#include "data_tools/import.hpp"
#include "data_tools/ranges.hpp"
#include "data_tools/side_carry.hpp"
#include "data_tools/target.hpp"
#include "spar/base/error.hpp"
#include "spar/base/random.hpp"
#include "spar/base/sharding.hpp"
#include "spar/base/threads.hpp"
#include "spar/data/interactions.hpp"

namespace spar::data_tools {

namespace {

/// One interaction of the user at hand.
struct Entry {
  std::uint32_t item = 0;
  std::uint8_t part = 0;
  float rating = 0;
  std::int64_t time = 0;
};

/// Reads a data set back into blocks, a range of users each. Numbers are rows.
class Loader {
 public:
  Loader(const store::ArrayFile& file, const data::DatasetHeader& header, const ResolvedSplit& split,
         Collection& collection)
      : file_(file), header_(header), split_(split), collection_(collection), ties_(split.seed, Purpose::split) {}

  /// Pairs that stand in two parts: the later one is dropped.
  std::int64_t load(std::size_t index, Block& block) const {
    const Partition ranges{header_.users, static_cast<int>(collection_.blocks->count())};
    const Index begin = ranges.begin(static_cast<int>(index));
    const Index end = ranges.end(static_cast<int>(index));
    const auto parts = data::parts_of(header_.holds_out_users);
    std::vector<data::UserLists> lists;
    std::vector<std::vector<float>> ratings;
    std::vector<std::vector<std::int64_t>> times;
    for (const data::Part part : parts) {
      lists.push_back(data::read_lists(file_, part, begin, end));
      ratings.push_back(data::read_ratings(file_, part, begin, end));
      times.push_back(data::read_times(file_, part, begin, end));
    }
    block.clear();
    std::int64_t twice = 0;
    std::vector<Entry> entries;
    for (Index user = 0; user < end - begin; ++user) {
      entries.clear();
      const bool is_test = !lists[static_cast<std::size_t>(data::Part::test)].of(user).empty();
      for (std::size_t p = 0; p < parts.size(); ++p) {
        const auto first = static_cast<std::size_t>(lists[p].offsets[static_cast<std::size_t>(user)]);
        const auto list = lists[p].of(user);
        for (std::size_t k = 0; k < list.size(); ++k) {
          entries.push_back({list[k], part_of(parts[p], is_test), ratings[p].empty() ? 0.0F : ratings[p][first + k],
                             times[p].empty() ? 0 : times[p][first + k]});
        }
      }
      std::stable_sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) { return a.item < b.item; });
      const auto kept =
          std::unique(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) { return a.item == b.item; });
      twice += entries.end() - kept;
      entries.erase(kept, entries.end());
      add_user(static_cast<std::uint32_t>(begin + user), entries, block);
    }
    return twice;
  }

 private:
  /// Parts that the new split makes anew count as training; what is folded in stays with what is to be found.
  std::uint8_t part_of(data::Part part, bool is_test) const {
    if (part == data::Part::fold_in) {
      const SplitKind of_user = is_test ? split_.test : split_.validation;
      return static_cast<std::uint8_t>(of_user == SplitKind::given ? part : data::Part::train);
    }
    const bool stays = (part == data::Part::test && split_.test == SplitKind::given) ||
                       (part == data::Part::validation && split_.validation == SplitKind::given);
    return static_cast<std::uint8_t>(stays ? part : data::Part::train);
  }

  void add_user(std::uint32_t user, const std::vector<Entry>& entries, Block& block) const {
    if (entries.empty()) return;
    for (const Entry& entry : entries) {
      block.items.push_back(entry.item);
      block.parts.push_back(entry.part);
      // The file no longer knows the input's order, so equal times are told apart at random.
      block.order.push_back(ties_.block(user, entry.item, 1)[0]);
      if (header_.has_ratings) block.ratings.push_back(entry.rating);
      if (header_.has_times) block.times.push_back(entry.time);
      add_shared(collection_.item_counts[entry.item], 1);
    }
    collection_.user_counts[user] = static_cast<std::int64_t>(entries.size());
    block.users.push_back(user);
    block.begins.push_back(block.items.size());
  }

  const store::ArrayFile& file_;
  const data::DatasetHeader& header_;
  const ResolvedSplit& split_;
  Collection& collection_;
  RandomStream ties_;
};

void load_ids(const store::ArrayFile& file, const std::string& array, Index rows, IdMap& ids) {
  constexpr Index step = 1 << 16;
  for (Index first = 0; first < rows; first += step) {
    for (const std::string& id : data::read_ids(file, array, first, std::min(step, rows - first))) ids.add(id);
  }
}

std::unique_ptr<CandidateStore> load_candidates(const store::ArrayFile& file, const data::DatasetHeader& header,
                                                std::size_t blocks, const SpillPlace& place) {
  auto spill = std::make_unique<SpillFile>(place);
  auto records = std::make_unique<Buckets>(*spill, blocks, std::size_t{16} << 10);
  const Partition ranges{header.users, static_cast<int>(blocks)};
  for (std::size_t block = 0; block < blocks; ++block) {
    const Index begin = ranges.begin(static_cast<int>(block));
    const data::UserLists lists = data::read_negatives(file, begin, ranges.end(static_cast<int>(block)));
    for (Index user = 0; user < lists.users(); ++user) {
      for (const ItemId item : lists.of(user)) {
        char* at = records->extend(block, negatives_schema.record_bytes());
        const std::uint32_t pair[2] = {static_cast<std::uint32_t>(begin + user), item};
        std::memcpy(at, pair, 8);
        std::memset(at + 8, 0, 8);
      }
    }
  }
  return std::make_unique<CandidateStore>(std::move(spill), std::move(records), false);
}

/// Rated below the threshold: gone before anything is counted.
std::int64_t drop_low_ratings(Block& block, double min_rating, Collection& collection) {
  Block kept;
  for (std::size_t u = 0; u < block.users.size(); ++u) {
    for (std::size_t at = block.begins[u]; at < block.begins[u + 1]; ++at) {
      if (static_cast<double>(block.ratings[at]) < min_rating) {
        add_shared(collection.item_counts[block.items[at]], -1);
        --collection.user_counts[block.users[u]];
        continue;
      }
      kept.items.push_back(block.items[at]);
      kept.order.push_back(block.order[at]);
      kept.parts.push_back(block.parts[at]);
      kept.ratings.push_back(block.ratings[at]);
      if (!block.times.empty()) kept.times.push_back(block.times[at]);
    }
    if (kept.items.size() == kept.begins.back()) continue;
    kept.users.push_back(block.users[u]);
    kept.begins.push_back(kept.items.size());
  }
  const auto dropped = static_cast<std::int64_t>(block.items.size() - kept.items.size());
  block = std::move(kept);
  return dropped;
}

void load_all(const Loader& loader, const SplitRules& rules, Collection& collection, ImportReport& report) {
  std::int64_t twice = 0, low = 0;
  parallel_for(static_cast<int>(collection.blocks->count()), [&](int k) {
    Block block;
    add_shared(twice, loader.load(static_cast<std::size_t>(k), block));
    if (rules.min_rating) add_shared(low, drop_low_ratings(block, *rules.min_rating, collection));
    collection.blocks->save(static_cast<std::size_t>(k), block);
  });
  if (twice > 0) report.drops.push_back({"test_in_train", "pairs that stand in two parts", twice});
  if (low > 0) report.drops.push_back({"min_rating", fmt::format("rated below {}", *rules.min_rating), low});
}

}  // namespace

ImportReport split_dataset(const SplitOptions& options) {
  const Stopwatch watch;
  const ThreadScope threads(options.threads);
  check_target(options.to, {options.from});
  check_rules(options.rules);
  const store::ArrayFile file = data::open_dataset(options.from);
  const data::DatasetHeader header = data::read_header(file);
  const bool given_validation = header.counts[1] > 0;
  const bool given_test = header.counts[2] > 0;
  SplitRules rules = options.rules;
  // Asked for a validation part alone, the test part stays, even where it is empty.
  const bool keeps_no_test = rules.split == SplitKind::automatic && !given_test;
  if (keeps_no_test && !rules.held_out) rules.split = SplitKind::none;
  const ResolvedSplit split = resolve_split(rules, given_test, given_validation, header.has_times);
  if (rules.min_rating && !header.has_ratings)
    throw UserError(fmt::format("--min-rating needs ratings, which {} lacks", options.from));

  const SpillPlace place{options.to, spill_memory(options.memory)};
  ImportReport report;
  report.from = options.from;
  report.notes = sweep_target(options.to);
  Collection collection;
  collection.schema = {header.has_ratings, header.has_times};
  collection.given_test = given_test;
  collection.given_validation = given_validation;
  load_ids(file, "/users/ids", header.users, collection.users);
  load_ids(file, "/items/ids", header.items, collection.items);
  collection.items_with_rows = collection.items.size();
  collection.user_counts.resize(collection.users.size());
  collection.item_counts.resize(collection.items.size());
  const auto parts = data::parts_of(header.holds_out_users);
  const std::size_t blocks = range_count(std::accumulate(std::begin(header.counts), std::end(header.counts), Index{0}));
  collection.blocks = std::make_unique<BlockStore>(place, blocks);
  for (const data::Part part : parts) {
    const Index count = header.counts[static_cast<std::size_t>(part)];
    report.rows_read += count;
    if (count > 0) report.inputs.push_back({options.from, data::part_name(part), "data set", count, 0, 0});
  }
  load_all(Loader(file, header, split, collection), rules, collection, report);
  load_dislikes(file, place, collection);
  if (header.has_negatives && split.test == SplitKind::given && split.candidates == 0)
    collection.candidates = load_candidates(file, header, blocks, place);
  if (header.has_negatives && split.test != SplitKind::given)
    report.notes.push_back("the candidate lists belong to the old test part and are left out");
  if (header.has_negatives && split.test == SplitKind::given && split.candidates > 0)
    report.notes.push_back("the candidate lists of the data set are left out: others are drawn");
  const std::string source = file.has_attribute("/", "source")
                                 ? file.text_attribute("/", "source")
                                 : std::filesystem::path(options.from).filename().string();
  Finish how;
  how.keep = true;
  how.read_side = [&](const RowMap& users, const RowMap& items, SideSet& set) {
    carry_side_data(file, users, items, set);
  };
  finish(collection, rules, split, {options.to, options.name, source, place}, how, report);
  report.seconds = watch.seconds();
  return report;
}

}  // namespace spar::data_tools
