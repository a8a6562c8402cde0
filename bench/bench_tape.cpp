#include <cstdio>
#include <numeric>
#include <string>
#include <tuple>
#include <vector>

#include "bench/measure.hpp"
#include <fmt/format.h>

#include "spar/base/memory.hpp"
#include "spar/tape/layers/sequence.hpp"
#include "spar/tape/linear.hpp"
#include "spar/tape/losses.hpp"
#include "spar/tape/operations.hpp"

/// What the tape's operations do on one core, forward and backward together, in GFLOP/s of the multiplications that the
/// result needs (a backward pass of a product is two products; of causal attention half the pairs count).
namespace {

using namespace spar;
using namespace spar::tape;

constexpr double seconds = 0.5;

struct Numbers {
  Numbers(int rows, int columns)
      : room(static_cast<std::size_t>(rows) * static_cast<std::size_t>(padded(columns))),
        matrix{room.data(), rows, columns, padded(columns)} {
    for (int r = 0; r < rows; ++r) {
      for (int c = 0; c < columns; ++c) matrix.at(r, c) = static_cast<float>((r * 31 + c * 17) % 101 - 50) * 0.002F;
    }
  }
  Buffer<float> room;
  Matrix<float> matrix;
};

void print(const std::string& name, const bench::Spread& rate, const char* unit) {
  fmt::print("{:<56} median {:8.2f}  best {:8.2f} {}\n", name, rate.median, rate.best, unit);
  std::fflush(stdout);
}

template <class Step>
void measure(const std::string& name, double work, const Step& step) {
  Tape<float> tape;
  print(name,
        bench::rate(work * 1e-9, seconds, 5, &bench::thread_seconds,
                    [&] {
                      tape.reset();
                      tape.backward(sum(tape, step(tape)));
                    }),
        "GFLOP/s");
}

void measure_linear(int rows, int in, int out) {
  Numbers x(rows, in), dx(rows, in), w(in, out), dw(in, out), b(1, out), db(1, out);
  measure(fmt::format("linear {} x {} x {}, relu", rows, in, out), 6.0 * rows * in * out, [&](Tape<float>& t) {
    return linear(t, t.parameter(x.matrix, dx.matrix), t.parameter(w.matrix, dw.matrix),
                  t.parameter(b.matrix, db.matrix), Activation::relu);
  });
}

void measure_attention(int sequences, int length, int columns, int heads) {
  const int rows = sequences * length;
  Numbers q(rows, columns), dq(rows, columns), k(rows, columns), dk(rows, columns), v(rows, columns), dv(rows, columns);
  measure(fmt::format("causal attention {} x {}, d {}, {} heads", sequences, length, columns, heads),
          6.0 * rows * length * columns, [&](Tape<float>& t) {
            return attention(t, t.parameter(q.matrix, dq.matrix), t.parameter(k.matrix, dk.matrix),
                             t.parameter(v.matrix, dv.matrix), {length, length, heads, true, {}, {}});
          });
}

void measure_gru(int sequences, int length, int width) {
  Numbers g(sequences * length, 3 * width), dg(sequences * length, 3 * width), u(width, 3 * width),
      du(width, 3 * width);
  measure(fmt::format("gru {} x {}, h {}", sequences, length, width), 18.0 * sequences * length * width * width,
          [&](Tape<float>& t) {
            return gru(t, t.parameter(g.matrix, dg.matrix), t.parameter(u.matrix, du.matrix), {}, {length, {}});
          });
}

// The training step of SASRec (Kang and McAuley, ICDM 2018) without its optimiser.
class SequenceModel {
 public:
  SequenceModel()
      : first_(declared_, "first", columns, {.keep = 0.8}),
        second_(declared_, "second", columns, {.keep = 0.8}),
        last_(declared_, "last", columns),
        ids_(rows),
        valid_(rows, 1),
        samples_(sequences) {
    for (const auto& parameter : declared_.all()) {
      values_.emplace_back(parameter.rows, parameter.columns);
      gradients_.emplace_back(parameter.rows, parameter.columns);
      layers::fill_start(parameter, 1, values_.back().matrix);
    }
    for (int k = 0; k < rows; ++k) ids_[static_cast<std::size_t>(k)] = static_cast<std::int32_t>(k * 7919L % items);
    std::iota(samples_.begin(), samples_.end(), Index{0});
    for (int r = 0; r < rows; ++r) mask_.matrix.at(r, 0) = 1.0F;
  }

  Var loss(Tape<float>& t) {
    std::vector<Var>& parameters = vars_;
    parameters.clear();
    for (std::size_t k = 0; k < values_.size(); ++k)
      parameters.push_back(t.parameter(values_[k].matrix, gradients_[k].matrix));
    const layers::Context<float> context{.tape = t, .parameters = parameters, .training = true, .samples = samples_};
    const Var table = t.parameter(table_.matrix, table_gradient_.matrix);
    const Var rows_of_ids = gather<float>(t, table, ids_);
    const Var mask = t.constant(mask_.matrix);
    Var x = layers::drop(context, scale(t, rows_of_ids, 7.07F), 0.8, 1000, length);
    x = first_.apply(context, x, mask, valid_, length);
    x = second_.apply(context, x, mask, valid_, length);
    return bce_with_logits(t, row_dot(t, last_.apply(context, x), rows_of_ids), 1.0F);
  }

  static constexpr int sequences = 128;
  static constexpr int length = 200;

 private:
  static constexpr int columns = 50;
  static constexpr int rows = sequences * length;
  static constexpr int items = 5000;

  layers::Declarations declared_;
  layers::TransformerBlock first_;
  layers::TransformerBlock second_;
  layers::LayerNorm last_;
  std::vector<Numbers> values_;
  std::vector<Numbers> gradients_;
  std::vector<Var> vars_;
  Numbers table_{items, columns};
  Numbers table_gradient_{items, columns};
  Numbers mask_{rows, 1};
  std::vector<std::int32_t> ids_;
  std::vector<std::uint8_t> valid_;
  std::vector<Index> samples_;
};

void measure_sequence_model() {
  SequenceModel model;
  Tape<float> tape;
  print("sasrec step, 128 x 200, d 50, 2 blocks, dropout 0.2",
        bench::rate(1.0, 2.0, 5, &bench::thread_seconds,
                    [&] {
                      tape.reset();
                      tape.backward(sum(tape, model.loss(tape)));
                    }),
        "steps/s");
}

}  // namespace

int main() {
  for (const auto& [rows, in, out] : {std::tuple{64, 64, 32}, {256, 64, 64}, {512, 600, 200}, {25'600, 50, 50}})
    measure_linear(rows, in, out);
  measure_attention(128, 200, 50, 1);
  measure_attention(128, 50, 64, 2);
  measure_gru(128, 20, 64);
  measure_gru(512, 10, 32);
  measure_sequence_model();
}
