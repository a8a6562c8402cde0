#include "spar/adversary/carlini_wagner.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace spar::adversary {

namespace {

// Adam as Kingma and Ba (ICLR 2015) have it.
constexpr double first_decay = 0.9;
constexpr double second_decay = 0.999;
constexpr double adam_floor = 1e-8;

constexpr int checks_per_round = 10;
constexpr double least_gain = 1e-4;

}  // namespace

CarliniWagnerSearch::CarliniWagnerSearch(const CarliniWagnerSettings& settings, std::span<const float> row)
    : settings_(settings), row_(row.begin(), row.end()), weight_(settings.first_weight), moving_(row.size()) {
  std::iota(moving_.begin(), moving_.end(), std::size_t{0});
  begin_round();
}

void CarliniWagnerSearch::begin_round() {
  change_.assign(row_.size(), 0.0);
  mean_.assign(row_.size(), 0.0);
  square_.assign(row_.size(), 0.0);
  point_ = row_;
  step_ = 0;
  reached_in_round_ = false;
  checked_loss_ = std::numeric_limits<double>::infinity();
}

double CarliniWagnerSearch::squared_distance() const {
  double sum = 0.0;
  for (std::size_t k = 0; k < row_.size(); ++k) {
    const double d = static_cast<double>(point_[k]) - static_cast<double>(row_[k]);
    sum += d * d;
  }
  return sum;
}

void CarliniWagnerSearch::choose_columns(std::span<const float> gradient) {
  std::erase_if(moving_, [&](std::size_t k) {
    const auto x = static_cast<double>(row_[k]);
    return gradient[k] == 0.0F || (gradient[k] < 0.0F ? x >= settings_.highest : x <= settings_.lowest);
  });
  if (moving_.size() > static_cast<std::size_t>(settings_.most_changes)) {
    std::ranges::stable_sort(
        moving_, [&](std::size_t a, std::size_t b) { return std::abs(gradient[a]) > std::abs(gradient[b]); });
    moving_.resize(static_cast<std::size_t>(settings_.most_changes));
    std::ranges::sort(moving_);
  }
}

std::int64_t CarliniWagnerSearch::changes() const {
  std::int64_t count = 0;
  for (std::size_t k = 0; k < best_.size(); ++k) count += best_[k] != row_[k] ? 1 : 0;
  return count;
}

void CarliniWagnerSearch::tell(double margin, std::span<const float> gradient) {
  if (settings_.most_changes > 0 && round_ == 0 && step_ == 0) choose_columns(gradient);
  const double squares = squared_distance();
  const double hinge = std::max(0.0, margin + settings_.confidence);
  if (margin < 0.0 && hinge == 0.0) {
    reached_in_round_ = true;
    const double distortion = std::sqrt(squares);
    if (!reached_ || distortion < distortion_) {
      best_ = point_;
      distortion_ = distortion;
    }
    reached_ = true;
    // Nothing is nearer than the row itself.
    if (squares == 0.0) {
      round_ = settings_.rounds;
      return;
    }
  }
  const double loss = squares + weight_ * hinge;
  if (step_ % std::max(1, settings_.steps / checks_per_round) == 0) {
    if (loss > (1.0 - least_gain) * checked_loss_) return end_round();
    checked_loss_ = loss;
  }
  step(margin + settings_.confidence >= 0.0, gradient);
  if (step_ == settings_.steps) end_round();
}

void CarliniWagnerSearch::step(bool is_hinge_active, std::span<const float> gradient) {
  ++step_;
  const double first = 1.0 - std::pow(first_decay, step_);
  const double second = 1.0 - std::pow(second_decay, step_);
  for (const std::size_t k : moving_) {
    double g = 2.0 * change_[k];
    if (is_hinge_active) g += weight_ * static_cast<double>(gradient[k]);
    mean_[k] = first_decay * mean_[k] + (1.0 - first_decay) * g;
    square_[k] = second_decay * square_[k] + (1.0 - second_decay) * g * g;
    const double moved =
        change_[k] - settings_.learning_rate * (mean_[k] / first) / (std::sqrt(square_[k] / second) + adam_floor);
    const double x = static_cast<double>(row_[k]);
    change_[k] = std::clamp(x + moved, settings_.lowest, settings_.highest) - x;
    point_[k] = static_cast<float>(x + change_[k]);
  }
}

void CarliniWagnerSearch::end_round() {
  if (reached_in_round_) {
    upper_ = std::min(upper_, weight_);
    weight_ = (lower_ + upper_) / 2;
  } else {
    lower_ = std::max(lower_, weight_);
    weight_ = std::isinf(upper_) ? 10 * weight_ : (lower_ + upper_) / 2;
  }
  ++round_;
  begin_round();
}

CarliniWagnerSearch search_row(const CarliniWagnerSettings& settings, std::span<const float> row,
                               const std::function<double(std::span<const float>, std::span<float>)>& margin) {
  CarliniWagnerSearch search(settings, row);
  std::vector<float> gradient(row.size());
  while (!search.is_done()) {
    const double value = margin(search.point(), gradient);
    search.tell(value, gradient);
  }
  return search;
}

}  // namespace spar::adversary
