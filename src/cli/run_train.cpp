#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <thread>
#include <unistd.h>

#include "new_directories.hpp"
#include "tap_sizes.hpp"
#include <fmt/format.h>

#include "spar/base/error.hpp"
#include "spar/base/progress.hpp"
#include "spar/base/signals.hpp"
#include "spar/base/threads.hpp"
#include "spar/cli/run.hpp"
#include "spar/data/histories.hpp"
#include "spar/report/run_log.hpp"
#include "spar/store/durable.hpp"
#include "spar/store/run_lock.hpp"
#include "spar/systems/dislikes.hpp"
#include "spar/systems/item_features.hpp"
#include "spar/systems/posts.hpp"
#include "spar/systems/pretrained.hpp"
#include "spar/systems/private_attributes.hpp"
#include "spar/systems/run_directory.hpp"
#include "spar/systems/start_vectors.hpp"
#include "spar/systems/system.hpp"
#include "spar/systems/teacher.hpp"

namespace spar::cli {

namespace {

namespace fs = std::filesystem;

constexpr double progress_line_seconds = 30;

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::string host_name() {
  char name[256] = {};
  gethostname(name, sizeof name - 1);
  return name;
}

// One training from the command line: what stands between the trainer and the user.
class TrainingRun {
 public:
  TrainingRun(const comm::Communicator& communicator, const TrainOptions& options)
      : communicator_(communicator), options_(options), progress_(options.progress_mode(), communicator.is_root()) {}

  int run();

 private:
  void read_inputs();
  void check_inputs();
  void print_layout() const;
  void print_first_lines(const std::optional<game::ResumePoint>& resume);
  void build();
  void find_resume();
  int train_popularity();
  int train();
  game::TrainingHooks hooks();
  game::RunPlace place();
  double validate(std::int64_t epoch, const std::string& stage);
  void show(const std::string& stage, std::int64_t epoch, bool keep);
  report::RunStart start_line() const;

  const comm::Communicator& communicator_;
  const TrainOptions& options_;
  Progress progress_;
  Recipe recipe_;
  std::unique_ptr<store::ArrayFile> file_;
  data::DatasetHeader header_;
  systems::RunPaths paths_;
  std::string identity_;
  ShardLayout layout_;
  systems::FactorModel model_;
  systems::RunLists lists_;
  std::vector<std::uint8_t> validation_users_;
  evaluate::EvaluationOptions evaluation_;
  std::unique_ptr<game::Engine> engine_;
  NewDirectories directories_;  // before the lock, whose file goes first
  std::unique_ptr<store::RunLock> lock_;
  std::optional<game::ResumePoint> resume_;
  std::optional<report::RunLog> log_;
  game::TrainingPlan plan_;
  TrainingRow row_;
  evaluate::EvaluationResult last_validation_;
  double validation_seconds_ = 0;
  double checkpoint_seconds_ = 0;
  double started_ = now();
  double last_progress_line_ = now();
};

void TrainingRun::read_inputs() {
  comm::agree(communicator_, [&] {
    std::vector<std::string> overrides = options_.set;
    if (options_.threads > 0) overrides.push_back(fmt::format("parallel.threads={}", options_.threads));
    recipe_ = systems::load_recipe(options_.recipe, overrides);
    file_ = std::make_unique<store::ArrayFile>(data::open_dataset(options_.data));
    header_ = data::read_header(*file_);
    systems::resolve_features(recipe_, *file_);
    systems::resolve_attributes(recipe_, *file_);
    systems::require_posts(recipe_, header_);
    const int shards = systems::resolve_shards(recipe_);
    systems::check_layout(communicator_, shards);
    layout_ = {shards, communicator_.size()};
    const std::int64_t threads = recipe_.integer("parallel.threads");
    set_threads(threads > 0 ? static_cast<int>(threads)
                            : std::min(available_processors(), layout_.shard_count(communicator_.rank())));
    paths_.directory = options_.run.empty() ? fmt::format("runs/{}-{}", recipe_.name(), header_.name) : options_.run;
    identity_ = systems::identity_of(recipe_, header_.content);
  });
}

void TrainingRun::check_inputs() {
  comm::agree(communicator_, [&] {
    if (header_.counts[0] == 0) throw UserError(fmt::format("{}: holds no training interactions", options_.data));
    if (recipe_.system() == "popularity") return;
    systems::check_data(recipe_, header_);
    plan_ = systems::plan_of(recipe_);
    const auto network = systems::network_of(recipe_);
    if (network && network->histories() != nullptr) data::require_times(*file_);
    evaluation_ = systems::evaluation_options(recipe_);
    const std::string& split = recipe_.text("evaluate.select_on");
    const auto targets =
        systems::targets_of(recipe_, header_, split == "test" ? data::Part::test : data::Part::validation);
    if (plan_.validate_every_epochs > 0 && targets == 0) {
      if (systems::learns_from_posts(recipe_))
        throw UserError(
            fmt::format("{0} holds no {1} posts for early stopping, since no user has enough of them or they were not "
                        "split: import it with --tags-split leave-one-out, or --set evaluate.every_epochs=0",
                        options_.data, split));
      if (split == "test")
        throw UserError(
            fmt::format("evaluate.select_on = \"test\", but {} has no test interactions: spar split {} --split "
                        "leave-one-out --to other.h5, or --set evaluate.every_epochs=0",
                        options_.data, options_.data));
      throw UserError(
          fmt::format("early stopping needs a validation split, which {0} lacks: spar split {0} --validation "
                      "leave-one-out --to other.h5 (or --set evaluate.every_epochs=0 trains without)",
                      options_.data));
    }
    const std::string& by = recipe_.text("evaluate.select_by");
    evaluation_.metrics = {by.substr(0, by.find('@'))};
    evaluation_.cutoffs = by.find('@') == std::string::npos
                              ? std::vector<std::int64_t>{10}
                              : std::vector<std::int64_t>{std::atoll(by.c_str() + by.find('@') + 1)};
  });
}

void TrainingRun::build() {
  comm::agree(communicator_, [&] { model_ = systems::make_model(communicator_, layout_, header_, recipe_, true); });
  systems::load_features(communicator_, *file_, recipe_, model_);
  const bool sampled = recipe_.system() != "popularity" && evaluation_.protocol == evaluate::Protocol::sampled;
  const bool seen = recipe_.system() != "popularity" && (!evaluation_.cold_items || model_.predicts_ratings());
  lists_ = systems::read_run_lists(communicator_, *file_, header_, model_, sampled, seen);
  if (recipe_.system() == "popularity") return;
  if (recipe_.has("model.init") && !recipe_.text("model.init").empty() && !resume_) {
    const std::string note =
        systems::load_start_vectors(communicator_, recipe_.text("model.init"), *file_, header_, model_);
    if (!note.empty()) progress_.line("warning: " + note);
  }
  if (!resume_) {
    systems::load_teacher(communicator_, recipe_, header_, model_);
    systems::load_pretrained(communicator_, recipe_, header_, model_);
  }
  systems::load_attributes(communicator_, *file_, recipe_, lists_.train, model_);
  systems::load_dislikes(communicator_, *file_, recipe_, lists_.train, model_);
  engine_ = systems::make_engine(communicator_, layout_, header_, recipe_, model_, lists_.train, lists_.train_posts());
  validation_users_ = systems::choose_users(communicator_, model_.users->first_row(), model_.users->rows(),
                                            recipe_.integer("evaluate.validation_users"),
                                            static_cast<std::uint64_t>(recipe_.integer("train.seed")),
                                            lists_.judged_users(recipe_.text("evaluate.select_on")));
}

void TrainingRun::find_resume() {
  resume_ = game::find_resume_point(communicator_, paths_.checkpoints(),
                                    [&](const std::string& w) { progress_.line("warning: " + w); });
  comm::agree(communicator_, [&] {
    if (!resume_) return;
    const auto difference = systems::identity_difference(
        paths_.directory, systems::present_identity(resume_->manifest.info), identity_, resume_->progress.epoch + 1);
    if (difference) throw UserError(*difference);
  });
}

game::RunPlace TrainingRun::place() {
  return {paths_.checkpoints(), lock_->nonce(),
          [this] {
            lock_->touch();
            return lock_->still_owner();
          },
          recipe_.toml(), identity_};
}

void TrainingRun::print_first_lines(const std::optional<game::ResumePoint>& resume) {
  progress_.line(fmt::format("{} on {}: {} users, {} items, {} train / {} validation / {} test", recipe_.name(),
                             header_.name, with_commas(header_.users), with_commas(header_.items),
                             with_commas(header_.counts[0]), with_commas(header_.counts[1]),
                             with_commas(header_.counts[2])));
  if (header_.holds_out_users)
    progress_.line(
        fmt::format("        users of the validation and test parts are held out of training: {} of their "
                    "interactions are folded in",
                    with_commas(header_.counts[3])));
  if (systems::learns_from_posts(recipe_))
    progress_.line(fmt::format("posts   {} train / {} validation / {} test; {} tags", with_commas(header_.posts[0]),
                               with_commas(header_.posts[1]), with_commas(header_.posts[2]),
                               with_commas(header_.tags)));
  const std::string state =
      !resume ? "new"
              : fmt::format("goes on after epoch {}{}", resume->progress.epoch,
                            resume->progress.step > 0 ? fmt::format(", step {}", resume->progress.step) : "");
  const std::int64_t seed = recipe_.has("train.seed") ? recipe_.integer("train.seed") : 0;
  progress_.line(fmt::format("run     {} ({}), seed {}", paths_.directory, state, seed));
  const int busy = communicator_.size() * threads();
  const int idle = static_cast<int>(std::thread::hardware_concurrency()) - busy;
  std::string cores;
  if (idle > 0)
    cores = fmt::format(" ({} of {} cores idle: more ranks, or mpirun --map-by node:PE=k with --threads k)", idle,
                        busy + idle);
  const std::string batch = recipe_.has("train.batch_size")
                                ? fmt::format(", batch {}", with_commas(recipe_.integer("train.batch_size")))
                                : "";
  progress_.line(fmt::format("layout  {} rank{} x {} thread{}{}, {} shard{}{}", communicator_.size(),
                             communicator_.size() == 1 ? "" : "s", threads(), threads() == 1 ? "" : "s", cores,
                             layout_.shards, layout_.shards == 1 ? "" : "s", batch));
  if (threads() * communicator_.size() > layout_.shards)
    progress_.line(fmt::format("warning: {} workers for {} shards: the others idle", threads() * communicator_.size(),
                               layout_.shards));
  progress_.line("stop    Ctrl-C once; the same command goes on");
}

report::RunStart TrainingRun::start_line() const {
  return {recipe_.system(),
          recipe_.name(),
          fs::absolute(options_.data).string(),
          header_.users,
          header_.items,
          header_.counts[0],
          recipe_.has("train.seed") ? recipe_.integer("train.seed") : 0,
          communicator_.size(),
          threads(),
          layout_.shards,
          recipe_.has("train.batch_size") ? recipe_.integer("train.batch_size") : 0,
          host_name()};
}

double TrainingRun::validate(std::int64_t, const std::string&) {
  lock_->touch();
  const double begin = now();
  const std::string& split = recipe_.text("evaluate.select_on");
  auto lists = lists_.evaluation(split, evaluation_.protocol == evaluate::Protocol::sampled);
  lists.chosen_users = &validation_users_;
  last_validation_ = evaluate::evaluate(
      communicator_, layout_.shards, model_.scoring(communicator_, layout_.shards, lists).scorer, lists, evaluation_);
  validation_seconds_ = now() - begin;
  // One metric was asked for; with a sampled protocol its name says so.
  return last_validation_.metrics.at(last_validation_.names.front()).mean;
}

void TrainingRun::show(const std::string& stage, std::int64_t epoch, bool keep) {
  row_.stage = stage;
  row_.epoch = epoch;
  row_.epochs = plan_.stages.back().end_epoch;
  const std::string text = training_row(row_, recipe_.text("evaluate.select_by"));
  keep ? progress_.keep(text) : progress_.status(text);
}

game::TrainingHooks TrainingRun::hooks() {
  game::TrainingHooks hooks;
  const bool root = communicator_.is_root();
  hooks.validate = [this](std::int64_t epoch, const std::string& stage) { return validate(epoch, stage); };
  hooks.validated = [this, root](std::int64_t epoch, const std::string& stage, double value, bool best) {
    row_.metric = value;
    if (best) row_.best = epoch;
    if (!root) return;
    report::ValidationLine line{
        epoch, stage, recipe_.text("evaluate.select_on"), last_validation_.users, {}, best, validation_seconds_};
    for (const auto& [name, metric] : last_validation_.metrics) line.metrics.emplace_back(name, metric.mean);
    log_->validation(line);
    show(stage, epoch, false);
  };
  hooks.epoch_done = [this, root](const game::EpochReport& report) {
    row_.loss = report.losses.front().second;
    row_.examples_per_second = static_cast<double>(report.examples) / std::max(1e-9, report.seconds);
    row_.seconds_left =
        static_cast<double>(plan_.stages.back().end_epoch - report.epoch) * (report.seconds + validation_seconds_);
    if (!root) return;
    log_->epoch({report.epoch,
                 report.stage,
                 report.losses,
                 report.examples,
                 *row_.examples_per_second,
                 {{"compute", report.by_kind.compute},
                  {"communication", report.by_kind.communication},
                  {"input", report.by_kind.input},
                  {"loop", report.seconds}},
                 report.bytes_sent});
    if (report.epoch == 1 && report.skipped > 0) {
      const std::string count = with_commas(report.skipped);
      progress_.line(model_.autoencoder
                         ? fmt::format("{}{} users take no part: {}", header_.holds_out_users ? "" : "warning: ", count,
                                       header_.holds_out_users ? "they are held out, or have no interactions"
                                                               : "they have no training interactions")
                     : model_.learns_from_posts()
                         ? fmt::format("warning: {} assignments are left out: their posts have every tag", count)
                         : fmt::format("warning: {} interactions are left out: their users have every item", count));
    }
    show(report.stage, report.epoch, false);
    lock_->touch();
  };
  hooks.step_done = [this](const game::StepReport& report) {
    lock_->touch();
    row_.loss = report.loss;
    row_.examples_per_second = report.examples_per_second;
    show(report.stage, report.epoch, false);
    if (now() - last_progress_line_ < progress_line_seconds) return;
    last_progress_line_ = now();
    log_->progress({report.epoch,
                    report.stage,
                    report.step,
                    report.steps,
                    {{engine_->loss_name(), report.loss}},
                    report.examples_per_second,
                    row_.seconds_left.value_or(-1)});
  };
  hooks.saved = [this, root](std::int64_t epoch, const store::SaveReport& report) {
    if (!root) return;
    log_->checkpoint({epoch, fs::relative(report.path, paths_.directory).string(), report.seconds, report.bytes});
  };
  hooks.log_length = [this]() -> std::int64_t {
    log_->sync();
    return log_->length();
  };
  hooks.stage_begins = [this](const game::Stage& stage) {
    if (row_.epoch > 0) show(row_.stage, row_.epoch, true);
    row_.best.reset();
    row_.metric.reset();
    if (!stage.adversary || !stage.adversary->is_present()) return;
    const double epsilon = stage.adversary->perturbation.epsilon;
    if (!stage.adversary->taps.empty()) {
      const std::string sizes = tap_sizes(communicator_, layout_.shards, model_, *stage.adversary);
      return progress_.line(fmt::format("adversary on: epsilon {:g}{}", epsilon, sizes));
    }
    const double user = model_.users->median_norm(communicator_, layout_.shards);
    const double item = model_.items->median_norm(communicator_, layout_.shards);
    progress_.line(
        fmt::format("adversary on: epsilon {:g} = {:.0f}% of the median user row, {:.0f}% of the median item row{}",
                    epsilon, 100 * epsilon / std::max(user, 1e-30), 100 * epsilon / std::max(item, 1e-30),
                    epsilon > 0.5 * std::min(user, item) ? " (warning: more than half of a row)" : ""));
  };
  hooks.stopped_early = [this](const game::Stage& stage, std::int64_t best) {
    progress_.line(
        fmt::format("early stop of {}: no gain in {} evaluations; best epoch {}", stage.name, stage.patience, best));
  };
  hooks.warn = [this](const std::string& sentence) { progress_.line("warning: " + sentence); };
  return hooks;
}

int TrainingRun::train_popularity() {
  systems::count_popularity(communicator_, lists_.train, model_);
  game::TrainingProgress progress;
  progress.epoch = 1;
  progress.starts = 1;
  progress.finished = true;
  const store::CheckpointInfo info{"epoch-000001-step-000000", progress.json(), recipe_.toml(), identity_, {}};
  const auto place_of = place();
  const auto report =
      store::save_checkpoint(communicator_, layout_.shards, place_of.checkpoints, place_of.nonce, info,
                             {model_.users->stored(false), model_.items->stored(false)}, {}, place_of.may_write);
  if (communicator_.is_root())
    log_->checkpoint({1, fs::relative(report.path, paths_.directory).string(), report.seconds, report.bytes});
  return static_cast<int>(ExitCode::done);
}

int TrainingRun::train() {
  game::Trainer trainer(communicator_, *engine_, model_.tables(), model_.dense.get(), layout_, plan_, place(), hooks());
  if (resume_) trainer.resume(*resume_);
  progress_.line(training_titles(recipe_.text("evaluate.select_by")));
  const auto outcome = trainer.run();
  if (row_.epoch > 0) show(row_.stage, row_.epoch, true);
  if (outcome == game::Outcome::stopped) {
    const int signal = stop_signal();
    if (communicator_.is_root()) log_->stop({trainer.progress().epoch, signal_name(signal), now() - started_});
    progress_.line(fmt::format("stopped after a checkpoint at epoch {}, step {}; the same command goes on",
                               trainer.progress().epoch, trainer.progress().step));
    return static_cast<int>(ExitCode::stopped);
  }
  if (resume_ && row_.epoch == 0)
    progress_.line(fmt::format("nothing left: it had finished at epoch {}", trainer.progress().epoch));
  if (communicator_.is_root()) log_->stop({trainer.progress().epoch, "done", now() - started_});
  return static_cast<int>(ExitCode::done);
}

int TrainingRun::run() {
  read_inputs();
  check_inputs();
  if (options_.dry_run) {
    find_resume();
    print_first_lines(resume_);
    progress_.line("dry run: recipe, data and layout fit; nothing was trained");
    return static_cast<int>(ExitCode::done);
  }
  install_signal_handlers();
  comm::agree(communicator_, [&] {
    if (!communicator_.is_root()) return;
    systems::check_run_place(paths_);
    directories_.make(paths_.checkpoints());
  });
  lock_ = std::make_unique<store::RunLock>(store::RunLock::acquire(communicator_, paths_.directory));
  find_resume();
  build();
  comm::agree(communicator_, [&] {
    if (!communicator_.is_root()) return;
    directories_.keep();
    store::make_directories(paths_.results());
    systems::write_run_files(
        paths_, recipe_,
        {recipe_.name(), fs::absolute(options_.data).lexically_normal().string(), header_.name, header_.content});
    log_ = report::RunLog::open(paths_.log(), resume_ ? resume_->progress.log_length : 0,
                                resume_ ? resume_->progress.starts : 0);
    resume_ ? log_->resume(start_line(), resume_->progress.epoch, resume_->progress.step, resume_->manifest.info.name)
            : log_->start(start_line());
  });
  print_first_lines(resume_);
  const int code = recipe_.system() == "popularity" ? train_popularity() : train();
  if (code == static_cast<int>(ExitCode::done))
    progress_.line(fmt::format("next    spar evaluate {}", paths_.directory));
  communicator_.barrier();
  return code;
}

}  // namespace

int run_train(const comm::Communicator& communicator, const TrainOptions& options) {
  return TrainingRun(communicator, options).run();
}

}  // namespace spar::cli
