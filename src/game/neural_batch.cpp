#include "spar/game/neural_batch.hpp"

#include <algorithm>

#include "batch_numbers.hpp"

#include "spar/base/error.hpp"

namespace spar::game {

void BatchSource::draw_inner(std::int64_t, std::int64_t, int, NeuralBatch&) {
  throw Bug("this source draws nothing for inner steps");
}

void BatchSource::use_law(const data::ItemLaw* law) {
  data::TripleSampler* const sampler = this->sampler();
  SPAR_ASSERT(law == nullptr || sampler != nullptr);
  if (sampler != nullptr) sampler->use_law(law);
}

PointSource::PointSource(const data::UserLists& lists, Index first_user, Index users, int shard, Index total_items,
                         std::uint64_t seed, int negatives)
    : sampler_(lists, first_user, users, shard, total_items, seed),
      first_global_user_(lists.first_user),
      shard_(shard),
      negatives_(negatives) {
  sampler_.set_negatives_each(negatives);
}

void PointSource::begin_epoch(std::int64_t epoch) {
  sampler_.begin_epoch(epoch);
  skipped_ = 0;
}

void PointSource::add(Index user, ItemId item, float label, Index sample, NeuralBatch& batch) {
  bool fresh = false;
  batch.slots[0].push_back(users_.find(static_cast<std::uint32_t>(user - sampler_.first_user()), fresh));
  if (fresh) batch.rows[0].push_back(first_global_user_ + user);
  batch.slots[1].push_back(items_.find(item, fresh));
  if (fresh) batch.rows[1].push_back(item);
  batch.labels.push_back(label);
  batch.samples.push_back(sample);
}

void PointSource::draw(std::int64_t step, std::int64_t steps, NeuralBatch& batch) {
  const std::int64_t begin = step * entries() / steps;
  const std::int64_t end = (step + 1) * entries() / steps;
  const auto most = static_cast<std::size_t>((entries() + steps - 1) / steps * most_rows_per_entry());
  if (most > most_) {
    users_ = data::SlotFinder(most);
    items_ = data::SlotFinder(most);
    most_ = most;
  }
  users_.clear();
  items_.clear();
  reset(batch, 2, 2);
  batch.contest.each = sampler_.candidates();
  batch.contest.query_roles = batch.contest.role = 1;
  ItemId drawn[16];
  std::uint32_t drawn_block = ~0U;
  for (std::int64_t e = begin; e < end; ++e) {
    const auto positive = sampler_.positive(e);
    const Index user = sampler_.first_user() + positive.user;
    const Index sample = first_sample(shard_, e, 1 + negatives_);
    bool complete = true;
    for (int k = 0; k < negatives_ && complete; ++k) {
      const auto place = static_cast<std::uint32_t>((e - begin) * negatives_ + k);
      if (place / 16 != drawn_block) {
        drawn_block = place / 16;
        sampler_.draw_first(step, drawn_block * 16, drawn);
      }
      ItemId negative = drawn[place % 16];
      if (sampler_.rejects(user, negative)) complete = sampler_.draw_negative(user, step, place, negative);
      if (!complete) break;
      if (k == 0) add(user, positive.item, 1.0F, sample, batch);
      add(user, negative, 0.0F, sample + 1 + k, batch);
      if (batch.contest.each > 1) add_candidates(user, step, place, (end - begin) * negatives_, batch);
    }
    // Whoever has every item lacks a negative at the first place already.
    skipped_ += complete ? 0 : 1;
  }
  batch.examples = static_cast<int>(batch.labels.size());
}

// The first candidate is the example's item already; further ones take the places behind those of the step's first.
void PointSource::add_candidates(Index user, std::int64_t step, std::uint32_t place, std::int64_t places,
                                 NeuralBatch& batch) {
  batch.contest.examples.push_back(static_cast<std::int32_t>(batch.labels.size()) - 1);
  batch.contest.slots.push_back(batch.slots[1].back());
  for (int c = 1; c < batch.contest.each; ++c) {
    ItemId item = 0;
    const bool drawn = sampler_.draw_negative(user, step, static_cast<std::uint32_t>(c * places + place), item);
    SPAR_ASSERT(drawn);
    bool fresh = false;
    batch.contest.slots.push_back(items_.find(item, fresh));
    if (fresh) batch.rows[1].push_back(item);
  }
}

PairSource::PairSource(const data::UserLists& lists, Index first_user, Index users, int shard, Index total_items,
                       std::uint64_t seed)
    : sampler_(lists, first_user, users, shard, total_items, seed),
      first_global_user_(lists.first_user),
      shard_(shard) {}

void PairSource::draw(std::int64_t step, std::int64_t steps, NeuralBatch& batch) {
  sampler_.sample(step, steps, triples_);
  reset(batch, 2, 3);
  for (const Index user : triples_.users) batch.rows[0].push_back(first_global_user_ + user);
  batch.rows[1] = triples_.items;
  batch.slots[0] = triples_.user;
  batch.slots[1] = triples_.positive;
  batch.slots[2] = triples_.negative;
  candidates_.draw(sampler_, step, steps, triples_, batch.rows[1], batch);
  batch.examples = triples_.triples();
  const Index first = first_sample(shard_, step * entries() / steps, 1);
  for (int k = 0; k < batch.examples; ++k) batch.samples.push_back(first + k);
}

}  // namespace spar::game
