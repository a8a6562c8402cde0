#include "data_tools/planted_model.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <numeric>

#include "spar/base/error.hpp"
#include "spar/data/dataset_file.hpp"

namespace spar::data_tools {

namespace {

// What a random block is for; part of the meaning of a seed.
constexpr std::uint32_t meeting = 1;
constexpr std::uint32_t user_factors = 2;
constexpr std::uint32_t item_factors = 3;
constexpr std::uint32_t arrival = 4;
constexpr std::uint32_t parting = 5;

// With the affinity, x must exceed this for an even chance: a quarter of all items pleases a user.
constexpr double threshold = 0.7;
// Interactions a user has at least, where there are enough: train, validation and test.
constexpr double least_wanted = 3.0;
// From this share of the catalogue on, looking at every item costs less than rejecting what is taken already.
constexpr Index dense_share = 16;

double items_shift(const SynthOptions& options) {
  return std::pow(static_cast<double>(options.items), 0.3);
}

double least_of(const SynthOptions& options) {
  return std::min(least_wanted,
                  std::floor(static_cast<double>(options.interactions) / static_cast<double>(options.users)));
}

// The most active user takes at most a quarter of the catalogue, or little more than the mean where that is more: the
// shift grows until it is so.
PowerLaw activity_law(const SynthOptions& options, double least) {
  const double mean = static_cast<double>(options.interactions) / static_cast<double>(options.users);
  const double most = std::max(1.2 * mean, static_cast<double>(options.items) / 4.0);
  const double free = static_cast<double>(options.interactions) - least * static_cast<double>(options.users);
  for (double shift = std::sqrt(static_cast<double>(options.users));; shift *= 1.25) {
    const PowerLaw law(options.users, options.activity_exponent, shift);
    if (least + free * law.weight(0) <= most) return law;
  }
}

}  // namespace

PowerLaw::PowerLaw(Index size, double exponent, double shift)
    : size_(size), exponent_(exponent), shift_(shift), start_(0) {
  start_ = integral(0.0);
  total_ = integral(static_cast<double>(size));
}

double PowerLaw::integral(double x) const {
  if (exponent_ == 1.0) return std::log(x + shift_) - start_;
  return std::pow(x + shift_, 1.0 - exponent_) / (1.0 - exponent_) - start_;
}

Index PowerLaw::place_at(double u) const {
  const double reached = u * total_ + start_;
  const double x =
      exponent_ == 1.0 ? std::exp(reached) : std::pow(reached * (1.0 - exponent_), 1.0 / (1.0 - exponent_));
  return std::clamp<Index>(static_cast<Index>(x - shift_), 0, size_ - 1);
}

PlantedModel::PlantedModel(const SynthOptions& options)
    : options_(options),
      stream_(options.seed, Purpose::synthetic),
      popularity_(options.items, options.popularity_exponent, items_shift(options)),
      least_(least_of(options)),
      activity_(activity_law(options, least_)) {}

RandomStream::Block PlantedModel::block(std::uint32_t purpose, Index place, std::uint32_t k) const {
  return stream_.block(static_cast<std::uint32_t>(place), static_cast<std::uint32_t>(place >> 32), k, purpose);
}

Index PlantedModel::interactions_of(Index user_place) const {
  const double free = static_cast<double>(options_.interactions) - least_ * static_cast<double>(options_.users);
  const auto up_to = [&](Index place) {
    if (place == options_.users) return options_.interactions;
    return static_cast<Index>(least_ * static_cast<double>(place) +
                              free * activity_.share_below(static_cast<double>(place)));
  };
  return up_to(user_place + 1) - up_to(user_place);
}

SplitCounts PlantedModel::split_of(Index interactions) const {
  SplitCounts counts;
  if (options_.split == "leave-one-out") {
    counts.test = interactions >= 2 ? 1 : 0;
    counts.validation = interactions >= 3 ? 1 : 0;
  } else if (options_.split == "ratio") {
    const auto share = [&](double part) { return static_cast<Index>(part * static_cast<double>(interactions)); };
    counts.test = interactions >= 2 && options_.test_share > 0 ? std::max<Index>(1, share(options_.test_share)) : 0;
    counts.validation = std::min(share(options_.validation_share), interactions - counts.test);
  }
  counts.train = interactions - counts.validation - counts.test;
  return counts;
}

void PlantedModel::draw_user(Index user_place, std::vector<float>& factors) const {
  const auto count = static_cast<std::size_t>(options_.factors);
  factors.resize(count + 1);
  const double scale = 1.0 / std::sqrt(static_cast<double>(count));
  for (std::size_t k = 0; k < count; k += 2) {
    const std::array<double, 2> pair = normal_pair(block(user_factors, user_place, static_cast<std::uint32_t>(k)));
    factors[k] = static_cast<float>(pair[0] * scale);
    factors[k + 1] = static_cast<float>(pair[1] * scale);
  }
  factors.resize(count);
}

namespace {

constexpr int bytes_per_block = 16;
constexpr float centre = 127.5F;
constexpr float deviation = 73.9F;  // sqrt((256^2 - 1) / 12)

using BlockBytes = std::array<std::uint8_t, bytes_per_block>;

}  // namespace

void PlantedModel::draw_item(Index item_place, std::vector<float>& factors) const {
  factors.clear();
  for (int first = 0; first < options_.factors; first += bytes_per_block) {
    const auto bytes = std::bit_cast<BlockBytes>(block(item_factors, item_place, static_cast<std::uint32_t>(first)));
    const int end = std::min(options_.factors - first, bytes_per_block);
    for (int k = 0; k < end; ++k)
      factors.push_back((static_cast<float>(bytes[static_cast<std::size_t>(k)]) - centre) / deviation);
  }
}

double PlantedModel::keeping(double x) const {
  return 1.0 / (1.0 + std::exp(-options_.affinity * (x - threshold)));
}

// Item factors are the bytes of random blocks, centred, in units of their standard deviation: cheap enough to be drawn
// again at each meeting, so that no table of items is ever held.
double PlantedModel::keeps(const std::vector<float>& user, Index item_place) const {
  float product = 0;
  for (int first = 0; first < options_.factors; first += bytes_per_block) {
    const auto bytes = std::bit_cast<BlockBytes>(block(item_factors, item_place, static_cast<std::uint32_t>(first)));
    const int end = std::min(options_.factors - first, bytes_per_block);
    for (int k = 0; k < end; ++k)
      product +=
          user[static_cast<std::size_t>(first + k)] * (static_cast<float>(bytes[static_cast<std::size_t>(k)]) - centre);
  }
  return keeping(static_cast<double>(product / deviation));
}

void PlantedModel::draw_items(Index user_place, Index count, Scratch& scratch, std::vector<ItemId>& item_places) const {
  item_places.clear();
  if (count == 0) return;
  draw_user(user_place, scratch.user);
  const bool sparse = count * dense_share < options_.items;
  if (!sparse || !draw_by_rejection(user_place, count, scratch, item_places))
    draw_by_arrival(user_place, count, scratch, item_places);
}

// Meets items by popularity and keeps each with its probability. False where the user finds so little that looking at
// every item is cheaper.
bool PlantedModel::draw_by_rejection(Index user_place, Index count, Scratch& scratch,
                                     std::vector<ItemId>& item_places) const {
  const std::size_t slots = std::bit_ceil(static_cast<std::size_t>(count) * 2);
  scratch.slots.assign(slots, 0);
  const Index most_meetings = std::min<Index>(1000 * count, 10 * options_.items + 100 * count);
  for (Index k = 0; static_cast<Index>(item_places.size()) < count; ++k) {
    if (k == most_meetings) return false;
    const RandomStream::Block words = block(meeting, user_place, static_cast<std::uint32_t>(k));
    const Index item = popularity_.place_at(unit(word64(words, 0)));
    if (unit(word64(words, 1)) >= keeps(scratch.user, item)) continue;
    const auto mark = static_cast<ItemId>(item) + 1;
    std::size_t slot = (static_cast<std::size_t>(item) * 0x9e3779b97f4a7c15ULL >> 32) & (slots - 1);
    while (scratch.slots[slot] != 0 && scratch.slots[slot] != mark) slot = (slot + 1) & (slots - 1);
    if (scratch.slots[slot] == mark) continue;
    scratch.slots[slot] = mark;
    item_places.push_back(static_cast<ItemId>(item));
  }
  return true;
}

// The same distribution seen from the items: item i is met and kept first at an exponential time of rate popularity
// times keeping; the earliest `count` are taken. (Efraimidis and Spirakis, Information Processing Letters 97, 2006.)
void PlantedModel::draw_by_arrival(Index user_place, Index count, Scratch& scratch,
                                   std::vector<ItemId>& item_places) const {
  scratch.arrivals.resize(static_cast<std::size_t>(options_.items));
  for (Index item = 0; item < options_.items; ++item) {
    const double rate = popularity_.weight(item) * keeps(scratch.user, item);
    const double time =
        -std::log(open_unit(word64(block(arrival, user_place, static_cast<std::uint32_t>(item)), 0))) / rate;
    scratch.arrivals[static_cast<std::size_t>(item)] = {time, static_cast<ItemId>(item)};
  }
  std::nth_element(scratch.arrivals.begin(), scratch.arrivals.begin() + count - 1, scratch.arrivals.end());
  item_places.clear();
  for (Index k = 0; k < count; ++k) item_places.push_back(scratch.arrivals[static_cast<std::size_t>(k)].second);
}

const std::vector<std::uint8_t>& PlantedModel::draw_parts(Index user_place, Index count, Scratch& scratch) const {
  const SplitCounts counts = split_of(count);
  scratch.part.assign(static_cast<std::size_t>(count), static_cast<std::uint8_t>(data::Part::train));
  scratch.order.resize(static_cast<std::size_t>(count));
  std::iota(scratch.order.begin(), scratch.order.end(), 0U);
  for (Index k = 0; k < counts.test + counts.validation; ++k) {
    const std::uint64_t word = word64(block(parting, user_place, static_cast<std::uint32_t>(k)), 0);
    const auto here = static_cast<std::size_t>(k);
    std::swap(scratch.order[here],
              scratch.order[here + static_cast<std::size_t>(bounded(word, static_cast<std::uint64_t>(count - k)))]);
    const data::Part part = k < counts.test ? data::Part::test : data::Part::validation;
    scratch.part[scratch.order[here]] = static_cast<std::uint8_t>(part);
  }
  return scratch.part;
}

}  // namespace spar::data_tools
