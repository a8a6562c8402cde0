#pragma once
#include <memory>
#include <string>
#include <vector>

#include "spar/base/settings.hpp"
#include "spar/game/neural_model.hpp"

/// Pairwise interaction tensor factorisation (Rendle and Schmidt-Thieme, WSDM 2010): the score of tag t for the post of
/// user u and item i is
///   y(u, i, t) = U_u . TU_t + Q_i . TI_t
/// (a term of user and item alone would change no ranking of tags). The loss is the sum of softplus(y(u, i, t-) -
/// y(u, i, t+)) over a tag t+ of the post and one t- that it lacks. Adversaries do not see the penalty, l2 times the
/// squared norms of the six rows of each example.
namespace spar::systems {

class PitfModel final : public game::NeuralModelOf<PitfModel> {
 public:
  PitfModel(int dim, double l2, game::RowPenalty penalty = {}) : dim_(dim), l2_(l2), penalty_(penalty) {}

  int user_columns() const override { return dim_; }
  int item_columns() const override { return dim_; }
  /// [TU_t; TI_t] of each tag, so that both travel in one message. As taps they are two rows, each with a norm of its
  /// own (tag_user, tag_item), or one (tag).
  std::vector<game::FurtherTable> further() const override;
  bool learns_from_posts() const override { return true; }
  game::Reduction reduction() const override { return game::Reduction::sum; }
  std::vector<std::string> taps() const override { return {"user", "item", "tag", "tag_user", "tag_item"}; }
  game::RowPenalty row_penalty() const override { return penalty_; }
  bool scores_pairs() const override { return true; }
  tape::Var pair_scores(const game::Pass<float>& pass) const override;
  template <class T>
  tape::Var build(const game::Pass<T>& pass) const;

  /// [U_u; Q_i] against [TU_t; TI_t].
  game::Question question() const override { return {{"user", "item"}, "tag"}; }
  int score_columns() const override { return 2 * dim_; }
  void represent_query(const table::DenseParameters& dense, std::span<const float* const> rows,
                       float* out) const override;

 private:
  int dim_;
  double l2_;
  game::RowPenalty penalty_;
};

std::unique_ptr<game::NeuralModel> pitf_of(const Recipe& recipe);
/// The settings of pitf, which are also those of atf's first stage, with their defaults.
SystemSettings pitf_settings(const std::string& system);

}  // namespace spar::systems
