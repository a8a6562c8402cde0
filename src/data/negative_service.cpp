#include "spar/data/negative_service.hpp"

#include <algorithm>
#include <cstring>

#include "spar/base/threads.hpp"

namespace spar::data {

namespace {

// Draws of all ranks at once: enough that messages are not small, few enough to stay in cache.
constexpr std::int64_t draws_at_once = std::int64_t{1} << 17;
constexpr std::size_t read_beyond = 16;  // by TripleSampler::Served

constexpr std::size_t ask_bytes = sizeof(std::int32_t) + sizeof(std::uint64_t);

template <class T>
void write(std::byte*& at, const T& value) {
  std::memcpy(at, &value, sizeof value);
  at += sizeof value;
}

template <class T>
T read(const std::byte*& at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  at += sizeof value;
  return value;
}

}  // namespace

// A place without a negative so far.
struct NegativeService::Open {
  std::size_t entry;  // into the shard's items
  std::int64_t step;
  std::uint32_t place;
  Index user;
};

// One attempt at a place, as the owner of the item is asked for it.
struct NegativeService::Question {
  std::uint64_t word;
  std::int32_t owner;  // shard of items
};

struct NegativeService::Shard {
  std::vector<std::size_t> offsets;
  std::vector<ItemId> items;
  std::vector<Open> open;
  std::vector<Question> questions;  // attempts_ for each open place
};

NegativeService::NegativeService(const comm::Communicator& communicator, const Popularity& popularity,
                                 std::vector<TripleSampler*> samplers)
    : communicator_(&communicator),
      popularity_(&popularity),
      samplers_(std::move(samplers)),
      outgoing_(static_cast<std::size_t>(communicator.size())),
      answers_(static_cast<std::size_t>(communicator.size())) {
  for (std::size_t k = 0; k < samplers_.size(); ++k) shards_.push_back(std::make_shared<Shard>());
}

void NegativeService::begin_epoch() {
  first_ = end_ = 0;
}

std::size_t NegativeService::rank_of(const Question& question) const {
  return static_cast<std::size_t>(popularity_->rank_of(question.owner));
}

std::int64_t NegativeService::most_draws(std::int64_t places) {
  return std::max(places, draws_at_once);
}

void NegativeService::prepare(std::int64_t step, std::int64_t steps) {
  if (step >= first_ && step < end_) return;
  std::int64_t places = 0;
  for (const TripleSampler* sampler : samplers_) places += sampler->places(step, steps);
  places = std::max<std::int64_t>(1, communicator_->sum(places));
  first_ = step;
  end_ = std::min(steps, step + std::max<std::int64_t>(1, draws_at_once / places));
  lay_out(step, end_, steps);
  first_attempt_ = 0;
  attempts_ = 1;
  bool more = false;
  do {
    ask();
    const std::int64_t open = take_answers();
    first_attempt_ += attempts_;
    // A user who lacks next to nothing that is popular needs many attempts, but must not cost as many rounds.
    attempts_ = static_cast<std::uint32_t>(
        std::clamp<std::int64_t>(draws_at_once / std::max<std::int64_t>(1, open), 1, 2 * std::int64_t{attempts_}));
    more = communicator_->any(open > 0);
  } while (more);
}

void NegativeService::lay_out(std::int64_t step, std::int64_t end, std::int64_t steps) {
  parallel_for(static_cast<int>(shards_.size()), [&](int k) {
    TripleSampler& sampler = *samplers_[static_cast<std::size_t>(k)];
    Shard& shard = *shards_[static_cast<std::size_t>(k)];
    shard.offsets.clear();
    shard.open.clear();
    shard.items.clear();
    for (std::int64_t s = step; s < end; ++s) {
      shard.offsets.push_back(shard.items.size());
      const std::int64_t places = sampler.places(s, steps);
      for (std::int64_t place = 0; place < places; ++place) {
        const auto& positive = sampler.positive_at(s, steps, place);
        const Index user = sampler.first_user() + positive.user;
        if (!sampler.lacks_negatives(user))
          shard.open.push_back({shard.items.size(), s, static_cast<std::uint32_t>(place), user});
        // Of whoever lacks negatives it stays there, and the sampler sees that it is none.
        shard.items.push_back(positive.item);
      }
    }
    shard.items.resize(shard.items.size() + read_beyond);
    sampler.use_served({step, shard.offsets, shard.items.data()});
  });
}

void NegativeService::ask() {
  parallel_for(static_cast<int>(shards_.size()), [&](int k) {
    const TripleSampler& sampler = *samplers_[static_cast<std::size_t>(k)];
    Shard& shard = *shards_[static_cast<std::size_t>(k)];
    shard.questions.clear();
    for (const Open& open : shard.open) {
      for (std::uint32_t a = 0; a < attempts_; ++a) {
        const auto block = sampler.attempt(open.step, open.place, first_attempt_ + a);
        shard.questions.push_back({word64(block, 1), popularity_->shard(word64(block, 0))});
      }
    }
  });
  std::vector<std::size_t> bytes(outgoing_.size());
  for (const auto& shard : shards_)
    for (const Question& question : shard->questions) bytes[rank_of(question)] += ask_bytes;
  std::vector<std::byte*> next;
  for (std::size_t rank = 0; rank < outgoing_.size(); ++rank) {
    outgoing_[rank].resize(bytes[rank]);
    next.push_back(outgoing_[rank].data());
  }
  for (const auto& shard : shards_) {
    for (const Question& question : shard->questions) {
      std::byte*& at = next[rank_of(question)];
      write(at, question.owner);
      write(at, question.word);
    }
  }
  const auto asked = communicator_->exchange(outgoing_);
  for (std::size_t rank = 0; rank < asked.size(); ++rank) {
    answers_[rank].resize(asked[rank].size() / ask_bytes * sizeof(ItemId));
    const std::byte* from = asked[rank].data();
    std::byte* to = answers_[rank].data();
    for (std::byte* const end = to + answers_[rank].size(); to != end;) {
      const auto owner = read<std::int32_t>(from);
      write(to, popularity_->item(owner, read<std::uint64_t>(from)));
    }
  }
  answers_ = communicator_->exchange(answers_);
}

// The first of the attempts at each place that its user lacks is his negative. Returns the places that still have none.
std::int64_t NegativeService::take_answers() {
  std::vector<const std::byte*> next;
  for (const auto& bytes : answers_) next.push_back(bytes.data());
  std::int64_t left = 0;
  for (std::size_t k = 0; k < shards_.size(); ++k) {
    Shard& shard = *shards_[k];
    auto question = shard.questions.begin();
    auto still_open = shard.open.begin();
    for (const Open& open : shard.open) {
      bool found = false;
      for (std::uint32_t a = 0; a < attempts_; ++a) {
        const auto item = read<ItemId>(next[rank_of(*question++)]);
        if (found || samplers_[k]->rejects(open.user, item)) continue;
        shard.items[open.entry] = item;
        found = true;
      }
      if (!found) *still_open++ = open;
    }
    shard.open.erase(still_open, shard.open.end());
    left += static_cast<std::int64_t>(shard.open.size());
  }
  return left;
}

}  // namespace spar::data
