#define BOOST_TEST_DYN_LINK
#include <array>
#include <cmath>
#include <numeric>

#include "layer_check.hpp"
#include <boost/test/unit_test.hpp>

#include "spar/tape/convolution.hpp"
#include "spar/tape/layers/dense.hpp"
#include "spar/tape/layers/image.hpp"
#include "spar/tape/layers/sequence.hpp"
#include "spar/tape/linear.hpp"
#include "spar/tape/losses.hpp"
#include "spar/tape/reduce.hpp"
#include "spar/tape/shape.hpp"

namespace {

using namespace spar;
using namespace spar::test;
using namespace spar::tape::layers;
using tape::Activation;

// The fixture's numbers in both kinds.
struct Both {
  explicit Both(const Grid<double>& m) : in_double(m), in_float(m.as<float>()) {}
  template <class T>
  tape::Matrix<T> of(const tape::Tape<T>& t) {
    return view_of(t, in_double, in_float);
  }

  Grid<double> in_double;
  Grid<float> in_float;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(layers)

BOOST_AUTO_TEST_CASE(an_mlp_equals_pytorch) {
  Declarations declared;
  const Mlp mlp(declared, "mlp", {7, 6, 4, 3}, {.activation = Activation::elu, .last_activation = Activation::sigmoid});
  check_layer(Fixture("mlp"), declared, {"x"}, [&](const auto& c, auto in) { return mlp.apply(c, in[0]); });
}

BOOST_AUTO_TEST_CASE(a_bag_encoder_equals_pytorch) {
  const Fixture f("bag_encoder");
  Declarations declared;
  const BagEncoder encoder(declared, "bag", 5, Activation::tanh);
  std::vector<std::int64_t> offsets;
  std::vector<std::int32_t> slots;
  for (const double x : f["offsets"].numbers()) offsets.push_back(static_cast<std::int64_t>(x));
  for (const double x : f["slots"].numbers()) slots.push_back(static_cast<std::int32_t>(x));
  Both weights(f["weights"]);
  check_layer(f, declared, {"rows"}, [&]<class T>(const Context<T>& c, auto in) {
    const auto w = weights.of(c.tape);
    return encoder.apply(c, in[0], {offsets, slots}, std::span<const T>(w.row(0), 5));
  });
}

BOOST_AUTO_TEST_CASE(a_highway_layer_equals_pytorch) {
  Declarations declared;
  const Highway highway(declared, "highway", 6, Activation::relu);
  check_layer(Fixture("highway"), declared, {"x"}, [&](const auto& c, auto in) { return highway.apply(c, in[0]); });
}

BOOST_AUTO_TEST_CASE(layer_norm_equals_pytorch) {
  Declarations declared;
  const LayerNorm norm(declared, "norm", 9);
  check_layer(Fixture("layer_norm"), declared, {"x"}, [&](const auto& c, auto in) { return norm.apply(c, in[0]); });
}

BOOST_AUTO_TEST_CASE(batch_norm_and_its_running_moments_equal_pytorch) {
  const Fixture f("batch_norm");
  Declarations declared;
  const BatchNorm norm(declared, "norm", 5);
  const auto build = [&](const auto& c, auto in) {
    if (!c.training) return norm.normalise(c, in[0], {});
    const auto sums = norm.sums(c, in[0]);
    c.tape.close_cut(c.tape.open_cut());
    const auto y = norm.normalise(c, in[0], sums);
    norm.update(c, sums);
    return y;
  };
  check_layer(f, declared, {"x"}, build);
  LayerRun<double> run(f, declared, {"x"});
  run.run(build, nullptr);
  check_numbers(run.state(0), f["mean"].numbers(), 1e-12);
  check_numbers(run.state(1), f["variance"].numbers(), 1e-12);
  check_numbers(run.numbers(run.run(build, nullptr, false)), f["evaluated"].numbers(), 1e-11);
  check_numbers(run.state(0), f["mean"].numbers(), 1e-12);
}

BOOST_AUTO_TEST_CASE(weight_norm_equals_pytorch) {
  check_layer(Fixture("weight_norm"), {}, {"x", "directions", "gains"}, [](const auto& c, auto in) {
    return tape::matmul(c.tape, in[0], tape::weight_norm(c.tape, in[1], in[2]));
  });
}

BOOST_AUTO_TEST_CASE(a_gru_equals_pytorch) {
  Declarations declared;
  const GruEncoder gru(declared, "gru", 5, 6, {.update_takes_candidate = false, .reset_before_product = false});
  check_layer(Fixture("gru"), declared, {"x", "start"}, [&](const auto& c, auto in) {
    return gru.apply(c, in[0], in[1], tape::Steps{4, {}});
  });
}

BOOST_AUTO_TEST_CASE(an_lstm_equals_pytorch) {
  Declarations declared;
  const LstmEncoder lstm(declared, "lstm", 5, 6, 0.0);
  check_layer(Fixture("lstm"), declared, {"x", "start"}, [&](const auto& c, auto in) {
    return lstm.apply(c, in[0], in[1], tape::Steps{4, {}});
  });
}

BOOST_AUTO_TEST_CASE(both_forms_of_a_transformer_block_equal_pytorch) {
  for (const auto& [name, form] :
       {std::pair{"sasrec_block", BlockForm::sasrec}, {"pre_norm_block", BlockForm::pre_norm}}) {
    const Fixture f(name);
    Declarations declared;
    const TransformerBlock block(declared, "block", 8, {.form = form, .heads = 2, .inner_width = 10});
    Both mask(f["mask"]);
    const auto valid = marks_of(f["mask"]);
    check_layer(f, declared, {"x"}, [&](const auto& c, auto in) {
      return block.apply(c, in[0], c.tape.constant(mask.of(c.tape)), valid, 6);
    });
  }
}

BOOST_AUTO_TEST_CASE(cross_attention_equals_pytorch) {
  const Fixture f("cross_attention");
  Declarations declared;
  const CrossAttention attention(declared, "cross", 6, 3);
  const auto valid = marks_of(f["valid"]);
  check_layer(f, declared, {"x", "memory"}, [&](const auto& c, auto in) {
    return attention.apply(c, in[0], in[1], {.query_length = 3, .key_length = 4, .valid_keys = valid});
  });
}

BOOST_AUTO_TEST_CASE(attention_pooling_equals_pytorch) {
  const Fixture f("attention_pooling");
  Declarations declared;
  const AttentionPooling pool(declared, "pool", 5, 6, 2);
  Both mask(f["mask"]);
  check_layer(f, declared, {"x", "context"},
              [&](const auto& c, auto in) { return pool.apply(c, in[0], in[1], mask.of(c.tape), 4); });
}

BOOST_AUTO_TEST_CASE(convolutions_equal_pytorch) {
  check_layer(Fixture("convolution"), {}, {"x", "wide", "bias", "narrow"}, []<class T>(const Context<T>& c, auto in) {
    auto& t = c.tape;
    const auto wide = tape::conv2d(t, in[0], in[1], {8, 6}, {3, 1, tape::Padding::symmetric, 1});
    const auto h = tape::leaky_relu(t, tape::add_row(t, wide, in[2]), static_cast<T>(0.2));
    const auto pooled = tape::max_pool2d(t, h, {8, 6}, 2, 2);
    return tape::conv_transpose2d(t, pooled, in[3], {4, 3}, {4, 2, tape::Padding::symmetric, 1});
  });
}

BOOST_AUTO_TEST_CASE(a_stack_of_convolutions_with_batch_norm_equals_pytorch) {
  Declarations declared;
  const ConvStack stack(declared, "stack", {4, 4}, 2,
                        {{.channels = 5,
                          .kernel = {3, 2, tape::Padding::symmetric, 1},
                          .batch_norm = true,
                          .activation = Activation::leaky_relu},
                         {.channels = 3,
                          .kernel = {4, 2, tape::Padding::symmetric, 1},
                          .transposed = true,
                          .activation = Activation::tanh}});
  BOOST_TEST(stack.size_after(0).height == 2);
  BOOST_TEST(stack.size_after(1).width == 4);
  check_layer(Fixture("conv_stack"), declared, {"x"}, [&](const auto& c, auto in) {
    const auto h = stack.convolve(c, 0, in[0]);
    const auto sums = stack.sums(c, 0, h);
    c.tape.close_cut(c.tape.open_cut());
    const auto y = stack.finish(c, 0, h, sums);
    BOOST_TEST(!stack.cuts(1));
    return stack.finish(c, 1, stack.convolve(c, 1, y), {});
  });
}

BOOST_AUTO_TEST_CASE(a_key_value_memory_equals_pytorch) {
  Declarations declared;
  const KeyValueMemory memory(declared, "memory", 5, 4, KeyValueMemory::Similarity::distance);
  check_layer(Fixture("key_value_memory"), declared, {"queries", "values", "written"}, [&](const auto& c, auto in) {
    const auto weights = memory.weigh(c, in[0]);
    return memory.read(c, weights, memory.write(c, weights, in[1], in[2]));
  });
}

BOOST_AUTO_TEST_CASE(losses_equal_pytorch) {
  const Fixture f("losses");
  Both labels(f["labels"]);
  std::vector<std::int32_t> classes;
  for (const double k : f["classes"].numbers()) classes.push_back(static_cast<std::int32_t>(k));
  check_layer(f, {}, {"x"}, [&](const auto& c, auto in) {
    auto& t = c.tape;
    const auto y = labels.of(t);
    const auto x = in[0];
    const std::array parts{
        tape::row_sum(t, tape::bce_with_logits(t, x, y)),
        tape::row_sum(t, tape::squared_error(t, x, y)),
        tape::cross_entropy(t, x, classes),
        tape::multinomial_loss(t, x, y),
        tape::pairwise_log_sigmoid(t, tape::slice_columns(t, x, 0, 1), tape::slice_columns(t, x, 1, 1)),
        tape::gaussian_kl(t, x, t.constant(y))};
    return tape::concat_columns(t, parts);
  });
}

BOOST_AUTO_TEST_CASE(a_perturbation_at_a_tap_of_a_layer_counts) {
  const Fixture f("mlp");
  Declarations declared;
  const Mlp mlp(declared, "mlp", {7, 6, 4, 3}, {.activation = Activation::elu}, "encoder.");
  LayerRun<double> run(f, declared, {"x"});
  const auto plain = run.numbers(run.run([&](const auto& c, auto in) { return mlp.apply(c, in[0]); }, nullptr));
  Grid<double> hidden(5, 4, 0.1, 1);
  Grid<double> weights(6, 4, 0.1, 2);
  for (const auto& [name, delta] : {std::pair{"encoder.hidden.2", &hidden}, {"mlp.1.weights", &weights}}) {
    const auto moved = run.numbers(run.run(
        [&, n = name, d = delta](const auto& c, auto in) {
          c.tape.perturb(n, d->view());
          return mlp.apply(c, in[0]);
        },
        nullptr));
    BOOST_TEST(moved != plain);
  }
}

BOOST_AUTO_TEST_CASE(dropout_counts_in_training_alone_and_is_the_same_in_a_second_pass) {
  Declarations declared;
  const Mlp before(declared, "before", {3, 50, 2}, {.keep = 0.5, .drop_before_activation = true});
  const Mlp after(declared, "after", {3, 50, 2}, {.keep = 0.5});
  std::vector<Grid<float>> values;
  std::vector<tape::Var> vars;
  tape::Tape<float> t;
  for (const auto& parameter : declared.all()) {
    values.emplace_back(parameter.rows, parameter.columns);
    tape::layers::fill_start(parameter, 7, values.back().view());
  }
  for (auto& value : values) vars.push_back(t.constant(value.view()));
  Grid<float> x(4, 3, 1.0, 1);
  const std::vector<Index> samples{5, 6, 7, 8};
  const auto numbers = [&](const Mlp& mlp, bool training, std::uint32_t step) {
    const Context<float> c{
        .tape = t, .parameters = vars, .training = training, .noise = {.step = step}, .samples = samples};
    const auto y = t.value(mlp.apply(c, t.constant(x.view())));
    return std::vector<float>{y.at(0, 0), y.at(1, 1), y.at(3, 0)};
  };
  for (const Mlp* mlp : {&before, &after}) {
    BOOST_TEST(numbers(*mlp, true, 1) == numbers(*mlp, true, 1));
    BOOST_TEST(numbers(*mlp, true, 1) != numbers(*mlp, true, 2));
    BOOST_TEST(numbers(*mlp, true, 1) != numbers(*mlp, false, 1));
    BOOST_TEST(numbers(*mlp, false, 1) == numbers(*mlp, false, 2));
  }
}

BOOST_AUTO_TEST_CASE(initial_numbers_follow_their_laws_and_belong_to_the_name) {
  const auto start = [](const std::string& name, Start law, std::uint64_t seed = 3) {
    Grid<float> m(200, 300);
    fill_start({name, 200, 300, law}, seed, m.view());
    return m.numbers();
  };
  const auto check_spread = [&](Start law, double deviation, double furthest) {
    const auto numbers = start("w", law);
    double squares = 0.0;
    double largest = 0.0;
    for (const float x : numbers) {
      squares += static_cast<double>(x) * static_cast<double>(x);
      largest = std::max(largest, static_cast<double>(std::abs(x)));
    }
    BOOST_TEST(std::sqrt(squares / 60'000) == deviation, boost::test_tools::tolerance(0.02));
    BOOST_TEST(largest <= furthest * (1.0 + 1e-6));
  };
  const double xavier = std::sqrt(6.0 / 500);
  check_spread({Law::constant, -0.5}, 0.5, 0.5);
  check_spread({Law::uniform, 0.3}, 0.3 / std::sqrt(3.0), 0.3);
  check_spread({Law::normal, 0.02}, 0.02, 0.12);
  check_spread({Law::truncated_normal, 0.02}, 0.02 * 0.8796, 0.04);
  check_spread({Law::xavier_uniform}, xavier / std::sqrt(3.0), xavier);
  check_spread({Law::xavier_normal}, std::sqrt(2.0 / 500), 6.0 * std::sqrt(2.0 / 500));
  check_spread({Law::fan_in_uniform}, 1.0 / std::sqrt(600.0), 1.0 / std::sqrt(200.0));
  BOOST_TEST((start("w", {}) == start("w", {})));
  BOOST_TEST((start("w", {}) != start("v", {})));
  BOOST_TEST((start("w", {}) != start("w", {}, 4)));
}

BOOST_AUTO_TEST_CASE(a_name_is_declared_once) {
  Declarations declared;
  const Dense first(declared, "dense", 2, 3);
  BOOST_CHECK_THROW(Dense(declared, "dense", 2, 3), Bug);
}

BOOST_AUTO_TEST_SUITE_END()
