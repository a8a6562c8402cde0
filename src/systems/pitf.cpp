#include "pitf.hpp"

#include <algorithm>

#include "row_penalty.hpp"

#include "spar/systems/declarations.hpp"
#include "spar/tape/linear.hpp"
#include "spar/tape/losses.hpp"
#include "spar/tape/operations.hpp"
#include "spar/tape/shape.hpp"

namespace spar::systems {

namespace {

using tape::Var;

constexpr std::size_t user_table = 0;
constexpr std::size_t item_table = 1;
constexpr std::size_t tag_table = 2;

}  // namespace

std::vector<game::FurtherTable> PitfModel::further() const {
  return {{.name = "tag",
           .space = data::IdSpace::tags,
           .columns = 2 * dim_,
           .parts = {{"tag_user", 0, dim_}, {"tag_item", dim_, dim_}}}};
}

template <class T>
Var PitfModel::build(const game::Pass<T>& pass) const {
  tape::Tape<T>& tape = pass.tape();
  const Var both[] = {pass.rows(user_table, 0), pass.rows(item_table, 1)};
  const Var posts = tape::concat_columns<T>(tape, both);
  const Var given = pass.rows(tag_table, 2);
  const Var others = pass.rows(tag_table, 3);
  if (l2_ != 0.0 && pass.penalty != nullptr) {
    const Var squares = tape::add(tape, tape::squared_norm(tape, posts),
                                  tape::add(tape, tape::squared_norm(tape, given), tape::squared_norm(tape, others)));
    *pass.penalty = tape::scale(tape, squares, static_cast<T>(l2_));
  }
  return tape::sum(
      tape, tape::pairwise_log_sigmoid(tape, tape::row_dot(tape, posts, given), tape::row_dot(tape, posts, others)));
}

Var PitfModel::pair_scores(const game::Pass<float>& pass) const {
  const Var both[] = {pass.rows(user_table, 0), pass.rows(item_table, 1)};
  return tape::row_dot(pass.tape(), tape::concat_columns<float>(pass.tape(), both), pass.rows(tag_table, 2));
}

template Var PitfModel::build(const game::Pass<float>&) const;
template Var PitfModel::build(const game::Pass<double>&) const;

void PitfModel::represent_query(const table::DenseParameters&, std::span<const float* const> rows, float* out) const {
  std::copy_n(rows[user_table], dim_, out);
  std::copy_n(rows[item_table], dim_, out + dim_);
}

std::unique_ptr<game::NeuralModel> pitf_of(const Recipe& recipe) {
  return std::make_unique<PitfModel>(static_cast<int>(recipe.integer("model.dim")), loss_penalty_of(recipe),
                                     row_penalty_of(recipe, 2.0));
}

SystemSettings pitf_settings(const std::string& system) {
  const std::string own = "own choice";
  return {.system = system,
          .takes = {"model.dim", "model.init_law", "model.init_std", "objective.l2", "objective.l2_form", "optimizer.*",
                    "sampling.negatives", "sampling.candidates", "train.*"},
          .defaults = {{"model.dim", std::int64_t{64}, own},
                       {"model.init_law", std::string("normal"), own},
                       {"model.init_std", 0.01, own},
                       {"objective.l2", 1e-3, own},
                       {"optimizer.name", std::string("adagrad"), own},
                       {"optimizer.learning_rate", 0.05, own},
                       {"sampling.negatives", std::string("uniform"), "PITF paper"},
                       {"train.batch_size", std::int64_t{512}, own},
                       {"evaluate.cutoffs", std::vector<std::int64_t>{1, 3, 5, 10}, own},
                       {"evaluate.metrics", std::vector<std::string>{"f1", "precision", "recall", "ndcg", "hr"}, own},
                       {"evaluate.select_by", std::string("f1@5"), "PITF paper: F1"}}};
}

SystemInfo declare_pitf() {
  SystemInfo info;
  info.name = "pitf";
  info.family = "base";
  info.sentence = "Tags for a user's item: pairwise interaction tensor factorisation of users, items and tags";
  info.inputs = {"interactions", "tags"};
  info.score = "user . tag_user + item . tag_item";
  info.bibtex = R"(@inproceedings{rendle2010pitf,
  author    = {Steffen Rendle and Lars Schmidt-Thieme},
  title     = {Pairwise Interaction Tensor Factorization for Personalized Tag Recommendation},
  booktitle = {Proceedings of the Third {ACM} International Conference on Web Search and Data Mining},
  pages     = {81--90},
  year      = {2010}
}
)";
  info.settings = pitf_settings(info.name);
  info.network = pitf_of;
  return info;
}

}  // namespace spar::systems
