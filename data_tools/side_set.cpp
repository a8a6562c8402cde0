#include "data_tools/side_set.hpp"

#include <algorithm>
#include <tuple>

#include <fmt/format.h>

#include "spar/base/error.hpp"

namespace spar::data_tools {

namespace {

std::string title_of(const data::SidePlan& plan) {
  const bool by_side = plan.kind == data::SideKind::features || plan.kind == data::SideKind::attribute ||
                       plan.kind == data::SideKind::bag;
  const std::string side = by_side ? plan.side == data::Side::users ? "user " : "item " : "";
  if (plan.kind == data::SideKind::tags || plan.kind == data::SideKind::dislikes) return plan.name;
  return fmt::format("{}{} \"{}\"", side, data::side_kind_name(plan.kind), plan.name);
}

}  // namespace

SpillFile& SideSet::file() {
  if (!file_) file_ = std::make_unique<SpillFile>(place_);
  return *file_;
}

template <class Sink>
SideSet::Added<Sink> SideSet::add(std::unique_ptr<Sink> sink, const std::string& path) {
  const data::SidePlan& plan = sink->plan();
  if (!data::is_side_name(plan.name)) {
    throw UserError(
        fmt::format("\"{}\" ({}) is no name for side data: take letters, digits, '_', '-' and '.', at most "
                    "64 of them and not ending in _values, for instance NAME=FILE",
                    plan.name, path));
  }
  for (const auto& entry : entries_) {
    const data::SidePlan& other = entry->sink->plan();
    if (std::tie(other.kind, other.side, other.name) == std::tie(plan.kind, plan.side, plan.name)) {
      throw UserError(fmt::format("{} is given twice, by {} and by {}: give one of them another name", title_of(plan),
                                  entry->report.path, path));
    }
  }
  auto entry = std::make_unique<Entry>();
  entry->report.path = path;
  Sink& added = *sink;
  entry->sink = std::move(sink);
  entries_.push_back(std::move(entry));
  return {added, entries_.back()->report};
}

SideSet::Added<FeatureSink> SideSet::add_features(data::Side side, const std::string& name, const std::string& path,
                                                  Index width) {
  return add(std::make_unique<FeatureSink>(file(), side, name, rows(side), width), path);
}

std::unique_ptr<AttributeSink> SideSet::new_attribute(data::Side side, const std::string& name,
                                                      std::int64_t expected_bytes) {
  return std::make_unique<AttributeSink>(file(), side, name, rows(side), expected_bytes);
}

void SideSet::add_attribute(std::unique_ptr<AttributeSink> sink, const ImportReport::SideData& report) {
  add(std::move(sink), report.path).report = report;
}

SideSet::Added<SparseSink> SideSet::add_bag(data::Side side, const std::string& name, const std::string& path,
                                            std::int64_t expected_bytes) {
  return add(std::make_unique<SparseSink>(file(), side, name, rows(side), expected_bytes), path);
}

SideSet::Added<SparseSink> SideSet::add_graph(const std::string& name, const std::string& path, bool weighted,
                                              std::int64_t expected_bytes) {
  return add(std::make_unique<SparseSink>(file(), name, users_, weighted, expected_bytes), path);
}

SideSet::Added<PostSink> SideSet::add_posts(const std::string& path, bool timed, std::int64_t expected_bytes) {
  return add(std::make_unique<PostSink>(file(), users_, timed, expected_bytes), path);
}

SideSet::Added<DislikeSink> SideSet::add_dislikes(const std::string& path, bool timed, std::int64_t expected_bytes) {
  return add(std::make_unique<DislikeSink>(file(), users_, timed, expected_bytes), path);
}

void SideSet::finish(bool strict, ImportReport& report) {
  for (const auto& entry : entries_) {
    entry->sink->finish();
    const data::SidePlan& plan = entry->sink->plan();
    ImportReport::SideData& of_entry = entry->report;
    of_entry.title = title_of(plan);
    of_entry.kind = data::side_kind_name(plan.kind);
    of_entry.side = data::side_name(plan.side);
    of_entry.name = plan.name;
    of_entry.width = plan.kind == data::SideKind::graph      ? users_
                     : plan.kind == data::SideKind::dislikes ? items_
                                                             : plan.width;
    if (plan.kind == data::SideKind::dislikes) report.dislikes = entry->sink->entries();
    of_entry.rows = rows(plan.side);
    of_entry.covered = entry->sink->covered();
    of_entry.entries = entry->sink->entries();
    of_entry.repeated = entry->sink->repeated();
    const bool by_row = plan.kind == data::SideKind::features || plan.kind == data::SideKind::attribute;
    if (strict && by_row && of_entry.covered < of_entry.rows) {
      throw UserError(fmt::format("{} ({}) lacks {} of the {} {} of the data set, which --strict-side forbids",
                                  of_entry.title, of_entry.path, of_entry.rows - of_entry.covered, of_entry.rows,
                                  of_entry.side));
    }
    if (plan.kind == data::SideKind::attribute && plan.width == 2) {
      report.notes.push_back(fmt::format("{} has one value only, so nothing can be learnt from it", of_entry.title));
    }
  }
  std::sort(entries_.begin(), entries_.end(), [](const auto& a, const auto& b) {
    const data::SidePlan& left = a->sink->plan();
    const data::SidePlan& right = b->sink->plan();
    return std::tie(left.kind, left.side, left.name) < std::tie(right.kind, right.side, right.name);
  });
  for (const auto& entry : entries_) report.side.push_back(entry->report);
}

std::vector<data::SidePlan> SideSet::plans() const {
  std::vector<data::SidePlan> plans;
  for (const auto& entry : entries_) plans.push_back(entry->sink->plan());
  return plans;
}

void SideSet::write(data::DatasetWriter& writer) const {
  for (std::size_t k = 0; k < entries_.size(); ++k) {
    data::SideWriter side_writer(writer, k);
    entries_[k]->sink->write(side_writer);
  }
}

}  // namespace spar::data_tools
