#include "ring.hpp"

#include <algorithm>
#include <cstring>
#include <exception>
#include <limits>

namespace spar::evaluate {

namespace {

// Large enough that a message takes longer than its latency, small enough to stay in a last-level cache.
constexpr int pieces_in_block = 16;

struct BlockHeader {
  std::int64_t first_item;
  std::int64_t items;
  std::int32_t dim;
  std::int32_t has_bias;
  std::int64_t penalties;
};

Index block_size(int dim) {
  return static_cast<Index>(pieces_in_block) * catalogue::BlockScan::piece_panels(dim) * catalogue::panel_items;
}

}  // namespace

ItemRing::ItemRing(const comm::Communicator& communicator, const Scorer& scorer,
                   const std::vector<std::uint8_t>* seen_items)
    : communicator_(&communicator),
      items_(scorer.items),
      bias_{scorer.item_bias, scorer.bias_stride},
      seen_items_(seen_items),
      block_items_(block_size(scorer.items.dim)),
      rounds_(communicator.max(static_cast<std::int64_t>((scorer.items.rows + block_items_ - 1) / block_items_))) {}

std::int64_t ItemRing::bytes(int dim, Index rank_items) {
  const Index items = std::min(block_size(dim), rank_items + catalogue::panel_items);
  return 3 * items * (dim + 2) * static_cast<std::int64_t>(sizeof(float));
}

void ItemRing::pack_own(Index first) {
  const Index count = std::clamp<Index>(items_.rows - first, 0, block_items_);
  block_.panels.pack(items_, first, count, bias_);
  block_.penalty.clear();
  if (seen_items_ == nullptr) return;
  block_.penalty.resize(static_cast<std::size_t>(count));
  for (Index k = 0; k < count; ++k) {
    const bool seen = (*seen_items_)[static_cast<std::size_t>(first + k)] != 0;
    block_.penalty[static_cast<std::size_t>(k)] = seen ? 0.0F : -std::numeric_limits<float>::infinity();
  }
}

void ItemRing::encode() {
  const auto values = std::as_bytes(block_.panels.values());
  const auto penalty = std::as_bytes(std::span(block_.penalty));
  const BlockHeader header{block_.panels.first_item(), block_.panels.items(), block_.panels.dim(),
                           block_.panels.has_bias() ? 1 : 0, static_cast<std::int64_t>(block_.penalty.size())};
  message_.resize(sizeof header + values.size() + penalty.size());
  std::memcpy(message_.data(), &header, sizeof header);
  std::copy(values.begin(), values.end(), message_.begin() + sizeof header);
  std::copy(penalty.begin(), penalty.end(),
            message_.begin() + static_cast<std::ptrdiff_t>(sizeof header + values.size()));
}

void ItemRing::decode(const std::vector<std::byte>& message) {
  BlockHeader header;
  std::memcpy(&header, message.data(), sizeof header);
  block_.panels.assign(header.first_item, header.items, header.dim, header.has_bias != 0,
                       reinterpret_cast<const float*>(message.data() + sizeof header));
  block_.penalty.resize(static_cast<std::size_t>(header.penalties));
  const std::size_t penalty_bytes = block_.penalty.size() * sizeof(float);
  if (penalty_bytes > 0)
    std::memcpy(block_.penalty.data(), message.data() + message.size() - penalty_bytes, penalty_bytes);
}

void ItemRing::each_block(const std::function<void(const catalogue::ItemBlock&)>& visit) {
  const int ranks = communicator_->size();
  const int next = (communicator_->rank() + 1) % ranks;
  const int previous = (communicator_->rank() + ranks - 1) % ranks;
  // A rank that fails goes on passing blocks, or the others would wait for ever.
  std::exception_ptr failure;
  for (Index round = 0; round < rounds_; ++round) {
    pack_own(round * block_items_);
    if (ranks > 1) encode();
    for (int step = 0; step < ranks; ++step) {
      if (step > 0) {
        communicator_->shift(message_, next, incoming_, previous);
        std::swap(message_, incoming_);
        decode(message_);
      }
      try {
        if (!failure) visit(block_);
      } catch (...) {
        failure = std::current_exception();
      }
    }
  }
  comm::agree(*communicator_, [&] {
    if (failure) std::rethrow_exception(failure);
  });
}

}  // namespace spar::evaluate
