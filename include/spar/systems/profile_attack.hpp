#pragma once
#include "spar/systems/feature_attack.hpp"

/// The attack of Carlini and Wagner on profiles of users, where the model knows users by these: how little must the
/// entries of one user's profile change to move one item out of, or into, his list, or to turn its predicted label?
/// (Du et al., IEEE Transactions on Multimedia 2019, where a profile is a user's features.)
namespace spar::systems {

/// The most entries of one profile that a change may move.
inline constexpr std::int64_t most_profile_changes = 256;

/// Each pair has a change d of its own, of the row x_u of its user (1 for each training item, else 0) within
/// [0, box.second]; profiles of items, what is masked, and n_u in the scale of the sum stay as they are. So
/// e_u = scale (sum of (x_j + d_j) a_j), and an entry's gradient is scale a_j . d margin / d e_u.
///
/// goal list: the margin is y_ui - y_K (to leave) or y_K - y_ui (to enter), y_K being the score of the K-th best other
/// candidate at the changed profile, among rivals: the 4 K best at the profile as it was. A change that is found is
/// judged by the ranking of all candidates; where that says no, the items of that list become rivals, and the pair is
/// searched again, four times at most. goal label: the margin is the logit z_ui, or -z_ui with `pushed`, and hits are
/// pairs with a logit above 0; with draws > 0 the logit is its mean over that many draws of the training's noise, the
/// same at all steps.
///
/// Which entries may change: search.most_changes of them, by default (and at most) most_profile_changes, those of the
/// largest |gradient| at the profile as it was that the box lets move against it; never that of the item itself. They
/// are found exactly among all items, as recommendations are; of a profile of more than 4,096 items the first 4,096 are
/// looked at.
///
/// Collective; the same bits on any launch. Memory of a rank, besides what spar evaluate takes twice: for 4,096 users
/// at a time (of all ranks) 4 K + 256 item numbers and two rows; pulled rows of at most max(8,192, 65,536 / shards)
/// items and of 32 (8 K + 8) rivals a shard; 12 KB for 32 pairs a thread.
FeatureAttackResult attack_profiles(const comm::Communicator& communicator, const ShardLayout& layout,
                                    const FactorModel& model, const evaluate::EvaluationLists& lists,
                                    const FeatureAttackPlan& plan);

}  // namespace spar::systems
