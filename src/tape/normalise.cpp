#include "spar/tape/normalise.hpp"

#include <cmath>

#include "support.hpp"

namespace spar::tape {

namespace {

using namespace detail;

template <class T>
struct LayerNorm {
  Var x;
  Var gain;
  Var offset;
  const T* mean;     // by row
  const T* inverse;  // 1 / sqrt(var + epsilon) by row
};

// With u = gain * dy: dx = (u - mean(u) - x^ mean(u x^)) / sqrt(var + epsilon).
template <class T>
void layer_norm_backward(Tape<T>& tape, Var result, const void* memory) {
  const auto m = *static_cast<const LayerNorm<T>*>(memory);
  const Matrix<T> x = tape.value(m.x);
  const T* gain = tape.value(m.gain).row(0);
  const Matrix<T> upstream = tape.gradient(result);
  const T share = T{1} / static_cast<T>(x.columns);
  add_lanes(tape, m.x, [&](int r) {
    const T* xs = x.row(r);
    const T* gs = upstream.row(r);
    const T mean = m.mean[r];
    const T inverse = m.inverse[r];
    const auto unit = [=](int c) -> Lanes<T> { return (load_lanes(xs + c) - mean) * inverse; };
    const auto u = [=](int c) -> Lanes<T> { return load_lanes(gs + c) * load_lanes(gain + c); };
    const T first = share * sum_columns<T>(x.columns, u);
    const T second = share * sum_columns<T>(x.columns, [&](int c) -> Lanes<T> { return u(c) * unit(c); });
    return [=](int c) -> Lanes<T> { return (u(c) - first - unit(c) * second) * inverse; };
  });
  const bool to_gain = tape.needs_gradient(m.gain);
  const bool to_offset = tape.needs_gradient(m.offset);
  T* gain_gradient = to_gain ? tape.gradient_to_add(m.gain).row(0) : nullptr;
  T* offset_gradient = to_offset ? tape.gradient_to_add(m.offset).row(0) : nullptr;
  for (int c = 0; (to_gain || to_offset) && c < x.columns; c += lanes) {
    Lanes<T> products{};
    Lanes<T> sums{};
    for (int r = 0; r < x.rows; ++r) {
      const Lanes<T> g = load_lanes(upstream.row(r) + c);
      products += g * ((load_lanes(x.row(r) + c) - m.mean[r]) * m.inverse[r]);
      sums += g;
    }
    const int count = x.columns - c;
    if (to_gain) store_lanes<T>(gain_gradient + c, load_lanes(gain_gradient + c) + first_lanes<T>(products, count));
    if (to_offset) store_lanes<T>(offset_gradient + c, load_lanes(offset_gradient + c) + first_lanes<T>(sums, count));
  }
}

struct WeightNorm {
  Var directions;
  Var gains;
  const void* inverse;  // T[columns]: 1 / |V|, 0 for columns of zeros
};

// f(line of row r) summed over the rows of each column.
template <class T, class F>
Lanes<T> down(int rows, F&& f) {
  Lanes<T> total{};
  for (int r = 0; r < rows; ++r) total += f(r);
  return total;
}

// dg = <dW, V> / |V|, dV = g / |V| (dW - (dg / |V|) V).
template <class T>
void weight_norm_backward(Tape<T>& tape, Var result, const void* memory) {
  const auto m = *static_cast<const WeightNorm*>(memory);
  const Matrix<T> v = tape.value(m.directions);
  const T* gain = tape.value(m.gains).row(0);
  const T* inverse = static_cast<const T*>(m.inverse);
  const Matrix<T> upstream = tape.gradient(result);
  T* along = tape.arena().template take<T>(static_cast<std::size_t>(padded(v.columns)));
  for (int c = 0; c < v.columns; c += lanes) {
    const Lanes<T> total =
        down<T>(v.rows, [&](int r) -> Lanes<T> { return load_lanes(upstream.row(r) + c) * load_lanes(v.row(r) + c); });
    store_lanes<T>(along + c, total * load_lanes(inverse + c));
  }
  add_lanes(tape, m.gains, [&](int) { return [along](int c) -> Lanes<T> { return load_lanes(along + c); }; });
  add_lanes(tape, m.directions, [&](int r) {
    return [=, gs = upstream.row(r), vs = v.row(r)](int c) -> Lanes<T> {
      const Lanes<T> i = load_lanes(inverse + c);
      return load_lanes(gain + c) * i * (load_lanes(gs + c) - load_lanes(along + c) * i * load_lanes(vs + c));
    };
  });
}

template <class T>
struct BatchSums {
  Var x;
  const T* shift;
};

template <class T>
void batch_sums_backward(Tape<T>& tape, Var result, const void* memory) {
  const auto m = *static_cast<const BatchSums<T>*>(memory);
  const Matrix<T> x = tape.value(m.x);
  const Matrix<T> upstream = tape.gradient(result);
  add_lanes(tape, m.x, [&](int r) {
    return [shift = m.shift, xs = x.row(r), first = upstream.row(0), second = upstream.row(1)](int c) -> Lanes<T> {
      return load_lanes(first + c) + T{2} * load_lanes(second + c) * (load_lanes(xs + c) - load_lanes(shift + c));
    };
  });
}

// Of columns c to c + 15: the mean of x - shift, the biased variance, and the number of rows of the whole batch.
template <class T>
struct Moments {
  Lanes<T> mean;
  Lanes<T> variance;
  T rows;
};

template <class T>
Moments<T> moments_of(const Matrix<T>& sums, int c) {
  const T rows = sums.row(2)[0];
  if (rows == T{}) return {Lanes<T>{}, Lanes<T>{}, rows};
  const Lanes<T> mean = load_lanes(sums.row(0) + c) / rows;
  const Lanes<T> variance = load_lanes(sums.row(1) + c) / rows - mean * mean;
  // Rounding may leave a constant column below zero.
  return {mean, variance < T{} ? Lanes<T>{} : variance, rows};
}

template <class T>
Lanes<T> inverse_root(Lanes<T> v) {
  if constexpr (std::is_same_v<T, float>) {
    return 1.0F / lane_sqrt(v);
  } else {
    for (int k = 0; k < lanes; ++k) v[k] = 1.0 / std::sqrt(v[k]);
    return v;
  }
}

template <class T>
struct BatchNorm {
  Var x;
  Var sums;  // id -1: the running moments, which have no gradient
  Var gain;
  Var offset;
  const T* centre;   // shift + mean, by column
  const T* inverse;  // 1 / sqrt(var + epsilon), by column
};

// d loss / d centre and d loss / d inverse, then through mean and variance to the sums:
//   S1: (d mean - 2 mean d var) / n, S2: d var / n, with d var = -1/2 inverse^3 d inverse.
template <class T>
void to_sums(Tape<T>& tape, const BatchNorm<T>& m, const Matrix<T>& to, int c, Lanes<T> upstream_sum,
             Lanes<T> centred_sum) {
  const Matrix<T> sums = tape.value(m.sums);
  const Moments<T> found = moments_of(sums, c);
  if (found.rows == T{}) return;
  const Lanes<T> gain = load_lanes(tape.value(m.gain).row(0) + c);
  const Lanes<T> inverse = load_lanes(m.inverse + c);
  const Lanes<T> to_mean = -gain * inverse * upstream_sum;
  const Lanes<T> to_variance = T(-0.5) * gain * inverse * inverse * inverse * centred_sum;
  const int count = to.columns - c;
  const Lanes<T> first = (to_mean - T{2} * found.mean * to_variance) / found.rows;
  store_lanes<T>(to.row(0) + c, load_lanes(to.row(0) + c) + first_lanes<T>(first, count));
  store_lanes<T>(to.row(1) + c, load_lanes(to.row(1) + c) + first_lanes<T>(to_variance / found.rows, count));
}

template <class T>
void batch_norm_backward(Tape<T>& tape, Var result, const void* memory) {
  const auto m = *static_cast<const BatchNorm<T>*>(memory);
  const Matrix<T> x = tape.value(m.x);
  const T* gain = tape.value(m.gain).row(0);
  const Matrix<T> upstream = tape.gradient(result);
  add_lanes(tape, m.x, [&](int r) {
    return [gain, inverse = m.inverse, gs = upstream.row(r)](int c) -> Lanes<T> {
      return load_lanes(gs + c) * load_lanes(gain + c) * load_lanes(inverse + c);
    };
  });
  const bool wanted = m.sums.id >= 0 && tape.needs_gradient(m.sums);
  const Matrix<T> sums_gradient = wanted ? tape.gradient_to_add(m.sums) : Matrix<T>{};
  T* gain_gradient = tape.needs_gradient(m.gain) ? tape.gradient_to_add(m.gain).row(0) : nullptr;
  T* offset_gradient = tape.needs_gradient(m.offset) ? tape.gradient_to_add(m.offset).row(0) : nullptr;
  for (int c = 0; c < x.columns; c += lanes) {
    const Lanes<T> centre = load_lanes(m.centre + c);
    Lanes<T> plain{};
    Lanes<T> centred{};
    for (int r = 0; r < x.rows; ++r) {
      const Lanes<T> g = load_lanes(upstream.row(r) + c);
      plain += g;
      centred += g * (load_lanes(x.row(r) + c) - centre);
    }
    const int count = x.columns - c;
    const Lanes<T> to_gain = first_lanes<T>(centred * load_lanes(m.inverse + c), count);
    if (gain_gradient != nullptr) store_lanes<T>(gain_gradient + c, load_lanes(gain_gradient + c) + to_gain);
    if (offset_gradient != nullptr)
      store_lanes<T>(offset_gradient + c, load_lanes(offset_gradient + c) + first_lanes<T>(plain, count));
    if (wanted) to_sums(tape, m, sums_gradient, c, plain, centred);
  }
}

template <class T>
Var put_batch_norm(Tape<T>& tape, const char* name, Var v, Var sums, Var gain, Var offset, const T* centre,
                   const T* inverse) {
  const Matrix<T> x = tape.value(v);
  const Matrix<T> g = tape.value(gain);
  const Matrix<T> b = tape.value(offset);
  require(g.rows == 1 && g.columns == x.columns, name, x, g);
  require(b.rows == 1 && b.columns == x.columns, name, x, b);
  const bool wanted = any_wanted(tape, v, gain, offset) || (sums.id >= 0 && tape.needs_gradient(sums));
  const Var out = tape.result(x.rows, x.columns, wanted, &batch_norm_backward<T>,
                              keep(tape, BatchNorm<T>{v, sums, gain, offset, centre, inverse}));
  fill_lanes(tape.value(out), [&](int r) {
    return [=, xs = x.row(r), gs = g.row(0), bs = b.row(0)](int c) -> Lanes<T> {
      return (load_lanes(xs + c) - load_lanes(centre + c)) * load_lanes(inverse + c) * load_lanes(gs + c) +
             load_lanes(bs + c);
    };
  });
  return out;
}

template <class T>
T* take_row(Tape<T>& tape, int columns) {
  return tape.arena().template take<T>(static_cast<std::size_t>(padded(columns)));
}

}  // namespace

template <class T>
Var layer_norm(Tape<T>& tape, Var v, Var gain, Var offset, T epsilon) {
  const Matrix<T> x = tape.value(v);
  const Matrix<T> g = tape.value(gain);
  const Matrix<T> b = tape.value(offset);
  require(g.rows == 1 && g.columns == x.columns, "layer_norm", x, g);
  require(b.rows == 1 && b.columns == x.columns, "layer_norm", x, b);
  T* mean = take_row(tape, x.rows);
  T* inverse = take_row(tape, x.rows);
  const Var out = tape.result(x.rows, x.columns, any_wanted(tape, v, gain, offset), &layer_norm_backward<T>,
                              keep(tape, LayerNorm<T>{v, gain, offset, mean, inverse}));
  const T share = x.columns == 0 ? T{} : T{1} / static_cast<T>(x.columns);
  fill_lanes(tape.value(out), [&](int r) {
    const T* xs = x.row(r);
    mean[r] = share * sum_columns<T>(x.columns, [=](int c) { return load_lanes(xs + c); });
    const T centre = mean[r];
    const T variance = share * sum_columns<T>(x.columns, [=](int c) -> Lanes<T> {
                         const Lanes<T> d = load_lanes(xs + c) - centre;
                         return d * d;
                       });
    inverse[r] = T{1} / std::sqrt(variance + epsilon);
    return [=, factor = inverse[r], gs = g.row(0), bs = b.row(0)](int c) -> Lanes<T> {
      return (load_lanes(xs + c) - centre) * factor * load_lanes(gs + c) + load_lanes(bs + c);
    };
  });
  return out;
}

template <class T>
Var weight_norm(Tape<T>& tape, Var directions, Var gains) {
  const Matrix<T> v = tape.value(directions);
  const Matrix<T> g = tape.value(gains);
  require(g.rows == 1 && g.columns == v.columns, "weight_norm", v, g);
  T* inverse = take_row(tape, v.columns);
  for (int c = 0; c < v.columns; c += lanes) {
    const Lanes<T> squares =
        down<T>(v.rows, [&](int r) -> Lanes<T> { return load_lanes(v.row(r) + c) * load_lanes(v.row(r) + c); });
    store_lanes<T>(inverse + c, squares > T{} ? inverse_root<T>(squares) : Lanes<T>{});
  }
  const Var out = tape.result(v.rows, v.columns, any_wanted(tape, directions, gains), &weight_norm_backward<T>,
                              keep(tape, WeightNorm{directions, gains, inverse}));
  fill_lanes(tape.value(out), [&](int r) {
    return [=, vs = v.row(r), gs = g.row(0)](int c) -> Lanes<T> {
      return load_lanes(gs + c) * load_lanes(inverse + c) * load_lanes(vs + c);
    };
  });
  return out;
}

template <class T>
Var batch_sums(Tape<T>& tape, Var v, const RunningMoments<T>& running) {
  const Matrix<T> x = tape.value(v);
  require(running.mean.rows == 1 && running.mean.columns == x.columns, "batch_sums", x, running.mean);
  // A copy: the clean pass moves the running mean before its own backward is done.
  T* shift = take_row(tape, x.columns);
  const Var out =
      tape.result(3, x.columns, tape.needs_gradient(v), &batch_sums_backward<T>, keep(tape, BatchSums<T>{v, shift}));
  const Matrix<T> y = tape.value(out);
  for (int c = 0; c < x.columns; c += lanes) {
    store_lanes<T>(shift + c, load_lanes(running.mean.row(0) + c));
    Lanes<T> sum{};
    Lanes<T> squares{};
    for (int r = 0; r < x.rows; ++r) {
      const Lanes<T> d = load_lanes(x.row(r) + c) - load_lanes(shift + c);
      sum += d;
      squares += d * d;
    }
    store_lanes<T>(y.row(0) + c, sum);
    store_lanes<T>(y.row(1) + c, squares);
    store_lanes<T>(y.row(2) + c, all_lanes(static_cast<T>(x.rows)));
  }
  return out;
}

template <class T>
Var batch_normalise(Tape<T>& tape, Var v, Var sums, const RunningMoments<T>& running, Var gain, Var offset, T epsilon) {
  const Matrix<T> x = tape.value(v);
  const Matrix<T> s = tape.value(sums);
  require(s.rows == 3 && s.columns == x.columns, "batch_normalise", x, s);
  T* centre = take_row(tape, x.columns);
  T* inverse = take_row(tape, x.columns);
  for (int c = 0; c < x.columns; c += lanes) {
    const Moments<T> found = moments_of(s, c);
    store_lanes<T>(centre + c, load_lanes(running.mean.row(0) + c) + found.mean);
    store_lanes<T>(inverse + c, inverse_root<T>(found.variance + epsilon));
  }
  return put_batch_norm(tape, "batch_normalise", v, sums, gain, offset, centre, inverse);
}

template <class T>
Var running_normalise(Tape<T>& tape, Var v, const RunningMoments<T>& running, Var gain, Var offset, T epsilon) {
  const Matrix<T> x = tape.value(v);
  require(running.variance.columns == x.columns, "running_normalise", x, running.variance);
  T* centre = take_row(tape, x.columns);
  T* inverse = take_row(tape, x.columns);
  for (int c = 0; c < x.columns; c += lanes) {
    store_lanes<T>(centre + c, load_lanes(running.mean.row(0) + c));
    store_lanes<T>(inverse + c, inverse_root<T>(load_lanes(running.variance.row(0) + c) + epsilon));
  }
  return put_batch_norm<T>(tape, "running_normalise", v, {}, gain, offset, centre, inverse);
}

template <class T>
void update_running(const Matrix<T>& sums, T momentum, const RunningMoments<T>& running) {
  require(sums.rows == 3 && running.mean.columns == sums.columns, "update_running", sums, running.mean);
  for (int c = 0; c < sums.columns; ++c) {
    const Moments<T> found = moments_of(sums, c / lanes * lanes);
    if (found.rows == T{}) return;
    const T mean = running.mean.row(0)[c] + found.mean[c % lanes];
    const T unbiased = found.rows > T{1} ? found.rows / (found.rows - T{1}) : T{1};
    const T variance = unbiased * found.variance[c % lanes];
    running.variance.row(0)[c] = momentum * running.variance.row(0)[c] + (T{1} - momentum) * variance;
    running.mean.row(0)[c] = momentum * running.mean.row(0)[c] + (T{1} - momentum) * mean;
  }
}

#define SPAR_TAPE_NORMALISE(T)                                                             \
  template Var layer_norm(Tape<T>&, Var, Var, Var, T);                                     \
  template Var weight_norm(Tape<T>&, Var, Var);                                            \
  template Var batch_sums(Tape<T>&, Var, const RunningMoments<T>&);                        \
  template Var batch_normalise(Tape<T>&, Var, Var, const RunningMoments<T>&, Var, Var, T); \
  template Var running_normalise(Tape<T>&, Var, const RunningMoments<T>&, Var, Var, T);    \
  template void update_running(const Matrix<T>&, T, const RunningMoments<T>&);
SPAR_TAPE_NORMALISE(float)
SPAR_TAPE_NORMALISE(double)
#undef SPAR_TAPE_NORMALISE

}  // namespace spar::tape
