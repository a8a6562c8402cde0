#include "spar/optim/update.hpp"

#include <cmath>

#include "spar/base/error.hpp"
#include "spar/base/lanes.hpp"

namespace spar::optim {

namespace {

void sgd(float* x, const float* g, int width, float rate) {
  for (int c = 0; c < width; c += lanes) store_lanes(x + c, load_lanes(x + c) - rate * load_lanes(g + c));
}

void adagrad(float* x, const float* g, int width, int stride, float rate, float epsilon) {
  float* a = x + stride;
  for (int c = 0; c < width; c += lanes) {
    const auto gradient = load_lanes(g + c);
    const auto sum = load_lanes(a + c) + gradient * gradient;
    store_lanes(a + c, sum);
    store_lanes(x + c, load_lanes(x + c) - rate * gradient / (lane_sqrt(sum) + epsilon));
  }
}

void adam(float* x, const float* g, int width, int stride, const OptimizerSettings& s, float correct1, float correct2) {
  float* m = x + stride;
  float* v = m + stride;
  for (int c = 0; c < width; c += lanes) {
    const auto gradient = load_lanes(g + c);
    const auto first = s.beta1 * load_lanes(m + c) + (1.0F - s.beta1) * gradient;
    const auto second = s.beta2 * load_lanes(v + c) + (1.0F - s.beta2) * (gradient * gradient);
    store_lanes(m + c, first);
    store_lanes(v + c, second);
    store_lanes(x + c,
                load_lanes(x + c) - s.learning_rate * (correct1 * first) / (lane_sqrt(correct2 * second) + s.epsilon));
  }
}

float correction(float beta, double steps) {
  return static_cast<float>(1.0 / (1.0 - std::pow(static_cast<double>(beta), steps)));
}

}  // namespace

Rule rule_of(const std::string& name) {
  if (name == "sgd") return Rule::sgd;
  if (name == "adagrad") return Rule::adagrad;
  if (name == "adam") return Rule::adam;
  SPAR_ASSERT(name == "lazy_adam");
  return Rule::lazy_adam;
}

int state_blocks(Rule rule) {
  switch (rule) {
    case Rule::sgd:
      return 0;
    case Rule::adagrad:
      return 1;
    case Rule::adam:
      return 2;
    case Rule::lazy_adam:
      return 3;
  }
  return 0;
}

const char* state_name(Rule rule, int block) {
  if (rule == Rule::adagrad) return "accumulator";
  constexpr const char* names[] = {"first_moment", "second_moment", "steps"};
  return names[block];
}

void reset_state(const OptimizerSettings& settings, float* record, int stride) {
  const float start = settings.rule == Rule::adagrad ? settings.initial_accumulator : 0.0F;
  for (int c = stride; c < stride * (1 + state_blocks(settings.rule)); ++c) record[c] = start;
}

void Updater::begin_step(std::int64_t step) {
  first_correction_ = correction(settings_.beta1, static_cast<double>(step));
  second_correction_ = correction(settings_.beta2, static_cast<double>(step));
}

void Updater::update(float* record, const float* gradient, int width, int stride) const {
  switch (settings_.rule) {
    case Rule::sgd:
      return sgd(record, gradient, width, settings_.learning_rate);
    case Rule::adagrad:
      return adagrad(record, gradient, width, stride, settings_.learning_rate, settings_.epsilon);
    case Rule::adam:
      return adam(record, gradient, width, stride, settings_, first_correction_, second_correction_);
    case Rule::lazy_adam: {
      float& steps = record[3 * stride];
      steps += 1.0F;
      return adam(record, gradient, width, stride, settings_, correction(settings_.beta1, static_cast<double>(steps)),
                  correction(settings_.beta2, static_cast<double>(steps)));
    }
  }
}

}  // namespace spar::optim
