#pragma once
#include "spar/base/types.hpp"
#include "spar/catalogue/score.hpp"

namespace spar::catalogue {

/// The score of a user and an item where it is no inner product of their rows. Like the kernel of score.hpp, an
/// implementation keeps one pair in a lane and walks its sums in a fixed order, so that a score is a pure function of
/// the two rows: the same bits in evaluate, recommend and attack.
class PairFunction {
 public:
  virtual ~PairFunction() = default;
  /// Scores `lanes` (catalogue/lanes.hpp) items against one user: value c of item k is items[c * stride + k], aligned
  /// to a vector. Thread-safe.
  virtual void score_lanes(const float* user, const float* items, Index stride, float* scores) const = 0;
};

/// score_pair and score_panels of score.hpp by a pair function; a bias of the item is added where there is one.
float score_pair(const PairFunction& pairs, const float* user, const float* item, int dim);
bool score_panels(const PairFunction& pairs, const float* const* user_rows, int users, const ItemPanels& items,
                  int first_panel, int panels, float* scores, Index stride);

}  // namespace spar::catalogue
