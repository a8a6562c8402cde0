#include "product.hpp"
#include "recurrent.hpp"
#include "support.hpp"

#include "spar/tape/functions.hpp"
#include "spar/tape/recurrent.hpp"

namespace spar::tape {

namespace {

using namespace detail;

enum Gate { update, reset, candidate, gate_count };

template <class T>
struct Gru {
  Var gates;
  Var recurrent;
  Var start;
  Var recurrent_bias;
  Steps steps;
  GruForm form;
  int batch;
  int width;
  Series<T> weights;   // Uz, Ur, Uc, each h x h
  Series<T> biases;    // of the recurrent products, 1 x h; zero where none
  Series<T> states;    // before step t; length + 1 of them
  Series<T> updates;   // z by step
  Series<T> resets;    // r by step
  Series<T> choices;   // c by step
  Series<T> products;  // h Uc + uc by step (reset after) or r h (reset before)
};

// A row that does not count keeps its state: its z is turned so that all of the old state passes.
template <class T>
void step_forward(Tape<T>& tape, const Gru<T>& m, int t) {
  Arena& arena = tape.arena();
  const Matrix<T> gates = tape.value(m.gates);
  const Matrix<T> h = m.states.at(t);
  const Matrix<T> z = m.updates.at(t);
  const Matrix<T> r = m.resets.at(t);
  const Matrix<T> c = m.choices.at(t);
  const Matrix<T> product_of_state = m.products.at(t);
  const Matrix<T> next = m.states.at(t + 1);
  gather_steps(gates, t, m.steps.length, 0, z);
  gather_steps(gates, t, m.steps.length, m.width, r);
  gather_steps(gates, t, m.steps.length, 2 * m.width, c);
  product<T>(arena, z, {h}, {m.weights.at(update)}, true);
  product<T>(arena, r, {h}, {m.weights.at(reset)}, true);
  const T* z_bias = m.biases.at(update).row(0);
  const T* r_bias = m.biases.at(reset).row(0);
  const T* c_bias = m.biases.at(candidate).row(0);
  each_line(h, [&](int b, int k) {
    store_lanes<T>(z.row(b) + k, lane_sigmoid(load_lanes(z.row(b) + k) + load_lanes(z_bias + k)));
    store_lanes<T>(r.row(b) + k, lane_sigmoid(load_lanes(r.row(b) + k) + load_lanes(r_bias + k)));
  });
  if (m.form.reset_before_product) {
    each_line(h, [&](int b, int k) {
      store_lanes<T>(product_of_state.row(b) + k, load_lanes(r.row(b) + k) * load_lanes(h.row(b) + k));
    });
    product<T>(arena, c, {product_of_state}, {m.weights.at(candidate)}, true);
  } else {
    product<T>(arena, product_of_state, {h}, {m.weights.at(candidate)}, false);
    each_line(h, [&](int b, int k) {
      const Lanes<T> p = load_lanes(product_of_state.row(b) + k) + load_lanes(c_bias + k);
      store_lanes<T>(product_of_state.row(b) + k, p);
      store_lanes<T>(c.row(b) + k, lane_fma(load_lanes(r.row(b) + k), p, load_lanes(c.row(b) + k)));
    });
  }
  each_line(h, [&](int b, int k) {
    Lanes<T> choice = load_lanes(c.row(b) + k);
    if (m.form.reset_before_product) choice += load_lanes(c_bias + k);
    choice = lane_tanh(choice);
    store_lanes<T>(c.row(b) + k, choice);
    const Lanes<T> old = load_lanes(h.row(b) + k);
    const Lanes<T> gate = load_lanes(z.row(b) + k);
    const Lanes<T> moved =
        m.form.update_takes_candidate ? lane_fma(gate, choice - old, old) : lane_fma(gate, old - choice, choice);
    store_lanes<T>(next.row(b) + k, step_counts(m.steps, b * m.steps.length + t) ? moved : old);
  });
}

// Sums of the gates before their functions, by step: d z, d r, d c (of x W + b), and d of the candidate's product.
template <class T>
struct StepGradients {
  Series<T> gate;  // three
  Matrix<T> inner;
  Matrix<T> state;  // of the state before the step
};

template <class T>
void gate_gradients(const Gru<T>& m, int t, const Matrix<T>& upstream, const StepGradients<T>& to) {
  const Matrix<T> h = m.states.at(t);
  const Matrix<T> dz = to.gate.at(update);
  const Matrix<T> dc = to.gate.at(candidate);
  each_line(h, [&](int b, int k) {
    const bool counts = step_counts(m.steps, b * m.steps.length + t);
    const Lanes<T> g = load_lanes(upstream.row(b) + k);
    const Lanes<T> z = load_lanes(m.updates.at(t).row(b) + k);
    const Lanes<T> c = load_lanes(m.choices.at(t).row(b) + k);
    const Lanes<T> old = load_lanes(h.row(b) + k);
    const Lanes<T> keep_old = m.form.update_takes_candidate ? T{1} - z : z;
    const Lanes<T> along = m.form.update_takes_candidate ? c - old : old - c;
    const int count = h.columns - k;
    store_lanes<T>(dz.row(b) + k, first_lanes<T>(counts ? g * along * z * (T{1} - z) : Lanes<T>{}, count));
    store_lanes<T>(dc.row(b) + k, first_lanes<T>(counts ? g * (T{1} - keep_old) * (T{1} - c * c) : Lanes<T>{}, count));
    store_lanes<T>(to.state.row(b) + k, first_lanes<T>(counts ? g * keep_old : g, count));
  });
}

template <class T>
void step_backward(Tape<T>& tape, const Gru<T>& m, int t, const Matrix<T>& upstream, const StepGradients<T>& to,
                   const Series<T>& weights_gradient, const Matrix<T>& bias_gradient) {
  Arena& arena = tape.arena();
  gate_gradients(m, t, upstream, to);
  const Matrix<T> h = m.states.at(t);
  const Matrix<T> r = m.resets.at(t);
  const Matrix<T> p = m.products.at(t);
  const Matrix<T> dr = to.gate.at(reset);
  const Matrix<T> dc = to.gate.at(candidate);
  // The gradient of what meets Uc: (r h) or, after the product, r times the candidate's sum.
  Matrix<T> inner = dc;
  if (m.form.reset_before_product) {
    product<T>(arena, to.inner, {dc}, {m.weights.at(candidate), true}, false);
    each_line(h, [&](int b, int k) {
      const Lanes<T> g = load_lanes(to.inner.row(b) + k);
      const Lanes<T> gate = load_lanes(r.row(b) + k);
      store_lanes<T>(dr.row(b) + k, first_lanes<T>(g * load_lanes(h.row(b) + k) * gate * (T{1} - gate), h.columns - k));
      store_lanes<T>(to.state.row(b) + k, load_lanes(to.state.row(b) + k) + first_lanes<T>(g * gate, h.columns - k));
    });
    product<T>(arena, weights_gradient.at(candidate), {p, true}, {dc}, true);
  } else {
    inner = to.inner;
    each_line(h, [&](int b, int k) {
      const Lanes<T> g = load_lanes(dc.row(b) + k);
      const Lanes<T> gate = load_lanes(r.row(b) + k);
      store_lanes<T>(dr.row(b) + k, first_lanes<T>(g * load_lanes(p.row(b) + k) * gate * (T{1} - gate), h.columns - k));
      store_lanes<T>(inner.row(b) + k, first_lanes<T>(g * gate, h.columns - k));
    });
    product<T>(arena, to.state, {inner}, {m.weights.at(candidate), true}, true);
    product<T>(arena, weights_gradient.at(candidate), {h, true}, {inner}, true);
  }
  for (const Gate gate : {update, reset}) {
    product<T>(arena, to.state, {to.gate.at(gate)}, {m.weights.at(gate), true}, true);
    product<T>(arena, weights_gradient.at(gate), {h, true}, {to.gate.at(gate)}, true);
  }
  const Matrix<T> sums[] = {to.gate.at(update), dr, inner};
  for (int gate = 0; gate < gate_count; ++gate) {
    for (int b = 0; b < h.rows; ++b) {
      for (int c = 0; c < h.columns; ++c) bias_gradient.row(gate)[c] += sums[gate].row(b)[c];
    }
  }
}

template <class T>
void gru_backward(Tape<T>& tape, Var result, const void* memory) {
  const auto& m = *static_cast<const Gru<T>*>(memory);
  Arena& arena = tape.arena();
  const Arena::Mark mark = arena.mark();
  const Matrix<T> upstream = tape.gradient(result);
  const Series<T> both(arena, 2, m.batch, m.width);  // of the state after and before the step, in turn
  const Series<T> weights_gradient(arena, gate_count, m.width, m.width);
  const Series<T> bias_gradient(arena, 1, gate_count, m.width);
  StepGradients<T> to{{arena, gate_count, m.batch, m.width}, Series<T>(arena, 1, m.batch, m.width).at(0), {}};
  for (int k = 0; k < gate_count; ++k) fill_zero(weights_gradient.at(k));
  fill_zero(bias_gradient.at(0));
  fill_zero(both.at(m.steps.length % 2));
  const bool to_gates = tape.needs_gradient(m.gates);
  for (int t = m.steps.length - 1; t >= 0; --t) {
    const Matrix<T> after = both.at((t + 1) % 2);
    for (int b = 0; b < m.batch; ++b) {
      for (int c = 0; c < m.width; ++c) after.row(b)[c] += upstream.row(b * m.steps.length + t)[c];
    }
    to.state = both.at(t % 2);
    step_backward(tape, m, t, after, to, weights_gradient, bias_gradient.at(0));
    for (int k = 0; to_gates && k < gate_count; ++k)
      scatter_steps(to.gate.at(k), t, m.steps.length, k * m.width, tape.gradient_to_add(m.gates), true);
  }
  for (int k = 0; k < gate_count; ++k) {
    if (tape.needs_gradient(m.recurrent))
      scatter_steps(weights_gradient.at(k), 0, 1, k * m.width, tape.gradient_to_add(m.recurrent), true);
    if (m.recurrent_bias.id >= 0 && tape.needs_gradient(m.recurrent_bias)) {
      const Matrix<T> row{bias_gradient.at(0).row(k), 1, m.width, padded(m.width)};
      scatter_steps(row, 0, 1, k * m.width, tape.gradient_to_add(m.recurrent_bias), true);
    }
  }
  if (m.start.id >= 0 && tape.needs_gradient(m.start))
    scatter_steps(both.at(0), 0, 1, 0, tape.gradient_to_add(m.start), true);
  arena.release(mark);
}

template <class T>
void check_gru(Tape<T>& tape, Var gates, Var recurrent, Var start, const Steps& steps, Var bias) {
  const Matrix<T> g = tape.value(gates);
  const Matrix<T> u = tape.value(recurrent);
  require(u.columns == gate_count * u.rows && g.columns == u.columns, "gru", g, u);
  require_with(steps.length > 0 && g.rows % steps.length == 0 &&
                   (steps.valid.empty() || steps.valid.size() == static_cast<std::size_t>(g.rows)),
               "gru", g, "length {} and {} marks", steps.length, steps.valid.size());
  if (start.id >= 0) {
    const Matrix<T> s = tape.value(start);
    require(s.columns == u.rows && s.rows == g.rows / steps.length, "gru", g, s);
  }
  if (bias.id >= 0)
    require(tape.value(bias).rows == 1 && tape.value(bias).columns == u.columns, "gru", g, tape.value(bias));
}

}  // namespace

template <class T>
Var gru(Tape<T>& tape, Var gates, Var recurrent, Var start, const Steps& steps, const GruForm& form, Var bias) {
  check_gru(tape, gates, recurrent, start, steps, bias);
  Arena& arena = tape.arena();
  const int h = tape.value(recurrent).rows;
  const int batch = tape.value(gates).rows / steps.length;
  const int t_end = steps.length;
  const Gru<T> made{gates,
                    recurrent,
                    start,
                    bias,
                    steps,
                    form,
                    batch,
                    h,
                    {arena, gate_count, h, h},
                    {arena, gate_count, 1, h},
                    {arena, t_end + 1, batch, h},
                    {arena, t_end, batch, h},
                    {arena, t_end, batch, h},
                    {arena, t_end, batch, h},
                    {arena, t_end, batch, h}};
  for (int k = 0; k < gate_count; ++k) {
    gather_steps(tape.value(recurrent), 0, 1, k * h, made.weights.at(k));
    if (bias.id >= 0)
      gather_steps(tape.value(bias), 0, 1, k * h, made.biases.at(k));
    else
      fill_zero(made.biases.at(k));
  }
  if (start.id >= 0)
    gather_steps(tape.value(start), 0, 1, 0, made.states.at(0));
  else
    fill_zero(made.states.at(0));
  const bool wanted = any_wanted(tape, gates, recurrent) || (start.id >= 0 && tape.needs_gradient(start)) ||
                      (bias.id >= 0 && tape.needs_gradient(bias));
  const Var out = tape.result(batch * t_end, h, wanted, &gru_backward<T>, keep(tape, made));
  for (int t = 0; t < t_end; ++t) {
    step_forward(tape, made, t);
    scatter_steps(made.states.at(t + 1), t, t_end, 0, tape.value(out), false);
  }
  return out;
}

template Var gru(Tape<float>&, Var, Var, Var, const Steps&, const GruForm&, Var);
template Var gru(Tape<double>&, Var, Var, Var, const Steps&, const GruForm&, Var);

}  // namespace spar::tape
