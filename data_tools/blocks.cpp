#include "data_tools/blocks.hpp"

#include <cstring>

#include "spar/base/threads.hpp"

namespace spar::data_tools {

namespace {

template <class T>
SpillFile::Extent put(SpillFile& file, const std::vector<T>& values) {
  return values.empty() ? SpillFile::Extent{} : file.append(values.data(), values.size() * sizeof(T));
}

template <class T>
void get(const SpillFile& file, const SpillFile::Extent& extent, std::vector<T>& values) {
  values.resize(extent.bytes / sizeof(T));
  file.read(extent, values.data());
}

}  // namespace

void Block::clear() {
  users.clear();
  begins.assign(1, 0);
  items.clear();
  order.clear();
  parts.clear();
  ratings.clear();
  times.clear();
}

void BlockStore::save(std::size_t index, const Block& block) {
  Extents& extents = extents_[index];
  extents.users = put(file_, block.users);
  extents.begins = put(file_, block.begins);
  extents.items = put(file_, block.items);
  extents.order = put(file_, block.order);
  extents.parts = put(file_, block.parts);
  extents.ratings = put(file_, block.ratings);
  extents.times = put(file_, block.times);
}

void BlockStore::load_pairs(std::size_t index, Block& block) const {
  const Extents& extents = extents_[index];
  get(file_, extents.users, block.users);
  get(file_, extents.begins, block.begins);
  get(file_, extents.items, block.items);
}

void BlockStore::load(std::size_t index, Block& block) const {
  load_pairs(index, block);
  const Extents& extents = extents_[index];
  get(file_, extents.order, block.order);
  get(file_, extents.parts, block.parts);
  get(file_, extents.ratings, block.ratings);
  get(file_, extents.times, block.times);
}

void count_items(const std::vector<std::uint32_t>& items, std::vector<std::int64_t>& counts) {
  if (threads() == 1) {
    for (const std::uint32_t item : items) ++counts[item];
  } else {
    for (const std::uint32_t item : items) add_shared(counts[item], 1);
  }
}

void CandidateStore::load(std::size_t block, std::vector<Candidate>& candidates) const {
  std::vector<char> bytes;
  records_->load(block, bytes);
  candidates.clear();
  const std::size_t record = negatives_schema.record_bytes();
  for (std::size_t at = 0; at < bytes.size(); at += record) {
    std::uint32_t pair[2];
    std::int64_t mark;
    std::memcpy(pair, &bytes[at], 8);
    std::memcpy(&mark, &bytes[at + 8], 8);
    const bool positive = (mark & 1) != 0;
    const std::uint32_t user =
        within_blocks_ ? static_cast<std::uint32_t>(pair[0] * records_->count() + block) : pair[0];
    if (!positive) candidates.push_back({user, pair[1]});
  }
}

}  // namespace spar::data_tools
