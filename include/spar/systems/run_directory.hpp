#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "spar/base/settings.hpp"
#include "spar/comm/communicator.hpp"
#include "spar/data/interactions.hpp"
#include "spar/game/trainer.hpp"
#include "spar/systems/factor_model.hpp"

/// A run directory: recipe.toml (resolved), run.json (what it was trained on), log.jsonl, checkpoints/, results/,
/// run.lock (docs/formats.md, "Run directory").
namespace spar::systems {

/// What run.json says.
struct RunRecord {
  std::string recipe_name;
  std::string data_path;  ///< absolute
  std::string data_name;
  std::string data_content;  ///< DatasetHeader::content
};

struct RunPaths {
  std::string directory;
  std::string recipe() const { return directory + "/recipe.toml"; }
  std::string record() const { return directory + "/run.json"; }
  std::string log() const { return directory + "/log.jsonl"; }
  std::string checkpoints() const { return directory + "/checkpoints"; }
  std::string results() const { return directory + "/results"; }
};

/// The identity of an experiment: the recipe's identity settings and the content of the data.
std::string identity_of(const Recipe& recipe, const std::string& data_content);

/// Writes recipe.toml and run.json durably (rank 0 calls it).
void write_run_files(const RunPaths& paths, const Recipe& recipe, const RunRecord& record);

/// UserError where a training in this directory would replace a recipe of the user's.
void check_run_place(const RunPaths& paths);

/// UserError for the first directory that is no run directory, before hours go into those before it; collective.
void check_runs(const comm::Communicator& communicator, const std::vector<std::string>& directories);

/// Reads run.json; UserError where it is not what write_run_files() writes.
RunRecord read_run_record(const RunPaths& paths);

/// The identity of a stored training as this version of spar understands its recipe: settings that came later have
/// their defaults, which leave what was before them as it was. `stored` itself where this version cannot read the
/// recipe.
std::string present_identity(const store::CheckpointInfo& stored);

/// The first setting in which two identities differ, as a sentence for the user ("RUN has adversary.epsilon = 0.5, this
/// command 1: ..."), settings that both have before those that one lacks; nothing where they are equal.
std::optional<std::string> identity_difference(const std::string& run, const std::string& stored,
                                               const std::string& wanted, std::int64_t next_epoch);

/// A trained run, opened for evaluation, attack, recommendation or export: any launch with at most `shards` ranks.
struct OpenRun {
  RunPaths paths;
  Recipe recipe;
  RunRecord record;
  data::DatasetHeader header;
  std::unique_ptr<store::ArrayFile> file;
  ShardLayout layout;
  store::CheckpointManifest checkpoint;
  game::TrainingProgress progress;
  FactorModel model;       ///< values only
  std::int64_t epoch = 0;  ///< of the checkpoint
  bool is_best = false;    ///< chosen by validation, not the last
};

/// Opens DIR at its best or last checkpoint and loads this rank's share; collective. UserError: not a run directory, no
/// checkpoint yet, data set moved or changed.
/// `shards`: its rows are dealt out as a run of so many shards deals them; 0: as its own.
OpenRun open_run(const comm::Communicator& communicator, const std::string& directory, const std::string& which,
                 int shards = 0);

/// The lists of this rank's users: training, and what a split masks and looks for.
struct RunLists {
  data::UserLists train;
  data::UserLists validation;
  data::UserLists test;
  data::UserLists fold_in;  ///< where the data set holds users out
  data::UserLists negatives;
  std::vector<std::uint8_t> seen_items;  ///< of the rows that are ranked
  std::vector<std::uint8_t> chosen_users;
  bool holds_out_users = false;
  std::optional<evaluate::RatingScale> scale;  ///< where the model predicts ratings; the lists then have theirs
  /// Of models that learn from posts: what is looked for are the tags of held-out posts, none of them masked.
  struct Posts {
    data::PostRows train;
    data::PostRows validation;
    data::PostRows test;
  };
  std::optional<Posts> posts{};

  const data::PostRows* train_posts() const { return posts ? &posts->train : nullptr; }
  /// Whether something is known of local user k: training interactions, or what is folded in.
  bool has_profile(Index k) const { return !train.of(k).empty() || (holds_out_users && !fold_in.of(k).empty()); }
  /// Marks of this rank's users who have something to find in `split`, where the data set holds users out, since most
  /// users have nothing there; else no marks: all may be judged.
  std::vector<std::uint8_t> judged_users(const std::string& split) const;
  /// For evaluating `split` ("test": training and validation items are no candidates; "validation": training items;
  /// what is folded in never is).
  evaluate::EvaluationLists evaluation(const std::string& split, bool sampled) const;
};
/// Collective. Ratings are read where the model predicts some.
RunLists read_run_lists(const comm::Communicator& communicator, const store::ArrayFile& file,
                        const data::DatasetHeader& header, const FactorModel& model, bool with_negatives,
                        bool with_seen);

}  // namespace spar::systems
