#include "ncf.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "spar/base/error.hpp"
#include "spar/catalogue/lanes.hpp"
#include "spar/tape/losses.hpp"
#include "spar/tape/operations.hpp"
#include "spar/tape/shape.hpp"

namespace spar::systems {

namespace {

using tape::Var;
using tape::layers::NormedMlp;

/// The layers above the first, sixteen (or eight) items at a time; weights row by row as they stand in the model.
class NcfScore final : public catalogue::PairFunction {
 public:
  struct Layer {
    int in = 0;
    int out = 0;
    std::vector<float> weights;  // in x out
    std::vector<float> bias;
  };

  NcfScore(int product, int first_layer, std::vector<Layer> layers, Layer output)
      : product_(product), first_layer_(first_layer), layers_(std::move(layers)), output_(std::move(output)) {
    for (const Layer& layer : layers_) widest_ = std::max({widest_, layer.in, layer.out});
    widest_ = std::max(widest_, first_layer_);
  }

  void score_lanes(const float* user, const float* items, Index stride, float* scores) const override {
    using catalogue::broadcast, catalogue::fused, catalogue::load, catalogue::Lanes;
    Lanes score = broadcast(output_.bias[0]);
    for (int c = 0; c < product_; ++c) score = fused(broadcast(user[c]), load(items + c * stride), score);
    thread_local Buffer<Lanes> room;
    room.require(static_cast<std::size_t>(2 * widest_));
    Lanes* in = room.data();
    Lanes* out = in + widest_;
    for (int j = 0; j < first_layer_; ++j)
      in[j] = relu(broadcast(user[product_ + j]) + load(items + (product_ + j) * stride));
    for (const Layer& layer : layers_) {
      for (int k = 0; k < layer.out; ++k) {
        Lanes sum = broadcast(layer.bias[static_cast<std::size_t>(k)]);
        for (int j = 0; j < layer.in; ++j)
          sum = fused(broadcast(layer.weights[static_cast<std::size_t>(j * layer.out + k)]), in[j], sum);
        out[k] = relu(sum);
      }
      std::swap(in, out);
    }
    for (int j = product_; j < output_.in; ++j)
      score = fused(broadcast(output_.weights[static_cast<std::size_t>(j)]), in[j - product_], score);
    catalogue::store(scores, score);
  }

 private:
  static catalogue::Lanes relu(catalogue::Lanes x) { return x > 0.0F ? x : catalogue::Lanes{}; }

  int product_;
  int first_layer_;
  std::vector<Layer> layers_;
  Layer output_;
  int widest_ = 1;
};

// One number for each unit of a layer.
const float* units_of(const table::DenseParameters& dense, const std::string& name) {
  return dense.table(dense.find(name)).record(0);
}

// A layer's norm with its running moments: what a unit's sum is multiplied by, and what is added.
struct Norm {
  const float* gain;
  const float* offset;
  const float* mean;
  const float* variance;

  Norm(const table::DenseParameters& dense, const std::string& layer)
      : gain(units_of(dense, layer + ".norm.gain")),
        offset(units_of(dense, layer + ".norm.offset")),
        mean(units_of(dense, layer + ".norm.mean")),
        variance(units_of(dense, layer + ".norm.variance")) {}

  float factor(int k) const { return gain[k] / std::sqrt(variance[k] + static_cast<float>(NormedMlp::epsilon)); }
  float constant(int k) const { return std::fma(-factor(k), mean[k], offset[k]); }
};

NcfScore::Layer copy_layer(const table::DenseParameters& dense, const std::string& name, bool normed) {
  const int weights = dense.find(name + ".weights");
  NcfScore::Layer layer{dense.shape(weights).rows, dense.shape(weights).columns, {}, {}};
  for (int r = 0; r < layer.in; ++r) {
    const float* row = dense.table(weights).record(r);
    layer.weights.insert(layer.weights.end(), row, row + layer.out);
  }
  if (!normed) {
    const float* row = units_of(dense, name + ".bias");
    layer.bias.assign(row, row + layer.out);
    return layer;
  }
  const Norm norm(dense, name);
  for (int k = 0; k < layer.out; ++k) {
    layer.bias.push_back(norm.constant(k));
    for (int r = 0; r < layer.in; ++r) layer.weights[static_cast<std::size_t>(r * layer.out + k)] *= norm.factor(k);
  }
  return layer;
}

}  // namespace

NcfModel::NcfModel(int product, const std::vector<int>& layers, int negatives, bool batch_norm)
    : product_(product), input_(layers.empty() ? 0 : layers.front()), widths_(layers), negatives_(negatives) {
  if (batch_norm) {
    SPAR_ASSERT(!layers.empty());
    normed_.emplace(declarations_, "mlp", layers, tape::Activation::relu);
  } else if (!layers.empty()) {
    tape::layers::MlpSettings settings;
    settings.last_activation = tape::Activation::relu;
    mlp_.emplace(declarations_, "mlp", layers, settings);
  }
  const int joint = product + (layers.empty() ? 0 : layers.back());
  // Keras' lecun_uniform.
  const tape::layers::Start start{tape::layers::Law::uniform, std::sqrt(3.0 / joint)};
  output_.emplace(declarations_, "output", joint, 1, tape::Activation::none, start);
  const auto& declared = declarations_.all();
  for (int k = 0; k < static_cast<int>(declared.size()); ++k) {
    const std::string& name = declared[static_cast<std::size_t>(k)].name;
    if (name == "mlp.0.weights") first_weights_ = k;
    if (name == "mlp.0.bias") first_bias_ = k;
    if (name == "output.weights") output_weights_ = k;
  }
}

std::unique_ptr<game::BatchSource> NcfModel::source(const data::UserLists& lists, Index first_user, Index users,
                                                    int shard, Index total_items, std::uint64_t seed) const {
  return std::make_unique<game::PointSource>(lists, first_user, users, shard, total_items, seed, negatives_);
}

std::vector<std::string> NcfModel::taps() const {
  std::vector<std::string> taps{"user", "item"};
  for (std::size_t k = 1; k + 1 < widths_.size(); ++k) taps.push_back(fmt::format("hidden.{}", k));
  return taps;
}

std::vector<game::Vectors> NcfModel::vectors() const {
  std::vector<game::Vectors> all;
  for (const std::size_t table : {0, 1}) {
    if (product_ > 0) all.push_back({table, 0, product_});
    if (has_perceptron()) all.push_back({table, product_, input_ / 2});
  }
  return all;
}

// The product and the perceptron's input; none where the form lacks it.
template <class T>
NcfModel::Parts NcfModel::parts_of(const game::Pass<T>& pass) const {
  tape::Tape<T>& tape = pass.tape();
  const Var user = pass.rows(0, 0);
  const Var item = pass.rows(1, 1);
  Parts parts;
  if (product_ > 0)
    parts.product = tape::multiply(tape, tape::slice_columns(tape, user, 0, product_),
                                   tape::slice_columns(tape, item, 0, product_));
  if (!has_perceptron()) return parts;
  const Var both[] = {tape::slice_columns(tape, user, product_, input_ / 2),
                      tape::slice_columns(tape, item, product_, input_ / 2)};
  parts.input = tape::concat_columns<T>(tape, both);
  return parts;
}

// The logits of what the parts have become.
template <class T>
Var NcfModel::joined(const game::Pass<T>& pass, Var product, Var perceptron) const {
  tape::Tape<T>& tape = pass.tape();
  Var last = product.id < 0 ? perceptron : product;
  if (product.id >= 0 && perceptron.id >= 0) {
    const Var joint[] = {product, perceptron};
    last = tape::concat_columns<T>(tape, joint);
  }
  return output_->apply(pass.context, last);
}

template <class T>
Var NcfModel::logits(const game::Pass<T>& pass) const {
  const Parts parts = parts_of(pass);
  Var perceptron;
  if (mlp_) perceptron = mlp_->apply(pass.context, parts.input);
  if (normed_) perceptron = normed_->apply(pass.context, parts.input);
  return joined(pass, parts.product, perceptron);
}

template Var NcfModel::logits(const game::Pass<float>&) const;

template <class T>
Var NcfModel::loss_of(const game::Pass<T>& pass, Var logits) const {
  return tape::sum(pass.tape(), tape::bce_with_logits(pass.tape(), logits, pass.labels()));
}

template <class T>
Var NcfModel::build(const game::Pass<T>& pass) const {
  return loss_of(pass, logits(pass));
}

// Kept: the product, then of each layer x W and the cut behind it.
template <class T>
Var NcfModel::build_segment(const game::Pass<T>& pass, int segment, std::vector<Var>& kept) const {
  Var x;
  if (segment == 0) {
    const Parts parts = parts_of(pass);
    kept = {parts.product};
    x = parts.input;
  } else {
    const std::size_t behind = kept.size();
    x = normed_->finish(pass.context, segment - 1, kept[behind - 2], kept[behind - 1]);
  }
  if (segment == normed_->layers()) return loss_of(pass, joined(pass, kept.front(), x));
  const Var product = normed_->product(pass.context, segment, x);
  const Var sums = normed_->sums(pass.context, segment, product);
  kept.insert(kept.end(), {product, sums});
  return sums;
}

template Var NcfModel::build(const game::Pass<float>&) const;
template Var NcfModel::build(const game::Pass<double>&) const;
template Var NcfModel::build_segment(const game::Pass<float>&, int, std::vector<Var>&) const;
template Var NcfModel::build_segment(const game::Pass<double>&, int, std::vector<Var>&) const;

std::vector<game::CutShape> NcfModel::cuts() const {
  std::vector<game::CutShape> shapes;
  for (std::size_t k = 1; k < widths_.size(); ++k) shapes.push_back({3, widths_[k]});
  return shapes;
}

void NcfModel::update_states(const game::Pass<float>& pass, std::span<const Var> kept) const {
  for (int k = 0; k < normed_->layers(); ++k)
    normed_->update(pass.context, k, kept[static_cast<std::size_t>(2 + 2 * k)]);
}

// Values and gradients: both sides' rows, their slices and their product; of each layer its input, x W, the norm and
// the activation.
std::int64_t NcfModel::bytes_per_entry() const {
  std::int64_t floats = 2 * padded(user_columns()) + 3 * padded(product_) + 2 * padded(input_ / 2) + padded(input_);
  for (std::size_t k = 1; k < widths_.size(); ++k) floats += 3 * padded(widths_[k]);
  return (1 + negatives_) * 2 * static_cast<std::int64_t>(sizeof(float)) * floats;
}

// out += vector W[first_row ..], one chain a unit.
void NcfModel::add_first_layer(const table::DenseParameters& dense, const float* vector, int first_row,
                               float* out) const {
  const auto& weights = dense.table(first_weights_);
  for (int r = 0; r < input_ / 2; ++r) {
    const float* row = weights.record(first_row + r);
    for (int k = 0; k < first_layer(); ++k) out[k] = std::fma(vector[r], row[k], out[k]);
  }
}

void NcfModel::represent_user(const table::DenseParameters& dense, const float* row, float* out) const {
  const auto& output = dense.table(output_weights_);
  for (int c = 0; c < product_; ++c) out[c] = row[c] * output.record(c)[0];
  if (!has_perceptron()) return;
  if (!normed_) {
    std::copy_n(dense.table(first_bias_).record(0), first_layer(), out + product_);
    return add_first_layer(dense, row + product_, 0, out + product_);
  }
  std::fill_n(out + product_, first_layer(), 0.0F);
  add_first_layer(dense, row + product_, 0, out + product_);
  const Norm norm(dense, "mlp.0");
  for (int k = 0; k < first_layer(); ++k)
    out[product_ + k] = std::fma(out[product_ + k], norm.factor(k), norm.constant(k));
}

void NcfModel::represent_item(const table::DenseParameters& dense, const float* row, float* out) const {
  std::copy_n(row, product_, out);
  if (!has_perceptron()) return;
  std::fill_n(out + product_, first_layer(), 0.0F);
  add_first_layer(dense, row + product_, input_ / 2, out + product_);
  if (!normed_) return;
  const Norm norm(dense, "mlp.0");
  for (int k = 0; k < first_layer(); ++k) out[product_ + k] *= norm.factor(k);
}

std::unique_ptr<catalogue::PairFunction> NcfModel::pair_function(const table::DenseParameters& dense) const {
  if (!has_perceptron()) return nullptr;  // the bias of all pairs changes no ranking
  std::vector<NcfScore::Layer> layers;
  for (std::size_t k = 1; k + 1 < widths_.size(); ++k)
    layers.push_back(copy_layer(dense, fmt::format("mlp.{}", k), normed_.has_value()));
  return std::make_unique<NcfScore>(product_, first_layer(), std::move(layers), copy_layer(dense, "output", false));
}

std::vector<int> perceptron_layers(const Recipe& recipe) {
  const auto& widths = recipe.integers("network.layers");
  if (widths.size() < 2)
    throw UserError(
        "network.layers names one width only: the input's and at least one layer's are needed, as in "
        "[64, 32, 16, 8]");
  if (widths.front() % 2 != 0)
    throw UserError(
        fmt::format("network.layers begins with {}: the input is a user's and an item's vector side by "
                    "side, so the first width must be even",
                    widths.front()));
  return {widths.begin(), widths.end()};
}

}  // namespace spar::systems
