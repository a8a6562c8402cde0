#include "product.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

#include "support.hpp"

namespace spar::tape::detail {

namespace {

constexpr int depth_block = 256;  // part of the meaning of a product: its chains end here
constexpr int row_block = 128;    // of a, between two walks over the panels of b; a matter of speed only

// The registers of a tile: a matter of speed only.
template <class T>
struct Tile;
#ifdef __AVX512F__
template <>
struct Tile<float> {
  static constexpr int rows = 8;
  static constexpr int lines = 3;
};
#else
template <>
struct Tile<float> {
  static constexpr int rows = 5;
  static constexpr int lines = 1;
};
#endif
template <>
struct Tile<double> {
  static constexpr int rows = 4;
  static constexpr int lines = 1;
};

// Rows of a tile: element (i, k) of the left factor stands at a[i * row + k * depth].
template <class T>
struct Left {
  const T* a;
  std::ptrdiff_t row;
  std::ptrdiff_t depth;
};

template <class T, int Rows, int Lines>
void multiply_tile(Left<T> left, const T* b, std::ptrdiff_t b_stride, int depth, T* c, std::ptrdiff_t c_stride,
                   int columns, bool add) {
  Lanes<T> sum[Rows][Lines]{};
  for (int k = 0; k < depth; ++k) {
    Lanes<T> x[Lines];
#pragma GCC unroll 8
    for (int v = 0; v < Lines; ++v) x[v] = load_lanes(b + v * lanes);
#pragma GCC unroll 8
    for (int i = 0; i < Rows; ++i) {
      const Lanes<T> y = all_lanes(left.a[i * left.row]);
#pragma GCC unroll 8
      for (int v = 0; v < Lines; ++v) sum[i][v] += y * x[v];
    }
    left.a += left.depth;
    b += b_stride;
  }
#pragma GCC unroll 8
  for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 8
    for (int v = 0; v < Lines; ++v) {
      T* to = c + i * c_stride + v * lanes;
      const Lanes<T> x = first_lanes<T>(sum[i][v], columns - v * lanes);
      store_lanes<T>(to, add ? load_lanes(to) + x : x);
    }
  }
}

template <class T>
using TileFunction = void (*)(Left<T>, const T*, std::ptrdiff_t, int, T*, std::ptrdiff_t, int, bool);

template <class T>
using TileRow = std::array<TileFunction<T>, Tile<T>::rows>;

template <class T, int Lines, int... Rows>
constexpr TileRow<T> tiles_of(std::integer_sequence<int, Rows...>) {
  return {&multiply_tile<T, Rows + 1, Lines>...};
}

template <class T, int... Lines>
constexpr std::array<TileRow<T>, Tile<T>::lines> all_tiles(std::integer_sequence<int, Lines...>) {
  return {tiles_of<T, Lines + 1>(std::make_integer_sequence<int, Tile<T>::rows>())...};
}

// By lines, then rows, less one each.
template <class T>
constexpr auto tiles = all_tiles<T>(std::make_integer_sequence<int, Tile<T>::lines>());

// The widths of panels that cover `count` lines as evenly as may be.
int panel_lines(int count, int most) {
  const int panels = (count + most - 1) / most;
  return (count + panels - 1) / panels;
}

// A panel of the right factor: `lines` lines of depth rows each, from column `column` on.
template <class T>
void pack_plain(const Matrix<T>& b, int first, int depth, int column, int width, T* to) {
  const int count = std::min(width, padded(b.columns) - column);
  for (int k = 0; k < depth; ++k)
    std::copy_n(b.row(first + k) + column, count, to + static_cast<std::ptrdiff_t>(k) * width);
}

// Sixteen rows become sixteen columns: interleaving v[k] with v[k + 8], four times over, is a transposition.
template <class T>
void transpose_lines(Lanes<T>* v) {
  for (int stage = 0; stage < 4; ++stage) {
    Lanes<T> w[lanes];
    for (int k = 0; k < lanes / 2; ++k) {
      w[2 * k] = __builtin_shufflevector(v[k], v[k + 8], 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      w[2 * k + 1] =
          __builtin_shufflevector(v[k], v[k + 8], 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    }
    std::copy_n(w, lanes, v);
  }
}

template <class T>
void pack_transposed(const Matrix<T>& b, int first, int depth, int column, int width, T* to) {
  for (int j = 0; j < width; j += lanes) {
    const int count = std::min(lanes, b.rows - column - j);
    for (int k = 0; k < depth; k += lanes) {
      Lanes<T> block[lanes]{};
      for (int i = 0; i < count; ++i) block[i] = load_lanes(b.row(column + j + i) + first + k);
      transpose_lines<T>(block);
      T* line = to + static_cast<std::ptrdiff_t>(k) * width + j;
      for (int i = 0; i < std::min(lanes, depth - k); ++i, line += width) store_lanes<T>(line, block[i]);
    }
  }
}

template <class T>
Matrix<T> gathered(Arena& arena, const Matrix<T>& m) {
  if (m.places == nullptr) return m;
  const int stride = padded(m.columns);
  const Matrix<T> copy{arena.take<T>(static_cast<std::size_t>(m.rows) * static_cast<std::size_t>(stride)), m.rows,
                       m.columns, stride};
  for (int r = 0; r < m.rows; ++r) std::copy_n(m.row(r), stride, copy.row(r));
  return copy;
}

template <class T>
void clear(const Matrix<T>& c) {
  for (int r = 0; r < c.rows; ++r) std::fill_n(c.row(r), padded(c.columns), T{});
}

template <class T>
void multiply_panels(const Matrix<T>& c, const Factor<T>& a, const Factor<T>& b, int first, int depth, int width,
                     const T* packed, bool add) {
  const std::ptrdiff_t row_step = a.transposed ? 1 : a.matrix.stride;
  const std::ptrdiff_t depth_step = a.transposed ? a.matrix.stride : 1;
  const T* start = a.matrix.data + first * depth_step;
  for (int block = 0; block < c.rows; block += row_block) {
    const int end = std::min(c.rows, block + row_block);
    for (int column = 0; column < c.columns; column += width) {
      const int lines = std::min(width, padded(c.columns) - column) / spar::lanes;
      const T* panel =
          packed != nullptr ? packed + static_cast<std::ptrdiff_t>(column) * depth : b.matrix.row(first) + column;
      const std::ptrdiff_t stride = packed != nullptr ? width : b.matrix.stride;
      for (int r = block; r < end; r += Tile<T>::rows) {
        const int rows = std::min(Tile<T>::rows, end - r);
        tiles<T>[static_cast<std::size_t>(lines - 1)][static_cast<std::size_t>(rows - 1)](
            {start + r * row_step, row_step, depth_step}, panel, stride, depth, c.row(r) + column, c.stride,
            c.columns - column, add);
      }
    }
  }
}

}  // namespace

template <class T>
void product(Arena& arena, const Matrix<T>& c, const Factor<T>& a, const Factor<T>& b, bool add) {
  SPAR_ASSERT(c.rows == a.rows() && c.columns == b.columns() && a.columns() == b.rows() && c.places == nullptr);
  const int depth = a.columns();
  if (depth == 0 && !add) clear(c);
  if (c.rows == 0 || c.columns == 0) return;
  const Arena::Mark mark = arena.mark();
  const Factor<T> left{gathered(arena, a.matrix), a.transposed};
  const Factor<T> right{gathered(arena, b.matrix), b.transposed};
  const int width = panel_lines(padded(c.columns) / lanes, Tile<T>::lines) * lanes;
  // A copy in panels pays where it is read many times over and the rows lie far apart.
  const bool pack = right.transposed || (c.rows >= 64 && right.matrix.stride > 8 * lanes);
  const int panels = (c.columns + width - 1) / width;
  T* packed = nullptr;
  if (pack)
    packed = arena.take<T>(static_cast<std::size_t>(panels * width) *
                           static_cast<std::size_t>(std::min(depth, depth_block)));
  for (int first = 0; first < depth; first += depth_block) {
    const int count = std::min(depth_block, depth - first);
    for (int p = 0; pack && p < panels; ++p) {
      T* to = packed + static_cast<std::ptrdiff_t>(p) * width * count;
      if (right.transposed)
        pack_transposed(right.matrix, first, count, p * width, width, to);
      else
        pack_plain(right.matrix, first, count, p * width, width, to);
    }
    multiply_panels(c, left, right, first, count, width, packed, add || first > 0);
  }
  arena.release(mark);
}

template <class T>
Matrix<T> transposed_copy(Arena& arena, const Matrix<T>& m) {
  const int stride = padded(m.rows);
  const Matrix<T> to{arena.take<T>(static_cast<std::size_t>(m.columns) * static_cast<std::size_t>(stride)), m.columns,
                     m.rows, stride};
  pack_transposed(m, 0, m.columns, 0, stride, to.data);
  return to;
}

template Matrix<float> transposed_copy(Arena&, const Matrix<float>&);
template Matrix<double> transposed_copy(Arena&, const Matrix<double>&);
template void product(Arena&, const Matrix<float>&, const Factor<float>&, const Factor<float>&, bool);
template void product(Arena&, const Matrix<double>&, const Factor<double>&, const Factor<double>&, bool);

}  // namespace spar::tape::detail
