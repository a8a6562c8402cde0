#pragma once
#include <cstdint>
#include <vector>

#include "spar/data/posts.hpp"
#include "spar/data/triple_sampler.hpp"
#include "spar/game/neural_batch.hpp"

/// Who draws the examples of tag recommendation.
namespace spar::game {

/// Pairs of tags (Rendle and Schmidt-Thieme, WSDM 2010): a tag of a post, each of them once an epoch, and one tag that
/// the post does not have, drawn uniformly by rejection, for which the post's own tags are enough. Tables: user, item,
/// tag; roles: user, item, positive, negative. Entries whose post has every tag are left out and counted.
class PostSource final : public BatchSource {
 public:
  /// The shard's users are local users [first_user, first_user + users) of `posts` (training), which must outlive the
  /// source.
  PostSource(const data::PostRows& posts, Index first_user, Index users, int shard, Index total_tags,
             std::uint64_t seed);

  std::int64_t entries() const override { return sampler_.positives(); }
  void begin_epoch(std::int64_t epoch) override { sampler_.begin_epoch(epoch); }
  void draw(std::int64_t step, std::int64_t steps, NeuralBatch& batch) override;
  std::int64_t skipped() const override { return sampler_.skipped(); }
  /// Of posts and tags.
  data::TripleSampler* sampler() override { return &sampler_; }
  std::int64_t most_rows_per_entry() const override { return 1 + sampler_.candidates(); }

 private:
  const data::PostRows* posts_;
  data::TripleSampler sampler_;  // of posts and tags in the place of users and items
  int shard_;
  data::MicroBatch triples_;
  TripleCandidates candidates_;
  std::vector<std::int32_t> user_of_;  // slots, by distinct post of the step
  std::vector<std::int32_t> item_of_;
  data::SlotFinder users_;
  data::SlotFinder items_;
  std::size_t most_ = 0;
};

}  // namespace spar::game
