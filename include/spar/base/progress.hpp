#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// What people see of a long job, on stderr: lines that stay, and one line that is refreshed in place where stderr is a
/// terminal. Results go to stdout and never through here. Only one rank speaks; on the others every call does nothing.
/// All calls come from one thread.
namespace spar {

/// bar: one line refreshed in place. plain: a new line now and then. none: silence. automatic: bar on a terminal, else
/// plain.
enum class ProgressMode { automatic, bar, plain, none };

/// The names of --progress, and the mode of a name.
const std::vector<std::string>& progress_mode_names();
std::optional<ProgressMode> progress_mode(std::string_view name);

/// Where progress goes; the default is this process's stderr and clock, tests bring their own.
struct ProgressOutput {
  std::function<void(std::string_view)> write;  ///< unset: stderr
  std::function<double()> seconds;              ///< unset: a steady clock
  int columns = 0;                              ///< of a terminal; 0: not a terminal
  static ProgressOutput standard_error();
};

/// The columns of the real terminal behind stderr, 0 where there is none. Under mpirun stderr is always a pipe, so
/// launch/spar-run passes them on in SPAR_TERMINAL; without a launcher the file descriptor is asked.
int terminal_columns();

class Progress {
 public:
  /// `speaks`: whether this rank prints.
  explicit Progress(ProgressMode mode = ProgressMode::automatic, bool speaks = true,
                    ProgressOutput output = ProgressOutput::standard_error());
  ~Progress();  ///< leaves the cursor at the start of a line
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  bool visible() const { return mode_ != ProgressMode::none; }
  ProgressMode mode() const { return mode_; }  ///< bar, plain or none

  /// A line that stays: first lines, warnings, "adversary on ...".
  void line(std::string_view text);
  /// The state of the job now: refreshed in place (at most ten times a second), or a line at most every ten seconds.
  void status(std::string_view text);
  /// The last state of a part of the job, such as a stage's last epoch: stays, in place of the refreshed line.
  void keep(std::string_view text);

 private:
  void clear_status();
  void emit(std::string_view text);

  ProgressMode mode_;
  ProgressOutput output_;
  bool status_shown_ = false;
  bool any_status_ = false;
  double last_status_ = 0;
};

/// One row of a training's progress; absent numbers are shown as "-".
struct TrainingRow {
  std::string stage;
  std::int64_t epoch = 0;
  std::int64_t epochs = 0;
  std::optional<double> loss;        ///< mean over the epoch's examples
  std::optional<double> metric;      ///< the newest value of the metric that selects
  std::optional<std::int64_t> best;  ///< the epoch of its best value
  std::optional<double> examples_per_second;
  std::optional<double> seconds_left;
};

/// The titles and rows of a training's progress, in columns that line up. `metric` names the metric that selects
/// ("ndcg@100").
std::string training_titles(const std::string& metric);
std::string training_row(const TrainingRow& row, const std::string& metric);

/// The state of a job with a known amount of work: "reading  45%  1.3 Mrows/s  0:06 left". `total` 0: unknown.
std::string work_status(const std::string& what, double done, double total, double seconds, const std::string& unit);

/// 98,114.
std::string with_commas(std::int64_t number);
/// 0:06, 12:34, 1:02:03; rounded to the nearest second.
std::string clock_text(double seconds);

}  // namespace spar
