#include "spar/game/post_source.hpp"

#include "batch_numbers.hpp"

namespace spar::game {

namespace {

Index first_post(const data::PostRows& posts, Index user) {
  return posts.offsets[static_cast<std::size_t>(user)];
}

}  // namespace

PostSource::PostSource(const data::PostRows& posts, Index first_user, Index users, int shard, Index total_tags,
                       std::uint64_t seed)
    : posts_(&posts),
      sampler_(posts.tags, first_post(posts, first_user),
               first_post(posts, first_user + users) - first_post(posts, first_user), shard, total_tags, seed),
      shard_(shard) {}

void PostSource::draw(std::int64_t step, std::int64_t steps, NeuralBatch& batch) {
  sampler_.sample(step, steps, triples_);
  const std::size_t posts = triples_.users.size();
  if (posts > most_) {
    most_ = static_cast<std::size_t>(sampler_.most_triples(steps));
    users_ = data::SlotFinder(most_);
    items_ = data::SlotFinder(most_);
  }
  users_.clear();
  items_.clear();
  reset(batch, 3, 4);
  user_of_.clear();
  item_of_.clear();
  for (const Index post : triples_.users) {
    const auto at = static_cast<std::size_t>(post);
    bool fresh = false;
    user_of_.push_back(users_.find(posts_->users[at], fresh));
    if (fresh) batch.rows[0].push_back(posts_->users[at]);
    item_of_.push_back(items_.find(posts_->items[at], fresh));
    if (fresh) batch.rows[1].push_back(posts_->items[at]);
  }
  batch.rows[2] = triples_.items;
  for (const std::int32_t post : triples_.user) {
    batch.slots[0].push_back(user_of_[static_cast<std::size_t>(post)]);
    batch.slots[1].push_back(item_of_[static_cast<std::size_t>(post)]);
  }
  batch.slots[2] = triples_.positive;
  batch.slots[3] = triples_.negative;
  candidates_.draw(sampler_, step, steps, triples_, batch.rows[2], batch);
  batch.examples = triples_.triples();
  const Index first = first_sample(shard_, step * entries() / steps, 1);
  for (int k = 0; k < batch.examples; ++k) batch.samples.push_back(first + k);
}

}  // namespace spar::game
