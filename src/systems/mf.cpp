#include "mf.hpp"

#include <algorithm>

#include "row_penalty.hpp"

#include "spar/systems/declarations.hpp"
#include "spar/tape/operations.hpp"
#include "spar/tape/pointwise.hpp"
#include "spar/tape/shape.hpp"

namespace spar::systems {

MfModel::MfModel(const MfSettings& settings) : settings_(settings) {
  bias_ = declarations_.parameter("bias", 1, 1, tape::layers::zeros);
}

std::unique_ptr<game::BatchSource> MfModel::source(const data::UserLists& lists, Index first_user, Index users,
                                                   int shard, Index total_items, std::uint64_t seed) const {
  return std::make_unique<game::PointSource>(lists, first_user, users, shard, total_items, seed, settings_.negatives);
}

template <class T>
tape::Var MfModel::build(const game::Pass<T>& pass) const {
  return tape::pointwise_logistic(pass.tape(), pass.tables[0], pass.tables[1], pass.context[bias_],
                                  {pass.batch.slots[0], pass.batch.slots[1], pass.batch.labels}, settings_.l2);
}

template tape::Var MfModel::build(const game::Pass<float>&) const;
template tape::Var MfModel::build(const game::Pass<double>&) const;

tape::Var MfModel::pair_scores(const game::Pass<float>& pass) const {
  tape::Tape<float>& tape = pass.tape();
  const tape::Var item = pass.rows(1, 1);
  const tape::Var products = tape::row_dot(tape, tape::slice_columns(tape, pass.rows(0, 0), 0, settings_.dim),
                                           tape::slice_columns(tape, item, 0, settings_.dim));
  return tape::add(tape, products, tape::slice_columns(tape, item, settings_.dim, 1));
}

void MfModel::represent_user(const table::DenseParameters&, const float* row, float* out) const {
  std::copy_n(row, settings_.dim, out);
  out[settings_.dim] = 1.0F;
}

SystemInfo declare_mf() {
  SystemInfo info;
  info.name = "mf";
  info.family = "base";
  info.sentence = "Matrix factorisation with biases under the logistic loss, pointwise";
  info.inputs = {"interactions"};
  info.score = "user . item + item bias";
  info.bibtex = R"(@inproceedings{rendle2020ncf,
  author    = {Steffen Rendle and Walid Krichene and Li Zhang and John Anderson},
  title     = {Neural Collaborative Filtering vs. Matrix Factorization Revisited},
  booktitle = {Proceedings of the 14th {ACM} Conference on Recommender Systems},
  pages     = {240--248},
  year      = {2020}
}
)";
  const std::string code = "dot_vs_learned_similarity code";
  info.settings = {
      .system = info.name,
      .takes = {"model.dim", "model.init_law", "model.init_std", "objective.*", "optimizer.*", "sampling.negatives",
                "sampling.power", "sampling.dislike_share", "sampling.own_items", "sampling.candidates",
                "sampling.per_positive", "train.*"},
      .defaults = {{"model.dim", std::int64_t{64}, "own choice"},
                   {"model.init_law", std::string("normal"), code},
                   {"model.init_std", 0.1, code},
                   {"objective.l2", 0.005, code},
                   {"optimizer.name", std::string("sgd"), code},
                   {"optimizer.learning_rate", 0.002, code},
                   {"sampling.per_positive", std::int64_t{8}, code},
                   {"train.epochs", std::int64_t{256}, code},
                   {"train.batch_size", std::int64_t{256}, "own choice; the code steps on every example"}}};
  info.network = [](const Recipe& recipe) -> std::unique_ptr<game::NeuralModel> {
    return std::make_unique<MfModel>(
        MfSettings{.dim = static_cast<int>(recipe.integer("model.dim")),
                   .l2 = loss_penalty_of(recipe),
                   .penalty = row_penalty_of(recipe, 1.0),
                   .negatives = static_cast<int>(recipe.integer("sampling.per_positive"))});
  };
  return info;
}

}  // namespace spar::systems
