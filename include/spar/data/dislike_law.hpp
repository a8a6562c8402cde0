#pragma once
#include <memory>

#include "spar/base/random.hpp"
#include "spar/base/types.hpp"
#include "spar/data/interactions.hpp"

namespace spar::data {

/// Negatives that a user has chosen himself: with the probability `share` a draw for him is one of his dislikes, each
/// as likely as another; otherwise, and for users without dislikes, the law that this stands before (ItemLaw) draws as
/// ever. It keeps the dislikes of the rank's own users, 4 bytes each, whatever the catalogue.
class DislikeLaw {
 public:
  /// `lists`: the dislikes of the users of the training lists that are drawn from, and of no others. `share`: 0 to 1.
  DislikeLaw(std::shared_ptr<const UserLists> lists, double share);

  /// Whether local user `user` has dislikes.
  bool knows(Index user) const { return !lists_->of(user).empty(); }
  /// What a block of random numbers decides for him: false where it leaves him to the other law, which then has to
  /// draw. The first half decides that, the second which item.
  bool draw(Index user, const RandomStream::Block& block, ItemId& item) const;

 private:
  std::shared_ptr<const UserLists> lists_;
  double share_;
};

}  // namespace spar::data
