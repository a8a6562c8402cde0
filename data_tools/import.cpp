#include "data_tools/import.hpp"

#include <algorithm>
#include <filesystem>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "data_tools/cleaning.hpp"
#include "data_tools/dislikes.hpp"
#include "data_tools/finishing.hpp"
#include "data_tools/reading.hpp"
#include "data_tools/side_import.hpp"
#include "data_tools/target.hpp"
#include "spar/base/error.hpp"

namespace spar::data_tools {

namespace {

std::string source_phrase(const ImportOptions& options, const std::vector<Input>& inputs) {
  std::vector<std::string> names;
  for (const Input& input : inputs) {
    if (names.size() < 4)
      names.push_back(input.path == "-" ? "standard input" : std::filesystem::path(input.path).filename().string());
  }
  if (inputs.size() > names.size()) names.push_back(fmt::format("and {} more", inputs.size() - names.size()));
  return fmt::format("{}: {}", options.format, fmt::join(names, ", "));
}

void check_options(const ImportOptions& options) {
  const bool columns = options.format == "delimited" || options.format == "recbole" || options.format == "movielens";
  if (!columns && (!options.columns.empty() || !options.separator.empty()) && options.format != "pairs") {
    throw UserError(fmt::format("--separator and --columns have no meaning for the format {}", options.format));
  }
}

}  // namespace

ImportReport import_dataset(const ImportOptions& options) {
  const Stopwatch watch;
  const ThreadScope threads(options.threads);
  std::vector<Input> inputs = find_inputs(options);
  check_options(options);
  std::vector<std::string> paths;
  for (const Input& input : inputs) paths.push_back(input.path);
  check_target(options.to, paths);
  check_rules(options.rules);
  check_dislikes(options.rules);
  check_side_options(options.side);

  const SpillPlace place{options.to, spill_memory(options.memory)};
  ImportReport report;
  report.from = options.format;
  const bool given_test =
      std::any_of(inputs.begin(), inputs.end(), [](const Input& input) { return input.part == InputPart::test; });
  const bool given_validation =
      std::any_of(inputs.begin(), inputs.end(), [](const Input& input) { return input.part == InputPart::validation; });
  const bool negatives =
      std::any_of(inputs.begin(), inputs.end(), [](const Input& input) { return input.part == InputPart::negatives; });
  const std::string source = source_phrase(options, inputs);
  const std::string negatives_path = negatives ? inputs.back().path : "";

  // All that can be said without reading the rows is said before.
  const Schema schema = common_schema(inputs, options.ordered, report.notes);
  const ResolvedSplit split = resolve_split(options.rules, given_test, given_validation, schema.times);
  if (options.rules.min_rating && !schema.ratings)
    throw UserError("--min-rating needs a rating for every interaction, which the input lacks");
  if (options.rules.dislikes_below && !schema.ratings)
    throw UserError("--dislikes-below needs a rating for every interaction, which the input lacks");
  if (negatives && split.test != SplitKind::given) {
    throw UserError("candidate lists belong to a given test part, so they need --split given and a test part");
  }

  if (negatives && split.candidates > 0)
    throw UserError("--candidates draws lists for the test part, but the input brings its own: leave one of them out");

  for (std::string& note : sweep_target(options.to)) report.notes.push_back(std::move(note));
  Records records = read_inputs(inputs, schema, place, options.ordered, report);
  CleaningRules rules;
  rules.merge_test = given_test && split.test != SplitKind::given;
  rules.merge_validation = given_validation && split.validation != SplitKind::given;
  rules.min_rating = options.rules.min_rating;
  rules.dislikes_below = options.rules.dislikes_below;
  rules.negatives_path = negatives_path;
  if (rules.merge_test) report.notes.push_back("the given test part is split anew together with the training part");
  if (rules.merge_validation) report.notes.push_back("the given validation part counts as training");
  Collection collection = clean(std::move(records), rules, place, report);
  Finish how;
  how.strict_side = options.side.strict;
  how.read_side = [&](const RowMap& users, const RowMap& items, SideSet& set) {
    const Entities entities{collection.users, collection.items, users, items};
    const std::vector<std::string> movielens =
        options.format == "movielens" ? options.paths : std::vector<std::string>();
    read_side_data(options.side, movielens, options.rules.seed, entities, set);
  };
  finish(collection, options.rules, split, {options.to, options.name, source, place}, how, report);
  report.seconds = watch.seconds();
  return report;
}

}  // namespace spar::data_tools
