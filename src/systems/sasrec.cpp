#include <cmath>

#include "sequence_model.hpp"
#include <fmt/format.h>

#include "spar/base/error.hpp"
#include "spar/systems/declarations.hpp"
#include "spar/tape/layers/sequence.hpp"
#include "spar/tape/losses.hpp"
#include "spar/tape/shape.hpp"

namespace spar::systems {

namespace {

using tape::Var;

// Self-attention over the history, in the form of kang205/SASRec: rows times sqrt(d) plus learned positions, dropout,
// blocks, a last layer norm. Positions are counted from the newest item, as padding in front of a fixed length does.
class SasrecEncoder {
 public:
  SasrecEncoder(tape::layers::Declarations& to, const SequenceSettings& settings, int blocks, int heads)
      : settings_(settings),
        heads_(heads),
        positions_(to.parameter("positions", settings.length, settings.dim, {})),
        place_(to.noise_place()) {
    tape::layers::TransformerSettings form;
    form.heads = heads;
    form.keep = 1.0 - settings.dropout;
    for (int k = 0; k < blocks; ++k) blocks_.emplace_back(to, fmt::format("block.{}", k), settings.dim, form);
    norm_.emplace(to, "norm", settings.dim);
  }

  template <class T>
  Var states(const game::Pass<T>& pass, Var items, Var mask) const {
    tape::Tape<T>& tape = pass.tape();
    const int length = pass.batch.length;
    const int sequences = tape.value(items).rows / length;
    const Var newest = tape::slice_rows(tape, pass.context[positions_], settings_.length - length, length);
    Var x = tape::scale(tape, items, static_cast<T>(std::sqrt(settings_.dim)));
    x = tape::add(tape, x, tape::tile_rows(tape, newest, sequences));
    x = tape::layers::drop(pass.context, x, 1.0 - settings_.dropout, place_, length);
    x = tape::multiply_column(tape, x, mask);
    for (const auto& block : blocks_) x = block.apply(pass.context, x, mask, pass.batch.valid, length);
    return x;
  }

  template <class T>
  Var output(const tape::layers::Context<T>& context, Var states) const {
    return norm_->apply(context, states);
  }

  template <class T>
  Var loss(tape::Tape<T>& tape, Var positive, const std::vector<Var>& negatives) const {
    Var total = tape::sum(tape, tape::bce_with_logits(tape, positive, T{1}));
    for (const Var negative : negatives)
      total = tape::add(tape, total, tape::sum(tape, tape::bce_with_logits(tape, negative, T{})));
    return total;
  }

  // Five vectors before the blocks and fourteen in each; for each query and head four rows of attention weights,
  // dropout and gradients among them.
  game::SequenceCost cost() const {
    const auto length = static_cast<std::int64_t>(settings_.length);
    const auto blocks = static_cast<std::int64_t>(blocks_.size());
    game::SequenceCost cost;
    cost.bytes = (5 + 14 * blocks) * vector_bytes(settings_) +
                 4 * blocks * heads_ * length * padded(settings_.length) * static_cast<std::int64_t>(sizeof(float));
    const double dim = settings_.dim;
    const auto steps = static_cast<double>(length);
    cost.flops = 2.0 * static_cast<double>(blocks) * (5.0 * steps * dim * dim + 2.0 * steps * steps * dim);
    return cost;
  }

  std::vector<std::string> taps() const {
    std::vector<std::string> taps;
    for (std::size_t k = 0; k < blocks_.size(); ++k) taps.push_back(fmt::format("block.{}.attention", k));
    return taps;
  }

 private:
  SequenceSettings settings_;
  int heads_;
  int positions_;
  std::uint32_t place_;
  std::vector<tape::layers::TransformerBlock> blocks_;
  std::optional<tape::layers::LayerNorm> norm_;
};

std::unique_ptr<game::NeuralModel> make_network(const Recipe& recipe) {
  SequenceSettings settings;
  settings.dim = static_cast<int>(recipe.integer("model.dim"));
  settings.length = static_cast<int>(recipe.integer("sequence.length"));
  settings.dropout = recipe.real("network.dropout");
  const auto heads = static_cast<int>(recipe.integer("network.heads"));
  if (settings.dim % heads != 0)
    throw UserError(fmt::format("network.heads = {} does not divide model.dim = {}: every head takes as many columns",
                                heads, settings.dim));
  return std::make_unique<SequenceModel<SasrecEncoder>>(settings, static_cast<int>(recipe.integer("network.blocks")),
                                                        heads);
}

}  // namespace

SystemInfo declare_sasrec() {
  SystemInfo info;
  info.name = "sasrec";
  info.family = "base";
  info.sentence = "Self-attention over a user's history, which says what comes next";
  info.inputs = {"interactions", "times"};
  info.score = "state of the history . item";
  info.bibtex = R"(@inproceedings{kang2018sasrec,
  author    = {Wang-Cheng Kang and Julian McAuley},
  title     = {Self-Attentive Sequential Recommendation},
  booktitle = {Proceedings of the 2018 IEEE International Conference on Data Mining},
  pages     = {197--206},
  year      = {2018}
}
)";
  const std::string code = "SASRec code, MovieLens-1M";
  info.settings = {.system = info.name,
                   .takes = {"model.dim", "model.init_law", "model.init_std", "sequence.length", "network.blocks",
                             "network.heads", "network.dropout", "optimizer.*", "sampling.negatives", "train.*"},
                   .defaults = {{"model.dim", std::int64_t{50}, code},
                                {"model.init_law", std::string("uniform"), "SASRec code"},
                                {"model.init_std", 0.024, "SASRec code: Glorot's bound for MovieLens-1M"},
                                {"sequence.length", std::int64_t{200}, code},
                                {"network.dropout", 0.2, code},
                                {"network.blocks", std::int64_t{2}, "SASRec code"},
                                {"network.heads", std::int64_t{1}, "SASRec code"},
                                {"optimizer.name", std::string("lazy_adam"), "SASRec code has dense Adam"},
                                {"optimizer.learning_rate", 0.001, "SASRec code"},
                                {"optimizer.beta2", 0.98, "SASRec code"},
                                {"train.batch_size", std::int64_t{128}, "SASRec code: users"},
                                {"evaluate.every_epochs", std::int64_t{5}, "own choice"},
                                {"evaluate.select_by", std::string("ndcg@10"), "SASRec code"}}};
  info.network = make_network;
  return info;
}

}  // namespace spar::systems
