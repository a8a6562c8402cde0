#pragma once
#include <cstdint>
#include <span>

#include "spar/tape/tape.hpp"

/// The operations of the tape. Each states the shapes it takes, throws spar::Bug naming itself and both shapes where
/// they do not fit, and adds to the gradients of its inputs. Instantiated for float and double.
namespace spar::tape {

/// a + b and a - b, elementwise; equal shapes.
template <class T>
Var add(Tape<T>& tape, Var a, Var b);
template <class T>
Var subtract(Tape<T>& tape, Var a, Var b);
/// a * b, elementwise; equal shapes.
template <class T>
Var multiply(Tape<T>& tape, Var a, Var b);
/// factor * a.
template <class T>
Var scale(Tape<T>& tape, Var a, T factor);
/// rows x d, n slots -> n x d: row k is row slots[k] of a. The slots must outlive the tape's use.
template <class T>
Var gather(Tape<T>& tape, Var a, std::span<const std::int32_t> slots);
/// n x d, n x d -> n x 1: inner products of corresponding rows.
template <class T>
Var row_dot(Tape<T>& tape, Var a, Var b);
/// softplus(-max(s, floor)) elementwise: the logistic loss of margins s (logits); no gradient below the floor.
template <class T>
Var logistic_loss(Tape<T>& tape, Var margins, T floor);
/// The sum of all elements, 1 x 1, row by row.
template <class T>
Var sum(Tape<T>& tape, Var a);
/// The sum of squares of all elements, 1 x 1.
template <class T>
Var squared_norm(Tape<T>& tape, Var a);

}  // namespace spar::tape
