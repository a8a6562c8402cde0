#include "spar/tape/losses.hpp"

#include "softmax.hpp"
#include "support.hpp"

#include "spar/tape/elementwise.hpp"
#include "spar/tape/functions.hpp"
#include "spar/tape/operations.hpp"

namespace spar::tape {

namespace {

using namespace detail;

// Losses of one cell: value(x, y) and slope(x, y) against a target y.
template <class T>
struct Cells {
  Var x;
  Matrix<T> targets;  // no rows: `target` for all
  Matrix<T> weights;  // no rows: 1
  T target;

  const T* target_row(int r) const { return targets.rows == 0 ? nullptr : targets.row(r); }
  const T* weight_row(int r) const { return weights.rows == 0 ? nullptr : weights.row(r); }
};

struct CrossEntropy {
  template <class T>
  static Lanes<T> value(Lanes<T> x, Lanes<T> y) {
    return lane_softplus(x) - x * y;
  }
  template <class T>
  static Lanes<T> slope(Lanes<T> x, Lanes<T> y) {
    return lane_sigmoid(x) - y;
  }
};

struct SquaredError {
  template <class T>
  static Lanes<T> value(Lanes<T> x, Lanes<T> y) {
    return (x - y) * (x - y);
  }
  template <class T>
  static Lanes<T> slope(Lanes<T> x, Lanes<T> y) {
    return T{2} * (x - y);
  }
};

template <class T>
Lanes<T> load_or(const T* row, int c, T otherwise) {
  return row == nullptr ? all_lanes(otherwise) : load_lanes(row + c);
}

template <class Loss, class T>
void cells_backward(Tape<T>& tape, Var result, const void* memory) {
  const auto& m = *static_cast<const Cells<T>*>(memory);
  const Matrix<T> x = tape.value(m.x);
  const Matrix<T> upstream = tape.gradient(result);
  add_lanes(tape, m.x, [&](int r) {
    return [y = m.target, xs = x.row(r), ts = m.target_row(r), ws = m.weight_row(r),
            gs = upstream.row(r)](int c) -> Lanes<T> {
      const Lanes<T> slope = Loss::template slope<T>(load_lanes(xs + c), load_or(ts, c, y));
      return load_lanes(gs + c) * load_or(ws, c, T{1}) * slope;
    };
  });
}

template <class Loss, class T>
Var cells(Tape<T>& tape, const char* name, const Cells<T>& m) {
  const Matrix<T> x = tape.value(m.x);
  if (m.weights.rows != 0) require_equal_shapes(name, x, m.weights);
  const Var out = tape.result(x.rows, x.columns, tape.needs_gradient(m.x), &cells_backward<Loss, T>, keep(tape, m));
  fill_lanes(tape.value(out), [&](int r) {
    return [y = m.target, xs = x.row(r), ts = m.target_row(r), ws = m.weight_row(r)](int c) -> Lanes<T> {
      return load_or(ws, c, T{1}) * Loss::template value<T>(load_lanes(xs + c), load_or(ts, c, y));
    };
  });
  return out;
}

template <class T>
struct Multinomial {
  Var logits;
  Matrix<T> counts;
  const ExpSum<T>* sums;
};

template <class T>
T row_total(const Matrix<T>& m, int r) {
  return sum_columns<T>(m.columns, [x = m.row(r)](int c) { return load_lanes(x + c); });
}

template <class T>
void multinomial_backward(Tape<T>& tape, Var result, const void* memory) {
  const auto& m = *static_cast<const Multinomial<T>*>(memory);
  const Matrix<T> z = tape.value(m.logits);
  const Matrix<T> upstream = tape.gradient(result);
  add_lanes(tape, m.logits, [&](int r) {
    return [zs = z.row(r), xs = m.counts.row(r), g = upstream.row(r)[0], largest = m.sums[r].largest,
            scale = row_total(m.counts, r) / m.sums[r].sum](int c) -> Lanes<T> {
      return g * (scale * lane_exp(load_lanes(zs + c) - largest) - load_lanes(xs + c));
    };
  });
}

struct Choice {
  Var logits;
  const std::int32_t* classes;
  bool outside;  // an option of utility 0 beside the m
};

// log(sum exp z), or log(1 + sum exp z).
template <class T>
T log_total(const T* z, int columns, bool outside) {
  const auto found = exp_sum<T>(z, nullptr, columns, nullptr);
  if (!outside) return found.log();
  if (found.sum == T{}) return T{};
  return lane_softplus(all_lanes(found.log()))[0];
}

template <class T>
void choice_backward(Tape<T>& tape, Var result, const void* memory) {
  const auto m = *static_cast<const Choice*>(memory);
  if (!tape.needs_gradient(m.logits)) return;
  const Matrix<T> z = tape.value(m.logits);
  const Matrix<T> upstream = tape.gradient(result);
  const Matrix<T> to = tape.gradient_to_add(m.logits);
  for (int r = 0; r < z.rows; ++r) {
    if (m.classes[r] < 0 && !m.outside) continue;
    const T total = log_total(z.row(r), z.columns, m.outside);
    const T g = upstream.row(r)[0];
    for (int c = 0; c < z.columns; c += lanes) {
      const Lanes<T> p = g * lane_exp(load_lanes(z.row(r) + c) - total);
      store_lanes<T>(to.row(r) + c, load_lanes(to.row(r) + c) + first_lanes<T>(p, z.columns - c));
    }
    if (m.classes[r] >= 0) to.row(r)[m.classes[r]] -= g;
  }
}

template <class T>
Var choice(Tape<T>& tape, const char* name, Var logits, std::span<const std::int32_t> classes, bool outside) {
  const Matrix<T> z = tape.value(logits);
  require_with(classes.size() == static_cast<std::size_t>(z.rows), name, z, "{} classes", classes.size());
  for (const std::int32_t k : classes) require_with(k >= -1 && k < z.columns, name, z, "class {}", k);
  const Var out = tape.result(z.rows, 1, tape.needs_gradient(logits), &choice_backward<T>,
                              keep(tape, Choice{logits, classes.data(), outside}));
  const Matrix<T> y = tape.value(out);
  for (int r = 0; r < z.rows; ++r) {
    const std::int32_t k = classes[static_cast<std::size_t>(r)];
    y.row(r)[0] = k < 0 && !outside ? T{} : log_total(z.row(r), z.columns, outside) - (k < 0 ? T{} : z.row(r)[k]);
  }
  return out;
}

struct Gaussian {
  Var mean;
  Var log_variance;
};

template <class T>
void gaussian_kl_backward(Tape<T>& tape, Var result, const void* memory) {
  const auto m = *static_cast<const Gaussian*>(memory);
  const Matrix<T> mean = tape.value(m.mean);
  const Matrix<T> log_variance = tape.value(m.log_variance);
  const Matrix<T> upstream = tape.gradient(result);
  add_lanes(tape, m.mean, [&](int r) {
    return [xs = mean.row(r), g = upstream.row(r)[0]](int c) -> Lanes<T> { return g * load_lanes(xs + c); };
  });
  add_lanes(tape, m.log_variance, [&](int r) {
    return [xs = log_variance.row(r), g = T(0.5) * upstream.row(r)[0]](int c) -> Lanes<T> {
      return g * (lane_exp(load_lanes(xs + c)) - T{1});
    };
  });
}

}  // namespace

template <class T>
Var bce_with_logits(Tape<T>& tape, Var logits, Matrix<T> labels, Matrix<T> weights) {
  require_equal_shapes("bce_with_logits", tape.value(logits), labels);
  return cells<CrossEntropy, T>(tape, "bce_with_logits", {logits, labels, weights, T{}});
}

template <class T>
Var bce_with_logits(Tape<T>& tape, Var logits, T label) {
  return cells<CrossEntropy, T>(tape, "bce_with_logits", {logits, {}, {}, label});
}

template <class T>
Var squared_error(Tape<T>& tape, Var x, Matrix<T> targets, Matrix<T> weights) {
  require_equal_shapes("squared_error", tape.value(x), targets);
  return cells<SquaredError, T>(tape, "squared_error", {x, targets, weights, T{}});
}

template <class T>
Var hinge(Tape<T>& tape, Var x, T margin) {
  return relu(tape, shift(tape, x, margin));
}

template <class T>
Var pairwise_log_sigmoid(Tape<T>& tape, Var preferred, Var other) {
  const Matrix<T> a = tape.value(preferred);
  const Matrix<T> b = tape.value(other);
  require(a.columns == 1 && b.columns == 1 && a.rows == b.rows, "pairwise_log_sigmoid", a, b);
  return softplus(tape, subtract(tape, other, preferred));
}

template <class T>
Var multinomial_loss(Tape<T>& tape, Var logits, Matrix<T> counts) {
  const Matrix<T> z = tape.value(logits);
  require_equal_shapes("multinomial_loss", z, counts);
  auto* sums = tape.arena().template take<ExpSum<T>>(static_cast<std::size_t>(z.rows));
  const Var out = tape.result(z.rows, 1, tape.needs_gradient(logits), &multinomial_backward<T>,
                              keep(tape, Multinomial<T>{logits, counts, sums}));
  const Matrix<T> y = tape.value(out);
  for (int r = 0; r < z.rows; ++r) {
    sums[r] = exp_sum<T>(z.row(r), nullptr, z.columns, nullptr);
    const T lse = sums[r].log();
    y.row(r)[0] = sum_columns<T>(z.columns, [zs = z.row(r), xs = counts.row(r), lse](int c) -> Lanes<T> {
      return load_lanes(xs + c) * (lse - load_lanes(zs + c));
    });
  }
  return out;
}

template <class T>
Var cross_entropy(Tape<T>& tape, Var logits, std::span<const std::int32_t> classes) {
  return choice(tape, "cross_entropy", logits, classes, false);
}

template <class T>
Var choice_loss(Tape<T>& tape, Var utilities, std::span<const std::int32_t> classes) {
  return choice(tape, "choice_loss", utilities, classes, true);
}

template <class T>
Var gaussian_kl(Tape<T>& tape, Var mean, Var log_variance) {
  const Matrix<T> m = tape.value(mean);
  const Matrix<T> v = tape.value(log_variance);
  require_equal_shapes("gaussian_kl", m, v);
  const Var out = tape.result(m.rows, 1, any_wanted(tape, mean, log_variance), &gaussian_kl_backward<T>,
                              keep(tape, Gaussian{mean, log_variance}));
  const Matrix<T> y = tape.value(out);
  for (int r = 0; r < m.rows; ++r) {
    y.row(r)[0] = T(0.5) * sum_columns<T>(m.columns, [ms = m.row(r), vs = v.row(r)](int c) -> Lanes<T> {
                    const Lanes<T> x = load_lanes(ms + c);
                    const Lanes<T> l = load_lanes(vs + c);
                    return x * x + (lane_exp(l) - l - T{1});
                  });
  }
  return out;
}

#define SPAR_TAPE_LOSSES(T)                                                 \
  template Var bce_with_logits(Tape<T>&, Var, Matrix<T>, Matrix<T>);        \
  template Var bce_with_logits(Tape<T>&, Var, T);                           \
  template Var squared_error(Tape<T>&, Var, Matrix<T>, Matrix<T>);          \
  template Var hinge(Tape<T>&, Var, T);                                     \
  template Var pairwise_log_sigmoid(Tape<T>&, Var, Var);                    \
  template Var multinomial_loss(Tape<T>&, Var, Matrix<T>);                  \
  template Var cross_entropy(Tape<T>&, Var, std::span<const std::int32_t>); \
  template Var choice_loss(Tape<T>&, Var, std::span<const std::int32_t>);   \
  template Var gaussian_kl(Tape<T>&, Var, Var);
SPAR_TAPE_LOSSES(float)
SPAR_TAPE_LOSSES(double)
#undef SPAR_TAPE_LOSSES

}  // namespace spar::tape
