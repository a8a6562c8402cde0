#include "data_tools/side_sinks.hpp"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "data_tools/blocks.hpp"
#include "spar/base/error.hpp"
#include "spar/base/sharding.hpp"
#include "spar/base/threads.hpp"
#include "spar/data/dataset_file.hpp"

namespace spar::data_tools {

namespace {

std::int64_t sum(const std::vector<std::int64_t>& values) {
  return std::accumulate(values.begin(), values.end(), std::int64_t{0});
}

}  // namespace

SideSink::SideSink(data::SideKind kind, data::Side side, std::string name) {
  plan_.kind = kind;
  plan_.side = side;
  plan_.name = std::move(name);
}

RowMap deal_words(const IdMap& words, const std::vector<std::int64_t>& counts) {
  std::vector<std::uint32_t> by_count;
  std::vector<std::string> texts(words.size());
  for (std::uint32_t k = 0; k < words.size(); ++k) {
    if (counts[k] == 0) continue;
    by_count.push_back(k);
    texts[k] = words.name(k);
  }
  std::sort(by_count.begin(), by_count.end(), [&](std::uint32_t a, std::uint32_t b) {
    if (counts[a] != counts[b]) return counts[a] > counts[b];
    return texts[a] != texts[b] ? texts[a] < texts[b] : a < b;
  });
  RowMap map;
  map.row_of.assign(words.size(), no_row);
  map.number_of.resize(by_count.size());
  const data::RowDealing dealing(static_cast<Index>(by_count.size()));
  for (std::size_t place = 0; place < by_count.size(); ++place) {
    const auto row = static_cast<std::uint32_t>(dealing.row_of_place(static_cast<Index>(place)));
    map.row_of[by_count[place]] = row;
    map.number_of[row] = by_count[place];
  }
  return map;
}

std::size_t longest_word(const IdMap& words, const RowMap& rows) {
  std::size_t longest = 1;
  for (const std::uint32_t number : rows.number_of) longest = std::max(longest, words.name(number).size());
  return longest;
}

void write_words(const IdMap& words, const RowMap& rows, data::SideWriter& writer) {
  const Partition groups{rows.rows(), row_groups};
  for (int group = 0; group < row_groups; ++group) {
    std::vector<std::string> texts;
    for (Index row = groups.begin(group); row < groups.end(group); ++row)
      texts.push_back(words.name(rows.number_of[static_cast<std::size_t>(row)]));
    writer.write_vocabulary(group, texts);
  }
}

FeatureSink::FeatureSink(SpillFile& file, data::Side side, std::string name, Index rows, Index width)
    : SideSink(data::SideKind::features, side, std::move(name)),
      records_(file, rows, 4 + 4 * static_cast<std::size_t>(width), rows * width * 4),
      seen_(static_cast<std::size_t>(rows)),
      record_(4 + 4 * static_cast<std::size_t>(width)) {
  plan_.width = width;
}

bool FeatureSink::add(Index row, std::span<const float> values) {
  SPAR_ASSERT(static_cast<Index>(values.size()) == plan_.width);
  if (seen_[static_cast<std::size_t>(row)]) return false;
  seen_[static_cast<std::size_t>(row)] = true;
  const auto short_row = static_cast<std::uint32_t>(row);
  std::memcpy(record_.data(), &short_row, 4);
  std::memcpy(record_.data() + 4, values.data(), values.size_bytes());
  records_.add(row, record_.data());
  return true;
}

void FeatureSink::finish() {
  covered_ = std::count(seen_.begin(), seen_.end(), true);
  entries_ = covered_ * plan_.width;
  plan_.missing = static_cast<Index>(seen_.size()) - covered_;
}

void FeatureSink::write(data::SideWriter& writer) const {
  parallel_for(records_.ranges(), [&](int range) { write_range(range, writer); });
}

void FeatureSink::write_range(int range, data::SideWriter& writer) const {
  std::vector<char> bytes;
  records_.load(range, bytes);
  const auto width = static_cast<std::size_t>(plan_.width);
  const Index first = records_.first_row(range);
  const auto rows = static_cast<std::size_t>(records_.first_row(range + 1) - first);
  std::vector<std::size_t> place_of(rows, bytes.size());
  for (std::size_t at = 0; at < bytes.size(); at += record_.size()) {
    std::uint32_t row = 0;
    std::memcpy(&row, &bytes[at], 4);
    place_of[static_cast<std::size_t>(static_cast<Index>(row) - first)] = at + 4;
  }
  const Partition groups{records_.rows_of_side(), row_groups};
  std::vector<float> values;
  std::vector<std::uint32_t> present;
  for (int group = records_.first_group(range); group < records_.end_group(range); ++group) {
    const auto begin = static_cast<std::size_t>(groups.begin(group) - first);
    const auto size = static_cast<std::size_t>(groups.size(group));
    values.assign(size * width, 0.0F);
    present.assign(size, 0);
    for (std::size_t k = 0; k < size; ++k) {
      if (place_of[begin + k] == bytes.size()) continue;
      present[k] = 1;
      std::memcpy(&values[k * width], &bytes[place_of[begin + k]], 4 * width);
    }
    writer.write_features(group, values, present);
  }
}

AttributeSink::AttributeSink(SpillFile& file, data::Side side, std::string name, Index rows,
                             std::int64_t expected_bytes)
    : SideSink(data::SideKind::attribute, side, std::move(name)),
      records_(file, rows, sizeof(Record), expected_bytes) {}

void AttributeSink::add(Index row, std::string_view category) {
  if (category.empty()) return;
  const Record record{static_cast<std::uint32_t>(row), categories_.number(category)};
  records_.add(row, &record);
  ++covered_;
}

bool AttributeSink::has_lists(const std::string& separator) const {
  for (std::uint32_t k = 0; k < categories_.size(); ++k) {
    if (categories_.name(k).find(separator) != std::string::npos) return true;
  }
  return false;
}

void AttributeSink::visit(const std::function<void(Index, const std::string&)>& visit) const {
  std::vector<Record> records;
  for (int range = 0; range < records_.ranges(); ++range) {
    records_.load(range, records);
    for (const Record& record : records) visit(record.row, categories_.name(record.number));
  }
}

void AttributeSink::finish() {
  entries_ = covered_;
  std::vector<std::uint32_t> order(categories_.size());
  std::iota(order.begin(), order.end(), 0U);
  std::vector<std::string> names;
  for (const std::uint32_t k : order) names.push_back(categories_.name(k));
  if (categories_.whole_numbers()) {
    const auto value = [&](std::uint32_t k) { return std::stoull(names[k]); };
    std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) { return value(a) < value(b); });
  } else {
    std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) { return names[a] < names[b]; });
  }
  values_.assign(1, "");
  code_of_.resize(order.size());
  for (const std::uint32_t k : order) {
    code_of_[k] = static_cast<std::uint32_t>(values_.size());
    values_.push_back(names[k]);
    plan_.text_bytes = std::max(plan_.text_bytes, names[k].size());
  }
  plan_.width = static_cast<Index>(values_.size());
}

void AttributeSink::write(data::SideWriter& writer) const {
  writer.write_values(values_);
  const Partition groups{records_.rows_of_side(), row_groups};
  parallel_for(records_.ranges(), [&](int range) {
    std::vector<Record> records;
    records_.load(range, records);
    const Index first = records_.first_row(range);
    std::vector<std::uint32_t> codes(static_cast<std::size_t>(records_.first_row(range + 1) - first), 0);
    for (const Record& record : records)
      codes[static_cast<std::size_t>(static_cast<Index>(record.row) - first)] = code_of_[record.number];
    for (int group = records_.first_group(range); group < records_.end_group(range); ++group) {
      const auto begin = static_cast<std::size_t>(groups.begin(group) - first);
      writer.write_codes(group, std::span(codes).subspan(begin, static_cast<std::size_t>(groups.size(group))));
    }
  });
}

SparseSink::SparseSink(SpillFile& file, data::Side side, std::string name, Index rows, std::int64_t expected_bytes)
    : SideSink(data::SideKind::bag, side, std::move(name)), records_(file, rows, sizeof(Record), expected_bytes) {
  plan_.weighted = true;
}

SparseSink::SparseSink(SpillFile& file, std::string name, Index users, bool weighted, std::int64_t expected_bytes)
    : SideSink(data::SideKind::graph, data::Side::users, std::move(name)),
      records_(file, users, sizeof(Record), expected_bytes) {
  plan_.weighted = weighted;
}

void SparseSink::add_word(Index row, std::string_view word, float weight) {
  const Record record{static_cast<std::uint32_t>(row), words_.number(word), weight};
  records_.add(row, &record);
}

void SparseSink::add_edge(Index from, Index to, float weight) {
  const Record record{static_cast<std::uint32_t>(from), static_cast<std::uint32_t>(to), weight};
  records_.add(from, &record);
}

std::int64_t SparseSink::load_merged(int range, std::vector<Record>& records) const {
  records_.load(range, records);
  if (is_bag() && vocabulary_.rows() > 0) {
    for (Record& record : records) record.column = vocabulary_.row_of[record.column];
  }
  std::stable_sort(records.begin(), records.end(), [](const Record& a, const Record& b) {
    return a.row != b.row ? a.row < b.row : a.column < b.column;
  });
  std::size_t kept = 0;
  for (std::size_t begin = 0, end = 0; begin < records.size(); begin = end) {
    double weight = 0;
    for (end = begin;
         end < records.size() && records[end].row == records[begin].row && records[end].column == records[begin].column;
         ++end) {
      weight += static_cast<double>(records[end].weight);
    }
    records[kept] = records[begin];
    if (is_bag()) records[kept].weight = static_cast<float>(weight);
    ++kept;
  }
  const std::size_t repeats = records.size() - kept;
  records.resize(kept);
  return static_cast<std::int64_t>(repeats);
}

void SparseSink::count_range(int range, std::vector<std::int64_t>& word_counts) {
  std::vector<Record> records;
  add_shared(repeated_, load_merged(range, records));
  const Partition groups{records_.rows_of_side(), row_groups};
  std::int64_t rows = 0;
  for (std::size_t k = 0; k < records.size(); ++k) {
    rows += k == 0 || records[k].row != records[k - 1].row ? 1 : 0;
    ++plan_.group_entries[0][static_cast<std::size_t>(groups.part_of(records[k].row))];
    if (is_bag()) add_shared(word_counts[records[k].column], 1);
  }
  add_shared(covered_, rows);
}

void SparseSink::finish() {
  plan_.group_entries[0].assign(row_groups, 0);
  std::vector<std::int64_t> word_counts(words_.size());
  parallel_for(records_.ranges(), [&](int range) { count_range(range, word_counts); });
  entries_ = sum(plan_.group_entries[0]);
  if (!is_bag()) return;
  repeated_ = 0;  // they add up
  vocabulary_ = deal_words(words_, word_counts);
  plan_.width = vocabulary_.rows();
  plan_.text_bytes = longest_word(words_, vocabulary_);
}

void SparseSink::write(data::SideWriter& writer) const {
  parallel_for(records_.ranges(), [&](int range) { write_range(range, writer); });
  if (is_bag()) write_words(words_, vocabulary_, writer);
}

void SparseSink::write_range(int range, data::SideWriter& writer) const {
  std::vector<Record> records;
  load_merged(range, records);
  const Partition groups{records_.rows_of_side(), row_groups};
  std::vector<std::int64_t> offsets;
  std::vector<std::uint32_t> columns;
  std::vector<float> weights;
  std::size_t at = 0;
  for (int group = records_.first_group(range); group < records_.end_group(range); ++group) {
    offsets.assign(1, 0);
    columns.clear();
    weights.clear();
    for (Index row = groups.begin(group); row < groups.end(group); ++row) {
      for (; at < records.size() && static_cast<Index>(records[at].row) == row; ++at) {
        columns.push_back(records[at].column);
        if (plan_.weighted) weights.push_back(records[at].weight);
      }
      offsets.push_back(static_cast<std::int64_t>(columns.size()));
    }
    writer.write_sparse(group, {offsets, columns, weights});
  }
}

}  // namespace spar::data_tools
