#define BOOST_TEST_DYN_LINK
#include <algorithm>
#include <cmath>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "spar/base/memory.hpp"
#include "spar/optim/rules.hpp"
#include "spar/optim/update.hpp"

namespace {

using namespace spar;
using optim::OptimizerSettings;
using optim::Rule;

constexpr int width = 32;

// A record of `width` values and the rule's state blocks behind them.
struct Record {
  Buffer<float> numbers;

  explicit Record(const OptimizerSettings& settings)
      : numbers(static_cast<std::size_t>(width * (1 + optim::state_blocks(settings.rule)))) {
    for (std::size_t c = 0; c < width; ++c) numbers[c] = 0.1F * static_cast<float>(c) - 1.0F;
    optim::reset_state(settings, numbers.data(), width);
  }
  float value(int c) const { return numbers[static_cast<std::size_t>(c)]; }
  float state(int block, int c) const { return numbers[static_cast<std::size_t>((1 + block) * width + c)]; }
};

// Every column has a gradient of its own; some are zero.
Buffer<float> gradient_at(int step) {
  Buffer<float> g(width);
  for (int c = 0; c < width; ++c)
    g[static_cast<std::size_t>(c)] = c % 7 == 3 ? 0.0F : static_cast<float>(std::sin(0.3 * c + 0.9 * step));
  return g;
}

// The rules as the papers write them, one number at a time in float64.
struct SlowNumber {
  double x = 0;
  double a = 0;  // Adagrad
  double m = 0;  // Adam
  double v = 0;
  std::int64_t steps = 0;

  void move(const OptimizerSettings& s, double g) {
    const auto rate = static_cast<double>(s.learning_rate);
    const auto epsilon = static_cast<double>(s.epsilon);
    ++steps;
    switch (s.rule) {
      case Rule::sgd:
        x -= rate * g;
        return;
      case Rule::adagrad:
        a += g * g;
        x -= rate * g / (std::sqrt(a) + epsilon);
        return;
      case Rule::adam:
      case Rule::lazy_adam: {
        const auto beta1 = static_cast<double>(s.beta1);
        const auto beta2 = static_cast<double>(s.beta2);
        m = beta1 * m + (1 - beta1) * g;
        v = beta2 * v + (1 - beta2) * g * g;
        const double first = m / (1 - std::pow(beta1, static_cast<double>(steps)));
        const double second = v / (1 - std::pow(beta2, static_cast<double>(steps)));
        x -= rate * first / (std::sqrt(second) + epsilon);
        return;
      }
    }
  }
};

const OptimizerSettings all_rules[] = {
    {Rule::sgd, 0.05F, 0.1F, 0.9F, 0.999F, 0.0F},      {Rule::adagrad, 0.05F, 0.1F, 0.9F, 0.999F, 0.0F},
    {Rule::adagrad, 0.05F, 0.0F, 0.9F, 0.999F, 1e-3F}, {Rule::adam, 0.05F, 0.1F, 0.9F, 0.999F, 1e-8F},
    {Rule::adam, 0.01F, 0.1F, 0.5F, 0.9F, 1e-2F},      {Rule::lazy_adam, 0.05F, 0.1F, 0.9F, 0.999F, 1e-8F},
};

}  // namespace

BOOST_AUTO_TEST_SUITE(update)

BOOST_AUTO_TEST_CASE(names_give_rules_and_rules_name_their_state) {
  BOOST_TEST(static_cast<int>(optim::rule_of("sgd")) == static_cast<int>(Rule::sgd));
  BOOST_TEST(static_cast<int>(optim::rule_of("adagrad")) == static_cast<int>(Rule::adagrad));
  BOOST_TEST(static_cast<int>(optim::rule_of("adam")) == static_cast<int>(Rule::adam));
  BOOST_TEST(static_cast<int>(optim::rule_of("lazy_adam")) == static_cast<int>(Rule::lazy_adam));
  BOOST_TEST(optim::state_blocks(Rule::sgd) == 0);
  BOOST_TEST(optim::state_blocks(Rule::adagrad) == 1);
  BOOST_TEST(optim::state_blocks(Rule::adam) == 2);
  BOOST_TEST(optim::state_blocks(Rule::lazy_adam) == 3);
  BOOST_TEST(optim::state_name(Rule::adagrad, 0) == std::string("accumulator"));
  BOOST_TEST(optim::state_name(Rule::adam, 0) == std::string("first_moment"));
  BOOST_TEST(optim::state_name(Rule::adam, 1) == std::string("second_moment"));
  BOOST_TEST(optim::state_name(Rule::lazy_adam, 2) == std::string("steps"));
}

// x = 1, g = 0.5 then -0.25, rate 0.1; by hand.
BOOST_AUTO_TEST_CASE(two_steps_of_each_rule_are_the_numbers_worked_out_by_hand) {
  struct Case {
    OptimizerSettings settings;
    double after_one;
    double after_two;
  };
  const Case cases[] = {
      // 1 - 0.05, + 0.025
      {{Rule::sgd, 0.1F}, 0.95, 0.975},
      // a = 0.35: 1 - 0.05 / 0.5916080; a = 0.4125: + 0.025 / 0.6422616
      {{Rule::adagrad, 0.1F, 0.1F}, 0.9154846, 0.9544093},
      // m^ = 0.5, v^ = 0.25: 1 - 0.1; m^ = 0.02 / 0.19, v^ = 0.00031225 / 0.001999
      {{Rule::adam, 0.1F, 0.1F, 0.9F, 0.999F, 0.0F}, 0.9, 0.8733662},
      {{Rule::lazy_adam, 0.1F, 0.1F, 0.9F, 0.999F, 0.0F}, 0.9, 0.8733662},
  };
  for (const Case& c : cases) {
    Buffer<float> record(static_cast<std::size_t>(16 * (1 + optim::state_blocks(c.settings.rule))));
    std::fill_n(record.begin(), 16, 1.0F);
    optim::reset_state(c.settings, record.data(), 16);
    Buffer<float> g(16);
    optim::Updater updater(c.settings);
    updater.begin_step(1);
    std::fill(g.begin(), g.end(), 0.5F);
    updater.update(record.data(), g.data(), 16, 16);
    for (int k = 0; k < 16; ++k) BOOST_TEST(std::abs(record[static_cast<std::size_t>(k)] - c.after_one) < 1e-6);
    updater.begin_step(2);
    std::fill(g.begin(), g.end(), -0.25F);
    updater.update(record.data(), g.data(), 16, 16);
    for (int k = 0; k < 16; ++k) BOOST_TEST(std::abs(record[static_cast<std::size_t>(k)] - c.after_two) < 2e-6);
  }
}

BOOST_AUTO_TEST_CASE(many_steps_stay_with_the_rule_written_out_number_by_number) {
  for (const OptimizerSettings& settings : all_rules) {
    Record record(settings);
    std::vector<SlowNumber> slow(width);
    for (int c = 0; c < width; ++c) {
      slow[static_cast<std::size_t>(c)].x = static_cast<double>(record.value(c));
      slow[static_cast<std::size_t>(c)].a = static_cast<double>(settings.initial_accumulator);
    }
    optim::Updater updater(settings);
    for (int step = 1; step <= 60; ++step) {
      const auto g = gradient_at(step);
      updater.begin_step(step);
      // Without a start and without a gradient, Adagrad divides nothing by nothing; its epsilon is there for that.
      updater.update(record.numbers.data(), g.data(), width, width);
      for (int c = 0; c < width; ++c)
        slow[static_cast<std::size_t>(c)].move(settings, static_cast<double>(g[static_cast<std::size_t>(c)]));
    }
    for (int c = 0; c < width; ++c) {
      const auto expected = slow[static_cast<std::size_t>(c)].x;
      BOOST_TEST(std::abs(static_cast<double>(record.value(c)) - expected) < 2e-5);
    }
  }
}

// f(x) = sum of k (x_k - 1)^2 / 2: every rule comes to its only minimum.
BOOST_AUTO_TEST_CASE(every_rule_finds_the_minimum_of_a_quadratic) {
  for (OptimizerSettings settings : all_rules) {
    // Adagrad's own steps shrink like 1 / sqrt(t).
    if (settings.rule == Rule::adagrad) settings.learning_rate = 0.5F;
    Record record(settings);
    optim::Updater updater(settings);
    Buffer<float> g(width);
    for (int step = 1; step <= 4000; ++step) {
      for (int c = 0; c < width; ++c)
        g[static_cast<std::size_t>(c)] = 0.25F * static_cast<float>(1 + c) * (record.value(c) - 1.0F);
      updater.begin_step(step);
      updater.update(record.numbers.data(), g.data(), width, width);
    }
    for (int c = 0; c < width; ++c) BOOST_TEST(std::abs(record.value(c) - 1.0F) < 1e-2F);
  }
}

BOOST_AUTO_TEST_CASE(state_starts_where_the_settings_say) {
  const Record adagrad(all_rules[1]);
  const Record adam(all_rules[5]);
  for (int c = 0; c < width; ++c) {
    BOOST_TEST(adagrad.state(0, c) == 0.1F);
    for (int block = 0; block < 3; ++block) BOOST_TEST(adam.state(block, c) == 0.0F);
  }
}

BOOST_AUTO_TEST_CASE(lazy_adam_corrects_by_the_steps_of_the_row_whatever_the_step_of_the_training) {
  const OptimizerSettings settings{Rule::lazy_adam, 0.05F, 0.1F, 0.9F, 0.999F, 1e-8F};
  Record early(settings);
  Record late(settings);
  optim::Updater updater(settings);
  for (int step = 1; step <= 3; ++step) {
    const auto g = gradient_at(step);
    updater.begin_step(step);
    updater.update(early.numbers.data(), g.data(), width, width);
    updater.begin_step(1000 * step);
    updater.update(late.numbers.data(), g.data(), width, width);
  }
  BOOST_TEST(std::equal(early.numbers.begin(), early.numbers.end(), late.numbers.begin()));
  BOOST_TEST(early.state(2, 0) == 3.0F);
}

BOOST_AUTO_TEST_CASE(dense_adam_moves_rows_without_a_gradient_and_lazy_adam_leaves_them) {
  const Buffer<float> zero(width);
  for (const Rule rule : {Rule::sgd, Rule::adagrad, Rule::adam, Rule::lazy_adam})
    BOOST_TEST(optim::Updater({.rule = rule}).moves_all_rows() == (rule == Rule::adam));
  const OptimizerSettings settings{Rule::adam, 0.05F, 0.1F, 0.9F, 0.999F, 1e-8F};
  Record record(settings);
  optim::Updater updater(settings);
  updater.begin_step(1);
  updater.update(record.numbers.data(), gradient_at(1).data(), width, width);
  const float before = record.value(0);
  const float moment = record.state(0, 0);
  updater.begin_step(2);
  updater.update(record.numbers.data(), zero.data(), width, width);
  BOOST_TEST(record.value(0) != before);
  BOOST_TEST(record.state(0, 0) == 0.9F * moment, boost::test_tools::tolerance(1e-6F));
}

BOOST_AUTO_TEST_CASE(padding_that_is_zero_stays_zero) {
  for (const OptimizerSettings& settings : all_rules) {
    if (settings.rule == Rule::adagrad && settings.initial_accumulator == 0.0F) continue;
    Record record(settings);
    std::fill(record.numbers.begin() + 20, record.numbers.begin() + width, 0.0F);
    optim::Updater updater(settings);
    for (int step = 1; step <= 3; ++step) {
      auto g = gradient_at(step);
      std::fill(g.begin() + 20, g.end(), 0.0F);
      updater.begin_step(step);
      updater.update(record.numbers.data(), g.data(), width, width);
    }
    for (int c = 20; c < width; ++c) BOOST_TEST(record.value(c) == 0.0F);
  }
}

BOOST_AUTO_TEST_CASE(many_rows_at_once_are_rows_one_by_one) {
  for (const Rule rule : {Rule::sgd, Rule::adagrad, Rule::adam, Rule::lazy_adam}) {
    for (const float epsilon : {0.0F, 1e-3F}) {
      if (epsilon == 0.0F && optim::state_blocks(rule) > 1) continue;  // Adam divides by it where a gradient is 0
      OptimizerSettings settings;
      settings.rule = rule;
      settings.epsilon = epsilon;
      std::vector<Record> together, alone;
      std::vector<Buffer<float>> gradients;
      for (int k = 0; k < 5; ++k) {
        together.emplace_back(settings);
        alone.emplace_back(settings);
        gradients.push_back(gradient_at(k));
      }
      optim::Updater updater(settings);
      updater.begin_step(1);
      const auto at = [](int k) { return static_cast<std::size_t>(k); };
      updater.update_rows(
          5, width, width, [&](int k) { return together[at(k)].numbers.data(); },
          [&](int k) { return [g = gradients[at(k)].data()](int c) { return load_lanes(g + c); }; });
      for (int k = 0; k < 5; ++k) {
        updater.update(alone[at(k)].numbers.data(), gradients[at(k)].data(), width, width);
        BOOST_CHECK(std::ranges::equal(together[at(k)].numbers, alone[at(k)].numbers));
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(inverse_roots_are_right_to_float_precision_over_the_whole_range) {
  for (float x = 1e-37F; x < 1e38F; x *= 1.7F) {
    const double exact = 1.0 / std::sqrt(static_cast<double>(x));
    BOOST_TEST(std::abs(static_cast<double>(lane_inverse_sqrt(all_lanes(x))[3]) / exact - 1.0) < 3e-7);
  }
}

BOOST_AUTO_TEST_SUITE_END()
