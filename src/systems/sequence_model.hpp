#pragma once
#include <memory>
#include <vector>

#include "spar/game/neural_model.hpp"
#include "spar/game/sequence_batch.hpp"
#include "spar/tape/operations.hpp"

/// What sasrec and gru4rec share: items have the only table, a user is the encoder's state behind his history, and the
/// score is the inner product of that state and the item's row (output items tied to the input's).
namespace spar::systems {

struct SequenceSettings {
  int dim = 50;
  int length = 200;
  int negatives = 1;
  double dropout = 0.2;
};

/// A vector for each position of a sequence, and its gradient.
inline std::int64_t vector_bytes(const SequenceSettings& settings) {
  return std::int64_t{2} * settings.length * padded(settings.dim) * static_cast<std::int64_t>(sizeof(float));
}

/// Encoder: what it declares besides items, and
///   states(pass, x, mask)  (B length) x dim rows of the items, mask by position -> a state behind each position
///   output(context, h)     n x dim of those states -> n x dim of what meets items (row by row)
///   loss(tape, positive, negatives)  n x 1 scores, of the targets and of each kind of negative -> 1 x 1, summed
///   taps()                 besides "item"
///   cost()                 bytes and flops of a sequence of full length
template <class Encoder>
class SequenceModel final : public game::NeuralModelOf<SequenceModel<Encoder>>, public game::HistoryModel {
 public:
  template <class... More>
  explicit SequenceModel(const SequenceSettings& settings, const More&... more)
      : settings_(settings), encoder_(this->declarations_, settings, more...) {}

  int user_columns() const override { return 0; }
  int item_columns() const override { return settings_.dim; }
  int score_columns() const override { return settings_.dim; }
  int length() const override { return settings_.length; }
  const game::HistoryModel* histories() const override { return this; }
  std::vector<std::string> taps() const override {
    std::vector<std::string> taps = encoder_.taps();
    taps.insert(taps.begin(), "item");
    return taps;
  }
  std::unique_ptr<game::BatchSource> source(const data::UserLists& lists, Index first_user, Index users, int shard,
                                            Index total_items, std::uint64_t seed) const override {
    return std::make_unique<game::SequenceSource>(lists, first_user, users, shard, total_items, seed, settings_.length,
                                                  settings_.negatives);
  }

  game::SequenceCost cost() const override {
    game::SequenceCost cost = encoder_.cost();
    cost.rows = game::most_rows_per_sequence(settings_.length, settings_.negatives);
    // Beside the encoder: inputs, states at targets, targets, negatives.
    cost.bytes += vector_bytes(settings_) * (3 + settings_.negatives);
    return cost;
  }

  tape::Var states(const game::Pass<float>& pass) const override { return states_at_places(pass); }

  template <class T>
  tape::Var build(const game::Pass<T>& pass) const {
    tape::Tape<T>& tape = pass.tape();
    // A shard without sequences in this step has a loss all the same: 0, which moves nothing.
    if (pass.batch.examples == 0) return tape::scale(tape, tape::sum(tape, pass.context.parameters.front()), T{});
    const tape::Var states = states_at_places(pass);
    const auto score = [&](std::size_t role) { return tape::row_dot(tape, states, pass.rows(0, role)); };
    const tape::Var positive = score(game::SequenceRoles::targets);
    std::vector<tape::Var> negatives;
    for (int n = 0; n < settings_.negatives; ++n)
      negatives.push_back(score(game::SequenceRoles::first_negative + static_cast<std::size_t>(n)));
    return encoder_.loss(tape, positive, negatives);
  }

 private:
  template <class T>
  tape::Var states_at_places(const game::Pass<T>& pass) const {
    tape::Tape<T>& tape = pass.tape();
    const tape::Var mask = tape.constant(mask_of(tape, pass.batch.valid));
    const tape::Var states = encoder_.states(pass, pass.rows(0, game::SequenceRoles::inputs), mask);
    const tape::Var wanted = tape::gather(tape, states, pass.batch.slots[game::SequenceRoles::places]);
    return encoder_.output(pass.context, wanted);
  }

  template <class T>
  static tape::Matrix<T> mask_of(tape::Tape<T>& tape, const std::vector<std::uint8_t>& valid) {
    const int stride = padded(1);
    T* column = tape.arena().template take<T>(valid.size() * static_cast<std::size_t>(stride));
    for (std::size_t k = 0; k < valid.size(); ++k)
      column[k * static_cast<std::size_t>(stride)] = valid[k] != 0 ? T{1} : T{};
    return {column, static_cast<int>(valid.size()), 1, stride, nullptr};
  }

  SequenceSettings settings_;
  Encoder encoder_;
};

}  // namespace spar::systems
