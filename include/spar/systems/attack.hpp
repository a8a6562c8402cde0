#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "spar/adversary/perturbation.hpp"
#include "spar/systems/factor_model.hpp"

/// Attacks on the rows of a trained factor model: perturbations within a ball that raise its training loss, for
/// evaluation only. The model itself is never changed.
namespace spar::systems {

enum class AttackMethod { random, fgm, fgsm, bim, pgd };
AttackMethod attack_method_of(const std::string& name);

struct AttackPlan {
  AttackMethod method = AttackMethod::fgm;
  adversary::Ball ball = adversary::Ball::row_l2;
  double epsilon = 0.5;
  std::int64_t steps = 10;   ///< of bim and pgd
  double step_size = 0.125;  ///< of bim and pgd
  bool users = true;         ///< taps
  bool items = true;
  /// data: the gradient of the whole training set, one pass a step. batch: batch after batch, a row's perturbation is
  /// that of the last batch that touched it (what the training adversary leaves behind); bim and pgd move it further at
  /// each batch of each of their passes.
  adversary::Scope scope = adversary::Scope::data;
  std::int64_t batch_size = 4096;
  double norm_floor = 1e-6;
  std::uint64_t seed = 1;  ///< of negatives (one for each positive, the same in every pass), noise and starts
};

/// The model with the perturbation added; collective; the same bits on any launch. Fast gradient: delta = epsilon *
/// direction / norm. bim (Kurakin et al. 2017) starts at 0, pgd (Madry et al., ICLR 2018) at a random place in the
/// ball; both go `steps` times by step_size along the steepest direction of the ball (the sign for linf) and project.
/// random: every row gets normal noise on the surface of the ball.
FactorModel perturbed_model(const comm::Communicator& communicator, const ShardLayout& layout, const FactorModel& model,
                            const data::UserLists& train, std::int64_t total_positives, const AttackPlan& plan);

}  // namespace spar::systems
