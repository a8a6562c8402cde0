#include "spar/game/autoencoder.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "spar/base/error.hpp"
#include "spar/tape/linear.hpp"
#include "spar/tape/losses.hpp"
#include "spar/tape/operations.hpp"
#include "spar/tape/shape.hpp"

namespace spar::game {

namespace {

using tape::Matrix;
using tape::Var;

/// Hands out the dense parameters in the order of dense_shapes().
class Parameters {
 public:
  Parameters(tape::Tape<float>& tape, const table::DenseParameters& dense, float* gradients)
      : tape_(tape), dense_(dense), gradients_(gradients) {}

  Var next() {
    const int k = next_++;
    const table::DenseShape& shape = dense_.shape(k);
    const table::Table& table = dense_.table(k);
    // Constants and parameters are read only; the tape's matrices are of one type.
    const Matrix<float> value{const_cast<float*>(table.record(0)), shape.rows, shape.columns,
                              static_cast<int>(dense_.stride(k))};
    if (gradients_ == nullptr) return tape_.constant(value);
    return tape_.added_parameter(value,
                                 {gradients_ + dense_.offset(k), shape.rows, shape.columns, padded(shape.columns)});
  }
  bool all_taken() const { return next_ == dense_.count(); }

 private:
  tape::Tape<float>& tape_;
  const table::DenseParameters& dense_;
  float* gradients_;
  int next_ = 0;
};

Var draw_code(tape::Tape<float>& tape, const Autoencoder& model, Var mean, Var log_variance, const InnerPass& pass) {
  const Matrix<float> shape = tape.value(mean);
  const int stride = padded(shape.columns);
  const Matrix<float> noise{
      tape.arena().take<float>(static_cast<std::size_t>(shape.rows) * static_cast<std::size_t>(stride)), shape.rows,
      shape.columns, stride};
  std::fill_n(noise.data, static_cast<std::size_t>(shape.rows) * static_cast<std::size_t>(stride), 0.0F);
  tape::fill_normal(pass.noise, tape::SampleRows{pass.samples, 1}, noise);
  const Var deviation = tape::exponential(tape, tape::scale(tape, log_variance, 0.5F));
  const Var step = tape::multiply(tape, deviation, tape.constant(noise));
  return tape::add(tape, mean, tape::scale(tape, step, static_cast<float>(model.code_noise)));
}

}  // namespace

int Autoencoder::output_width() const {
  if (!decoder.empty()) return decoder.back();
  return code > 0 ? code : encoder.back();
}

std::vector<table::DenseShape> dense_shapes(const Autoencoder& model) {
  std::vector<table::DenseShape> shapes;
  const auto bias = [&](const std::string& name, int width) {
    shapes.push_back({name + ".bias", 1, width, "truncated_normal", 0.001});
  };
  const auto layer = [&](const std::string& name, int in, int out) {
    shapes.push_back({name + ".weights", in, out, "uniform", std::sqrt(2.0 / (in + out))});
    bias(name, out);
    return out;
  };
  int width = model.input_width();
  bias("encoder.0", width);
  for (std::size_t k = 1; k < model.encoder.size(); ++k)
    width = layer(fmt::format("encoder.{}", k), width, model.encoder[k]);
  if (model.code > 0) {
    layer("code", width, model.gaussian ? 2 * model.code : model.code);
    width = model.code;
  }
  for (std::size_t k = 0; k < model.decoder.size(); ++k)
    width = layer(fmt::format("decoder.{}", k), width, model.decoder[k]);
  return shapes;
}

double item_deviation(Index items, int width) {
  return std::sqrt(2.0 / static_cast<double>(items + width));
}

InnerLayers put_inner_layers(tape::Tape<float>& tape, const Autoencoder& model, const table::DenseParameters& dense,
                             Matrix<float> input, Matrix<float> input_gradient, const InnerPass& pass) {
  Parameters parameters(tape, dense, pass.gradients);
  InnerLayers layers;
  layers.input = input_gradient.data == nullptr ? tape.constant(input) : tape.parameter(input, input_gradient);
  Var x = tape::activate(tape, tape::add_row(tape, layers.input, parameters.next()), model.activation);
  const auto layer = [&](tape::Activation activation) {
    const Var weights = parameters.next();
    const Var bias = parameters.next();
    x = tape::linear(tape, x, weights, bias, activation);
  };
  for (std::size_t k = 1; k < model.encoder.size(); ++k) layer(model.activation);
  if (model.code > 0) {
    layer(tape::Activation::none);
    if (model.gaussian) {
      const Var mean = tape::slice_columns(tape, x, 0, model.code);
      const Var log_variance = tape::slice_columns(tape, x, model.code, model.code);
      layers.divergence = tape::gaussian_kl(tape, mean, log_variance);
      x = pass.training && model.code_noise > 0.0 ? draw_code(tape, model, mean, log_variance, pass) : mean;
    }
  }
  for (std::size_t k = 0; k < model.decoder.size(); ++k) layer(model.activation);
  SPAR_ASSERT(parameters.all_taken());
  layers.hidden = x;
  return layers;
}

}  // namespace spar::game
