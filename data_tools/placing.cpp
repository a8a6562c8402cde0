#include "data_tools/placing.hpp"

#include <algorithm>
#include <numeric>

#include "data_tools/placer.hpp"
#include "data_tools/side_set.hpp"
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

void complete(ImportReport& report, const Tally& tally) {
  report.train = sum(tally.group_counts[0]);
  report.validation = sum(tally.group_counts[1]);
  report.test = sum(tally.group_counts[2]);
  report.negatives = sum(tally.candidate_counts);
  report.users_without_train = tally.users_without_train;
  report.users_without_test = tally.users_without_test;
  report.fold_in = sum(tally.group_counts[3]);
  report.held_out_validation = tally.held_out_validation;
  report.held_out_test = tally.held_out_test;
  const auto add = [&](const char* reason, const char* sentence, std::int64_t count) {
    if (count > 0) report.drops.push_back({reason, sentence, count});
  };
  add("negatives.in_test", "candidates that are the user's own test item", tally.candidates_in_test);
  add("negatives.repeats", "candidates repeated in a user's list", tally.candidates_repeated);
  add("negatives.dropped", "candidates whose user or item was dropped", tally.candidates_dropped);
}

}  // namespace

void write_dataset(const Collection& collection, const RowMap& users, const RowMap& items, const ResolvedSplit& split,
                   const Title& title, const SideSet& side, ImportReport& report) {
  const std::int64_t kept = sum(collection.user_counts);
  const std::size_t ranges = range_count(kept);
  auto file = std::make_unique<SpillFile>(title.place);
  std::vector<std::unique_ptr<PlacerWorker>> workers;
  for (int k = 0; k < threads(); ++k)
    workers.push_back(std::make_unique<PlacerWorker>(split, items.rows(), *file, ranges));
  Placer placer(collection, users, items, split);
  parallel_for_worker(static_cast<int>(collection.blocks->count()), [&](int index, int worker) {
    placer.place_block(static_cast<std::size_t>(index), *workers[static_cast<std::size_t>(worker)]);
  });
  Tally tally;
  for (const auto& worker : workers) tally.add(worker->tally);
  complete(report, tally);
  if (tally.first_time == tally.last_time && split.test == SplitKind::leave_one_out)
    report.notes.push_back(
        "all times are equal, so a user's last interaction is the one that comes last in the input: --split "
        "random-leave-one-out draws one");
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
  if (report.fold_in == 0) plan.group_counts[3].clear();
  const bool candidates = collection.candidates != nullptr || split.candidates > 0;
  if (candidates) plan.negatives_group_counts = tally.candidate_counts;
  plan.has_ratings = report.has_ratings = collection.schema.ratings;
  plan.has_times = report.has_times = collection.schema.times;
  plan.user_id_bytes = longest_name(collection.users, users);
  plan.item_id_bytes = longest_name(collection.items, items);
  plan.side = side.plans();
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
    if (candidates) range_writer.write_candidates(static_cast<std::size_t>(range), candidate_lists);
  });
  side.write(writer);
  writer.commit();
}

}  // namespace spar::data_tools
