#pragma once
#include <optional>
#include <string>

#include "spar/tape/attention.hpp"
#include "spar/tape/layers/dense.hpp"
#include "spar/tape/recurrent.hpp"

namespace spar::tape::layers {

/// A GRU over sequences: parameters NAME.input (in x 3h: update, reset, candidate), NAME.recurrent (h x 3h), NAME.bias
/// (1 x 3h) and, where the reset comes after the product, NAME.recurrent_bias. Taps NAME.input and NAME.recurrent.
class GruEncoder {
 public:
  GruEncoder(Declarations& to, const std::string& name, int in, int width, const GruForm& form = {},
             Start weights = {});
  /// (B length) x in -> the states after each step, (B length) x h. `start`: B x h, or id -1 for zeros.
  template <class T>
  Var apply(const Context<T>& context, Var x, Var start, const Steps& steps) const;

 private:
  int input_;
  int recurrent_;
  int bias_;
  int recurrent_bias_ = -1;
  GruForm form_;
  std::string input_tap_;
  std::string recurrent_tap_;
};

/// The same with an LSTM: 4h columns (input, forget, change, output). Gives outputs and cells side by side.
class LstmEncoder {
 public:
  LstmEncoder(Declarations& to, const std::string& name, int in, int width, double forget_offset = 1.0,
              Start weights = {});
  template <class T>
  Var apply(const Context<T>& context, Var x, Var start, const Steps& steps) const;

 private:
  int input_;
  int recurrent_;
  int bias_;
  double forget_offset_;
  std::string input_tap_;
  std::string recurrent_tap_;
};

enum class BlockForm {
  sasrec,    ///< as kang205/SASRec codes it: keys and values from the raw input, the residual onto the normalised one
  pre_norm,  ///< X + attention(LN X), then + FFN(LN .), with a projection of the heads' output
};

struct TransformerSettings {
  BlockForm form = BlockForm::sasrec;
  int heads = 1;
  int inner_width = 0;  ///< of the feed-forward part; 0: as wide as the block
  double keep = 1.0;    ///< dropout on attention weights and on both feed-forward layers
  double epsilon = 1e-8;
  bool causal = true;
};

/// A block of self-attention and feed-forward (Kang and McAuley, ICDM 2018; Vaswani et al., NIPS 2017).
/// sasrec:   H = LN(X); Y = attention(H Wq, X Wk, X Wv) + H; N = LN(Y); N + drop(drop(relu(N W1 + b1)) W2 + b2)
/// pre_norm: H = LN(X); Y = X + drop(attention(H Wq, H Wk, H Wv) Wo); N = LN(Y); Y + (the same of N)
/// both times the mask: rows whose mark is 0 end as zeros. Masks come from the ids alone.
class TransformerBlock {
 public:
  TransformerBlock(Declarations& to, const std::string& name, int width, const TransformerSettings& settings = {});
  /// x: (B length) x width; `valid`: one mark a row, and `mask` the same as numbers, (B length) x 1. Tap:
  /// NAME.attention on what attention gives.
  template <class T>
  Var apply(const Context<T>& context, Var x, Var mask, std::span<const std::uint8_t> valid, int length) const;

 private:
  template <class T>
  Var feed_forward(const Context<T>& context, Var x, int length) const;

  TransformerSettings settings_;
  LayerNorm before_;
  LayerNorm between_;
  Dense queries_;
  Dense keys_;
  Dense values_;
  std::optional<Dense> output_;
  Dense inner_;
  Dense outer_;
  std::string tap_;
  std::uint32_t place_;
};

/// Attention of a decoder's rows over an encoder's: queries from x, keys and values from the memory, a projection of
/// the heads' output.
class CrossAttention {
 public:
  CrossAttention(Declarations& to, const std::string& name, int width, int heads = 1, double keep = 1.0);
  /// x: (B query_length) x width, memory: (B key_length) x width; the shape's heads do not count.
  template <class T>
  Var apply(const Context<T>& context, Var x, Var memory, AttentionShape shape) const;

 private:
  Dense queries_;
  Dense keys_;
  Dense values_;
  Dense output_;
  int heads_;
  double keep_;
  std::uint32_t place_;
};

/// Additive attention pooling (Yang et al., NAACL 2016; Wu et al., EMNLP 2019): a_t = q' tanh(x_t W + b (+ c W')),
/// weights by masked softmax over the sequence, the weighted sum of its rows. A sequence without valid rows gives
/// zeros.
class AttentionPooling {
 public:
  /// context_width 0: no context.
  AttentionPooling(Declarations& to, const std::string& name, int in, int width, int context_width = 0);
  /// x: (B length) x in; context: B x context_width, or id -1; mask: B x length of 0 and 1, or no rows. -> B x in.
  template <class T>
  Var apply(const Context<T>& context, Var x, Var query_context, const Matrix<T>& mask, int length) const;

 private:
  int weights_;
  int bias_;
  int query_;
  int context_ = -1;
  std::string tap_;
};

}  // namespace spar::tape::layers
