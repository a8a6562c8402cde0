#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "spar/adversary/perturbation.hpp"
#include "spar/systems/factor_model.hpp"

/// Attacks on the rows of a trained model: perturbations within a ball that raise its training loss, for evaluation
/// only. The model itself is never changed.
namespace spar::systems {

enum class AttackMethod { random, fgm, fgsm, bim, pgd };
AttackMethod attack_method_of(const std::string& name);

struct AttackPlan {
  AttackMethod method = AttackMethod::fgm;
  adversary::Ball ball = adversary::Ball::row_l2;
  double epsilon = 0.5;
  std::int64_t steps = 10;          ///< of bim and pgd
  double step_size = 0.125;         ///< of bim and pgd
  std::vector<std::string> taps{};  ///< some of attack_taps(); empty: trained_taps()
  /// data: the gradient of the whole training set, one pass a step. batch: batch after batch, a row's perturbation is
  /// that of the last batch that touched it (what the training adversary leaves behind); bim and pgd move it further at
  /// each batch of each of their passes.
  adversary::Scope scope = adversary::Scope::data;
  std::int64_t batch_size = 4096;  ///< in the units of train.batch_size
  double norm_floor = 1e-6;
  std::uint64_t seed = 1;  ///< of negatives (as many as in training, the same in every pass), noise and starts
};

/// The taps of the model that an attack can perturb, that is, those that stay when pairs are ranked: rows of trained
/// tables ("user", "item"; of auto-encoders "encoder.weights", "decoder.weights" and, with user nodes, "user"), rows of
/// features ("item_features"), matrices of dense parameters ("dense.mlp.0.weights"). Biases of factor models and
/// decoders belong to none.
std::vector<std::string> attack_taps(const FactorModel& model);
/// Those among them that are rows of trained tables.
std::vector<std::string> trained_taps(const FactorModel& model);
/// The taps of the adversary that the recipe's system trains with, as far as an attack can perturb them; else
/// trained_taps().
std::vector<std::string> default_taps(const Recipe& recipe, const FactorModel& model);
/// The median row norms of those of `taps` that are sharded, in their order. Collective.
std::vector<double> median_norms(const comm::Communicator& communicator, const ShardLayout& layout,
                                 const FactorModel& model, const std::vector<std::string>& taps);
/// UserError that lists the taps, where one of `taps` is none of attack_taps(); it says so of taps that belong to
/// training examples ("hidden.1"). `system`: its name.
void check_taps(const std::string& system, const FactorModel& model, const std::vector<std::string>& taps);

/// The model with the perturbation added; collective; the same bits on any launch. Fast gradient: delta = epsilon *
/// direction / norm. bim (Kurakin et al. 2017) starts at 0, pgd (Madry et al., ICLR 2018) at a random place in the
/// ball; both go `steps` times by step_size along the steepest direction of the ball (the sign for linf) and project.
/// random: every row gets normal noise on the surface of the ball.
///
/// What they raise is the training loss summed over all examples, of the model as it is evaluated: without penalties,
/// dropout or corruption of profiles, codes at their mean. Tables without a tap are shared with `model`; each other one
/// takes room for its perturbed values and perturbation (bim and pgd: and gradient), on its owners; the passes take
/// what a training step of batch_size takes. `posts`: the training posts of models that learn from them.
FactorModel perturbed_model(const comm::Communicator& communicator, const ShardLayout& layout, const FactorModel& model,
                            const data::UserLists& train, std::int64_t total_positives, const AttackPlan& plan,
                            const data::PostRows* posts = nullptr);

/// That loss at `model`, on the examples that the plan's attack draws. Collective.
double attacked_loss(const comm::Communicator& communicator, const ShardLayout& layout, const FactorModel& model,
                     const data::UserLists& train, std::int64_t total_positives, const AttackPlan& plan,
                     const data::PostRows* posts = nullptr);

}  // namespace spar::systems
