#include <algorithm>
#include <cmath>

#include "comparison.hpp"
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "spar/evaluate/results.hpp"

namespace spar::evaluate {

namespace {

// A wider table is turned: metrics become rows.
constexpr std::size_t widest_table = 110;

using Row = std::vector<std::string>;

// "±" is two bytes and one column.
std::size_t columns_of(const std::string& text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

std::vector<std::size_t> widths_of(const std::vector<Row>& rows) {
  std::vector<std::size_t> widths(rows.front().size());
  for (const Row& row : rows) {
    for (std::size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], columns_of(row[c]));
  }
  return widths;
}

std::vector<Row> turned(const std::vector<Row>& rows) {
  std::vector<Row> columns(rows.front().size(), Row(rows.size()));
  for (std::size_t r = 0; r < rows.size(); ++r) {
    for (std::size_t c = 0; c < rows[r].size(); ++c) columns[c][r] = rows[r][c];
  }
  return columns;
}

bool is_too_wide(const std::vector<Row>& rows) {
  std::size_t total = 0;
  for (const std::size_t width : widths_of(rows)) total += width + 2;
  return total > widest_table;
}

std::string render(std::vector<Row> rows) {
  if (is_too_wide(rows)) rows = turned(rows);
  const auto widths = widths_of(rows);
  std::string text;
  for (const Row& row : rows) {
    std::string line;
    for (std::size_t c = 0; c < row.size(); ++c) line += row[c] + std::string(widths[c] - columns_of(row[c]) + 2, ' ');
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

std::string value_text(double mean, double error) {
  if (std::isnan(mean)) return "-";
  return std::isnan(error) ? fmt::format("{:.4f}", mean) : fmt::format("{:.4f} ±{:.4f}", mean, error);
}

std::string p_text(double p) {
  if (std::isnan(p)) return "-";
  return p < 0.0001 ? "<0.0001" : fmt::format("{:.2g}", p);
}

// The rows of one comparison below the runs: the differences, and how likely chance alone makes them.
void add_test(std::vector<Row>& rows, const std::string& title, const std::string& test,
              const std::vector<MeanTest>& tests) {
  Row difference{title, ""};
  Row p{test, ""};
  for (const MeanTest& one : tests) {
    difference.push_back(std::isnan(one.difference) ? "-" : fmt::format("{:+.4f}", one.difference));
    p.push_back(p_text(one.p));
  }
  rows.push_back(std::move(difference));
  rows.push_back(std::move(p));
}

// All columns of all runs, in the order in which they are met.
std::vector<std::string> all_names(const std::vector<RunResult>& runs) {
  std::vector<std::string> names;
  for (const RunResult& run : runs) {
    for (const std::string& name : run.values.names) {
      if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    }
  }
  return names;
}

std::string statements(const std::vector<RunResult>& runs) {
  const bool alike = std::all_of(runs.begin(), runs.end(),
                                 [&](const RunResult& run) { return run.statement() == runs.front().statement(); });
  if (alike) return runs.front().statement() + "\n";
  std::string text;
  const auto labels = run_labels(runs);
  for (std::size_t k = 0; k < runs.size(); ++k) text += fmt::format("{}: {}\n", labels[k], runs[k].statement());
  return text;
}

// One run with many columns: metrics by cut-offs; what has none stands under "all".
std::vector<Row> by_cutoff(const RunResult& run, const std::string& label) {
  std::vector<Row> rows{{fmt::format("{}, epoch {}", label, run.epoch)}};
  const auto place = [](auto& list, const auto& is_it, const auto& otherwise) {
    const auto found = std::find_if(list.begin(), list.end(), is_it);
    if (found != list.end()) return static_cast<std::size_t>(found - list.begin());
    list.push_back(otherwise);
    return list.size() - 1;
  };
  for (const std::string& name : run.values.names) {
    const std::size_t at = name.find('@');
    const std::string metric = name.substr(0, at);
    const std::string cutoff = at == std::string::npos ? "all" : name.substr(at);
    const std::size_t column = place(
        rows.front(), [&](const std::string& title) { return title == cutoff; }, cutoff);
    const std::size_t row = place(
        rows, [&](const Row& one) { return one.front() == metric; }, Row{metric});
    const MetricValue& value = run.values.metrics.at(name);
    rows[row].resize(std::max(rows[row].size(), column + 1));
    rows[row][column] = value_text(value.mean, value.standard_error);
  }
  for (Row& row : rows) row.resize(rows.front().size());
  return rows;
}

}  // namespace

std::string run_table(const std::vector<RunResult>& runs, const std::vector<RunDifference>& differences) {
  const auto names = all_names(runs);
  const auto labels = run_labels(runs);
  Row titles{"run", "epoch"};
  titles.insert(titles.end(), names.begin(), names.end());
  std::vector<Row> rows{titles};
  for (std::size_t k = 0; k < runs.size(); ++k) {
    Row row{labels[k], std::to_string(runs[k].epoch)};
    for (const std::string& name : names) {
      const auto value = runs[k].values.metrics.find(name);
      row.push_back(
          value == runs[k].values.metrics.end() ? "" : value_text(value->second.mean, value->second.standard_error));
    }
    rows.push_back(std::move(row));
  }
  for (const RunDifference& difference : differences) {
    const std::string title =
        runs.size() == 2 ? "difference" : fmt::format("{} - {}", labels[difference.second], labels[difference.first]);
    add_test(rows, title, "paired t, p", difference.tests);
  }
  const bool fold = runs.size() == 1 && is_too_wide(rows);
  std::string text = statements(runs) + render(fold ? by_cutoff(runs.front(), labels.front()) : rows);
  if (text.find("±") != std::string::npos) text += fmt::format("±: standard error over {}\n", runs.front().judged);
  if (!differences.empty())
    text += fmt::format("p: over {}; other seeds may differ more (--group seed)\n", runs.front().judged);
  return text;
}

std::string group_table(const std::vector<RunResult>& runs) {
  const auto groups = seed_groups(runs);
  const auto names = all_names(runs);
  Row titles{"runs", "seeds"};
  titles.insert(titles.end(), names.begin(), names.end());
  std::vector<Row> rows{titles};
  for (const SeedGroup& group : groups) {
    Row row{group.label, std::to_string(group.runs.size())};
    for (const std::string& name : names) {
      const auto place = std::find(group.names.begin(), group.names.end(), name);
      const auto c = static_cast<std::size_t>(place - group.names.begin());
      row.push_back(place == group.names.end() ? "" : value_text(group.spreads[c].mean, group.spreads[c].deviation));
    }
    rows.push_back(std::move(row));
  }
  for (std::size_t g = 1; g < groups.size(); ++g) {
    if (groups[g].names != names || groups[0].names != names) continue;
    const std::string title =
        groups.size() == 2 ? "difference" : fmt::format("{} - {}", groups[g].label, groups[0].label);
    add_test(rows, title, "Welch's t, p", compare_seeds(groups[0], groups[g]));
  }
  return statements(runs) + render(rows) + "±: standard deviation over seeds\n";
}

}  // namespace spar::evaluate
