#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "spar/base/schedule.hpp"
#include "spar/game/neural_model.hpp"
#include "spar/tape/layers/dense.hpp"

/// Privacy-adversarial training (Resheff, Elazar, Shahar and Sar Shalom 2018): matrix factorisation by BPR, against one
/// reader C_k for each private attribute of users, who tells it from the user's vector:
///   min over p, q   L_rec - lambda L_priv,        min over the readers   L_priv
///   L_rec  = sum over triples of softplus(-(p_u . (q_i - q_j) (+ b_i - b_j)))
///   L_priv = sum over attributes k and users u of  w_k(a_k(u)) CE(C_k(p_u), a_k(u))
/// in one backward pass with a reversal of gradients between p_u and C_k (Ganin et al., JMLR 2016), or in turns. A
/// user's weight does not depend on how many triples he has: over an epoch all users with interactions count alike,
/// each as much as a mean user has triples, so lambda weighs a user's reading against the ranking of one triple.
namespace spar::systems {

struct PatSettings {
  int dim = 64;
  bool item_bias = false;
  double l2 = 0.0;
  game::RowPenalty penalty{};
  std::vector<std::string> attributes;
  std::vector<int> classes;  ///< of each
  int hidden = 0;            ///< units of a reader's hidden layer; 0: none
  int inner_steps = 0;
  Schedule weight{1.0};  ///< lambda
};

class PatModel final : public game::NeuralModelOf<PatModel> {
 public:
  explicit PatModel(const PatSettings& settings);

  int user_columns() const override { return settings_.dim; }
  int item_columns() const override { return settings_.dim; }
  bool item_bias() const override { return settings_.item_bias; }
  std::vector<game::FrozenTable> frozen() const override;
  std::unique_ptr<game::BatchSource> source(const data::UserLists& lists, Index first_user, Index users, int shard,
                                            Index total_items, std::uint64_t seed) const override;
  game::Reduction reduction() const override { return game::Reduction::sum; }
  std::string second_loss_name() const override { return "reading"; }
  std::vector<std::string> taps() const override { return {}; }
  int inner_steps() const override { return settings_.inner_steps; }
  tape::Var inner_loss(const game::Pass<float>& pass) const override;
  game::RowPenalty row_penalty() const override { return settings_.penalty; }
  bool scores_pairs() const override { return true; }
  tape::Var pair_scores(const game::Pass<float>& pass) const override;
  template <class T>
  tape::Var build(const game::Pass<T>& pass) const;

  int score_columns() const override { return settings_.dim; }

 private:
  /// The readers' loss at `users` (distinct rows x dim), whose private rows are `hidden`.
  template <class T>
  tape::Var reading(const game::Pass<T>& pass, tape::Var users, tape::Var hidden) const;

  PatSettings settings_;
  std::vector<tape::layers::Mlp> readers_;
};

}  // namespace spar::systems
