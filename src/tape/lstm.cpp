#include "product.hpp"
#include "recurrent.hpp"
#include "support.hpp"

#include "spar/tape/functions.hpp"
#include "spar/tape/recurrent.hpp"

namespace spar::tape {

namespace {

using namespace detail;

enum Gate { input, forget, change, output, gate_count };

template <class T>
struct Lstm {
  Var gates;
  Var recurrent;
  Var start;
  Steps steps;
  T forget_offset;
  int batch;
  int width;
  Series<T> weights;  // by gate, each h x h
  Series<T> outputs;  // before step t; length + 1 of them
  Series<T> cells;    // likewise
  Series<T> values;   // of the gates: step t's begin at gate_count * t

  Matrix<T> gate(int t, Gate g) const { return values.at(gate_count * t + g); }
};

template <class T>
void step_forward(Tape<T>& tape, const Lstm<T>& m, int t) {
  const Matrix<T> h = m.outputs.at(t);
  for (int g = 0; g < gate_count; ++g) {
    const Matrix<T> sums = m.gate(t, static_cast<Gate>(g));
    gather_steps(tape.value(m.gates), t, m.steps.length, g * m.width, sums);
    product<T>(tape.arena(), sums, {h}, {m.weights.at(g)}, true);
  }
  each_line(h, [&](int b, int k) {
    T* i = m.gate(t, input).row(b) + k;
    T* f = m.gate(t, forget).row(b) + k;
    T* g = m.gate(t, change).row(b) + k;
    T* o = m.gate(t, output).row(b) + k;
    store_lanes<T>(i, lane_sigmoid(load_lanes(i)));
    store_lanes<T>(f, lane_sigmoid(load_lanes(f) + m.forget_offset));
    store_lanes<T>(g, lane_tanh(load_lanes(g)));
    store_lanes<T>(o, lane_sigmoid(load_lanes(o)));
    const Lanes<T> old_cell = load_lanes(m.cells.at(t).row(b) + k);
    const Lanes<T> old_output = load_lanes(h.row(b) + k);
    const Lanes<T> cell = lane_fma(load_lanes(f), old_cell, load_lanes(i) * load_lanes(g));
    const bool counts = step_counts(m.steps, b * m.steps.length + t);
    store_lanes<T>(m.cells.at(t + 1).row(b) + k, counts ? cell : old_cell);
    store_lanes<T>(m.outputs.at(t + 1).row(b) + k, counts ? load_lanes(o) * lane_tanh(cell) : old_output);
  });
}

// Of the output and the cell after a step, turned into those before it and those of the gates' sums.
template <class T>
void gate_gradients(const Lstm<T>& m, int t, const Matrix<T>& dh, const Matrix<T>& dc, const Series<T>& to,
                    const Matrix<T>& before) {
  each_line(dh, [&](int b, int k) {
    const bool counts = step_counts(m.steps, b * m.steps.length + t);
    const int count = dh.columns - k;
    const auto put = [&](Gate g, Lanes<T> x) {
      store_lanes<T>(to.at(g).row(b) + k, first_lanes<T>(counts ? x : Lanes<T>{}, count));
    };
    const Lanes<T> i = load_lanes(m.gate(t, input).row(b) + k);
    const Lanes<T> f = load_lanes(m.gate(t, forget).row(b) + k);
    const Lanes<T> g = load_lanes(m.gate(t, change).row(b) + k);
    const Lanes<T> o = load_lanes(m.gate(t, output).row(b) + k);
    const Lanes<T> squashed = lane_tanh(load_lanes(m.cells.at(t + 1).row(b) + k));
    const Lanes<T> from_output = load_lanes(dh.row(b) + k);
    const Lanes<T> from_cell = load_lanes(dc.row(b) + k);
    const Lanes<T> cell = from_cell + from_output * o * (T{1} - squashed * squashed);
    put(output, from_output * squashed * o * (T{1} - o));
    put(input, cell * g * i * (T{1} - i));
    put(change, cell * i * (T{1} - g * g));
    put(forget, cell * load_lanes(m.cells.at(t).row(b) + k) * f * (T{1} - f));
    store_lanes<T>(dc.row(b) + k, first_lanes<T>(counts ? cell * f : from_cell, count));
    store_lanes<T>(before.row(b) + k, first_lanes<T>(counts ? Lanes<T>{} : from_output, count));
  });
}

template <class T>
void lstm_backward(Tape<T>& tape, Var result, const void* memory) {
  const auto& m = *static_cast<const Lstm<T>*>(memory);
  Arena& arena = tape.arena();
  const Arena::Mark mark = arena.mark();
  const Matrix<T> upstream = tape.gradient(result);
  const Series<T> dh(arena, 2, m.batch, m.width);
  const Matrix<T> dc = Series<T>(arena, 1, m.batch, m.width).at(0);
  const Series<T> gate(arena, gate_count, m.batch, m.width);
  const Series<T> weights_gradient(arena, gate_count, m.width, m.width);
  for (int g = 0; g < gate_count; ++g) fill_zero(weights_gradient.at(g));
  fill_zero(dh.at(m.steps.length % 2));
  fill_zero(dc);
  for (int t = m.steps.length - 1; t >= 0; --t) {
    const Matrix<T> after = dh.at((t + 1) % 2);
    const Matrix<T> before = dh.at(t % 2);
    for (int b = 0; b < m.batch; ++b) {
      const T* from = upstream.row(b * m.steps.length + t);
      for (int c = 0; c < m.width; ++c) after.row(b)[c] += from[c];
      for (int c = 0; c < m.width; ++c) dc.row(b)[c] += from[m.width + c];
    }
    gate_gradients(m, t, after, dc, gate, before);
    for (int g = 0; g < gate_count; ++g) {
      product<T>(arena, before, {gate.at(g)}, {m.weights.at(g), true}, true);
      product<T>(arena, weights_gradient.at(g), {m.outputs.at(t), true}, {gate.at(g)}, true);
      if (tape.needs_gradient(m.gates))
        scatter_steps(gate.at(g), t, m.steps.length, g * m.width, tape.gradient_to_add(m.gates), true);
    }
  }
  for (int g = 0; g < gate_count && tape.needs_gradient(m.recurrent); ++g)
    scatter_steps(weights_gradient.at(g), 0, 1, g * m.width, tape.gradient_to_add(m.recurrent), true);
  if (m.start.id >= 0 && tape.needs_gradient(m.start)) {
    scatter_steps(dh.at(0), 0, 1, 0, tape.gradient_to_add(m.start), true);
    scatter_steps(dc, 0, 1, m.width, tape.gradient_to_add(m.start), true);
  }
  arena.release(mark);
}

}  // namespace

template <class T>
Var lstm(Tape<T>& tape, Var gates, Var recurrent, Var start, const Steps& steps, T forget_offset) {
  const Matrix<T> x = tape.value(gates);
  const Matrix<T> u = tape.value(recurrent);
  require(u.columns == gate_count * u.rows && x.columns == u.columns, "lstm", x, u);
  require_with(steps.length > 0 && x.rows % steps.length == 0 &&
                   (steps.valid.empty() || steps.valid.size() == static_cast<std::size_t>(x.rows)),
               "lstm", x, "length {} and {} marks", steps.length, steps.valid.size());
  const int h = u.rows;
  const int batch = x.rows / steps.length;
  const bool started = start.id >= 0;
  if (started)
    require(tape.value(start).rows == batch && tape.value(start).columns == 2 * h, "lstm", x, tape.value(start));
  Arena& arena = tape.arena();
  const Lstm<T> made{gates,
                     recurrent,
                     start,
                     steps,
                     forget_offset,
                     batch,
                     h,
                     {arena, gate_count, h, h},
                     {arena, steps.length + 1, batch, h},
                     {arena, steps.length + 1, batch, h},
                     {arena, gate_count * steps.length, batch, h}};
  for (int g = 0; g < gate_count; ++g) gather_steps(u, 0, 1, g * h, made.weights.at(g));
  fill_zero(made.outputs.at(0));
  fill_zero(made.cells.at(0));
  if (started) {
    gather_steps(tape.value(start), 0, 1, 0, made.outputs.at(0));
    gather_steps(tape.value(start), 0, 1, h, made.cells.at(0));
  }
  const bool wanted = any_wanted(tape, gates, recurrent) || (started && tape.needs_gradient(start));
  const Var out = tape.result(x.rows, 2 * h, wanted, &lstm_backward<T>, keep(tape, made));
  for (int t = 0; t < steps.length; ++t) {
    step_forward(tape, made, t);
    scatter_steps(made.outputs.at(t + 1), t, steps.length, 0, tape.value(out), false);
    scatter_steps(made.cells.at(t + 1), t, steps.length, h, tape.value(out), false);
  }
  return out;
}

template Var lstm(Tape<float>&, Var, Var, Var, const Steps&, float);
template Var lstm(Tape<double>&, Var, Var, Var, const Steps&, double);

}  // namespace spar::tape
