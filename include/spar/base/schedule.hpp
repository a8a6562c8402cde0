#pragma once
#include <cstdint>
#include <string>

/// Numbers that change while a training runs: weights, rates, temperatures. Their value is a function of the place in
/// the training alone, so that a run that goes on after a stop has the same ones.
namespace spar {

/// A place in a training: the step about to be made, counted from 0 within its epoch.
struct Moment {
  std::int64_t epoch = 0;
  std::int64_t step = 0;
  std::int64_t steps = 1;  ///< of an epoch
};

/// A constant, or one of
///   ramp A B over N epochs          A + (B - A) p
///   cosine A B over N epochs        B + (A - B) (1 + cos(pi p)) / 2      (Loshchilov and Hutter, ICLR 2017)
///   exponential A B over N epochs   A (B / A)^p
///   dann B over N epochs            B (2 / (1 + exp(-10 p)) - 1)         (Ganin et al., JMLR 2016)
///   step A times F every N epochs   A F^floor(t / N)
/// where t are the epochs since the start and p = min(t / N, 1). "steps" may stand for "epochs"; "after M epochs" (or
/// steps) at the end counts t from there, and the first value holds before it.
class Schedule {
 public:
  explicit Schedule(double constant = 0.0) : from_(constant), to_(constant) {}
  /// UserError with one sentence that says what would be right.
  static Schedule parse(const std::string& text);

  double at(const Moment& moment) const;
  bool is_constant() const { return form_ == Form::constant; }
  /// Whether it is 0 at all times.
  bool is_zero() const { return from_ == 0.0 && to_ == 0.0; }
  /// All values lie between these two.
  double first() const { return from_; }
  double last() const { return to_; }
  /// As parse() reads it, in one spelling; of a constant, the number.
  std::string text() const;

 private:
  enum class Form { constant, ramp, cosine, exponential, dann, step };
  struct Span {
    double length = 0.0;
    bool in_steps = false;
  };

  static double position(const Moment& moment, bool in_steps);
  static std::string span_text(const Span& span);

  Form form_ = Form::constant;
  double from_;
  double to_;  // step: what it falls towards
  double factor_ = 1.0;
  Span over_;
  Span after_;
};

}  // namespace spar
