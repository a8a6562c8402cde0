#include "spar/tape/layers/dense.hpp"

#include "spar/base/error.hpp"
#include "spar/tape/linear.hpp"
#include "spar/tape/shape.hpp"

namespace spar::tape::layers {

Dense::Dense(Declarations& to, const std::string& name, int in, int out, Activation activation, Start weights,
             Start bias, double slope)
    : weights_(to.parameter(name + ".weights", in, out, weights)),
      bias_(to.parameter(name + ".bias", 1, out, bias)),
      activation_(activation),
      slope_(slope),
      tap_(name + ".weights") {}

template <class T>
Var Dense::apply(const Context<T>& context, Var x) const {
  const Var weights = context.tape.tap(tap_, context[weights_]);
  return linear(context.tape, x, weights, context[bias_], activation_, static_cast<T>(slope_));
}

Mlp::Mlp(Declarations& to, const std::string& name, const std::vector<int>& widths, const MlpSettings& settings,
         const std::string& tap_prefix)
    : settings_(settings) {
  SPAR_ASSERT(widths.size() >= 2);
  for (std::size_t k = 0; k + 1 < widths.size(); ++k) {
    const bool last = k + 2 == widths.size();
    // With dropout before it, the activation is applied apart.
    const Activation inside = settings.drop_before_activation ? Activation::none : settings.activation;
    layers_.emplace_back(to, name + "." + std::to_string(k), widths[k], widths[k + 1],
                         last ? settings.last_activation : inside, settings.weights, settings.bias, settings.slope);
    if (!last) hidden_.push_back({tap_prefix + "hidden." + std::to_string(k + 1), to.noise_place()});
  }
}

template <class T>
Var Mlp::apply(const Context<T>& context, Var x) const {
  for (std::size_t k = 0; k < hidden_.size(); ++k) {
    x = drop(context, layers_[k].apply(context, x), settings_.keep, hidden_[k].place);
    if (settings_.drop_before_activation)
      x = activate(context.tape, x, settings_.activation, static_cast<T>(settings_.slope));
    x = context.tape.tap(hidden_[k].tap, x);
  }
  return layers_.back().apply(context, x);
}

BagEncoder::BagEncoder(Declarations& to, const std::string& name, int width, Activation activation, Start bias,
                       const std::string& tap_prefix)
    : bias_(to.parameter(name + ".bias", 1, width, bias)),
      activation_(activation),
      rows_tap_(name + ".rows"),
      hidden_tap_(tap_prefix + "hidden.1") {}

template <class T>
Var BagEncoder::apply(const Context<T>& context, Var rows, const Bags& bags, std::span<const T> weights) const {
  Tape<T>& tape = context.tape;
  const Var sums = embedding_bag(tape, tape.tap(rows_tap_, rows), bags, weights);
  return tape.tap(hidden_tap_, activate(tape, add_row(tape, sums, context[bias_]), activation_));
}

Highway::Highway(Declarations& to, const std::string& name, int width, Activation activation, double carry)
    : change_(to, name + ".change", width, width, activation),
      gate_(to, name + ".gate", width, width, Activation::sigmoid, {}, {Law::constant, carry}) {}

template <class T>
Var Highway::apply(const Context<T>& context, Var x) const {
  return mix(context.tape, gate_.apply(context, x), change_.apply(context, x), x);
}

LayerNorm::LayerNorm(Declarations& to, const std::string& name, int width, double epsilon)
    : gain_(to.parameter(name + ".gain", 1, width, ones)),
      offset_(to.parameter(name + ".offset", 1, width, zeros)),
      epsilon_(epsilon) {}

template <class T>
Var LayerNorm::apply(const Context<T>& context, Var x) const {
  return layer_norm(context.tape, x, context[gain_], context[offset_], static_cast<T>(epsilon_));
}

BatchNorm::BatchNorm(Declarations& to, const std::string& name, int width, double epsilon, double momentum, Start gain)
    : gain_(to.parameter(name + ".gain", 1, width, gain)),
      offset_(to.parameter(name + ".offset", 1, width, zeros)),
      mean_(to.state(name + ".mean", 1, width, zeros)),
      variance_(to.state(name + ".variance", 1, width, ones)),
      epsilon_(epsilon),
      momentum_(momentum) {}

template <class T>
Var BatchNorm::sums(const Context<T>& context, Var x) const {
  SPAR_ASSERT(context.training);
  return context.tape.cut(batch_sums(context.tape, x, running(context)));
}

template <class T>
Var BatchNorm::normalise(const Context<T>& context, Var x, Var sums) const {
  const Var gain = context[gain_];
  const Var offset = context[offset_];
  const auto epsilon = static_cast<T>(epsilon_);
  if (!context.training) return running_normalise(context.tape, x, running(context), gain, offset, epsilon);
  return batch_normalise(context.tape, x, sums, running(context), gain, offset, epsilon);
}

template <class T>
void BatchNorm::update(const Context<T>& context, Var sums) const {
  update_running(context.tape.value(sums), static_cast<T>(momentum_), running(context));
}

#define SPAR_LAYERS_DENSE(T)                                                                     \
  template Var Dense::apply(const Context<T>&, Var) const;                                       \
  template Var Mlp::apply(const Context<T>&, Var) const;                                         \
  template Var BagEncoder::apply(const Context<T>&, Var, const Bags&, std::span<const T>) const; \
  template Var Highway::apply(const Context<T>&, Var) const;                                     \
  template Var LayerNorm::apply(const Context<T>&, Var) const;                                   \
  template Var BatchNorm::sums(const Context<T>&, Var) const;                                    \
  template Var BatchNorm::normalise(const Context<T>&, Var, Var) const;                          \
  template void BatchNorm::update(const Context<T>&, Var) const;
SPAR_LAYERS_DENSE(float)
SPAR_LAYERS_DENSE(double)
#undef SPAR_LAYERS_DENSE

}  // namespace spar::tape::layers
