#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "spar/adversary/carlini_wagner.hpp"
#include "spar/systems/factor_model.hpp"

/// The attack of Carlini and Wagner on what describes items: how little must the numbers of one item change to move it
/// out of, or into, the list of one user?
namespace spar::systems {

/// The tap of attacks on profiles of users (profile_attack.hpp).
inline const std::string profile_tap = "user_profile";

/// What a pair's change must reach: another place in the ranking, or the other predicted label.
enum class Goal { list, label };

struct FeatureAttackPlan {
  std::string tap;        ///< one of continuous_inputs()
  std::int64_t top = 10;  ///< the length K of the lists
  Index pushed = -1;      ///< the item that is to enter the lists; -1: each user's targets are to leave his
  /// Whatever its box says, it is the one below.
  adversary::CarliniWagnerSettings search{};
  /// What changed values stay within; nothing: the range of all values of the tap's table.
  std::optional<std::pair<double, double>> box{};
  // Of profiles alone:
  Goal goal = Goal::list;
  int draws = 0;           ///< of the training's noise, over which logits are averaged
  std::uint64_t seed = 1;  ///< of these
};

/// Pairs (user, item): with his targets, or with the pushed item, where it is a candidate.
struct FeatureAttackResult {
  std::int64_t pairs = 0;
  std::int64_t hits = 0;       ///< whose item is among the K best before the attack
  std::int64_t attacked = 0;   ///< hits that another candidate could replace; of a push: those that are no hits
  std::int64_t successes = 0;  ///< attacked ones that reached their goal
  double distortion = 0;       ///< mean ||D||_2 over successes, NaN without
  double relative = 0;         ///< the same of ||D||_2 / ||f||_2
  double changes = 0;          ///< the same of the number of changed values
};

/// The tables of the model whose rows are numbers of the outside world, or profile_tap; empty where users and items are
/// known by their ids alone.
std::vector<std::string> continuous_inputs(const FactorModel& model);

/// Each pair has a perturbation of its own, of the item's row of the tap's table, with all else as it is. So the score
/// to pass is fixed, that of the K-th best other candidate y_K, and the margin is y_ui - y_K (to leave) or y_K - y_ui
/// (to enter); its gradient comes from the model's tape. Candidates are all items but the lists' masked ones, for the
/// chosen users. Collective; the same bits on any launch. Memory of a rank: (K + 1) recommendations for each of
/// its users among 65,536 at a time, what spar evaluate takes, 512 pulled rows of the table, and 44 bytes a column of
/// it for 64 rows a thread.
FeatureAttackResult attack_features(const comm::Communicator& communicator, const ShardLayout& layout,
                                    const FactorModel& model, const evaluate::EvaluationLists& lists,
                                    const FeatureAttackPlan& plan);

}  // namespace spar::systems
