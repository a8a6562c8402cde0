#include "spar/tape/shape.hpp"

#include <algorithm>

#include "support.hpp"

namespace spar::tape {

namespace {

using namespace detail;

struct Joined {
  const Var* parts;
  int count;
};

template <class T>
const Joined* keep_parts(Tape<T>& tape, std::span<const Var> parts) {
  Var* kept = tape.arena().template take<Var>(parts.size());
  std::copy(parts.begin(), parts.end(), kept);
  return keep(tape, Joined{kept, static_cast<int>(parts.size())});
}

// Adds the block of `from` that starts at (row, column) to the gradient of v.
template <class T>
void add_block(Tape<T>& tape, Var v, const Matrix<T>& from, int row, int column) {
  if (!tape.needs_gradient(v)) return;
  bool assign = false;
  const Matrix<T> to = tape.gradient_to_fill(v, assign);
  for (int r = 0; r < to.rows; ++r) {
    const T* x = from.row(row + r) + column;
    T* g = to.row(r);
    if (assign) {
      std::copy_n(x, to.columns, g);
      std::fill(g + to.columns, g + padded(to.columns), T{});
    } else {
      for (int c = 0; c < to.columns; ++c) g[c] += x[c];
    }
  }
}

template <class T>
void concat_columns_backward(Tape<T>& tape, Var result, const void* memory) {
  const auto& m = *static_cast<const Joined*>(memory);
  int column = 0;
  for (int k = 0; k < m.count; ++k) {
    add_block(tape, m.parts[k], tape.gradient(result), 0, column);
    column += tape.value(m.parts[k]).columns;
  }
}

template <class T>
void concat_rows_backward(Tape<T>& tape, Var result, const void* memory) {
  const auto& m = *static_cast<const Joined*>(memory);
  int row = 0;
  for (int k = 0; k < m.count; ++k) {
    add_block(tape, m.parts[k], tape.gradient(result), row, 0);
    row += tape.value(m.parts[k]).rows;
  }
}

struct Slice {
  Var x;
  int first;
};

template <class T>
void slice_columns_backward(Tape<T>& tape, Var result, const void* memory) {
  const auto m = *static_cast<const Slice*>(memory);
  const Matrix<T> upstream = tape.gradient(result);
  const Matrix<T> to = tape.gradient_to_add(m.x);
  for (int r = 0; r < upstream.rows; ++r) {
    for (int c = 0; c < upstream.columns; ++c) to.row(r)[m.first + c] += upstream.row(r)[c];
  }
}

template <class T>
void slice_rows_backward(Tape<T>& tape, Var result, const void* memory) {
  const auto m = *static_cast<const Slice*>(memory);
  const Matrix<T> upstream = tape.gradient(result);
  const Matrix<T> to = tape.gradient_to_add(m.x);
  for (int r = 0; r < upstream.rows; ++r) {
    for (int c = 0; c < upstream.columns; ++c) to.row(m.first + r)[c] += upstream.row(r)[c];
  }
}

template <class T>
void transpose_backward(Tape<T>& tape, Var result, const void* memory) {
  const Var x = *static_cast<const Var*>(memory);
  const Matrix<T> upstream = tape.gradient(result);
  const Matrix<T> to = tape.gradient_to_add(x);
  for (int r = 0; r < to.rows; ++r) {
    for (int c = 0; c < to.columns; ++c) to.row(r)[c] += upstream.row(c)[r];
  }
}

// Walks two matrices of equally many numbers, both row by row: f(a, b) on runs of numbers that are together in both.
template <class T, class F>
void walk_together(const Matrix<T>& a, const Matrix<T>& b, F&& f) {
  int ra = 0, ca = 0, rb = 0, cb = 0;
  while (ra < a.rows && rb < b.rows) {
    const int run = std::min(a.columns - ca, b.columns - cb);
    f(a.row(ra) + ca, b.row(rb) + cb, run);
    ca += run;
    cb += run;
    if (ca == a.columns) ca = 0, ++ra;
    if (cb == b.columns) cb = 0, ++rb;
  }
}

template <class T>
void reshape_backward(Tape<T>& tape, Var result, const void* memory) {
  const Var x = *static_cast<const Var*>(memory);
  walk_together(tape.gradient(result), tape.gradient_to_add(x), [](const T* from, T* to, int run) {
    for (int k = 0; k < run; ++k) to[k] += from[k];
  });
}

struct Repeated {
  Var x;
  int times;
  bool each;  // every row, not the whole
};

int source_row(const Repeated& m, int rows, int r) {
  return m.each ? r / m.times : r % rows;
}

template <class T>
void repeat_backward(Tape<T>& tape, Var result, const void* memory) {
  const auto m = *static_cast<const Repeated*>(memory);
  const Matrix<T> upstream = tape.gradient(result);
  const Matrix<T> to = tape.gradient_to_add(m.x);
  for (int r = 0; r < upstream.rows; ++r) {
    const T* from = upstream.row(r);
    T* g = to.row(source_row(m, to.rows, r));
    for (int c = 0; c < to.columns; ++c) g[c] += from[c];
  }
}

template <class T>
Var repeat(Tape<T>& tape, const char* name, Var v, int times, bool each) {
  const Matrix<T> x = tape.value(v);
  require_with(times >= 0, name, x, "{} repeats", times);
  const Repeated memory{v, times, each};
  const Var out =
      tape.result(x.rows * times, x.columns, tape.needs_gradient(v), &repeat_backward<T>, keep(tape, memory));
  const Matrix<T> y = tape.value(out);
  for (int r = 0; r < y.rows; ++r) std::copy_n(x.row(source_row(memory, x.rows, r)), x.columns, y.row(r));
  return out;
}

struct Broadcast {
  Var x;
  Var other;
};

// Adds to a row's gradient the sums over the rows of upstream * factor, row after row.
template <class T, class F>
void add_column_sums(Tape<T>& tape, Var row, const Matrix<T>& upstream, F&& factor) {
  if (!tape.needs_gradient(row)) return;
  T* g = tape.gradient_to_add(row).row(0);
  const int columns = upstream.columns;
  for (int c = 0; c < columns; c += lanes) {
    Lanes<T> total{};
    for (int r = 0; r < upstream.rows; ++r) total += load_lanes(upstream.row(r) + c) * factor(r, c);
    store_lanes<T>(g + c, load_lanes(g + c) + first_lanes<T>(total, columns - c));
  }
}

template <class T>
void add_row_backward(Tape<T>& tape, Var result, const void* memory) {
  const auto m = *static_cast<const Broadcast*>(memory);
  const Matrix<T> upstream = tape.gradient(result);
  add_lanes(tape, m.x, [&](int r) { return [gs = upstream.row(r)](int c) -> Lanes<T> { return load_lanes(gs + c); }; });
  add_column_sums(tape, m.other, upstream, [](int, int) -> Lanes<T> { return all_lanes(T{1}); });
}

template <class T>
void multiply_row_backward(Tape<T>& tape, Var result, const void* memory) {
  const auto m = *static_cast<const Broadcast*>(memory);
  const Matrix<T> x = tape.value(m.x);
  const Matrix<T> upstream = tape.gradient(result);
  add_lanes(tape, m.x, [&](int r) {
    return [gs = upstream.row(r), ws = tape.value(m.other).row(0)](int c) -> Lanes<T> {
      return load_lanes(gs + c) * load_lanes(ws + c);
    };
  });
  add_column_sums(tape, m.other, upstream, [&](int r, int c) -> Lanes<T> { return load_lanes(x.row(r) + c); });
}

template <class T>
void add_column_backward(Tape<T>& tape, Var result, const void* memory) {
  const auto m = *static_cast<const Broadcast*>(memory);
  const Matrix<T> upstream = tape.gradient(result);
  add_lanes(tape, m.x, [&](int r) { return [gs = upstream.row(r)](int c) -> Lanes<T> { return load_lanes(gs + c); }; });
  if (!tape.needs_gradient(m.other)) return;
  const Matrix<T> to = tape.gradient_to_add(m.other);
  for (int r = 0; r < to.rows; ++r)
    to.row(r)[0] += sum_columns<T>(upstream.columns, [gs = upstream.row(r)](int c) { return load_lanes(gs + c); });
}

template <class T>
void multiply_column_backward(Tape<T>& tape, Var result, const void* memory) {
  const auto m = *static_cast<const Broadcast*>(memory);
  const Matrix<T> x = tape.value(m.x);
  const Matrix<T> w = tape.value(m.other);
  const Matrix<T> upstream = tape.gradient(result);
  add_lanes(tape, m.x, [&](int r) {
    return [gs = upstream.row(r), f = w.row(r)[0]](int c) -> Lanes<T> { return f * load_lanes(gs + c); };
  });
  if (!tape.needs_gradient(m.other)) return;
  const Matrix<T> to = tape.gradient_to_add(m.other);
  for (int r = 0; r < to.rows; ++r) {
    to.row(r)[0] += sum_columns<T>(upstream.columns, [gs = upstream.row(r), xs = x.row(r)](int c) -> Lanes<T> {
      return load_lanes(gs + c) * load_lanes(xs + c);
    });
  }
}

template <class T, class F>
Var broadcast(Tape<T>& tape, const char* name, Var v, Var other, bool by_row, typename Tape<T>::Backward backward,
              F&& f) {
  const Matrix<T> x = tape.value(v);
  const Matrix<T> w = tape.value(other);
  require(by_row ? w.rows == 1 && w.columns == x.columns : w.columns == 1 && w.rows == x.rows, name, x, w);
  const Var out = tape.result(x.rows, x.columns, any_wanted(tape, v, other), backward, keep(tape, Broadcast{v, other}));
  fill_lanes(tape.value(out), [&](int r) {
    return [&f, by_row, xs = x.row(r), ws = w.row(by_row ? 0 : r)](int c) -> Lanes<T> {
      return f(load_lanes(xs + c), by_row ? load_lanes(ws + c) : all_lanes(ws[0]));
    };
  });
  return out;
}

}  // namespace

template <class T>
Var concat_columns(Tape<T>& tape, std::span<const Var> parts) {
  SPAR_ASSERT(!parts.empty());
  int columns = 0;
  bool wanted = false;
  for (const Var part : parts) {
    require(tape.value(part).rows == tape.value(parts[0]).rows, "concat_columns", tape.value(parts[0]),
            tape.value(part));
    columns += tape.value(part).columns;
    wanted = wanted || tape.needs_gradient(part);
  }
  const Var out =
      tape.result(tape.value(parts[0]).rows, columns, wanted, &concat_columns_backward<T>, keep_parts(tape, parts));
  const Matrix<T> y = tape.value(out);
  int column = 0;
  for (const Var part : parts) {
    const Matrix<T> x = tape.value(part);
    for (int r = 0; r < x.rows; ++r) std::copy_n(x.row(r), x.columns, y.row(r) + column);
    column += x.columns;
  }
  return out;
}

template <class T>
Var concat_rows(Tape<T>& tape, std::span<const Var> parts) {
  SPAR_ASSERT(!parts.empty());
  int rows = 0;
  bool wanted = false;
  for (const Var part : parts) {
    require(tape.value(part).columns == tape.value(parts[0]).columns, "concat_rows", tape.value(parts[0]),
            tape.value(part));
    rows += tape.value(part).rows;
    wanted = wanted || tape.needs_gradient(part);
  }
  const Var out =
      tape.result(rows, tape.value(parts[0]).columns, wanted, &concat_rows_backward<T>, keep_parts(tape, parts));
  const Matrix<T> y = tape.value(out);
  int row = 0;
  for (const Var part : parts) {
    const Matrix<T> x = tape.value(part);
    for (int r = 0; r < x.rows; ++r) std::copy_n(x.row(r), x.columns, y.row(row++));
  }
  return out;
}

template <class T>
Var slice_columns(Tape<T>& tape, Var v, int first, int count) {
  const Matrix<T> x = tape.value(v);
  require_with(first >= 0 && count >= 0 && first + count <= x.columns, "slice_columns", x, "columns {} to {}", first,
               first + count);
  const Var out =
      tape.result(x.rows, count, tape.needs_gradient(v), &slice_columns_backward<T>, keep(tape, Slice{v, first}));
  const Matrix<T> y = tape.value(out);
  for (int r = 0; r < y.rows; ++r) std::copy_n(x.row(r) + first, count, y.row(r));
  return out;
}

template <class T>
Var slice_rows(Tape<T>& tape, Var v, int first, int count) {
  const Matrix<T> x = tape.value(v);
  require_with(first >= 0 && count >= 0 && first + count <= x.rows, "slice_rows", x, "rows {} to {}", first,
               first + count);
  const Var out =
      tape.result(count, x.columns, tape.needs_gradient(v), &slice_rows_backward<T>, keep(tape, Slice{v, first}));
  const Matrix<T> y = tape.value(out);
  for (int r = 0; r < y.rows; ++r) std::copy_n(x.row(first + r), x.columns, y.row(r));
  return out;
}

template <class T>
Var transpose(Tape<T>& tape, Var v) {
  const Matrix<T> x = tape.value(v);
  const Var out = tape.result(x.columns, x.rows, tape.needs_gradient(v), &transpose_backward<T>, keep(tape, v));
  const Matrix<T> y = tape.value(out);
  for (int r = 0; r < y.rows; ++r) {
    for (int c = 0; c < y.columns; ++c) y.row(r)[c] = x.row(c)[r];
  }
  return out;
}

template <class T>
Var reshape(Tape<T>& tape, Var v, int rows, int columns) {
  const Matrix<T> x = tape.value(v);
  require_with(rows >= 0 && columns >= 0 &&
                   static_cast<std::int64_t>(rows) * columns == static_cast<std::int64_t>(x.rows) * x.columns,
               "reshape", x, "{} x {}", rows, columns);
  const Var out = tape.result(rows, columns, tape.needs_gradient(v), &reshape_backward<T>, keep(tape, v));
  if (columns > 0) walk_together(x, tape.value(out), [](const T* from, T* to, int run) { std::copy_n(from, run, to); });
  return out;
}

template <class T>
Var tile_rows(Tape<T>& tape, Var x, int times) {
  return repeat(tape, "tile_rows", x, times, false);
}
template <class T>
Var repeat_rows(Tape<T>& tape, Var x, int times) {
  return repeat(tape, "repeat_rows", x, times, true);
}

template <class T>
Var add_row(Tape<T>& tape, Var x, Var row) {
  return broadcast(tape, "add_row", x, row, true, &add_row_backward<T>,
                   [](Lanes<T> a, Lanes<T> b) -> Lanes<T> { return a + b; });
}
template <class T>
Var multiply_row(Tape<T>& tape, Var x, Var row) {
  return broadcast(tape, "multiply_row", x, row, true, &multiply_row_backward<T>,
                   [](Lanes<T> a, Lanes<T> b) -> Lanes<T> { return a * b; });
}
template <class T>
Var add_column(Tape<T>& tape, Var x, Var column) {
  return broadcast(tape, "add_column", x, column, false, &add_column_backward<T>,
                   [](Lanes<T> a, Lanes<T> b) -> Lanes<T> { return a + b; });
}
template <class T>
Var multiply_column(Tape<T>& tape, Var x, Var column) {
  return broadcast(tape, "multiply_column", x, column, false, &multiply_column_backward<T>,
                   [](Lanes<T> a, Lanes<T> b) -> Lanes<T> { return a * b; });
}

#define SPAR_TAPE_SHAPE(T)                                     \
  template Var concat_columns(Tape<T>&, std::span<const Var>); \
  template Var concat_rows(Tape<T>&, std::span<const Var>);    \
  template Var slice_columns(Tape<T>&, Var, int, int);         \
  template Var slice_rows(Tape<T>&, Var, int, int);            \
  template Var transpose(Tape<T>&, Var);                       \
  template Var reshape(Tape<T>&, Var, int, int);               \
  template Var tile_rows(Tape<T>&, Var, int);                  \
  template Var repeat_rows(Tape<T>&, Var, int);                \
  template Var add_row(Tape<T>&, Var, Var);                    \
  template Var multiply_row(Tape<T>&, Var, Var);               \
  template Var add_column(Tape<T>&, Var, Var);                 \
  template Var multiply_column(Tape<T>&, Var, Var);
SPAR_TAPE_SHAPE(float)
SPAR_TAPE_SHAPE(double)
#undef SPAR_TAPE_SHAPE

}  // namespace spar::tape
