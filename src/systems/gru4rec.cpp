#include <algorithm>

#include "sequence_model.hpp"

#include "spar/systems/declarations.hpp"
#include "spar/tape/layers/sequence.hpp"
#include "spar/tape/losses.hpp"
#include "spar/tape/shape.hpp"

namespace spar::systems {

namespace {

using tape::Var;

// A gated recurrent unit over the history, its state as wide as the items' rows.
class GruHistory {
 public:
  GruHistory(tape::layers::Declarations& to, const SequenceSettings& settings)
      : settings_(settings), gru_(to, "gru", settings.dim, settings.dim), place_(to.noise_place()) {}

  template <class T>
  Var states(const game::Pass<T>& pass, Var items, Var) const {
    const int length = pass.batch.length;
    const Var x = tape::layers::drop(pass.context, items, 1.0 - settings_.dropout, place_, length);
    return gru_.apply(pass.context, x, Var{}, {length, pass.batch.valid});
  }

  template <class T>
  Var output(const tape::layers::Context<T>&, Var states) const {
    return states;
  }

  // Cross entropy of the target among itself and its negatives (Hidasi and Karatzoglou, CIKM 2018, section 3.1).
  template <class T>
  Var loss(tape::Tape<T>& tape, Var positive, const std::vector<Var>& negatives) const {
    std::vector<Var> scores{positive};
    scores.insert(scores.end(), negatives.begin(), negatives.end());
    const auto rows = static_cast<std::size_t>(tape.value(positive).rows);
    auto* classes = tape.arena().template take<std::int32_t>(rows);
    std::fill_n(classes, rows, 0);
    const Var logits = tape::concat_columns<T>(tape, scores);
    return tape::sum(tape, tape::cross_entropy(tape, logits, std::span<const std::int32_t>(classes, rows)));
  }

  // Three gates before and after their functions, the states, the input.
  game::SequenceCost cost() const {
    game::SequenceCost cost;
    cost.bytes = 12 * vector_bytes(settings_);
    const double dim = settings_.dim;
    cost.flops = 12.0 * settings_.length * dim * dim;
    return cost;
  }

  std::vector<std::string> taps() const { return {"gru.input", "gru.recurrent"}; }

 private:
  SequenceSettings settings_;
  tape::layers::GruEncoder gru_;
  std::uint32_t place_;
};

std::unique_ptr<game::NeuralModel> make_network(const Recipe& recipe) {
  SequenceSettings settings;
  settings.dim = static_cast<int>(recipe.integer("model.dim"));
  settings.length = static_cast<int>(recipe.integer("sequence.length"));
  settings.negatives = static_cast<int>(recipe.integer("sampling.per_positive"));
  settings.dropout = recipe.real("network.dropout");
  return std::make_unique<SequenceModel<GruHistory>>(settings);
}

}  // namespace

SystemInfo declare_gru4rec() {
  SystemInfo info;
  info.name = "gru4rec";
  info.family = "base";
  info.sentence = "A recurrent unit over a user's history, which says what comes next";
  info.inputs = {"interactions", "times"};
  info.score = "state of the history . item";
  info.bibtex = R"(@inproceedings{hidasi2018gru4rec,
  author    = {Bal{\'a}zs Hidasi and Alexandros Karatzoglou},
  title     = {Recurrent Neural Networks with Top-k Gains for Session-based Recommendations},
  booktitle = {Proceedings of the 27th ACM International Conference on Information and Knowledge Management},
  pages     = {843--852},
  year      = {2018}
}
)";
  info.settings = {.system = info.name,
                   .takes = {"model.dim", "model.init_law", "model.init_std", "sequence.length", "network.dropout",
                             "optimizer.*", "sampling.*", "train.*"},
                   .defaults = {{"model.init_std", 0.05, "own choice"},
                                {"sequence.length", std::int64_t{50}, "own choice"},
                                {"sampling.per_positive", std::int64_t{16}, "own choice"},
                                {"optimizer.name", std::string("lazy_adam"), "own choice"},
                                {"optimizer.learning_rate", 0.001, "own choice"},
                                {"train.batch_size", std::int64_t{128}, "own choice: users"},
                                {"evaluate.every_epochs", std::int64_t{5}, "own choice"},
                                {"evaluate.select_by", std::string("ndcg@10"), "own choice"}}};
  info.network = make_network;
  return info;
}

}  // namespace spar::systems
