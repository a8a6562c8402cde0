#include <algorithm>

#include "neural_parts.hpp"

#include "spar/base/error.hpp"
#include "spar/base/threads.hpp"

/// Passes that stop where they need sums over all shards (game::SegmentedModel).
namespace spar::game {

namespace {

using CutOf = const tape::Matrix<float>& (*)(tape::Tape<float>&);

void copy_to(const tape::Matrix<float>& from, float* room) {
  const int stride = padded(from.columns);
  for (int r = 0; r < from.rows; ++r, room += stride) {
    std::copy_n(from.row(r), from.columns, room);
    std::fill(room + from.columns, room + stride, 0.0F);
  }
}

// body(k, worker) for the tape of each of the rank's shards.
template <class Workers, class Body>
void for_each_tape(Workers& workers, double& seconds, Body&& body) {
  Stopwatch watch(seconds);
  parallel_for(static_cast<int>(workers.size()), [&](int k) { body(k, *workers[static_cast<std::size_t>(k)]); });
}

}  // namespace

std::size_t NeuralEngine::Segments::most_floats() const {
  std::size_t most = 0;
  for (const CutShape& cut : cuts)
    most = std::max(most, static_cast<std::size_t>(cut.rows) * static_cast<std::size_t>(padded(cut.columns)));
  return most;
}

void NeuralEngine::make_segments() {
  const SegmentedModel* const model = setup_.model->segmented();
  if (model == nullptr) return;
  SPAR_ASSERT(setup_.model->inner_steps() == 0);
  segments_ = std::make_unique<Segments>();
  segments_->model = model;
  segments_->cuts = model->cuts();
  for (std::size_t k = 0; k < sources_.size(); ++k) segments_->workers.push_back(std::make_unique<Worker>());
}

// The passes of a step over all shards. Dense gradients are complete with the last of them.
void NeuralEngine::passes_in_segments(bool by_owner) {
  auto& workers = segments_->workers;
  const auto for_all = [&](auto&& body) { for_each_tape(workers, seconds_.compute, body); };
  for_all([&](int k, Worker&) { perturbations_[static_cast<std::size_t>(k)]->all.clear(); });
  run_segments(adversary_ ? PassKind::clean : PassKind::whole);
  if (adversary_) {
    for_all([&](int k, Worker& worker) { perturb_shard(k, worker); });
    if (by_owner) {
      perturb_tables();
      for_all([&](int k, Worker&) { take_returned(k); });
    }
    run_segments(PassKind::perturbed);
    for_all([&](int k, Worker&) { perturbations_[static_cast<std::size_t>(k)]->all.clear(); });
    if (workers.front()->has_penalty) run_segments(PassKind::penalty);
  }
  if (!moves_dense()) return;
  for_all([&](int k, Worker&) { dense_sums_->finish(k); });
}

void NeuralEngine::run_segments(PassKind kind) {
  Segments& parts = *segments_;
  auto& workers = parts.workers;
  const int last = static_cast<int>(parts.cuts.size());
  const auto for_all = [&](auto&& body) { for_each_tape(workers, seconds_.compute, body); };
  // The shards' parts of a sum, of values or of gradients, along the tree.
  const auto total_of = [&](int cut, CutOf part) {
    for_all([&](int k, Worker& worker) {
      copy_to(part(worker.tape), parts.sums->room(k));
      parts.sums->finish(k);
    });
    Stopwatch watch(seconds_.communication);
    parts.sums->send();
    const CutShape& shape = parts.cuts[static_cast<std::size_t>(cut)];
    return tape::Matrix<float>{parts.sums->receive(step_), shape.rows, shape.columns, padded(shape.columns), nullptr};
  };
  const auto one_segment = [&](int k, Worker& worker, int segment) {
    const tape::Var out = parts.model->segment(*worker.pass, segment, worker.kept);
    SPAR_ASSERT(worker.tape.has_open_cut() == (segment < last));
    if (segment < last) return;
    const Objective objective = objective_of(k, worker, kind, out);
    auto& losses = kind == PassKind::perturbed ? perturbed_losses_ : losses_;
    if (kind != PassKind::penalty) losses[static_cast<std::size_t>(k)] += objective.loss;
    check_finite(k);
    worker.tape.begin_backward(objective.value, objective.seed);
    const bool at_cut = worker.tape.backward_to_cut();
    SPAR_ASSERT(at_cut == (last > 0));
  };
  for_all([&](int k, Worker& worker) {
    worker.kept.clear();
    begin_pass(k, worker, kind);
    one_segment(k, worker, 0);
  });
  for (int cut = 0; cut < last; ++cut) {
    const tape::Matrix<float> sum =
        total_of(cut, [](tape::Tape<float>& tape) -> const tape::Matrix<float>& { return tape.open_cut(); });
    for_all([&](int k, Worker& worker) {
      worker.tape.close_cut(sum);
      one_segment(k, worker, cut + 1);
    });
  }
  // Only the clean pass moves what runs along.
  if (kind == PassKind::clean || kind == PassKind::whole)
    parts.model->update_states(*workers.front()->pass, workers.front()->kept);
  for (int cut = last - 1; cut >= 0; --cut) {
    const tape::Matrix<float> sum =
        total_of(cut, [](tape::Tape<float>& tape) -> const tape::Matrix<float>& { return tape.cut_gradient(); });
    for_all([&](int, Worker& worker) {
      worker.tape.set_cut_gradient(sum);
      const bool at_cut = worker.tape.backward_to_cut();
      SPAR_ASSERT(at_cut == (cut > 0));
    });
  }
}

}  // namespace spar::game
