#include "data_tools/placing.hpp"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "data_tools/filters.hpp"
#include "data_tools/radix_sort.hpp"
#include "data_tools/ranges.hpp"
#include "spar/base/sharding.hpp"
#include "spar/base/threads.hpp"
#include "spar/data/dataset_writer.hpp"

namespace spar::data_tools {

RowMap deal(const std::vector<std::int64_t>& counts, std::uint32_t always) {
  std::vector<std::uint32_t> kept;
  std::vector<std::int64_t> kept_counts;
  for (std::uint32_t k = 0; k < counts.size(); ++k) {
    if (counts[k] == 0 && k < always) continue;
    kept.push_back(k);
    kept_counts.push_back(counts[k]);
  }
  const std::vector<Index> order = data::deal_rows(kept_counts);
  RowMap map;
  map.row_of.assign(counts.size(), no_row);
  map.number_of.resize(kept.size());
  for (std::size_t row = 0; row < order.size(); ++row) {
    const std::uint32_t number = kept[static_cast<std::size_t>(order[row])];
    map.number_of[row] = number;
    map.row_of[number] = static_cast<std::uint32_t>(row);
  }
  return map;
}

RowMap keep_rows(std::uint32_t rows) {
  RowMap map;
  map.row_of.resize(rows);
  std::iota(map.row_of.begin(), map.row_of.end(), 0U);
  map.number_of = map.row_of;
  return map;
}

namespace {

/// What one worker has counted.
struct Tally {
  std::array<std::vector<std::int64_t>, 3> group_counts;
  std::vector<std::int64_t> candidate_counts;
  std::int64_t users_without_train = 0, users_without_test = 0;
  std::int64_t candidates_in_test = 0, candidates_repeated = 0, candidates_dropped = 0;
  Tally() {
    for (auto& counts : group_counts) counts.resize(row_groups);
    candidate_counts.resize(row_groups);
  }
};

/// Memory of one worker.
struct Worker {
  Worker(const ResolvedSplit& split, SpillFile& file, std::size_t ranges)
      : splitter(split), lists(file, ranges), candidate_lists(file, ranges) {}
  Splitter splitter;
  RangeSpill lists, candidate_lists;
  Tally tally;
  Block block;
  UserList list;
  std::vector<std::uint32_t> places;  ///< in the block, of the interactions of the list
  std::vector<std::uint64_t> words, more_words;
  std::vector<WideWord> wide_words, more_wide_words;
  std::vector<std::uint8_t> parts;  ///< of the block's interactions, by place; dropped: no_part
  std::vector<Candidate> candidates;
  StoredList stored;
};

constexpr std::uint8_t no_part = 3;

class Placer {
 public:
  Placer(const Collection& collection, const RowMap& users, const RowMap& items, const ResolvedSplit& split)
      : collection_(collection),
        users_(users),
        items_(items),
        split_(split),
        in_known_(items.number_of.size()),
        in_test_(items.number_of.size()) {
    if (split.draws()) {
      user_hashes_ = collection.users.hashes();
      item_hashes_ = collection.items.hashes();
    }
  }

  void place_block(std::size_t index, Worker& worker) {
    collection_.blocks->load(index, worker.block);
    assign_parts(worker);
    const Block& block = worker.block;
    const int bits = bits_of(block.users.size()) + 2 + bits_of(items_.number_of.size()) + bits_of(block.items.size());
    if (bits <= 64) {
      order_and_store(worker, worker.words, worker.more_words);
    } else {
      order_and_store(worker, worker.wide_words, worker.more_wide_words);
    }
    if (collection_.candidates) place_candidates(index, worker);
  }

  std::int64_t items_only_in_test() const {
    std::int64_t count = 0;
    for (std::size_t k = 0; k < in_test_.size(); ++k) count += in_test_[k] != 0 && in_known_[k] == 0 ? 1 : 0;
    return count;
  }

 private:
  void assign_parts(Worker& worker) const {
    const Block& block = worker.block;
    UserList& list = worker.list;
    worker.parts.assign(block.items.size(), no_part);
    for (std::size_t u = 0; u < block.users.size(); ++u) {
      const std::uint32_t user = block.users[u];
      if (users_.row_of[user] == no_row) continue;
      worker.places.clear();
      list.parts.clear();
      list.times.clear();
      list.order.clear();
      list.item_hashes.clear();
      for (std::size_t at = block.begins[u]; at < block.begins[u + 1]; ++at) {
        if (!is_kept(collection_, block.items[at])) continue;
        worker.places.push_back(static_cast<std::uint32_t>(at));
        list.parts.push_back(block.parts[at]);
        list.order.push_back(block.order[at]);
        if (collection_.schema.times) list.times.push_back(block.times[at]);
        if (!item_hashes_.empty()) list.item_hashes.push_back(item_hashes_[block.items[at]]);
      }
      list.user_hash = user_hashes_.empty() ? 0 : user_hashes_[user];
      worker.splitter.assign(list);
      for (std::size_t k = 0; k < list.parts.size(); ++k) worker.parts[worker.places[k]] = list.parts[k];
    }
  }

  /// Sorts the block's interactions by user, part and item row, and stores each user's lists with the range of its row.
  template <class Word>
  void order_and_store(Worker& worker, std::vector<Word>& words, std::vector<Word>& more) {
    const Block& block = worker.block;
    const int place_bits = bits_of(block.items.size());
    const int item_bits = bits_of(items_.number_of.size());
    words.clear();
    for (std::size_t u = 0; u < block.users.size(); ++u) {
      for (std::size_t at = block.begins[u]; at < block.begins[u + 1]; ++at) {
        if (worker.parts[at] == no_part) continue;
        const Word list = (Word{u} << 2) | worker.parts[at];
        words.push_back((((list << item_bits) | items_.row_of[block.items[at]]) << place_bits) | at);
      }
    }
    radix_sort(words, more, place_bits, place_bits + item_bits + 2 + bits_of(block.users.size()));

    const auto user_of = [&](const Word word) {
      return static_cast<std::size_t>(word >> (place_bits + item_bits + 2));
    };
    const auto part_of = [&](const Word word) {
      return static_cast<std::size_t>(word >> (place_bits + item_bits)) & 3;
    };
    const Word place_mask = (Word{1} << place_bits) - 1;
    for (std::size_t begin = 0; begin < words.size();) {
      const std::size_t user = user_of(words[begin]);
      StoredList& stored = worker.stored;
      stored.clear(users_.row_of[block.users[user]]);
      for (; begin < words.size() && user_of(words[begin]) == user; ++begin) {
        const auto place = static_cast<std::size_t>(words[begin] & place_mask);
        ++stored.counts[part_of(words[begin])];
        stored.items.push_back(items_.row_of[block.items[place]]);
        if (collection_.schema.ratings) stored.ratings.push_back(block.ratings[place]);
        if (collection_.schema.times) stored.times.push_back(block.times[place]);
      }
      tally(worker);
      worker.lists.add(users_.rows(), stored);
    }
  }

  void tally(Worker& worker) {
    const StoredList& stored = worker.stored;
    Tally& tally = worker.tally;
    const auto group = static_cast<std::size_t>(Partition{users_.rows(), row_groups}.part_of(stored.row));
    for (std::size_t part = 0; part < 3; ++part) tally.group_counts[part][group] += stored.counts[part];
    tally.users_without_train += stored.counts[0] == 0 ? 1 : 0;
    tally.users_without_test += stored.counts[2] == 0 ? 1 : 0;
    const std::size_t known = stored.counts[0] + stored.counts[1];
    for (std::size_t k = 0; k < stored.items.size(); ++k) {
      __atomic_store_n(k < known ? &in_known_[stored.items[k]] : &in_test_[stored.items[k]], std::uint8_t{1},
                       __ATOMIC_RELAXED);
    }
  }

  void place_candidates(std::size_t index, Worker& worker);

  const Collection& collection_;
  const RowMap& users_;
  const RowMap& items_;
  const ResolvedSplit& split_;
  std::vector<std::uint64_t> user_hashes_, item_hashes_;
  std::vector<std::uint8_t> in_known_, in_test_;  ///< by item row: occurs in train or validation, occurs in test
};

/// Candidates keep their order in the file; a user's own test items, repeats and dropped items go.
void Placer::place_candidates(std::size_t index, Worker& worker) {
  collection_.candidates->load(index, worker.candidates);
  std::stable_sort(worker.candidates.begin(), worker.candidates.end(),
                   [](const Candidate& a, const Candidate& b) { return a.user < b.user; });
  const Block& block = worker.block;
  std::vector<std::uint32_t> test_rows, seen;
  for (std::size_t begin = 0; begin < worker.candidates.size();) {
    const std::uint32_t user = worker.candidates[begin].user;
    std::size_t end = begin;
    while (end < worker.candidates.size() && worker.candidates[end].user == user) ++end;
    const auto found = std::lower_bound(block.users.begin(), block.users.end(), user);
    if (found == block.users.end() || *found != user || users_.row_of[user] == no_row) {
      worker.tally.candidates_dropped += static_cast<std::int64_t>(end - begin);
      begin = end;
      continue;
    }
    const auto u = static_cast<std::size_t>(found - block.users.begin());
    test_rows.clear();
    for (std::size_t at = block.begins[u]; at < block.begins[u + 1]; ++at) {
      if (worker.parts[at] == static_cast<std::uint8_t>(data::Part::test))
        test_rows.push_back(items_.row_of[block.items[at]]);
    }
    StoredList& stored = worker.stored;
    stored.clear(users_.row_of[user]);
    seen.clear();
    for (; begin < end; ++begin) {
      const std::uint32_t row = items_.row_of[worker.candidates[begin].item];
      const auto place = std::lower_bound(seen.begin(), seen.end(), row);
      if (row == no_row) {
        ++worker.tally.candidates_dropped;
      } else if (std::find(test_rows.begin(), test_rows.end(), row) != test_rows.end()) {
        ++worker.tally.candidates_in_test;
      } else if (place != seen.end() && *place == row) {
        ++worker.tally.candidates_repeated;
      } else {
        seen.insert(place, row);
        stored.items.push_back(row);
      }
    }
    stored.counts[0] = static_cast<std::uint32_t>(stored.items.size());
    const auto group = static_cast<std::size_t>(Partition{users_.rows(), row_groups}.part_of(stored.row));
    worker.tally.candidate_counts[group] += stored.counts[0];
    worker.candidate_lists.add(users_.rows(), stored);
  }
}

void write_ids(data::DatasetWriter& writer, const IdMap& ids, const RowMap& rows, bool users) {
  parallel_for(row_groups, [&](int group) {
    const Partition groups{rows.rows(), row_groups};
    std::vector<std::string> names;
    names.reserve(static_cast<std::size_t>(groups.size(group)));
    for (Index row = groups.begin(group); row < groups.end(group); ++row)
      names.push_back(ids.name(rows.number_of[static_cast<std::size_t>(row)]));
    if (users) {
      writer.write_user_ids(group, names);
    } else {
      writer.write_item_ids(group, names);
    }
  });
}

std::size_t longest_name(const IdMap& ids, const RowMap& rows) {
  if (rows.rows() == static_cast<Index>(ids.size())) return ids.longest_name();
  std::size_t longest = 1;
  for (const std::uint32_t number : rows.number_of) longest = std::max(longest, ids.name(number).size());
  return longest;
}

std::int64_t sum(const std::vector<std::int64_t>& values) {
  return std::accumulate(values.begin(), values.end(), std::int64_t{0});
}

void add_to(std::vector<std::int64_t>& sums, const std::vector<std::int64_t>& values) {
  for (std::size_t k = 0; k < sums.size(); ++k) sums[k] += values[k];
}

Tally total(const std::vector<std::unique_ptr<Worker>>& workers) {
  Tally all;
  for (const auto& worker : workers) {
    const Tally& tally = worker->tally;
    for (std::size_t part = 0; part < 3; ++part) add_to(all.group_counts[part], tally.group_counts[part]);
    add_to(all.candidate_counts, tally.candidate_counts);
    all.users_without_train += tally.users_without_train;
    all.users_without_test += tally.users_without_test;
    all.candidates_in_test += tally.candidates_in_test;
    all.candidates_repeated += tally.candidates_repeated;
    all.candidates_dropped += tally.candidates_dropped;
  }
  return all;
}

void complete(ImportReport& report, const Tally& tally) {
  report.train = sum(tally.group_counts[0]);
  report.validation = sum(tally.group_counts[1]);
  report.test = sum(tally.group_counts[2]);
  report.negatives = sum(tally.candidate_counts);
  report.users_without_train = tally.users_without_train;
  report.users_without_test = tally.users_without_test;
  const auto add = [&](const char* reason, const char* sentence, std::int64_t count) {
    if (count > 0) report.drops.push_back({reason, sentence, count});
  };
  add("negatives.in_test", "candidates that are the user's own test item", tally.candidates_in_test);
  add("negatives.repeats", "candidates repeated in a user's list", tally.candidates_repeated);
  add("negatives.dropped", "candidates whose user or item was dropped", tally.candidates_dropped);
}

}  // namespace

void write_dataset(const Collection& collection, const RowMap& users, const RowMap& items, const ResolvedSplit& split,
                   const Title& title, ImportReport& report) {
  const std::int64_t kept = sum(collection.user_counts);
  const std::size_t ranges = range_count(kept);
  auto file = std::make_unique<SpillFile>(title.to);
  std::vector<std::unique_ptr<Worker>> workers;
  for (int k = 0; k < threads(); ++k) workers.push_back(std::make_unique<Worker>(split, *file, ranges));
  Placer placer(collection, users, items, split);
  parallel_for_worker(static_cast<int>(collection.blocks->count()), [&](int index, int worker) {
    placer.place_block(static_cast<std::size_t>(index), *workers[static_cast<std::size_t>(worker)]);
  });

  const Tally tally = total(workers);
  complete(report, tally);
  report.items_only_in_test = placer.items_only_in_test();
  report.users = users.rows();
  report.items = items.rows();

  data::DatasetPlan plan;
  plan.name = title.name;
  plan.source = title.source;
  plan.split = report.split = split.phrase();
  plan.users = users.rows();
  plan.items = items.rows();
  plan.group_counts = tally.group_counts;
  if (collection.candidates) plan.negatives_group_counts = tally.candidate_counts;
  plan.has_ratings = report.has_ratings = collection.schema.ratings;
  plan.has_times = report.has_times = collection.schema.times;
  plan.user_id_bytes = longest_name(collection.users, users);
  plan.item_id_bytes = longest_name(collection.items, items);
  plan.attributes.push_back(store::Attribute::of("/", "filters", title.filters));
  data::DatasetWriter writer = data::DatasetWriter::create(title.to, plan);
  write_ids(writer, collection.users, users, true);
  write_ids(writer, collection.items, items, false);
  parallel_for(static_cast<int>(ranges), [&](int range) {
    std::vector<const RangeSpill*> lists, candidate_lists;
    for (const auto& worker : workers) {
      lists.push_back(&worker->lists);
      candidate_lists.push_back(&worker->candidate_lists);
    }
    RangeWriter range_writer(users.rows(), ranges, collection.schema, writer);
    range_writer.write_parts(static_cast<std::size_t>(range), lists);
    if (collection.candidates) range_writer.write_candidates(static_cast<std::size_t>(range), candidate_lists);
  });
  writer.commit();
}

}  // namespace spar::data_tools
