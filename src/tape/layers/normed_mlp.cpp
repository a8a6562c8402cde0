#include "spar/tape/layers/normed_mlp.hpp"

#include "spar/base/error.hpp"
#include "spar/tape/multiply.hpp"

namespace spar::tape::layers {

NormedMlp::NormedMlp(Declarations& to, const std::string& name, const std::vector<int>& widths, Activation activation)
    : activation_(activation) {
  SPAR_ASSERT(widths.size() >= 2);
  for (std::size_t k = 0; k + 1 < widths.size(); ++k) {
    const std::string own = name + "." + std::to_string(k);
    const int weights = to.parameter(own + ".weights", widths[k], widths[k + 1], {});
    layers_.push_back({weights, BatchNorm(to, own + ".norm", widths[k + 1], epsilon), own + ".weights",
                       k + 2 == widths.size() ? "" : "hidden." + std::to_string(k + 1)});
  }
}

template <class T>
Var NormedMlp::product(const Context<T>& context, int k, Var x) const {
  return matmul(context.tape, x, context.tape.tap(layer(k).weights_tap, context[layer(k).weights]));
}

template <class T>
Var NormedMlp::sums(const Context<T>& context, int k, Var product) const {
  return layer(k).norm.sums(context, product);
}

template <class T>
Var NormedMlp::finish(const Context<T>& context, int k, Var product, Var sums) const {
  const Var y = activate(context.tape, layer(k).norm.normalise(context, product, sums), activation_);
  return layer(k).hidden_tap.empty() ? y : context.tape.tap(layer(k).hidden_tap, y);
}

template <class T>
Var NormedMlp::apply(const Context<T>& context, Var x) const {
  SPAR_ASSERT(!context.training);
  for (int k = 0; k < layers(); ++k) x = finish(context, k, product(context, k, x), {});
  return x;
}

template <class T>
void NormedMlp::update(const Context<T>& context, int k, Var sums) const {
  layer(k).norm.update(context, sums);
}

#define SPAR_LAYERS_NORMED_MLP(T)                                         \
  template Var NormedMlp::product(const Context<T>&, int, Var) const;     \
  template Var NormedMlp::sums(const Context<T>&, int, Var) const;        \
  template Var NormedMlp::finish(const Context<T>&, int, Var, Var) const; \
  template Var NormedMlp::apply(const Context<T>&, Var) const;            \
  template void NormedMlp::update(const Context<T>&, int, Var) const;
SPAR_LAYERS_NORMED_MLP(float)
SPAR_LAYERS_NORMED_MLP(double)
#undef SPAR_LAYERS_NORMED_MLP

}  // namespace spar::tape::layers
