#include "spar/tape/convolution.hpp"

#include <algorithm>
#include <cmath>

#include "product.hpp"
#include "support.hpp"

namespace spar::tape {

namespace {

using namespace detail;

int first_zeros(int n, const Kernel& k) {
  if (k.padding == Padding::symmetric) return k.amount;
  const int out = (n + k.stride - 1) / k.stride;
  return std::max((out - 1) * k.stride + k.size - n, 0) / 2;
}

// How windows of the wide image meet the pixels of the narrow one.
struct Windows {
  ImageSize wide;
  ImageSize narrow;
  int images;
  int channels;  // of the wide one
  Kernel kernel;

  // Calls f(pixel of the narrow image, place in the kernel, row of the wide matrix), -1 for a zero.
  template <class F>
  void each(int image, F&& f) const {
    const int top = first_zeros(wide.height, kernel);
    const int left = first_zeros(wide.width, kernel);
    for (int y = 0; y < narrow.height; ++y) {
      for (int x = 0; x < narrow.width; ++x) {
        for (int i = 0; i < kernel.size; ++i) {
          for (int j = 0; j < kernel.size; ++j) {
            const int line = y * kernel.stride + i - top;
            const int column = x * kernel.stride + j - left;
            const bool inside = line >= 0 && line < wide.height && column >= 0 && column < wide.width;
            f(y * narrow.width + x, i * kernel.size + j,
              inside ? (image * wide.height + line) * wide.width + column : -1);
          }
        }
      }
    }
  }
  int patch() const { return kernel.size * kernel.size * channels; }
};

template <class T>
Matrix<T> patches(Arena& arena, const Windows& w) {
  const int stride = padded(w.patch());
  const int rows = w.narrow.pixels();
  return {arena.take<T>(static_cast<std::size_t>(rows) * static_cast<std::size_t>(stride)), rows, w.patch(), stride};
}

template <class T>
void gather_patches(const Windows& w, const Matrix<T>& x, int image, const Matrix<T>& to) {
  w.each(image, [&](int pixel, int place, int from) {
    T* patch = to.row(pixel) + place * w.channels;
    if (from < 0)
      std::fill_n(patch, w.channels, T{});
    else
      std::copy_n(x.row(from), w.channels, patch);
  });
}

template <class T>
void scatter_patches(const Windows& w, const Matrix<T>& from, int image, const Matrix<T>& x) {
  w.each(image, [&](int pixel, int place, int to) {
    if (to < 0) return;
    const T* patch = from.row(pixel) + place * w.channels;
    T* g = x.row(to);
    for (int c = 0; c < w.channels; ++c) g[c] += patch[c];
  });
}

template <class T>
Matrix<T> image_rows(const Matrix<T>& m, int image, int pixels) {
  return {m.row(image * pixels), pixels, m.columns, m.stride};
}

struct Convolution {
  Var x;
  Var weights;
  Windows windows;
};

// One image at a time: the patches of all would take k k times the memory of the images.
template <class T>
void conv2d_backward(Tape<T>& tape, Var result, const void* memory) {
  const auto& m = *static_cast<const Convolution*>(memory);
  const Windows& w = m.windows;
  const Matrix<T> upstream = tape.gradient(result);
  const Matrix<T> weights = tape.value(m.weights);
  const Arena::Mark mark = tape.arena().mark();
  const Matrix<T> columns = patches<T>(tape.arena(), w);
  for (int image = 0; image < w.images; ++image) {
    const Matrix<T> g = image_rows(upstream, image, w.narrow.pixels());
    if (tape.needs_gradient(m.weights)) {
      gather_patches(w, tape.value(m.x), image, columns);
      product<T>(tape.arena(), tape.gradient_to_add(m.weights), {columns, true}, {g}, true);
    }
    if (!tape.needs_gradient(m.x)) continue;
    product<T>(tape.arena(), columns, {g}, {weights, true}, false);
    scatter_patches(w, columns, image, tape.gradient_to_add(m.x));
  }
  tape.arena().release(mark);
}

template <class T>
void conv_transpose2d_backward(Tape<T>& tape, Var result, const void* memory) {
  const auto& m = *static_cast<const Convolution*>(memory);
  const Windows& w = m.windows;
  const Matrix<T> upstream = tape.gradient(result);
  const Arena::Mark mark = tape.arena().mark();
  const Matrix<T> columns = patches<T>(tape.arena(), w);
  for (int image = 0; image < w.images; ++image) {
    gather_patches(w, upstream, image, columns);
    const Matrix<T> x = image_rows(tape.value(m.x), image, w.narrow.pixels());
    if (tape.needs_gradient(m.weights))
      product<T>(tape.arena(), tape.gradient_to_add(m.weights), {columns, true}, {x}, true);
    if (tape.needs_gradient(m.x)) {
      const Matrix<T> to = image_rows(tape.gradient_to_add(m.x), image, w.narrow.pixels());
      product<T>(tape.arena(), to, {columns}, {tape.value(m.weights)}, true);
    }
  }
  tape.arena().release(mark);
}

template <class T>
int images_of(const char* name, const Matrix<T>& x, ImageSize size) {
  require_with(size.height > 0 && size.width > 0 && x.rows % size.pixels() == 0 && x.places == nullptr, name, x,
               "images of {} x {}", size.height, size.width);
  return x.rows / size.pixels();
}

void require_kernel(const char* name, const Kernel& k, ImageSize out) {
  if (k.size <= 0 || k.stride <= 0 || k.amount < 0 || out.height <= 0 || out.width <= 0)
    throw Bug(fmt::format("tape: {} has a kernel of {} with stride {} and padding {} that fits no image", name, k.size,
                          k.stride, k.amount));
}

struct Pooled {
  Var x;
  const std::int32_t* best;  // the row of x by pixel and channel
};

template <class T>
void max_pool_backward(Tape<T>& tape, Var result, const void* memory) {
  const auto m = *static_cast<const Pooled*>(memory);
  const Matrix<T> upstream = tape.gradient(result);
  const Matrix<T> to = tape.gradient_to_add(m.x);
  for (int r = 0; r < upstream.rows; ++r) {
    for (int c = 0; c < upstream.columns; ++c)
      to.row(m.best[static_cast<std::ptrdiff_t>(r) * upstream.columns + c])[c] += upstream.row(r)[c];
  }
}

// Pixels of a larger image from parts of the rows of a smaller one.
struct Enlarged {
  Var x;
  ImageSize size;
  int factor;
  bool by_depth;  // the part of a row depends on the place within the factor

  int source(int row) const {
    const int width = size.width * factor;
    const int image = row / (size.pixels() * factor * factor);
    const int line = row / width % (size.height * factor);
    return (image * size.height + line / factor) * size.width + row % width / factor;
  }
  int first_column(int row, int channels) const {
    if (!by_depth) return 0;
    const int width = size.width * factor;
    return (row / width % factor * factor + row % width % factor) * channels;
  }
};

template <class T>
void enlarged_backward(Tape<T>& tape, Var result, const void* memory) {
  const auto m = *static_cast<const Enlarged*>(memory);
  const Matrix<T> upstream = tape.gradient(result);
  const Matrix<T> to = tape.gradient_to_add(m.x);
  for (int r = 0; r < upstream.rows; ++r) {
    T* g = to.row(m.source(r)) + m.first_column(r, upstream.columns);
    for (int c = 0; c < upstream.columns; ++c) g[c] += upstream.row(r)[c];
  }
}

template <class T>
Var enlarge(Tape<T>& tape, const Enlarged& m, int channels) {
  const Matrix<T> x = tape.value(m.x);
  const Var out = tape.result(x.rows * m.factor * m.factor, channels, tape.needs_gradient(m.x), &enlarged_backward<T>,
                              keep(tape, m));
  const Matrix<T> y = tape.value(out);
  for (int r = 0; r < y.rows; ++r) std::copy_n(x.row(m.source(r)) + m.first_column(r, channels), channels, y.row(r));
  return out;
}

}  // namespace

ImageSize Kernel::convolved(ImageSize in) const {
  const auto side = [this](int n) {
    return padding == Padding::same ? (n + stride - 1) / stride : (n + 2 * amount - size) / stride + 1;
  };
  // A kernel larger than the image fits nowhere; the division rounds towards zero.
  const auto fits = [this](int n) { return padding == Padding::same || n + 2 * amount >= size; };
  return {fits(in.height) ? side(in.height) : 0, fits(in.width) ? side(in.width) : 0};
}

ImageSize Kernel::widened(ImageSize in) const {
  const auto side = [this](int n) {
    return padding == Padding::same ? n * stride : (n - 1) * stride - 2 * amount + size;
  };
  return {side(in.height), side(in.width)};
}

template <class T>
Var conv2d(Tape<T>& tape, Var v, Var weights, ImageSize size, const Kernel& kernel) {
  const Matrix<T> x = tape.value(v);
  const Matrix<T> k = tape.value(weights);
  const Windows w{size, kernel.convolved(size), images_of("conv2d", x, size), x.columns, kernel};
  require_kernel("conv2d", kernel, w.narrow);
  require(k.rows == w.patch(), "conv2d", x, k);
  const Var out = tape.result(w.images * w.narrow.pixels(), k.columns, any_wanted(tape, v, weights),
                              &conv2d_backward<T>, keep(tape, Convolution{v, weights, w}));
  const Arena::Mark mark = tape.arena().mark();
  const Matrix<T> columns = patches<T>(tape.arena(), w);
  for (int image = 0; image < w.images; ++image) {
    gather_patches(w, x, image, columns);
    product<T>(tape.arena(), image_rows(tape.value(out), image, w.narrow.pixels()), {columns}, {k}, false);
  }
  tape.arena().release(mark);
  return out;
}

template <class T>
Var conv_transpose2d(Tape<T>& tape, Var v, Var weights, ImageSize size, const Kernel& kernel) {
  const Matrix<T> x = tape.value(v);
  const Matrix<T> k = tape.value(weights);
  const int places = kernel.size * kernel.size;
  require(places > 0 && k.rows % places == 0 && k.columns == x.columns, "conv_transpose2d", x, k);
  const Windows w{kernel.widened(size), size, images_of("conv_transpose2d", x, size), k.rows / places, kernel};
  require_kernel("conv_transpose2d", kernel, w.wide);
  const Var out = tape.result(w.images * w.wide.pixels(), w.channels, any_wanted(tape, v, weights),
                              &conv_transpose2d_backward<T>, keep(tape, Convolution{v, weights, w}));
  const Matrix<T> y = tape.value(out);
  for (int r = 0; r < y.rows; ++r) std::fill_n(y.row(r), y.stride, T{});
  const Arena::Mark mark = tape.arena().mark();
  const Matrix<T> columns = patches<T>(tape.arena(), w);
  for (int image = 0; image < w.images; ++image) {
    product<T>(tape.arena(), columns, {image_rows(x, image, size.pixels())}, {k, true}, false);
    scatter_patches(w, columns, image, y);
  }
  tape.arena().release(mark);
  return out;
}

template <class T>
Var max_pool2d(Tape<T>& tape, Var v, ImageSize size, int window, int stride) {
  const Matrix<T> x = tape.value(v);
  const Kernel kernel{window, stride, Padding::symmetric, 0};
  const Windows w{size, kernel.convolved(size), images_of("max_pool2d", x, size), x.columns, kernel};
  require_kernel("max_pool2d", kernel, w.narrow);
  const int rows = w.images * w.narrow.pixels();
  auto* best =
      tape.arena().template take<std::int32_t>(static_cast<std::size_t>(rows) * static_cast<std::size_t>(x.columns));
  const Var out =
      tape.result(rows, x.columns, tape.needs_gradient(v), &max_pool_backward<T>, keep(tape, Pooled{v, best}));
  const Matrix<T> y = tape.value(out);
  for (int image = 0; image < w.images; ++image) {
    w.each(image, [&](int pixel, int place, int from) {
      const int r = image * w.narrow.pixels() + pixel;
      std::int32_t* winner = best + static_cast<std::ptrdiff_t>(r) * x.columns;
      for (int c = 0; c < x.columns; ++c) {
        const T value = x.row(from)[c];
        if (place != 0 && !(value > y.row(r)[c] || std::isnan(value))) continue;
        y.row(r)[c] = value;
        winner[c] = from;
      }
    });
  }
  return out;
}

template <class T>
Var depth_to_space(Tape<T>& tape, Var v, ImageSize size, int factor) {
  const Matrix<T> x = tape.value(v);
  images_of("depth_to_space", x, size);
  require_with(factor > 0 && x.columns % (factor * factor) == 0, "depth_to_space", x, "a factor of {}", factor);
  return enlarge(tape, {v, size, factor, true}, x.columns / (factor * factor));
}

template <class T>
Var nearest_resize(Tape<T>& tape, Var v, ImageSize size, int factor) {
  const Matrix<T> x = tape.value(v);
  images_of("nearest_resize", x, size);
  require_with(factor > 0, "nearest_resize", x, "a factor of {}", factor);
  return enlarge(tape, {v, size, factor, false}, x.columns);
}

#define SPAR_TAPE_CONVOLUTION(T)                                               \
  template Var conv2d(Tape<T>&, Var, Var, ImageSize, const Kernel&);           \
  template Var conv_transpose2d(Tape<T>&, Var, Var, ImageSize, const Kernel&); \
  template Var max_pool2d(Tape<T>&, Var, ImageSize, int, int);                 \
  template Var depth_to_space(Tape<T>&, Var, ImageSize, int);                  \
  template Var nearest_resize(Tape<T>&, Var, ImageSize, int);
SPAR_TAPE_CONVOLUTION(float)
SPAR_TAPE_CONVOLUTION(double)
#undef SPAR_TAPE_CONVOLUTION

}  // namespace spar::tape
