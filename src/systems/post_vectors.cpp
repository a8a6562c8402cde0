#include "post_vectors.hpp"

#include <algorithm>

#include "pull_rows.hpp"

#include "spar/base/error.hpp"
#include "spar/base/threads.hpp"
#include "spar/data/triple_sampler.hpp"

namespace spar::systems {

namespace {

// Away from the tags of a training's exchanges, and of those of histories.
constexpr int exchange_tag = 520;

// The posts of one shard, and those of a wave with the distinct rows of their items.
struct ShardPosts {
  Index begin = 0;
  Index end = 0;
  Index first = 0;  // of the wave
  Index last = 0;
  std::vector<Index> rows{};
  std::vector<std::int32_t> slots{};
};

class PostVectors {
 public:
  PostVectors(const comm::Communicator& communicator, const ShardLayout& layout, const FactorModel& model,
              const data::PostRows& posts)
      : communicator_(communicator),
        model_(model),
        posts_(posts),
        per_wave_(std::max(1, posts_per_wave / layout.shards)) {
    const Partition& users = model.users->partition();
    const auto first_post = [&](int shard) {
      return posts.offsets[static_cast<std::size_t>(users.begin(shard) - posts.first_user)];
    };
    SPAR_ASSERT(posts.first_user == model.users->first_row());
    for (int shard = layout.first_shard(communicator.rank()); shard < layout.end_shard(communicator.rank()); ++shard)
      shards_.push_back({.begin = first_post(shard), .end = first_post(shard + 1)});
    exchange_ = std::make_unique<table::RowExchange>(
        communicator, layout, *model.items,
        table::ExchangeOptions{
            .most_rows_per_shard = static_cast<std::size_t>(std::min(per_wave_, model.items->total_rows())),
            .tag = exchange_tag});
  }

  void run(float* out, Index stride) {
    Index most = 0;
    for (const ShardPosts& shard : shards_) most = std::max(most, shard.end - shard.begin);
    const std::int64_t waves = communicator_.max((most + per_wave_ - 1) / per_wave_);
    for (std::int64_t wave = 0; wave < waves; ++wave) {
      parallel_for(static_cast<int>(shards_.size()),
                   [&](int k) { find_rows(shards_[static_cast<std::size_t>(k)], wave); });
      pull_rows(
          *exchange_, shards_, [](const ShardPosts& shard) { return std::span(shard.rows); }, wave);
      parallel_for(static_cast<int>(shards_.size()), [&](int k) { represent(k, out, stride); });
      // Until all have read them, rows lie where their owners would put those of the next wave.
      communicator_.barrier();
    }
  }

 private:
  void find_rows(ShardPosts& shard, std::int64_t wave) const {
    shard.first = std::min(shard.end, shard.begin + wave * per_wave_);
    shard.last = std::min(shard.end, shard.first + per_wave_);
    shard.rows.clear();
    shard.slots.clear();
    data::SlotFinder distinct(static_cast<std::size_t>(shard.last - shard.first));
    for (Index post = shard.first; post < shard.last; ++post) {
      bool fresh = false;
      shard.slots.push_back(distinct.find(posts_.items[static_cast<std::size_t>(post)], fresh));
      if (fresh) shard.rows.push_back(posts_.items[static_cast<std::size_t>(post)]);
    }
  }

  void represent(int k, float* out, Index stride) const {
    const ShardPosts& shard = shards_[static_cast<std::size_t>(k)];
    const float* const* items = exchange_->rows(0, k);
    for (Index post = shard.first; post < shard.last; ++post) {
      const Index user = posts_.users[static_cast<std::size_t>(post)] - posts_.first_user;
      const float* const rows[] = {model_.users->record(user),
                                   items[shard.slots[static_cast<std::size_t>(post - shard.first)]]};
      model_.network->represent_query(*model_.dense, rows, out + post * stride);
    }
  }

  const comm::Communicator& communicator_;
  const FactorModel& model_;
  const data::PostRows& posts_;
  Index per_wave_;
  std::vector<ShardPosts> shards_;
  std::unique_ptr<table::RowExchange> exchange_;
};

}  // namespace

void represent_posts(const comm::Communicator& communicator, const ShardLayout& layout, const FactorModel& model,
                     const data::PostRows& posts, float* out, Index stride) {
  PostVectors(communicator, layout, model, posts).run(out, stride);
}

}  // namespace spar::systems
