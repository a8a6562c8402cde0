#include "spar/systems/run_directory.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <limits>
#include <sstream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "spar/base/error.hpp"
#include "spar/data/histories.hpp"
#include "spar/store/durable.hpp"
#include "spar/systems/item_features.hpp"
#include "spar/systems/system.hpp"

namespace spar::systems {

namespace {

RunRecord parse_record(const std::string& path) {
  try {
    const auto j = nlohmann::json::parse(store::read_text(path));
    return {j.at("recipe"), j.at("data"), j.at("data_name"), j.at("content")};
  } catch (const nlohmann::json::exception&) {
    throw UserError(fmt::format("{}: is not what spar train wrote there", path));
  }
}

void check_directory(const RunPaths& paths) {
  namespace fs = std::filesystem;
  if (!fs::exists(paths.directory)) throw UserError(fmt::format("{}: there is no such run directory", paths.directory));
  if (!fs::exists(paths.recipe()) || !fs::exists(paths.record())) {
    throw UserError(fmt::format(
        "{}: is not a run directory, which holds recipe.toml and run.json; spar train makes one", paths.directory));
  }
}

// The checkpoint that `which` names: the newest, or the best of the last stage that has one.
store::CheckpointManifest choose_checkpoint(const RunPaths& paths, const std::string& which,
                                            game::TrainingProgress& progress, bool& is_best) {
  // Loading compares every checksum, so the list need not.
  const auto checkpoints = store::list_checkpoints(paths.checkpoints());
  if (checkpoints.empty())
    throw UserError(fmt::format("{}: has no checkpoint yet; let spar train reach one", paths.directory));
  progress = game::TrainingProgress::parse(checkpoints.front().info.progress);
  is_best = false;
  if (which != "best") return checkpoints.front();
  for (auto best = progress.best.rbegin(); best != progress.best.rend(); ++best) {
    if (best->epoch < 0) continue;
    is_best = true;
    return store::read_manifest(paths.checkpoints() + "/" + best->checkpoint);
  }
  return checkpoints.front();
}

// The smallest and the largest rating of training, and the middle between them; of all ranks.
evaluate::RatingScale scale_of(const comm::Communicator& communicator, const data::UserLists& train) {
  double low = std::numeric_limits<double>::infinity();
  double high = -low;
  for (const float rating : train.ratings) {
    low = std::min(low, static_cast<double>(rating));
    high = std::max(high, static_cast<double>(rating));
  }
  low = -communicator.max(-low);
  high = communicator.max(high);
  return {static_cast<float>(low), static_cast<float>(high), static_cast<float>(0.5 * (low + high))};
}

const std::string content_key = "data.content = ";

using IdentityLines = std::vector<std::pair<std::string, std::string>>;  // key and value, in order

IdentityLines lines_of_identity(const std::string& identity) {
  IdentityLines lines;
  std::istringstream text(identity);
  for (std::string line; std::getline(text, line);) {
    const std::size_t middle = line.find(" = ");
    if (middle != std::string::npos) lines.emplace_back(line.substr(0, middle), line.substr(middle + 3));
  }
  return lines;
}

}  // namespace

std::string identity_of(const Recipe& recipe, const std::string& data_content) {
  return recipe.identity() + content_key + "\"" + data_content + "\"\n";
}

void write_run_files(const RunPaths& paths, const Recipe& recipe, const RunRecord& record) {
  const nlohmann::ordered_json j{{"format", "spar-run"},          {"version", 1},
                                 {"recipe", record.recipe_name},  {"data", record.data_path},
                                 {"data_name", record.data_name}, {"content", record.data_content}};
  // In this order, a recipe without a record is none of ours.
  store::write_durably(paths.record(), j.dump(2) + "\n");
  store::write_durably(paths.recipe(), recipe.toml());
}

void check_run_place(const RunPaths& paths) {
  namespace fs = std::filesystem;
  std::error_code unknown;
  if (fs::exists(paths.recipe(), unknown) && !fs::exists(paths.record(), unknown))
    throw UserError(fmt::format(
        "{} would be replaced: {} is not a run directory, so choose another --run, or give the recipe another name",
        paths.recipe(), paths.directory));
}

void check_runs(const comm::Communicator& communicator, const std::vector<std::string>& directories) {
  comm::agree(communicator, [&] {
    if (!communicator.is_root()) return;
    for (const std::string& directory : directories) check_directory({directory});
  });
}

RunRecord read_run_record(const RunPaths& paths) {
  return parse_record(paths.record());
}

std::string present_identity(const store::CheckpointInfo& stored) {
  const std::size_t content = stored.identity.rfind(content_key);
  if (content == std::string::npos) return stored.identity;
  try {
    return read_recipe(stored.recipe, "the recipe of " + stored.name).identity() + stored.identity.substr(content);
  } catch (const UserError&) {
    return stored.identity;
  }
}

std::optional<std::string> identity_difference(const std::string& run, const std::string& stored,
                                               const std::string& wanted, std::int64_t next_epoch) {
  const auto ours = lines_of_identity(stored);
  const auto theirs = lines_of_identity(wanted);
  // As a shell takes it: without TOML's quotes, which --set does not need.
  const auto bare = [](const std::string& text) {
    const bool quoted = text.size() >= 2 && text.front() == '"' && text.back() == '"';
    return quoted ? text.substr(1, text.size() - 2) : text;
  };
  const auto value_in = [](const IdentityLines& lines, const std::string& key) {
    const auto found = std::ranges::find(lines, key, &IdentityLines::value_type::first);
    return found == lines.end() ? nullptr : &found->second;
  };
  for (const auto& [key, value] : ours) {
    const std::string* other = value_in(theirs, key);
    if (other == nullptr || *other == value) continue;
    if (key == "data.content")
      return fmt::format(
          "{} was trained on other data (content {}, this file's {}): choose another --run, or give the data it was "
          "trained on",
          run, value, *other);
    if (key == "system") return fmt::format("{} trained {}, this command {}: choose another --run", run, value, *other);
    return fmt::format(
        "{0} has {1} = {2}, this command {3}: choose another --run, or give --set {1}={4} to go on at epoch {5}", run,
        key, value, *other, bare(value), next_epoch);
  }
  for (const auto& [key, value] : ours)
    if (value_in(theirs, key) == nullptr)
      return fmt::format("{} has {} = {}, which this command lacks: choose another --run", run, key, value);
  for (const auto& [key, value] : theirs)
    if (value_in(ours, key) == nullptr)
      return fmt::format("{} has no {}, this command {}: choose another --run", run, key, value);
  return std::nullopt;
}

OpenRun open_run(const comm::Communicator& communicator, const std::string& directory, const std::string& which,
                 int wanted_shards) {
  OpenRun run;
  run.paths.directory = directory;
  comm::agree(communicator, [&] {
    check_directory(run.paths);
    run.recipe = load_recipe(run.paths.recipe(), {});
    run.record = read_run_record(run.paths);
    run.checkpoint = choose_checkpoint(run.paths, which, run.progress, run.is_best);
    run.epoch = game::TrainingProgress::parse(run.checkpoint.info.progress).epoch;
    if (!std::filesystem::exists(run.record.data_path)) {
      throw UserError(
          fmt::format("{}: the data set {} that it was trained on is gone; put it back, or edit \"data\" in {}",
                      directory, run.record.data_path, run.paths.record()));
    }
    run.file = std::make_unique<store::ArrayFile>(data::open_dataset(run.record.data_path));
    run.header = data::read_header(*run.file);
    if (run.header.content != run.record.data_content) {
      throw UserError(fmt::format("{}: {} has changed since the training (content {}, then {})", directory,
                                  run.record.data_path, run.header.content, run.record.data_content));
    }
    const int shards = wanted_shards > 0 ? wanted_shards : resolve_shards(run.recipe);
    if (communicator.size() > shards)
      throw UserError(fmt::format("{} has {} shard{}, so at most {} rank{} can open it, not {}: start fewer", directory,
                                  shards, shards == 1 ? "" : "s", shards, shards == 1 ? "" : "s", communicator.size()));
    run.layout = {shards, communicator.size()};
    run.model = make_model(communicator, run.layout, run.header, run.recipe, false);
  });
  std::vector<store::TableRows> tables = run.model.stored(false);
  store::load_checkpoint(communicator, run.checkpoint, tables, nullptr);
  run.model.complete(communicator);
  load_features(communicator, *run.file, run.recipe, run.model);
  return run;
}

RunLists read_run_lists(const comm::Communicator& communicator, const store::ArrayFile& file,
                        const data::DatasetHeader& header, const FactorModel& model, bool with_negatives,
                        bool with_seen) {
  RunLists lists;
  const Index first = model.users->first_row();
  const Index end = first + model.users->rows();
  lists.holds_out_users = header.holds_out_users;
  const bool ratings = model.predicts_ratings();
  comm::agree(communicator, [&] {
    const std::array<data::UserLists*, 4> parts{&lists.train, &lists.validation, &lists.test, &lists.fold_in};
    for (const data::Part part : data::parts_of(header.holds_out_users)) {
      data::UserLists& list = *parts[static_cast<std::size_t>(part)];
      list = data::read_lists(file, part, first, end);
      if (ratings) data::read_values(file, part, list);
      if (model.reads_histories() && part != data::Part::test) data::read_order(file, part, list);
    }
    if (model.learns_from_posts()) {
      const auto read = [&](data::Part part) { return data::rows_of(data::read_posts(file, part, first, end)); };
      lists.posts = {read(data::Part::train), read(data::Part::validation), read(data::Part::test)};
    }
    if (!with_negatives) return;
    if (!header.has_negatives)
      throw UserError(
          fmt::format("{}: has no fixed candidates, which evaluate.protocol = \"sampled\" needs; spar split draws "
                      "them with --candidates, spar import pairs brings them with --negatives",
                      header.path));
    lists.negatives = data::read_negatives(file, first, end);
  });
  if (ratings) lists.scale = scale_of(communicator, lists.train);
  if (with_seen)
    lists.seen_items = seen_items(communicator, lists.posts ? lists.posts->train.tags : lists.train, *model.users,
                                  model.table_named(model.question().ranks));
  return lists;
}

evaluate::EvaluationLists RunLists::evaluation(const std::string& split, bool sampled) const {
  evaluate::EvaluationLists e;
  e.targets = split == "test" ? &test : &validation;
  e.masked = {&train};
  if (holds_out_users) {
    e.fold_in = &fold_in;
    e.masked.push_back(&fold_in);
  }
  if (split == "test") e.masked.push_back(&validation);
  if (posts) {
    e.posts = split == "test" ? &posts->test : &posts->validation;
    e.targets = &e.posts->tags;
    e.masked.clear();
  }
  if (sampled) e.candidates = &negatives;
  if (!seen_items.empty()) e.seen_items = &seen_items;
  if (!chosen_users.empty()) e.chosen_users = &chosen_users;
  e.scale = scale;
  return e;
}

std::vector<std::uint8_t> RunLists::judged_users(const std::string& split) const {
  if (!holds_out_users) return {};
  const data::UserLists& targets = split == "test" ? test : validation;
  std::vector<std::uint8_t> marks(static_cast<std::size_t>(targets.users()));
  for (Index k = 0; k < targets.users(); ++k) marks[static_cast<std::size_t>(k)] = targets.of(k).empty() ? 0 : 1;
  return marks;
}

}  // namespace spar::systems
