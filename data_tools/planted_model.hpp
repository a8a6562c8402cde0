#pragma once
#include <cstdint>
#include <vector>

#include "data_tools/synth.hpp"
#include "spar/base/random.hpp"
#include "spar/base/types.hpp"

/// The random model behind synth(): every user's items are a pure function of the options, so any rank can draw any
/// user.
namespace spar::data_tools {

/// Places 0 .. size-1 in proportion to the integral of (x + shift)^-exponent over [place, place + 1]; exponent >= 0,
/// shift > 0.
class PowerLaw {
 public:
  PowerLaw(Index size, double exponent, double shift);
  /// The share of all places below x, 0 <= x <= size.
  double share_below(double x) const { return integral(x) / total_; }
  /// The place at which a share u in [0, 1) is reached: a draw from the law for uniform u.
  Index place_at(double u) const;
  double weight(Index place) const {
    return (integral(static_cast<double>(place) + 1.0) - integral(static_cast<double>(place))) / total_;
  }

 private:
  double integral(double x) const;
  Index size_;
  double exponent_;
  double shift_;
  double start_;  ///< the antiderivative at 0
  double total_ = 1.0;
};

/// How many of a user's interactions go where.
struct SplitCounts {
  Index train = 0;
  Index validation = 0;
  Index test = 0;
};

class PlantedModel {
 public:
  explicit PlantedModel(const SynthOptions& options);

  /// Memory that draws of one thread share.
  struct Scratch {
    std::vector<ItemId> slots;                        ///< open addressing: item places + 1, 0 where free
    std::vector<std::pair<double, ItemId>> arrivals;  ///< (time, item place)
    std::vector<float> user;
    std::vector<std::uint32_t> order;
    std::vector<std::uint8_t> part;
  };

  /// The number of interactions of the user at an activity place; falls with the place (but for rounding), sums to
  /// options.interactions.
  Index interactions_of(Index user_place) const;
  SplitCounts split_of(Index interactions) const;
  /// The distinct item places that the user keeps, in no order.
  void draw_items(Index user_place, Index count, Scratch& scratch, std::vector<ItemId>& item_places) const;
  /// The part (as data::Part) of each of the user's interactions, by position; a random choice of positions.
  const std::vector<std::uint8_t>& draw_parts(Index user_place, Index count, Scratch& scratch) const;

  /// The hidden factors of a user (normal, of variance 1 / factors) and of an item (uniform, of variance 1).
  void draw_user(Index user_place, std::vector<float>& factors) const;
  void draw_item(Index item_place, std::vector<float>& factors) const;
  /// The probability with which taste x keeps what is met: sigmoid(affinity * (x - 0.7)).
  double keeping(double x) const;
  /// Four random words; `purpose` says what for, and is part of the meaning of a seed.
  RandomStream::Block block(std::uint32_t purpose, Index place, std::uint32_t k) const;

 private:
  double keeps(const std::vector<float>& user, Index item_place) const;
  bool draw_by_rejection(Index user_place, Index count, Scratch& scratch, std::vector<ItemId>& item_places) const;
  void draw_by_arrival(Index user_place, Index count, Scratch& scratch, std::vector<ItemId>& item_places) const;

  SynthOptions options_;
  RandomStream stream_;
  PowerLaw popularity_;
  double least_ = 0;  ///< interactions that every user has before the power law's
  PowerLaw activity_;
};

}  // namespace spar::data_tools
