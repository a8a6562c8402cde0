#include "spar/tape/layers/image.hpp"

#include <fmt/format.h>

#include "spar/base/error.hpp"
#include "spar/tape/linear.hpp"
#include "spar/tape/memory.hpp"
#include "spar/tape/operations.hpp"
#include "spar/tape/shape.hpp"
#include "spar/tape/softmax.hpp"

namespace spar::tape::layers {

ConvStack::ConvStack(Declarations& to, const std::string& name, ImageSize size, int channels,
                     std::vector<ConvStage> stages, Start weights, const std::string& tap_prefix) {
  for (std::size_t k = 0; k < stages.size(); ++k) {
    const ConvStage& s = stages[k];
    const std::string own = fmt::format("{}.{}", name, k);
    const int places = s.kernel.size * s.kernel.size;
    const int rows = places * (s.transposed ? s.channels : channels);
    const int place = to.parameter(own + ".weights", rows, s.transposed ? channels : s.channels, weights);
    int bias = static_cast<int>(norms_.size());
    if (s.batch_norm)
      norms_.emplace_back(to, own + ".norm", s.channels);
    else
      bias = to.parameter(own + ".bias", 1, s.channels, zeros);
    const ImageSize after = s.transposed ? s.kernel.widened(size) : s.kernel.convolved(size);
    const bool last = k + 1 == stages.size();
    built_.push_back({s, size, after, place, bias, own + ".weights",
                      last ? std::string() : fmt::format("{}hidden.{}", tap_prefix, k + 1)});
    size = after;
    channels = s.channels;
  }
}

template <class T>
Var ConvStack::convolve(const Context<T>& context, int stage, Var x) const {
  const Built& s = stage_at(stage);
  Tape<T>& tape = context.tape;
  const Var weights = tape.tap(s.weights_tap, context[s.weights]);
  const Var y = s.settings.transposed ? conv_transpose2d(tape, x, weights, s.before, s.settings.kernel)
                                      : conv2d(tape, x, weights, s.before, s.settings.kernel);
  return s.settings.batch_norm ? y : add_row(tape, y, context[s.bias]);
}

template <class T>
Var ConvStack::sums(const Context<T>& context, int stage, Var convolved) const {
  SPAR_ASSERT(cuts(stage));
  return norm_of(stage).sums(context, convolved);
}

template <class T>
Var ConvStack::finish(const Context<T>& context, int stage, Var convolved, Var sums) const {
  const Built& s = stage_at(stage);
  const Var x = s.settings.batch_norm ? norm_of(stage).normalise(context, convolved, sums) : convolved;
  const Var y = activate(context.tape, x, s.settings.activation, static_cast<T>(s.settings.slope));
  return s.hidden_tap.empty() ? y : context.tape.tap(s.hidden_tap, y);
}

template <class T>
void ConvStack::update(const Context<T>& context, int stage, Var sums) const {
  SPAR_ASSERT(cuts(stage));
  norm_of(stage).update(context, sums);
}

template <class T>
Var ConvStack::apply(const Context<T>& context, Var x) const {
  for (int k = 0; k < stages(); ++k) {
    SPAR_ASSERT(!cuts(k) || !context.training);
    x = finish(context, k, convolve(context, k, x), {});
  }
  return x;
}

KeyValueMemory::KeyValueMemory(Declarations& to, const std::string& name, int slots, int width, Similarity similarity)
    : keys_(to.parameter(name + ".keys", slots, width, {})),
      erase_(to, name + ".erase", width, width, Activation::sigmoid),
      add_(to, name + ".add", width, width, Activation::tanh),
      similarity_(similarity) {}

template <class T>
Var KeyValueMemory::weigh(const Context<T>& context, Var queries) const {
  Tape<T>& tape = context.tape;
  const Var keys = context[keys_];
  if (similarity_ == Similarity::product)
    return softmax(tape, matmul(tape, queries, keys, Side::plain, Side::transposed));
  return softmax(tape, scale(tape, distances(tape, queries, keys), T{-1}));
}

template <class T>
Var KeyValueMemory::read(const Context<T>& context, Var weights, Var values) const {
  return matmul(context.tape, weights, values);
}

template <class T>
Var KeyValueMemory::write(const Context<T>& context, Var weights, Var values, Var written) const {
  return memory_write(context.tape, values, weights, erase_.apply(context, written), add_.apply(context, written));
}

#define SPAR_LAYERS_IMAGE(T)                                              \
  template Var ConvStack::convolve(const Context<T>&, int, Var) const;    \
  template Var ConvStack::sums(const Context<T>&, int, Var) const;        \
  template Var ConvStack::finish(const Context<T>&, int, Var, Var) const; \
  template void ConvStack::update(const Context<T>&, int, Var) const;     \
  template Var ConvStack::apply(const Context<T>&, Var) const;            \
  template Var KeyValueMemory::weigh(const Context<T>&, Var) const;       \
  template Var KeyValueMemory::read(const Context<T>&, Var, Var) const;   \
  template Var KeyValueMemory::write(const Context<T>&, Var, Var, Var) const;
SPAR_LAYERS_IMAGE(float)
SPAR_LAYERS_IMAGE(double)
#undef SPAR_LAYERS_IMAGE

}  // namespace spar::tape::layers
