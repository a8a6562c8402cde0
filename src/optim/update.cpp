#include "spar/optim/update.hpp"

#include "spar/base/error.hpp"
#include "spar/base/lanes.hpp"
#include "spar/optim/rules.hpp"

namespace spar::optim {

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
  first_correction_ = adam_correction(settings_.beta1, static_cast<double>(step));
  second_correction_ = adam_correction(settings_.beta2, static_cast<double>(step));
}

void Updater::update(float* record, const float* gradient, int width, int stride) const {
  update_rows(
      1, width, stride, [=](int) { return record; },
      [=](int) { return [=](int c) { return load_lanes(gradient + c); }; });
}

}  // namespace spar::optim
