#pragma once
#include <cstdint>
#include <span>

#include "spar/tape/tape.hpp"

/// Recurrent layers over padded sequences, unrolled and differentiated as one operation. The projections of the inputs,
/// x W + b, are one product over all steps (linear.hpp) and come in as `gates`; what is left is the chain over time.
namespace spar::tape {

/// Sequence b has rows b * length to (b + 1) * length - 1. A row whose mark is 0 keeps the state of the row before it.
/// Spans must outlive the tape's use.
struct Steps {
  int length = 0;
  std::span<const std::uint8_t> valid = {};  ///< one mark a row; empty: all
};

/// Which of two published forms a GRU has; part of what a checkpoint of its weights means.
struct GruForm {
  /// h' = (1 - z) h + z c (Cho et al. 2014); otherwise z h + (1 - z) c, as in the public frameworks.
  bool update_takes_candidate = true;
  /// c = tanh(x Wc + (r h) Uc + bc) (Cho et al. 2014); otherwise tanh(x Wc + bc + r (h Uc + uc)), as in the public
  /// frameworks: needs `recurrent_bias`, 1 x 3h.
  bool reset_before_product = true;
};

/// Gated recurrent unit. gates: (B length) x 3h = x [Wz Wr Wc] + b; recurrent: h x 3h = [Uz Ur Uc]; start: B x h, or id
/// -1 for zeros; recurrent_bias: 1 x 3h, added to h U, or id -1. z = sigmoid, r = sigmoid, c = tanh. Gives the state
/// after each step: (B length) x h.
template <class T>
Var gru(Tape<T>& tape, Var gates, Var recurrent, Var start, const Steps& steps, const GruForm& form = {},
        Var recurrent_bias = {});

/// Long short-term memory (Hochreiter and Schmidhuber 1997; with forget gate). gates: (B length) x 4h = x [Wi Wf Wg Wo]
/// + b; recurrent: h x 4h; start: B x 2h, the output and the cell side by side, or id -1 for zeros. forget_offset is
/// added to the forget gate's sum (1 in TensorFlow's basic cell). Gives output and cell after each step, side by side:
/// (B length) x 2h.
template <class T>
Var lstm(Tape<T>& tape, Var gates, Var recurrent, Var start, const Steps& steps, T forget_offset = T{});

}  // namespace spar::tape
