#include "spar/base/schedule.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numbers>
#include <optional>
#include <sstream>
#include <vector>

#include <fmt/format.h>

#include "spar/base/error.hpp"
#include "spar/base/settings.hpp"

namespace spar {

namespace {

constexpr double dann_slope = 10.0;
const char* const forms =
    "\"ramp A B over N epochs\", \"cosine A B over N epochs\", \"exponential A B over N epochs\", \"dann B over N "
    "epochs\" or \"step A times F every N epochs\", each with steps in place of epochs, and with \"after M epochs\" "
    "behind it";

std::optional<double> number_of(const std::string& word) {
  double value = 0.0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc{} || end != word.data() + word.size() || !std::isfinite(value)) return std::nullopt;
  return value + 0.0;  // no negative zero
}

// Reads the words of a schedule from left to right.
class Words {
 public:
  explicit Words(const std::string& text) {
    std::istringstream stream(text);
    for (std::string word; stream >> word;) words_.push_back(word);
  }
  bool at_end() const { return next_ == words_.size(); }
  std::string word() { return at_end() ? std::string() : words_[next_++]; }
  double number(const char* what) {
    const std::string found = word();
    const auto value = number_of(found);
    if (!value)
      throw UserError(fmt::format("{} must be a number{}; a schedule is {}", what,
                                  found.empty() ? ", but the text ends" : fmt::format(", not \"{}\"", found), forms));
    return *value;
  }
  void expect(const char* wanted) {
    const std::string found = word();
    if (found != wanted)
      throw UserError(fmt::format("\"{}\" is missing{}; a schedule is {}", wanted,
                                  found.empty() ? " at the end" : fmt::format(" before \"{}\"", found), forms));
  }

 private:
  std::vector<std::string> words_;
  std::size_t next_ = 0;
};

}  // namespace

double Schedule::position(const Moment& moment, bool in_steps) {
  const auto steps = static_cast<double>(moment.epoch * moment.steps + moment.step);
  return in_steps ? steps : steps / static_cast<double>(moment.steps);
}

Schedule Schedule::parse(const std::string& text) {
  Words words(text);
  const auto span = [&](const char* what, bool may_be_zero) {
    Span read;
    read.length = words.number(what);
    const std::string unit = words.word();
    if (unit != "epochs" && unit != "epoch" && unit != "steps" && unit != "step")
      throw UserError(
          fmt::format("\"epochs\" or \"steps\" must stand behind {:g}; a schedule is {}", read.length, forms));
    read.in_steps = unit.starts_with("step");
    if (read.length < 0.0 || (read.length == 0.0 && !may_be_zero))
      throw UserError(fmt::format("{} must be above 0, not {:g}", what, read.length));
    return read;
  };
  Schedule schedule;
  const std::string name = words.word();
  const std::vector<std::pair<std::string, Form>> names{{"ramp", Form::ramp},
                                                        {"cosine", Form::cosine},
                                                        {"exponential", Form::exponential},
                                                        {"dann", Form::dann},
                                                        {"step", Form::step}};
  const auto found = std::find_if(names.begin(), names.end(), [&](const auto& known) { return known.first == name; });
  if (found == names.end()) {
    const auto proposal = nearest(name, {"ramp", "cosine", "exponential", "dann", "step"});
    throw UserError(proposal ? fmt::format("there is no schedule \"{}\": did you mean {}?", name, *proposal)
                             : fmt::format("a schedule is {}", forms));
  }
  schedule.form_ = found->second;
  if (schedule.form_ == Form::step) {
    schedule.from_ = words.number("the first value");
    schedule.to_ = 0.0;
    words.expect("times");
    schedule.factor_ = words.number("the factor");
    if (!(schedule.factor_ > 0.0 && schedule.factor_ <= 1.0))
      throw UserError(fmt::format("the factor of a step must be above 0 and at most 1, not {:g}", schedule.factor_));
    words.expect("every");
  } else {
    schedule.from_ = schedule.form_ == Form::dann ? 0.0 : words.number("the first value");
    schedule.to_ = words.number("the last value");
    if (schedule.form_ == Form::exponential && !(schedule.from_ * schedule.to_ > 0.0))
      throw UserError(fmt::format("an exponential schedule goes between two numbers above 0, not {:g} and {:g}",
                                  schedule.from_, schedule.to_));
    words.expect("over");
  }
  schedule.over_ = span("its length", false);
  if (!words.at_end()) {
    words.expect("after");
    schedule.after_ = span("its start", true);
  }
  if (!words.at_end())
    throw UserError(fmt::format("nothing may follow, not \"{}\"; a schedule is {}", words.word(), forms));
  return schedule;
}

double Schedule::at(const Moment& moment) const {
  if (form_ == Form::constant) return from_;
  // What has passed since its start; where the two units differ, in those of its length.
  double passed = position(moment, over_.in_steps);
  if (after_.length > 0.0) {
    const auto steps = static_cast<double>(moment.steps);
    const double start = after_.in_steps == over_.in_steps ? after_.length
                         : over_.in_steps                  ? after_.length * steps
                                                           : after_.length / steps;
    passed -= start;
  }
  if (passed <= 0.0) return from_;
  if (form_ == Form::step) return from_ * std::pow(factor_, std::floor(passed / over_.length));
  const double p = std::min(1.0, passed / over_.length);
  if (form_ == Form::dann) return to_ * (2.0 / (1.0 + std::exp(-dann_slope * p)) - 1.0);
  if (p >= 1.0) return to_;
  if (form_ == Form::cosine) return to_ + (from_ - to_) * (1.0 + std::cos(std::numbers::pi * p)) / 2.0;
  if (form_ == Form::exponential) return from_ * std::pow(to_ / from_, p);
  return from_ + (to_ - from_) * p;
}

std::string Schedule::span_text(const Span& span) {
  return fmt::format("{} {}", span.length, span.in_steps ? "steps" : "epochs");
}

std::string Schedule::text() const {
  const std::string over = span_text(over_);
  const std::string behind = after_.length > 0.0 ? " after " + span_text(after_) : "";
  switch (form_) {
    case Form::constant:
      return fmt::format("{}", from_);
    case Form::ramp:
      return fmt::format("ramp {} {} over {}{}", from_, to_, over, behind);
    case Form::cosine:
      return fmt::format("cosine {} {} over {}{}", from_, to_, over, behind);
    case Form::exponential:
      return fmt::format("exponential {} {} over {}{}", from_, to_, over, behind);
    case Form::dann:
      return fmt::format("dann {} over {}{}", to_, over, behind);
    case Form::step:
      return fmt::format("step {} times {} every {}{}", from_, factor_, over, behind);
  }
  return "";
}

}  // namespace spar
