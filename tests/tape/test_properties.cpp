#define BOOST_TEST_DYN_LINK
#include <algorithm>
#include <string>

#include "operation_check.hpp"
#include <boost/test/unit_test.hpp>

#include "spar/base/random.hpp"
#include "spar/tape/attention.hpp"
#include "spar/tape/elementwise.hpp"
#include "spar/tape/layers/sequence.hpp"
#include "spar/tape/linear.hpp"
#include "spar/tape/losses.hpp"
#include "spar/tape/memory.hpp"
#include "spar/tape/normalise.hpp"
#include "spar/tape/recurrent.hpp"
#include "spar/tape/reduce.hpp"
#include "spar/tape/shape.hpp"
#include "spar/tape/softmax.hpp"

namespace {

using namespace spar;
using namespace spar::test;
using DoubleTape = tape::Tape<double>;

// Numbers from counters, so that a failing case is the same in every run.
class Dice {
 public:
  explicit Dice(std::uint32_t round) : round_(round) {}
  int between(int low, int high) {
    return low + static_cast<int>(bounded(word(), static_cast<std::uint64_t>(high - low) + 1));
  }
  Grid<double> grid(int rows, int columns, double low = -1.5, double high = 1.5) {
    Grid<double> m(rows, columns);
    for (int r = 0; r < rows; ++r) {
      for (int c = 0; c < columns; ++c) m.at(r, c) = low + (high - low) * unit(word());
    }
    return m;
  }

 private:
  std::uint64_t word() { return word64(stream_.block(round_, next_++), 0); }

  RandomStream stream_{20261122, Purpose::synthetic};
  std::uint32_t round_;
  std::uint32_t next_ = 0;
};

struct Operation {
  std::string name;
  std::vector<Grid<double>> inputs;
  Build<double> build;
};

// Operations whose shapes follow from n x m, k and l alone.
std::vector<Operation> operations_of(Dice& dice) {
  const int n = dice.between(0, 5);
  const int m = dice.between(1, 35);
  const int k = dice.between(1, 20);
  const int l = dice.between(1, 4);
  const auto x = dice.grid(n, m);
  const auto y = dice.grid(n, m);
  using V = const Vars&;
  using T = DoubleTape&;
  return {
      {"mix", {dice.grid(n, m, 0, 1), x, y}, [](T t, V v) { return tape::mix(t, v[0], v[1], v[2]); }},
      {"divide", {x, dice.grid(n, m, 0.5, 2)}, [](T t, V v) { return tape::divide(t, v[0], v[1]); }},
      {"tanh", {x}, [](T t, V v) { return tape::hyperbolic_tangent(t, v[0]); }},
      {"log_sigmoid", {x}, [](T t, V v) { return tape::log_sigmoid(t, v[0]); }},
      {"matmul", {x, dice.grid(m, k)}, [](T t, V v) { return tape::matmul(t, v[0], v[1]); }},
      {"linear",
       {x, dice.grid(m, k), dice.grid(1, k)},
       [](T t, V v) { return tape::linear(t, v[0], v[1], v[2], tape::Activation::sigmoid); }},
      {"transpose", {x}, [](T t, V v) { return tape::transpose(t, v[0]); }},
      {"repeat_rows", {x}, [l](T t, V v) { return tape::repeat_rows(t, v[0], l); }},
      {"multiply_row", {x, dice.grid(1, m)}, [](T t, V v) { return tape::multiply_row(t, v[0], v[1]); }},
      {"multiply_column", {x, dice.grid(n, 1)}, [](T t, V v) { return tape::multiply_column(t, v[0], v[1]); }},
      {"l2_normalise", {x}, [](T t, V v) { return tape::l2_normalise(t, v[0]); }},
      {"column_mean", {x}, [](T t, V v) { return tape::column_mean(t, v[0]); }},
      {"softmax", {x}, [](T t, V v) { return tape::softmax(t, v[0]); }},
      {"log_softmax", {x}, [](T t, V v) { return tape::log_softmax(t, v[0]); }},
      {"layer_norm",
       {x, dice.grid(1, m), dice.grid(1, m)},
       [](T t, V v) { return tape::layer_norm(t, v[0], v[1], v[2], 0.1); }},
      {"weight_norm",
       {dice.grid(l, m, 0.2, 1), dice.grid(1, m)},
       [](T t, V v) { return tape::weight_norm(t, v[0], v[1]); }},
      {"gaussian_kl", {x, y}, [](T t, V v) { return tape::gaussian_kl(t, v[0], v[1]); }},
      {"distances", {x, dice.grid(l, m)}, [](T t, V v) { return tape::distances(t, v[0], v[1]); }},
      {"memory_write",
       {dice.grid(l, m), dice.grid(n, l), x, y},
       [](T t, V v) { return tape::memory_write(t, v[0], v[1], v[2], v[3]); }},
      {"attention",
       {dice.grid(n * l, m), dice.grid(n * l, m), dice.grid(n * l, m)},
       [l](T t, V v) {
         return tape::attention(t, v[0], v[1], v[2], {l, l, 1, true, {}, {}});
       }},
      {"gru",
       {dice.grid(n * l, 3 * k), dice.grid(k, 3 * k, -0.3, 0.3), dice.grid(n, k)},
       [l](T t, V v) {
         return tape::gru(t, v[0], v[1], v[2], {l, {}});
       }},
      {"lstm",
       {dice.grid(n * l, 4 * k), dice.grid(k, 4 * k, -0.3, 0.3), dice.grid(n, 2 * k)},
       [l](T t, V v) {
         return tape::lstm(t, v[0], v[1], v[2], {l, {}});
       }},
      {"sequence_sums",
       {dice.grid(n * l, m), dice.grid(n * l, 1)},
       [l](T t, V v) { return tape::sequence_sums(t, v[0], v[1], l); }},
  };
}

// A layer over sequences with parameters from their laws.
template <class Layer>
struct Built {
  template <class... Arguments>
  explicit Built(const Arguments&... arguments) : layer(declared, "layer", arguments...) {
    for (const auto& parameter : declared.all()) {
      values.emplace_back(parameter.rows, parameter.columns);
      tape::layers::fill_start(parameter, 11, values.back().view());
    }
  }
  template <class F>
  std::vector<float> run(const Grid<float>& input, const F& apply) {
    Grid<float> x = input;
    tape::Tape<float> t;
    Vars vars;
    for (auto& value : values) vars.push_back(t.constant(value.view()));
    const tape::layers::Context<float> context{.tape = t, .parameters = vars};
    const auto y = t.value(apply(layer, context, t.constant(x.view())));
    std::vector<float> numbers;
    for (int r = 0; r < y.rows; ++r) numbers.insert(numbers.end(), y.row(r), y.row(r) + y.columns);
    return numbers;
  }

  tape::layers::Declarations declared;
  Layer layer;
  std::vector<Grid<float>> values;
};

constexpr int sequences = 7;
constexpr int length = 5;
constexpr int width = 12;

// Sequence b of the result is sequence order[b] of x.
Grid<float> reordered(const Grid<float>& x, const std::vector<int>& order, int rows) {
  Grid<float> y(x.rows(), x.columns());
  for (int r = 0; r < x.rows(); ++r) {
    for (int c = 0; c < x.columns(); ++c)
      y.at(r, c) = x.at(order[static_cast<std::size_t>(r / rows)] * rows + r % rows, c);
  }
  return y;
}

template <class Layer, class F>
void check_equivariance(Built<Layer>& built, const F& apply) {
  const std::vector<int> order{3, 0, 6, 1, 5, 2, 4};
  const auto x = grid(sequences * length, width, 1).as<float>();
  const auto plain = built.run(x, apply);
  const auto mixed = built.run(reordered(x, order, length), apply);
  const std::size_t share = plain.size() / sequences;
  for (std::size_t b = 0; b < sequences; ++b)
    BOOST_TEST(std::equal(mixed.begin() + static_cast<std::ptrdiff_t>(b * share),
                          mixed.begin() + static_cast<std::ptrdiff_t>((b + 1) * share),
                          plain.begin() + static_cast<std::ptrdiff_t>(static_cast<std::size_t>(order[b]) * share)));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(properties)

BOOST_AUTO_TEST_CASE(gradients_are_right_on_shapes_that_nobody_chose) {
  for (std::uint32_t round = 0; round < 12; ++round) {
    Dice dice(round);
    for (auto& operation : operations_of(dice)) {
      BOOST_TEST_CONTEXT(operation.name << ", round " << round) {
        const auto numeric = numeric_gradients(
            operation.inputs, [&](std::vector<Grid<double>>& moved) { return scalar_of(moved, operation.build); });
        check_close(tape_gradients(operation.inputs, operation.build), numeric, 1e-6, 1e-1);
        check_padding(operation.inputs, operation.build);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(layers_treat_the_sequences_of_a_batch_alike_to_the_bit) {
  using namespace tape::layers;
  const tape::Steps steps{length, {}};
  Built<GruEncoder> gru(width, 9);
  check_equivariance(gru, [&](auto& l, const auto& c, auto x) { return l.apply(c, x, {}, steps); });
  Built<LstmEncoder> lstm(width, 9);
  check_equivariance(lstm, [&](auto& l, const auto& c, auto x) { return l.apply(c, x, {}, steps); });
  Built<AttentionPooling> pooling(width, 8);
  check_equivariance(pooling, [&](auto& l, const auto& c, auto x) { return l.apply(c, x, {}, {}, length); });
  Grid<float> mask(sequences * length, 1);
  mask.fill(1.0F);
  for (const BlockForm form : {BlockForm::sasrec, BlockForm::pre_norm}) {
    Built<TransformerBlock> block(width, TransformerSettings{.form = form, .heads = 3});
    check_equivariance(
        block, [&](auto& l, const auto& c, auto x) { return l.apply(c, x, c.tape.constant(mask.view()), {}, length); });
  }
}

BOOST_AUTO_TEST_CASE(fully_padded_sequences_end_as_zeros) {
  using namespace tape::layers;
  const auto x = grid(sequences * length, width, 1).as<float>();
  const std::vector<std::uint8_t> none(sequences * length, 0);
  Grid<float> column(sequences * length, 1);
  Grid<float> cells(sequences, length);
  for (const BlockForm form : {BlockForm::sasrec, BlockForm::pre_norm}) {
    Built<TransformerBlock> block(width, TransformerSettings{.form = form});
    for (const float y : block.run(x, [&](auto&l, const auto&c, auto in) {
           return l.apply(c, in, c.tape.constant(column.view()), none, length);
         }))
      BOOST_TEST(y == 0.0F);
  }
  Built<AttentionPooling> pooling(width, 8);
  for (const float y :
       pooling.run(x, [&](auto&l, const auto&c, auto in) { return l.apply(c, in, {}, cells.view(), length); }))
    BOOST_TEST(y == 0.0F);
  Built<GruEncoder> gru(width, 9);
  for (const float y : gru.run(x, [&](auto&l, const auto&c, auto in) {
         return l.apply(c, in, {}, tape::Steps{length, none});
       }))
    BOOST_TEST(y == 0.0F);
}

BOOST_AUTO_TEST_SUITE_END()
