#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

/// The log of a run, log.jsonl: one JSON object a line (docs/formats.md, "Run directory"). Rank 0 writes it; each line
/// is complete in the file when the call returns.
namespace spar::report {

/// Names with numbers, in the order in which they are to be read: {"bpr", 0.2071}, {"ndcg@20", 0.114}. A number that is
/// not finite becomes null.
using NamedNumbers = std::vector<std::pair<std::string, double>>;

/// A training begins or goes on.
struct RunStart {
  std::string system;
  std::string recipe;
  std::string data;  ///< path of the data set
  std::int64_t users = 0;
  std::int64_t items = 0;
  std::int64_t train = 0;  ///< interactions
  std::int64_t seed = 0;
  int ranks = 1;
  int threads = 1;
  int shards = 1;
  std::int64_t batch_size = 0;
  std::string host;  ///< of rank 0
};

struct EpochLine {
  std::int64_t epoch = 0;  ///< counts from 1, pre-training included
  std::string stage;
  NamedNumbers losses;  ///< by player or term
  std::int64_t examples = 0;
  double examples_per_second = 0;  ///< training loop only
  NamedNumbers seconds;            ///< by kind: compute, communication, input, checkpoint, validation
  std::int64_t bytes_sent = 0;     ///< of all ranks
};

/// Every 30 s within an epoch.
struct ProgressLine {
  std::int64_t epoch = 0;
  std::string stage;
  std::int64_t step = 0;
  std::int64_t steps = 0;
  NamedNumbers losses;
  double examples_per_second = 0;
  double seconds_left = 0;  ///< negative: unknown
};

struct ValidationLine {
  std::int64_t epoch = 0;
  std::string stage;
  std::string split;
  std::int64_t users = 0;
  NamedNumbers metrics;
  bool best = false;
  double seconds = 0;
};

struct CheckpointLine {
  std::int64_t epoch = 0;
  std::string path;  ///< relative to the run directory
  double seconds = 0;
  std::int64_t bytes = 0;
};

struct StopLine {
  std::int64_t epoch = 0;
  std::string reason;  ///< "done", "early stop", "SIGUSR1", "diverged" ...
  double seconds = 0;  ///< of this start, all in all
};

/// Appends to one log.jsonl. Every line has "event" and "time" (UTC, ISO 8601) and "restarts" first. Failures name the
/// file (UserError where nobody could write there, else EnvironmentError); a line that could not be written whole is
/// taken back.
class RunLog {
 public:
  /// Opens `path` for appending, creates it where absent. Of an earlier log the first `keep_bytes` bytes stay (0: a new
  /// run), cut back to a whole line, and after them the "checkpoint" line of the checkpoint that recorded this length;
  /// so a resumed run has no line twice. `restarts` goes into every line.
  static RunLog open(const std::string& path, std::int64_t keep_bytes, std::int64_t restarts);

  RunLog(RunLog&&) noexcept;
  RunLog& operator=(RunLog&&) noexcept;
  ~RunLog();

  void start(const RunStart& start);
  void resume(const RunStart& start, std::int64_t epoch, std::int64_t step, const std::string& checkpoint);
  void epoch(const EpochLine& line);
  void progress(const ProgressLine& line);
  void validation(const ValidationLine& line);
  void checkpoint(const CheckpointLine& line);
  void stop(const StopLine& line);

  /// Bytes of whole lines in the file: what a checkpoint records in its progress.
  std::int64_t length() const;
  /// fsync; before a checkpoint commits to length().
  void sync();

 private:
  struct State;
  explicit RunLog(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace spar::report
