#include "spar/game/trainer.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>

#include <fmt/format.h>

#include "spar/base/error.hpp"
#include "spar/base/signals.hpp"

namespace spar::game {

namespace {

constexpr Engine::Flags stop_flag = 1;
constexpr Engine::Flags save_flag = 2;
constexpr double report_seconds = 0.2;

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::vector<double> all_shards(const comm::Communicator& communicator, const std::vector<double>& own) {
  std::vector<double> all;
  for (const auto& part : communicator.allgather(std::as_bytes(std::span(own)))) {
    const std::size_t begin = all.size();
    all.resize(begin + part.size() / sizeof(double));
    if (!part.empty()) std::memcpy(all.data() + begin, part.data(), part.size());
  }
  return all;
}

}  // namespace

std::optional<ResumePoint> find_resume_point(const comm::Communicator& communicator, const std::string& checkpoints,
                                             const std::function<void(const std::string&)>& warn) {
  const auto tell = [&](const std::string& sentence) {
    if (warn) warn("skipping a damaged checkpoint: " + sentence);
  };
  std::vector<std::string> damaged;
  const auto manifests = store::list_checkpoints(communicator, checkpoints, &damaged);
  for (const std::string& sentence : damaged) tell(sentence);
  for (const auto& manifest : manifests) {
    try {
      store::verify_checkpoint(communicator, manifest);
      return ResumePoint{manifest, TrainingProgress::parse(manifest.info.progress)};
    } catch (const Error& error) {
      if (error.code() != ExitCode::usage) throw;
      tell(error.what());
    }
  }
  return std::nullopt;
}

Trainer::Trainer(const comm::Communicator& communicator, Engine& engine, std::vector<table::Table*> tables,
                 table::DenseParameters* dense, const ShardLayout& layout, TrainingPlan plan, RunPlace place,
                 TrainingHooks hooks)
    : communicator_(communicator),
      engine_(engine),
      tables_(std::move(tables)),
      dense_(dense),
      layout_(layout),
      plan_(std::move(plan)),
      place_(std::move(place)),
      hooks_(std::move(hooks)),
      last_save_(now()) {
  progress_.best.resize(plan_.stages.size());
  engine_.use_optimizer(plan_.optimizer, 0);
}

std::vector<store::TableRows> Trainer::stored(bool with_state) {
  std::vector<store::TableRows> rows;
  for (table::Table* table : tables_) rows.push_back(table->stored(with_state));
  if (dense_ != nullptr) {
    for (store::TableRows& part : dense_->stored(with_state)) rows.push_back(std::move(part));
  }
  return rows;
}

void Trainer::load(const store::CheckpointManifest& manifest, bool with_state,
                   std::vector<store::PendingRows>* pending) {
  auto tables = stored(with_state);
  store::load_checkpoint(communicator_, manifest, tables, pending);
  if (dense_ != nullptr) dense_->complete(communicator_);
}

void Trainer::resume(const ResumePoint& point) {
  load(point.manifest, true, &pending_);
  std::erase_if(pending_, [](const auto& p) { return p.rows.empty(); });
  progress_ = point.progress;
  progress_.best.resize(plan_.stages.size());
  // More epochs than the finished run had: the last stage goes on.
  const bool last_stage = progress_.stage + 1 == static_cast<int>(plan_.stages.size());
  if (progress_.finished && last_stage && progress_.epoch < stage().end_epoch &&
      progress_.without_gain < std::max<std::int64_t>(1, stage().patience)) {
    progress_.finished = false;
    progress_.stage_over = false;
  }
  engine_.use_optimizer(plan_.optimizer, progress_.optimizer_steps);
  saved_epoch_ = progress_.epoch;
  saved_step_ = progress_.step;
}

Outcome Trainer::run() {
  ++progress_.starts;
  bool fresh_stage = progress_.epoch == 0 && progress_.step == 0;
  while (!progress_.finished) {
    if (progress_.stage_over || (progress_.step == 0 && progress_.epoch >= stage().end_epoch)) {
      if (progress_.stage + 1 == static_cast<int>(plan_.stages.size())) {
        progress_.finished = true;
        break;
      }
      ++progress_.stage;
      begin_stage();
      continue;
    }
    if (fresh_stage || progress_.step == 0 || saved_step_ == progress_.step) {
      engine_.begin_stage(stage());
      if (fresh_stage && hooks_.stage_begins) hooks_.stage_begins(stage());
      fresh_stage = false;
    }
    if (!run_epoch()) return Outcome::stopped;
    end_epoch();
    if (communicator_.any(stop_requested())) {
      save();
      return Outcome::stopped;
    }
  }
  // What is saved already does not say that the training is finished.
  save(true);
  return Outcome::done;
}

// The optimiser starts afresh in every stage (APR code); the rows are those of the best or the last epoch of the stage
// before.
void Trainer::begin_stage() {
  const auto& before = progress_.best[static_cast<std::size_t>(progress_.stage) - 1];
  if (plan_.start_from_best && before.epoch >= 0 && before.epoch != progress_.epoch) load_best(before);
  for (table::Table* table : tables_) table->reset_state(plan_.optimizer);
  if (dense_ != nullptr) dense_->reset_state(plan_.optimizer);
  engine_.use_optimizer(plan_.optimizer, 0);
  engine_.begin_stage(stage());
  progress_.stage_over = false;
  progress_.without_gain = 0;
  progress_.optimizer_steps = 0;
  if (hooks_.stage_begins) hooks_.stage_begins(stage());
}

void Trainer::load_best(const TrainingProgress::Best& best) {
  std::optional<store::CheckpointManifest> manifest;
  comm::agree(communicator_, [&] { manifest = store::read_manifest(place_.checkpoints + "/" + best.checkpoint); });
  load(*manifest, false, nullptr);
}

Engine::Flags Trainer::wishes() {
  Engine::Flags flags = stop_requested() ? stop_flag : 0;
  if (communicator_.is_root() && plan_.checkpoint_every_minutes > 0 &&
      now() - last_save_ > 60.0 * plan_.checkpoint_every_minutes)
    flags |= save_flag;
  return flags;
}

// One epoch, or what is left of it; false when it was stopped after a checkpoint.
bool Trainer::run_epoch() {
  const std::int64_t first_step = progress_.step;
  const double begin = now();
  bytes_before_ = engine_.bytes_sent();
  earlier_examples_ = first_step == 0 ? 0 : progress_.examples;
  engine_.begin_epoch(progress_.epoch, first_step, pending_);
  pending_.clear();
  if (first_step > 0) {
    const auto shard = static_cast<std::size_t>(layout_.first_shard(communicator_.rank()));
    std::copy_n(progress_.losses.begin() + static_cast<std::ptrdiff_t>(shard), engine_.losses().size(),
                engine_.losses().begin());
    std::copy_n(progress_.perturbed_losses.begin() + static_cast<std::ptrdiff_t>(shard), engine_.losses().size(),
                engine_.second_losses().begin());
  }
  last_report_ = now();
  loop_seconds_ = 0;
  while (engine_.next_step() < engine_.steps()) {
    const auto flags = engine_.step(wishes());
    progress_.step = engine_.next_step();
    if (hooks_.step_done && communicator_.is_root() && now() - last_report_ > report_seconds) {
      loop_seconds_ = now() - begin;
      report_step();
    }
    if (flags == 0) continue;
    bool stopped = false;
    act_on(flags, stopped);
    if (stopped) return false;
  }
  engine_.end_epoch();
  loop_seconds_ = now() - begin;
  bool stopped = false;
  act_on(communicator_.any(!engine_.divergence().empty()) ? Engine::diverged_flag : 0, stopped);
  return true;
}

void Trainer::act_on(Engine::Flags flags, bool& stopped) {
  if ((flags & Engine::diverged_flag) != 0) {
    comm::agree(communicator_, [&] {
      if (engine_.divergence().empty()) return;
      throw DivergenceError(fmt::format("{}; {}; a lower optimizer.learning_rate may help", engine_.divergence(),
                                        last_good_checkpoint()));
    });
  }
  if ((flags & (stop_flag | save_flag)) != 0) save();
  stopped = (flags & stop_flag) != 0;
}

std::string Trainer::last_good_checkpoint() const {
  if (saved_epoch_ < 0) return "there is no checkpoint yet";
  return fmt::format("the last good checkpoint is of epoch {}, step {}", saved_epoch_, saved_step_);
}

// The losses see a broken row in the step after the one that broke it, or later; a checkpoint between the two would
// replace a good one.
void Trainer::require_finite_rows(const std::vector<store::PendingRows>& pending) const {
  comm::agree(communicator_, [&] {
    const auto refuse = [&](const std::string& table, Index row) {
      throw DivergenceError(
          fmt::format("training diverged: row {} of table {} is not finite at epoch {}, step {}; {}; a lower "
                      "optimizer.learning_rate may help",
                      row, table, progress_.epoch + 1, progress_.step, last_good_checkpoint()));
    };
    for (const table::Table* table : tables_) {
      const Index broken = table->broken_row();
      if (broken >= 0) refuse(table->name(), table->first_row() + broken);
    }
    for (int k = 0; dense_ != nullptr && k < dense_->count(); ++k) {
      const Index broken = dense_->table(k).broken_row();
      if (broken >= 0) refuse(dense_->table(k).name(), broken);
    }
    for (const auto& p : pending) {
      const auto broken = std::find_if(p.values.begin(), p.values.end(), [](float x) { return !std::isfinite(x); });
      if (broken != p.values.end())
        refuse(p.table, p.rows[static_cast<std::size_t>((broken - p.values.begin()) / p.columns)]);
    }
  });
}

void Trainer::report_step() {
  last_report_ = now();
  double loss = 0;
  for (const double l : engine_.losses()) loss += l;
  const auto examples = static_cast<double>(std::max<std::int64_t>(1, engine_.examples()));
  hooks_.step_done({progress_.epoch + 1, stage().name, engine_.next_step(), engine_.steps(), loss / examples,
                    examples * communicator_.size() / std::max(1e-9, loop_seconds_)});
}

void Trainer::end_epoch() {
  const auto sums = comm::tree_sum(communicator_, layout_.shards, engine_.losses(), 1);
  const auto second = comm::tree_sum(communicator_, layout_.shards, engine_.second_losses(), 1);
  std::int64_t counts[] = {engine_.examples(), engine_.bytes_sent() - bytes_before_, engine_.skipped()};
  communicator_.sum(counts);
  EpochReport report;
  report.epoch = ++progress_.epoch;
  progress_.step = 0;
  progress_.optimizer_steps = engine_.step_count();
  report.stage = stage().name;
  const auto examples = static_cast<double>(std::max<std::int64_t>(1, counts[0] + earlier_examples_));
  report.losses.emplace_back(engine_.loss_name(), sums.front() / examples);
  if (!engine_.second_loss_name().empty())
    report.losses.emplace_back(engine_.second_loss_name(), second.front() / examples);
  for (auto& term : engine_.terms()) report.losses.push_back(std::move(term));
  report.examples = counts[0];
  report.bytes_sent = counts[1];
  report.skipped = counts[2];
  report.seconds = communicator_.max(loop_seconds_);
  report.by_kind = engine_.seconds();
  if (hooks_.epoch_done) hooks_.epoch_done(report);
  const bool stage_ends = progress_.epoch >= stage().end_epoch;
  if (plan_.validate_every_epochs > 0 && (progress_.epoch % plan_.validate_every_epochs == 0 || stage_ends)) validate();
  if (plan_.checkpoint_every_epochs > 0 && progress_.epoch % plan_.checkpoint_every_epochs == 0) save();
}

void Trainer::validate() {
  const double value = hooks_.validate(progress_.epoch, stage().name);
  auto& best = progress_.best[static_cast<std::size_t>(progress_.stage)];
  const bool gained = best.epoch < 0 || (plan_.lower_is_better ? value < best.value : value > best.value);
  if (gained) {
    best = {progress_.epoch, value, fmt::format("epoch-{:06d}-step-{:06d}", progress_.epoch, 0)};
    progress_.without_gain = 0;
  } else {
    ++progress_.without_gain;
  }
  if (hooks_.validated) hooks_.validated(progress_.epoch, stage().name, value, gained);
  if (stage().patience > 0 && progress_.without_gain >= stage().patience) {
    progress_.stage_over = true;
    if (hooks_.stopped_early) hooks_.stopped_early(stage(), best.epoch);
  }
  if (gained) save();
}

void Trainer::save(bool again) {
  if (!again && saved_epoch_ == progress_.epoch && saved_step_ == progress_.step) return;
  progress_.optimizer_steps = engine_.step_count();
  const auto pending = progress_.step > 0 ? engine_.pending() : std::vector<store::PendingRows>{};
  require_finite_rows(pending);
  progress_.losses = all_shards(communicator_, engine_.losses());
  progress_.perturbed_losses = all_shards(communicator_, engine_.second_losses());
  progress_.examples = communicator_.sum(engine_.examples()) + earlier_examples_;
  if (hooks_.log_length && communicator_.is_root()) progress_.log_length = hooks_.log_length();
  store::CheckpointInfo info;
  info.name = fmt::format("epoch-{:06d}-step-{:06d}", progress_.epoch, progress_.step);
  info.progress = progress_.json();
  info.recipe = place_.recipe;
  info.identity = place_.identity;
  const auto report = store::save_checkpoint(communicator_, layout_.shards, place_.checkpoints, place_.nonce, info,
                                             stored(true), pending, place_.may_write);
  saved_epoch_ = progress_.epoch;
  saved_step_ = progress_.step;
  last_save_ = now();
  if (hooks_.saved) hooks_.saved(progress_.epoch, report);
  std::vector<std::string> keep;
  for (const auto& best : progress_.best) {
    if (best.epoch >= 0) keep.push_back(best.checkpoint);
  }
  comm::agree(communicator_, [&] {
    if (communicator_.is_root())
      store::sweep_checkpoints(place_.checkpoints, plan_.checkpoints_kept, keep, place_.nonce, place_.may_write);
  });
}

}  // namespace spar::game
