#pragma once
#include <cstdint>
#include <memory>
#include <utility>

#include "spar/base/types.hpp"
#include "spar/data/dislike_law.hpp"
#include "spar/data/popularity.hpp"

namespace spar::data {

/// What a law says besides how items are weighed.
struct LawOptions {
  bool own_items = false;  ///< whether negatives may be the user's own training items (nobody is then left out)
  int candidates = 1;      ///< draws for each negative, which is the one that the model scores highest
};

/// The law of negatives: how items are weighed, uniformly or by popularity, and what may be one.
class ItemLaw {
 public:
  /// Uniform over items 0 to items - 1. Keeps nothing.
  explicit ItemLaw(Index items, LawOptions options = {}) : drawable_(items), options_(options) {}
  /// By popularity: items of count 0 are never drawn.
  explicit ItemLaw(std::shared_ptr<const Popularity> popularity, LawOptions options = {})
      : popularity_(std::move(popularity)), drawable_(popularity_->drawable()), options_(options) {}

  /// nullptr: uniform.
  const Popularity* popularity() const { return popularity_.get(); }
  /// Whether owners draw for the samplers, which must then be served (NegativeService).
  bool needs_service() const { return popularity_ != nullptr && !popularity_->complete(); }
  /// Items that can be drawn.
  Index drawable() const { return drawable_; }
  const LawOptions& options() const { return options_; }

  /// Users' dislikes stand before this law; nullptr, as it is without a call: they do not.
  void use_dislikes(std::shared_ptr<const DislikeLaw> dislikes) { dislikes_ = std::move(dislikes); }
  const DislikeLaw* dislikes() const { return dislikes_.get(); }

 private:
  std::shared_ptr<const Popularity> popularity_{};
  Index drawable_ = 0;
  LawOptions options_;
  std::shared_ptr<const DislikeLaw> dislikes_;
};

}  // namespace spar::data
