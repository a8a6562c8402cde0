#include "spar/data/dataset_writer.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <numeric>

#include "array_specs.hpp"
#include <fmt/format.h>

#include "spar/base/error.hpp"
#include "spar/base/sharding.hpp"
#include "spar/data/partial_file.hpp"

namespace spar::data {

namespace {

constexpr std::int64_t version_without_held_out_users = 1;

std::vector<store::ArraySpec> specs_of(const DatasetPlan& plan) {
  using store::ElementType;
  std::vector<store::ArraySpec> specs;
  specs.push_back(spec("/users/ids", ElementType::text, store::group_boundaries(plan.users), plan.user_id_bytes));
  specs.push_back(spec("/items/ids", ElementType::text, store::group_boundaries(plan.items), plan.item_id_bytes));
  for (const Part part : parts_of(plan.holds_out_users())) {
    const std::vector<std::int64_t> boundaries = running_sum(plan.group_counts[static_cast<std::size_t>(part)]);
    specs.push_back(spec(part_array(part, "offsets"), ElementType::i64, offsets_boundaries(plan.users)));
    specs.push_back(spec(part_array(part, "items"), ElementType::u32, boundaries));
    if (plan.has_ratings) specs.push_back(spec(part_array(part, "ratings"), ElementType::f32, boundaries));
    if (plan.has_times) specs.push_back(spec(part_array(part, "times"), ElementType::i64, boundaries));
  }
  if (plan.negatives_group_counts) {
    specs.push_back(spec("/test/negatives_offsets", ElementType::i64, offsets_boundaries(plan.users)));
    specs.push_back(spec("/test/negatives", ElementType::u32, running_sum(*plan.negatives_group_counts)));
  }
  add_side_arrays(plan.side, plan.users, plan.items, specs);
  return specs;
}

std::vector<store::Attribute> attributes_of(const DatasetPlan& plan) {
  using store::Attribute;
  const std::int64_t version = plan.holds_out_users() ? dataset_version : version_without_held_out_users;
  std::vector<Attribute> attributes = {Attribute::of("/", "format", std::string(dataset_format)),
                                       Attribute::of("/", "version", version),
                                       Attribute::of("/", "source", plan.source),
                                       Attribute::of("/", "split", plan.split),
                                       Attribute::of("/", "users", plan.users),
                                       Attribute::of("/", "items", plan.items)};
  if (!plan.name.empty()) attributes.push_back(Attribute::of("/", "name", plan.name));
  describe_group("/users", "spar-entities", attributes);
  describe_group("/items", "spar-entities", attributes);
  for (const Part part : parts_of(plan.holds_out_users())) {
    const std::vector<std::int64_t>& counts = plan.group_counts[static_cast<std::size_t>(part)];
    attributes.push_back(
        Attribute::of("/", part_name(part), std::accumulate(counts.begin(), counts.end(), std::int64_t{0})));
    describe_group(std::string("/") + part_name(part), "spar-interactions", attributes);
  }
  add_side_attributes(plan.side, attributes);
  attributes.insert(attributes.end(), plan.attributes.begin(), plan.attributes.end());
  return attributes;
}

void check_plan(const DatasetPlan& plan) {
  SPAR_ASSERT(plan.users >= 0 && plan.items >= 0);
  constexpr Index most_items = std::numeric_limits<ItemId>::max();
  if (plan.items > most_items)
    throw UserError(fmt::format("{} items are too many: a catalogue ends at {}", plan.items, most_items));
}

std::string partial_path(const std::string& path, const std::string& mark) {
  return path + ".partial-" + mark;
}

}  // namespace

DatasetWriter::DatasetWriter(DatasetPlan plan, store::ArrayFileWriter writer)
    : plan_(std::move(plan)), writer_(std::move(writer)) {
  for (const Part part : parts()) {
    const auto p = static_cast<std::size_t>(part);
    group_offsets_[p] = running_sum(plan_.group_counts[p]);
  }
  if (plan_.negatives_group_counts) negatives_group_offsets_ = running_sum(*plan_.negatives_group_counts);
}

DatasetWriter DatasetWriter::create(const std::string& path, const DatasetPlan& plan) {
  check_plan(plan);
  const std::string mark = partial_mark();
  auto removed_by_signals = std::make_unique<RemovedBySignals>(partial_path(path, mark));
  DatasetWriter writer(plan, store::ArrayFileWriter::create(path, specs_of(plan), attributes_of(plan), mark));
  writer.removed_by_signals_ = std::move(removed_by_signals);
  return writer;
}

DatasetWriter DatasetWriter::create_together(const comm::Communicator& communicator, const std::string& path,
                                             const DatasetPlan& plan) {
  const std::string nonce = communicator.broadcast(communicator.is_root() ? partial_mark() : std::string(), 0);
  // On every rank: the first that is told to end removes the file, even where the one that made it is deaf in a write.
  auto removed_by_signals = std::make_unique<RemovedBySignals>(partial_path(path, nonce));
  std::optional<store::ArrayFileWriter> writer;
  comm::agree(communicator, [&] {
    check_plan(plan);
    if (communicator.is_root())
      writer = store::ArrayFileWriter::create(path, specs_of(plan), attributes_of(plan), nonce);
  });
  comm::agree(communicator, [&] {
    if (!communicator.is_root()) writer = store::ArrayFileWriter::open_existing(path, specs_of(plan), nonce);
  });
  DatasetWriter together(plan, std::move(*writer));
  together.removed_by_signals_ = std::move(removed_by_signals);
  return together;
}

void DatasetWriter::write_lists(const std::string& offsets_array, const std::string& items_array,
                                const std::vector<std::int64_t>& group_offsets, int group,
                                std::span<const std::int64_t> offsets, std::span<const ItemId> items) {
  const auto g = static_cast<std::size_t>(group);
  const auto users = static_cast<std::size_t>(Partition{plan_.users, row_groups}.size(group));
  SPAR_ASSERT(offsets.size() == users + 1 && offsets.front() == 0 &&
              offsets.back() == static_cast<std::int64_t>(items.size()));
  SPAR_ASSERT(group_offsets[g] + offsets.back() == group_offsets[g + 1]);
  const bool closes = group == row_groups - 1;
  std::vector<std::int64_t> file_offsets(users + (closes ? 1 : 0));
  std::transform(offsets.begin(), offsets.begin() + static_cast<std::ptrdiff_t>(file_offsets.size()),
                 file_offsets.begin(), [&](std::int64_t offset) { return group_offsets[g] + offset; });
  writer_.write_segment(offsets_array, group, file_offsets.data());
  writer_.write_segment(items_array, group, items.data());
}

void DatasetWriter::write_group(Part part, int group, const GroupSlice& slice) {
  SPAR_ASSERT(slice.ratings.size() == (plan_.has_ratings ? slice.items.size() : 0));
  SPAR_ASSERT(slice.times.size() == (plan_.has_times ? slice.items.size() : 0));
  write_lists(part_array(part, "offsets"), part_array(part, "items"), group_offsets_[static_cast<std::size_t>(part)],
              group, slice.offsets, slice.items);
  if (plan_.has_ratings) writer_.write_segment(part_array(part, "ratings"), group, slice.ratings.data());
  if (plan_.has_times) writer_.write_segment(part_array(part, "times"), group, slice.times.data());
}

void DatasetWriter::write_negatives(int group, std::span<const std::int64_t> offsets, std::span<const ItemId> items) {
  SPAR_ASSERT(plan_.negatives_group_counts.has_value());
  write_lists("/test/negatives_offsets", "/test/negatives", negatives_group_offsets_, group, offsets, items);
}

void DatasetWriter::write_texts(const std::string& array, std::size_t bytes, int segment,
                                std::span<const std::string> texts) {
  std::vector<char> packed(texts.size() * bytes, '\0');
  for (std::size_t k = 0; k < texts.size(); ++k) {
    SPAR_ASSERT(texts[k].size() <= bytes);
    if (texts[k].find('\0') != std::string::npos)
      throw UserError(fmt::format("the id \"{}\" has a zero byte after it", texts[k].c_str()));
    std::memcpy(packed.data() + k * bytes, texts[k].data(), texts[k].size());
  }
  writer_.write_segment(array, segment, packed.data());
}

void DatasetWriter::write_user_ids(int group, std::span<const std::string> ids) {
  SPAR_ASSERT(static_cast<Index>(ids.size()) == Partition({plan_.users, row_groups}).size(group));
  write_texts("/users/ids", plan_.user_id_bytes, group, ids);
}
void DatasetWriter::write_item_ids(int group, std::span<const std::string> ids) {
  SPAR_ASSERT(static_cast<Index>(ids.size()) == Partition({plan_.items, row_groups}).size(group));
  write_texts("/items/ids", plan_.item_id_bytes, group, ids);
}

void DatasetWriter::commit() {
  writer_.commit();
  removed_by_signals_.reset();
}

void DatasetWriter::commit_together(const comm::Communicator& communicator) {
  comm::agree(communicator, [&] { writer_.flush(); });
  comm::agree(communicator, [&] {
    if (communicator.is_root()) writer_.commit();
  });
  removed_by_signals_.reset();
}

}  // namespace spar::data
