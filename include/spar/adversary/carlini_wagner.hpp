#pragma once
#include <cstdint>
#include <functional>
#include <limits>
#include <span>
#include <vector>

/// The smallest change of one row that reaches a goal (Carlini and Wagner, S&P 2017, L2 form).
namespace spar::adversary {

struct CarliniWagnerSettings {
  double confidence = 0.0;  ///< kappa: how far beyond the goal the margin must be
  double first_weight = 1e-3;
  int rounds = 9;    ///< of the search for the weight
  int steps = 1000;  ///< of Adam in a round, at most
  double learning_rate = 0.01;
  /// The box that the changed row stays in.
  double lowest = -std::numeric_limits<double>::infinity();
  double highest = std::numeric_limits<double>::infinity();
  /// Columns that may change; 0: all. They are chosen at the row itself: those of the largest |gradient| that the box
  /// lets move against it, the smaller column first where two are equal.
  std::int64_t most_changes = 0;
};

/// The search for one row x: D minimises ||D||^2 + c h(D), h = max(0, margin(x + D) + kappa), by Adam from D = 0, with
/// x + D cut to the box after every step. The margin is the caller's; the goal is reached where it is negative and not
/// above -kappa. c starts at first_weight and is multiplied by 10 until a round reaches the goal, then bisected. A
/// round ends early where a tenth of its steps has gained less than 0.01%. Of all points that reach the goal the
/// nearest to x is kept. There is no change of variables: rows of features have no box of their own.
///
/// Whoever drives it says margin and gradient at point(), so that many searches can share one evaluation:
///   while (!search.is_done()) search.tell(margin at search.point(), its gradient);
class CarliniWagnerSearch {
 public:
  CarliniWagnerSearch(const CarliniWagnerSettings& settings, std::span<const float> row);

  bool is_done() const { return round_ >= settings_.rounds; }
  /// The row at which the margin is wanted next.
  std::span<const float> point() const { return point_; }
  /// Both at point(); `gradient` has a number for each column.
  void tell(double margin, std::span<const float> gradient);

  bool has_reached() const { return reached_; }
  /// Where the goal was reached: the changed row and ||D||_2.
  std::span<const float> best() const { return best_; }
  double distortion() const { return distortion_; }
  /// The columns in which best() differs from the row.
  std::int64_t changes() const;

 private:
  double squared_distance() const;
  void choose_columns(std::span<const float> gradient);
  void step(bool is_hinge_active, std::span<const float> gradient);
  void begin_round();
  void end_round();

  CarliniWagnerSettings settings_;
  std::vector<float> row_;
  std::vector<float> point_;
  std::vector<float> best_;
  std::vector<double> change_;
  std::vector<double> mean_;    // Adam's, of the gradient
  std::vector<double> square_;  // and of its square
  double weight_;
  std::vector<std::size_t> moving_;  // the columns that may change
  double lower_ = 0.0;
  double upper_ = std::numeric_limits<double>::infinity();
  double checked_loss_ = 0.0;
  double distortion_ = 0.0;
  int round_ = 0;
  int step_ = 0;
  bool reached_ = false;
  bool reached_in_round_ = false;
};

/// One search by itself: `margin` writes the gradient at a row and returns the margin.
CarliniWagnerSearch search_row(
    const CarliniWagnerSettings& settings, std::span<const float> row,
    const std::function<double(std::span<const float> row, std::span<float> gradient)>& margin);

}  // namespace spar::adversary
