#pragma once
#include <span>

#include "spar/tape/tape.hpp"

/// Operations that move, repeat or broadcast numbers.
namespace spar::tape {

/// n x a, n x b, ... -> n x (a + b + ...), side by side.
template <class T>
Var concat_columns(Tape<T>& tape, std::span<const Var> parts);
/// a x d, b x d, ... -> (a + b + ...) x d, one below the other.
template <class T>
Var concat_rows(Tape<T>& tape, std::span<const Var> parts);
/// The columns [first, first + count) of x; the rows likewise.
template <class T>
Var slice_columns(Tape<T>& tape, Var x, int first, int count);
template <class T>
Var slice_rows(Tape<T>& tape, Var x, int first, int count);
/// n x m -> m x n.
template <class T>
Var transpose(Tape<T>& tape, Var x);
/// n x m -> rows x columns with the same numbers read row by row; rows * columns = n * m.
template <class T>
Var reshape(Tape<T>& tape, Var x, int rows, int columns);
/// n x m -> (times n) x m: the whole matrix `times` times, one below the other.
template <class T>
Var tile_rows(Tape<T>& tape, Var x, int times);
/// n x m -> (times n) x m: every row `times` times, row k of x being rows k * times to (k + 1) * times - 1.
template <class T>
Var repeat_rows(Tape<T>& tape, Var x, int times);

/// n x m, 1 x m: the row added to, or multiplied into, every row of x.
template <class T>
Var add_row(Tape<T>& tape, Var x, Var row);
template <class T>
Var multiply_row(Tape<T>& tape, Var x, Var row);
/// n x m, n x 1: the column added to, or multiplied into, every column of x.
template <class T>
Var add_column(Tape<T>& tape, Var x, Var column);
template <class T>
Var multiply_column(Tape<T>& tape, Var x, Var column);

}  // namespace spar::tape
