#include "spar/tape/noise.hpp"

#include "noise.hpp"
#include "support.hpp"

#include "spar/tape/functions.hpp"

namespace spar::tape {

namespace {

using namespace detail;

template <class T>
void require_rows(const char* name, const Matrix<T>& x, const SampleRows& rows) {
  const auto count = static_cast<std::int64_t>(rows.samples.size()) * rows.length;
  require_with(count == x.rows, name, x, "{} samples of {} rows", rows.samples.size(), rows.length);
}

template <class T>
struct Dropped {
  Var x;
  T scale;
  std::uint32_t threshold;
  RandomStream stream;
  const Index* samples;
  int length;
};

// to = from * mask * scale, or added.
template <class T>
void apply(const Dropped<T>& m, const Matrix<T>& from, const Matrix<T>& to, bool add) {
  for (int r = 0; r < from.rows; ++r) {
    const T* x = from.row(r);
    T* y = to.row(r);
    for_noise_lines(m.stream, m.samples[r / m.length], r % m.length, from.columns, [&](WordLanes words, int c) {
      const Lanes<T> mask = kept<T>(words, m.threshold);
      const Lanes<T> v = first_lanes<T>(mask != T{} ? m.scale * load_lanes(x + c) : Lanes<T>{}, from.columns - c);
      store_lanes<T>(y + c, add ? load_lanes(y + c) + v : v);
    });
  }
}

// The mask is drawn again: a number costs less than the memory that it would take.
template <class T>
void dropout_backward(Tape<T>& tape, Var result, const void* memory) {
  const auto& m = *static_cast<const Dropped<T>*>(memory);
  bool assign = false;
  const Matrix<T> upstream = tape.gradient(result);
  const Matrix<T> to = tape.gradient_to_fill(m.x, assign);
  apply(m, upstream, to, !assign);
}

// Uniform in (0, 1): 23 bits and a half, so that neither end is met after rounding to float.
template <class T>
Lanes<T> open_unit_lanes(WordLanes words) {
  typedef std::int32_t Signed __attribute__((vector_size(64)));
  return (__builtin_convertvector((Signed)(words >> 9), Lanes<T>) + T(0.5)) * T(0x1.0p-23);
}

// -log(-log(1 - v)). What decides a maximum over many is a v near 0, where floats are dense; u = 1 - v would have steps
// there that millions of draws fall into together.
template <class T>
Lanes<T> gumbel_lanes(WordLanes words) {
  const Lanes<T> v = (__builtin_convertvector(words, Lanes<T>) + T(0.5)) * T(0x1.0p-32);
  return -lane_log(-lane_log1p(-(v < T(1.0 - 0x1.0p-24) ? v : all_lanes(T(1.0 - 0x1.0p-24)))));
}

template <class T>
void fill_from_words(const NoiseKey& key, const SampleRows& rows, const Matrix<T>& to, Lanes<T> (*number)(WordLanes)) {
  const RandomStream stream = key.stream();
  for (int r = 0; r < to.rows; ++r) {
    for_noise_lines(
        stream, rows.samples[static_cast<std::size_t>(r / rows.length)], r % rows.length, to.columns,
        [&](WordLanes words, int c) { store_lanes<T>(to.row(r) + c, first_lanes<T>(number(words), to.columns - c)); });
  }
}

}  // namespace

RandomStream NoiseKey::stream() const {
  return {word64(RandomStream(seed, purpose).block(epoch, step, place), 0), purpose};
}

template <class T>
Var dropout(Tape<T>& tape, Var v, T keep, const NoiseKey& key, const SampleRows& rows) {
  if (keep >= T{1}) return v;
  const Matrix<T> x = tape.value(v);
  require_with(keep > T{}, "dropout", x, "a share of {} kept", keep);
  require_rows("dropout", x, rows);
  const auto* memory = detail::keep(tape, Dropped<T>{v, T{1} / keep, keep_threshold(static_cast<double>(keep)),
                                                     key.stream(), rows.samples.data(), rows.length});
  const Var out = tape.result(x.rows, x.columns, tape.needs_gradient(v), &dropout_backward<T>, memory);
  apply(*memory, x, tape.value(out), false);
  return out;
}

template <class T>
void fill_normal(const NoiseKey& key, const SampleRows& rows, const Matrix<T>& to) {
  require_rows("fill_normal", to, rows);
  const RandomStream stream = key.stream();
  for (int r = 0; r < to.rows; ++r) {
    const auto sample = static_cast<std::uint64_t>(rows.samples[static_cast<std::size_t>(r / rows.length)]);
    for (int c = 0; c < to.columns; c += 2) {
      const auto pair =
          normal_pair(stream.block(static_cast<std::uint32_t>(c / 2), static_cast<std::uint32_t>(r % rows.length),
                                   static_cast<std::uint32_t>(sample), static_cast<std::uint32_t>(sample >> 32)));
      to.row(r)[c] = static_cast<T>(pair[0]);
      if (c + 1 < to.columns) to.row(r)[c + 1] = static_cast<T>(pair[1]);
    }
  }
}

template <class T>
void fill_uniform(const NoiseKey& key, const SampleRows& rows, const Matrix<T>& to) {
  require_rows("fill_uniform", to, rows);
  fill_from_words(key, rows, to, &open_unit_lanes<T>);
}

template <class T>
void fill_gumbel(const NoiseKey& key, const SampleRows& rows, const Matrix<T>& to) {
  require_rows("fill_gumbel", to, rows);
  fill_from_words(key, rows, to, &gumbel_lanes<T>);
}

#define SPAR_TAPE_NOISE(T)                                                          \
  template Var dropout(Tape<T>&, Var, T, const NoiseKey&, const SampleRows&);       \
  template void fill_normal(const NoiseKey&, const SampleRows&, const Matrix<T>&);  \
  template void fill_uniform(const NoiseKey&, const SampleRows&, const Matrix<T>&); \
  template void fill_gumbel(const NoiseKey&, const SampleRows&, const Matrix<T>&);
SPAR_TAPE_NOISE(float)
SPAR_TAPE_NOISE(double)
#undef SPAR_TAPE_NOISE

}  // namespace spar::tape
