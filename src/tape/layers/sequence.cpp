#include "spar/tape/layers/sequence.hpp"

#include "spar/tape/linear.hpp"
#include "spar/tape/operations.hpp"
#include "spar/tape/shape.hpp"
#include "spar/tape/softmax.hpp"

namespace spar::tape::layers {

GruEncoder::GruEncoder(Declarations& to, const std::string& name, int in, int width, const GruForm& form, Start weights)
    : input_(to.parameter(name + ".input", in, 3 * width, weights)),
      recurrent_(to.parameter(name + ".recurrent", width, 3 * width, weights)),
      bias_(to.parameter(name + ".bias", 1, 3 * width, zeros)),
      form_(form),
      input_tap_(name + ".input"),
      recurrent_tap_(name + ".recurrent") {
  if (!form.reset_before_product) recurrent_bias_ = to.parameter(name + ".recurrent_bias", 1, 3 * width, zeros);
}

template <class T>
Var GruEncoder::apply(const Context<T>& context, Var x, Var start, const Steps& steps) const {
  Tape<T>& tape = context.tape;
  const Var gates = linear(tape, x, tape.tap(input_tap_, context[input_]), context[bias_]);
  const Var bias = recurrent_bias_ < 0 ? Var{} : context[recurrent_bias_];
  return gru(tape, gates, tape.tap(recurrent_tap_, context[recurrent_]), start, steps, form_, bias);
}

LstmEncoder::LstmEncoder(Declarations& to, const std::string& name, int in, int width, double forget_offset,
                         Start weights)
    : input_(to.parameter(name + ".input", in, 4 * width, weights)),
      recurrent_(to.parameter(name + ".recurrent", width, 4 * width, weights)),
      bias_(to.parameter(name + ".bias", 1, 4 * width, zeros)),
      forget_offset_(forget_offset),
      input_tap_(name + ".input"),
      recurrent_tap_(name + ".recurrent") {}

template <class T>
Var LstmEncoder::apply(const Context<T>& context, Var x, Var start, const Steps& steps) const {
  Tape<T>& tape = context.tape;
  const Var gates = linear(tape, x, tape.tap(input_tap_, context[input_]), context[bias_]);
  return lstm(tape, gates, tape.tap(recurrent_tap_, context[recurrent_]), start, steps, static_cast<T>(forget_offset_));
}

TransformerBlock::TransformerBlock(Declarations& to, const std::string& name, int width,
                                   const TransformerSettings& settings)
    : settings_(settings),
      before_(to, name + ".norm.0", width, settings.epsilon),
      between_(to, name + ".norm.1", width, settings.epsilon),
      queries_(to, name + ".queries", width, width),
      keys_(to, name + ".keys", width, width),
      values_(to, name + ".values", width, width),
      inner_(to, name + ".inner", width, settings.inner_width > 0 ? settings.inner_width : width, Activation::relu),
      outer_(to, name + ".outer", settings.inner_width > 0 ? settings.inner_width : width, width),
      tap_(name + ".attention"),
      place_(to.noise_place()) {
  if (settings.form == BlockForm::pre_norm) output_.emplace(to, name + ".output", width, width);
  // One place for the attention weights, the projection and each feed-forward layer.
  for (int k = 0; k < 3; ++k) to.noise_place();
}

template <class T>
Var TransformerBlock::feed_forward(const Context<T>& context, Var x, int length) const {
  const Var inner = drop(context, inner_.apply(context, x), settings_.keep, place_ + 2, length);
  return drop(context, outer_.apply(context, inner), settings_.keep, place_ + 3, length);
}

template <class T>
Var TransformerBlock::apply(const Context<T>& context, Var x, Var mask, std::span<const std::uint8_t> valid,
                            int length) const {
  Tape<T>& tape = context.tape;
  const bool sasrec = settings_.form == BlockForm::sasrec;
  const Var h = before_.apply(context, x);
  const Var source = sasrec ? x : h;
  const T keep = context.training ? static_cast<T>(settings_.keep) : T{1};
  Var mixed = attention(tape, queries_.apply(context, h), keys_.apply(context, source), values_.apply(context, source),
                        {length, length, settings_.heads, settings_.causal, valid, valid},
                        AttentionDropout<T>{keep, context.noise.at(place_), context.samples});
  mixed = tape.tap(tap_, mixed);
  if (!sasrec) mixed = drop(context, output_->apply(context, mixed), settings_.keep, place_ + 1, length);
  const Var y = add(tape, mixed, sasrec ? h : x);
  const Var n = between_.apply(context, y);
  return multiply_column(tape, add(tape, feed_forward(context, n, length), sasrec ? n : y), mask);
}

CrossAttention::CrossAttention(Declarations& to, const std::string& name, int width, int heads, double keep)
    : queries_(to, name + ".queries", width, width),
      keys_(to, name + ".keys", width, width),
      values_(to, name + ".values", width, width),
      output_(to, name + ".output", width, width),
      heads_(heads),
      keep_(keep),
      place_(to.noise_place()) {}

template <class T>
Var CrossAttention::apply(const Context<T>& context, Var x, Var memory, AttentionShape shape) const {
  shape.heads = heads_;
  const T keep = context.training ? static_cast<T>(keep_) : T{1};
  const Var mixed =
      attention(context.tape, queries_.apply(context, x), keys_.apply(context, memory), values_.apply(context, memory),
                shape, AttentionDropout<T>{keep, context.noise.at(place_), context.samples});
  return output_.apply(context, mixed);
}

AttentionPooling::AttentionPooling(Declarations& to, const std::string& name, int in, int width, int context_width)
    : weights_(to.parameter(name + ".weights", in, width, {})),
      bias_(to.parameter(name + ".bias", 1, width, zeros)),
      query_(to.parameter(name + ".query", width, 1, {})),
      tap_(name + ".weights") {
  if (context_width > 0) context_ = to.parameter(name + ".context", context_width, width, {});
}

template <class T>
Var AttentionPooling::apply(const Context<T>& context, Var x, Var query_context, const Matrix<T>& mask,
                            int length) const {
  Tape<T>& tape = context.tape;
  const int rows = tape.value(x).rows;
  Var h = linear(tape, x, tape.tap(tap_, context[weights_]), context[bias_]);
  if (query_context.id >= 0)
    h = add(tape, h, repeat_rows(tape, matmul(tape, query_context, context[context_]), length));
  const Var scores = matmul(tape, hyperbolic_tangent(tape, h), context[query_]);
  const Var weights = softmax(tape, reshape(tape, scores, rows / length, length), mask);
  return sequence_sums(tape, x, reshape(tape, weights, rows, 1), length);
}

#define SPAR_LAYERS_SEQUENCE(T)                                                                                \
  template Var GruEncoder::apply(const Context<T>&, Var, Var, const Steps&) const;                             \
  template Var LstmEncoder::apply(const Context<T>&, Var, Var, const Steps&) const;                            \
  template Var TransformerBlock::apply(const Context<T>&, Var, Var, std::span<const std::uint8_t>, int) const; \
  template Var CrossAttention::apply(const Context<T>&, Var, Var, AttentionShape) const;                       \
  template Var AttentionPooling::apply(const Context<T>&, Var, Var, const Matrix<T>&, int) const;
SPAR_LAYERS_SEQUENCE(float)
SPAR_LAYERS_SEQUENCE(double)
#undef SPAR_LAYERS_SEQUENCE

}  // namespace spar::tape::layers
