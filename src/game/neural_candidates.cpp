#include "neural_parts.hpp"

#include "spar/base/error.hpp"
#include "spar/table/contributions.hpp"

/// The hardest of several negatives: the passes that choose it, which leave no gradient.
namespace spar::game {

namespace {

// One example for each candidate: what asks beside what may be the answer. Models read slots alone.
void pair_up(const NeuralBatch& batch, NeuralBatch& pairs) {
  const Contest& contest = batch.contest;
  pairs.slots.resize(contest.query_roles + 1);
  for (std::size_t role = 0; role < contest.query_roles; ++role) {
    pairs.slots[role].clear();
    for (const std::int32_t example : contest.examples)
      pairs.slots[role].insert(pairs.slots[role].end(), static_cast<std::size_t>(contest.each),
                               batch.slots[role][static_cast<std::size_t>(example)]);
  }
  pairs.slots.back() = contest.slots;
  pairs.examples = static_cast<int>(contest.slots.size());
}

}  // namespace

void NeuralEngine::choose_negatives() {
  if (!has_candidates()) return;
  for_shards([&](int shard, Worker& worker) { choose_negatives(shard, worker); });
}

void NeuralEngine::choose_negatives(int shard, Worker& worker) {
  NeuralBatch& batch = batch_of(shard, set_of(step_));
  const Contest& contest = batch.contest;
  if (contest.examples.empty()) return;
  pair_up(batch, worker.pairs);
  tape::Tape<float>& tape = worker.tape;
  tape.reset();
  worker.tables.clear();
  for (std::size_t t = 0; t < exchanges_.size(); ++t)
    worker.tables.push_back(put_rows(shard, worker, t, PassKind::scores));
  put_dense(shard, worker, PassKind::scores);
  const Pass<float> pass{
      .context = {tape, worker.dense, states_}, .batch = worker.pairs, .tables = worker.tables, .moment = moment()};
  const tape::Matrix<float> scores = tape.value(setup_.model->pair_scores(pass));
  SPAR_ASSERT(scores.rows == worker.pairs.examples);
  for (std::size_t e = 0; e < contest.examples.size(); ++e) {
    const int first = static_cast<int>(e) * contest.each;
    int best = first;
    for (int c = first + 1; c < first + contest.each; ++c)
      if (scores.at(c, 0) > scores.at(best, 0)) best = c;
    batch.slots[contest.role][static_cast<std::size_t>(contest.examples[e])] =
        contest.slots[static_cast<std::size_t>(best)];
  }
}

}  // namespace spar::game
