#include "spar/base/progress.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <sys/ioctl.h>
#include <unistd.h>

#include <fmt/format.h>

namespace spar {

namespace {

constexpr double bar_interval = 0.1;
constexpr double plain_interval = 10.0;
constexpr int usual_columns = 80;

bool under_launcher() {
  return std::getenv("OMPI_COMM_WORLD_SIZE") != nullptr || std::getenv("SLURM_STEP_ID") != nullptr;
}

void write_to_stderr(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

double steady_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

ProgressMode resolved(ProgressMode mode, bool speaks, int columns) {
  if (!speaks) return ProgressMode::none;
  if (mode != ProgressMode::automatic) return mode;
  return columns > 0 ? ProgressMode::bar : ProgressMode::plain;
}

template <class T>
std::string or_dash(const std::optional<T>& value, const std::function<std::string(T)>& show) {
  return value ? show(*value) : "-";
}

std::string columns_text(const std::vector<std::string>& cells, const std::vector<std::size_t>& widths) {
  std::string text;
  for (std::size_t k = 0; k < cells.size(); ++k)
    text += k + 1 < cells.size() ? fmt::format("{:<{}}  ", cells[k], widths[k]) : cells[k];
  return text;
}

std::vector<std::size_t> training_widths(const std::string& metric) {
  return {5, 9, 7, std::max<std::size_t>(metric.size(), 6), 6, 10, 7};
}

}  // namespace

const std::vector<std::string>& progress_mode_names() {
  static const std::vector<std::string> names{"auto", "bar", "plain", "none"};
  return names;
}

std::optional<ProgressMode> progress_mode(std::string_view name) {
  const auto& names = progress_mode_names();
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) return std::nullopt;
  return static_cast<ProgressMode>(found - names.begin());
}

int terminal_columns() {
  if (const char* announced = std::getenv("SPAR_TERMINAL")) return std::max(0, std::atoi(announced));
  if (under_launcher() || isatty(STDERR_FILENO) == 0) return 0;
  winsize size{};
  const bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? size.ws_col : usual_columns;
}

ProgressOutput ProgressOutput::standard_error() {
  return {write_to_stderr, steady_seconds, terminal_columns()};
}

Progress::Progress(ProgressMode mode, bool speaks, ProgressOutput output)
    : mode_(resolved(mode, speaks, output.columns)), output_(std::move(output)) {
  if (!output_.write) output_.write = write_to_stderr;
  if (!output_.seconds) output_.seconds = steady_seconds;
  if (output_.columns <= 0) output_.columns = usual_columns;
}

Progress::~Progress() {
  if (status_shown_) output_.write("\n");
}

void Progress::clear_status() {
  if (status_shown_) output_.write("\r\x1b[K");
  status_shown_ = false;
}

void Progress::emit(std::string_view text) {
  output_.write(fmt::format("{}\n", text));
}

void Progress::line(std::string_view text) {
  if (mode_ == ProgressMode::none) return;
  clear_status();
  emit(text);
}

void Progress::status(std::string_view text) {
  if (mode_ == ProgressMode::none) return;
  const double now = output_.seconds();
  const double interval = mode_ == ProgressMode::bar ? bar_interval : plain_interval;
  if (any_status_ && now - last_status_ < interval) return;
  any_status_ = true;
  last_status_ = now;
  if (mode_ == ProgressMode::plain) {
    emit(text);
    return;
  }
  // One column stays free: a full line would make some terminals wrap.
  output_.write(fmt::format("\r{}\x1b[K", text.substr(0, static_cast<std::size_t>(output_.columns - 1))));
  status_shown_ = true;
}

void Progress::keep(std::string_view text) {
  line(text);
  any_status_ = false;
}

namespace {

// From 312 over 43.2 k to 8.4 M.
std::string rate_text(double per_second) {
  if (per_second >= 999.95e3) return fmt::format("{:.1f} M", per_second * 1e-6);
  if (per_second >= 999.5) return fmt::format("{:.1f} k", per_second * 1e-3);
  return fmt::format("{:.0f}", per_second);
}

}  // namespace

std::string training_titles(const std::string& metric) {
  return columns_text({"stage", "epoch", "loss", metric, "best", "examples/s", "left"}, training_widths(metric));
}

std::string training_row(const TrainingRow& row, const std::string& metric) {
  const std::function<std::string(double)> four_digits = [](double value) { return fmt::format("{:.4f}", value); };
  const std::function<std::string(double)> rate = rate_text;
  const std::function<std::string(double)> clock = [](double value) { return clock_text(value); };
  const std::function<std::string(std::int64_t)> at = [](std::int64_t value) { return fmt::format("@{}", value); };
  return columns_text({row.stage, fmt::format("{}/{}", row.epoch, row.epochs), or_dash(row.loss, four_digits),
                       or_dash(row.metric, four_digits), or_dash(row.best, at), or_dash(row.examples_per_second, rate),
                       or_dash(row.seconds_left, clock)},
                      training_widths(metric));
}

std::string work_status(const std::string& what, double done, double total, double seconds, const std::string& unit) {
  const double rate = seconds > 0 ? done / seconds : 0;
  const bool large = rate >= 1e5;
  std::string text = what;
  if (total > 0) text += fmt::format("  {:.0f}%", 100 * std::min(1.0, done / total));
  text += fmt::format("  {:.1f} {}{}/s", large ? rate * 1e-6 : rate, large ? "M" : "", unit);
  if (total > 0 && rate > 0) text += fmt::format("  {} left", clock_text(std::max(0.0, total - done) / rate));
  return text;
}

std::string with_commas(std::int64_t number) {
  std::string digits = std::to_string(number);
  const std::size_t first = number < 0 ? 1 : 0;
  for (std::size_t place = digits.size(); place > first + 3; place -= 3) digits.insert(place - 3, ",");
  return digits;
}

std::string clock_text(double seconds) {
  const auto whole = static_cast<std::int64_t>(std::llround(std::max(0.0, std::min(seconds, 1e12))));
  const std::int64_t hours = whole / 3600;
  if (hours > 0) return fmt::format("{}:{:02}:{:02}", hours, whole / 60 % 60, whole % 60);
  return fmt::format("{}:{:02}", whole / 60, whole % 60);
}

}  // namespace spar
