#include "spar/report/run_log.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "spar/store/durable.hpp"

namespace spar::report {

namespace {

using Json = nlohmann::ordered_json;

std::string utc_now() {
  timespec time{};
  clock_gettime(CLOCK_REALTIME, &time);
  tm parts{};
  gmtime_r(&time.tv_sec, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", parts.tm_year + 1900, parts.tm_mon + 1,
                     parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, time.tv_nsec / 1'000'000);
}

Json object(const NamedNumbers& numbers) {
  Json result = Json::object();
  for (const auto& [name, value] : numbers) result[name] = value;
  return result;
}

Json layout(const RunStart& start) {
  return {{"system", start.system}, {"recipe", start.recipe},         {"data", start.data},
          {"users", start.users},   {"items", start.items},           {"train", start.train},
          {"seed", start.seed},     {"ranks", start.ranks},           {"threads", start.threads},
          {"shards", start.shards}, {"batch_size", start.batch_size}, {"host", start.host}};
}

bool is_checkpoint_line(const std::string& line) {
  const auto json = Json::parse(line, nullptr, false);
  return json.is_object() && json.value("event", "") == "checkpoint";
}

}  // namespace

struct RunLog::State {
  std::string path;
  int file = -1;
  std::int64_t length = 0;
  std::int64_t restarts = 0;

  ~State() {
    if (file >= 0) close(file);
  }

  [[noreturn]] void fail(const char* action) const { store::throw_system_failure(action, path, errno); }

  std::string read(std::int64_t begin, std::int64_t end) const {
    std::string text(static_cast<std::size_t>(std::max<std::int64_t>(0, end - begin)), '\0');
    std::size_t done = 0;
    while (done < text.size()) {
      const ssize_t got = pread(file, text.data() + done, text.size() - done, begin + static_cast<std::int64_t>(done));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) fail("cannot read");
      if (got == 0) break;
      done += static_cast<std::size_t>(got);
    }
    text.resize(done);
    return text;
  }

  std::int64_t file_size() const {
    struct stat status {};
    if (fstat(file, &status) != 0) fail("cannot read");
    return status.st_size;
  }

  // The end of the last whole line within the first `limit` bytes.
  std::int64_t whole_lines(std::int64_t limit) const {
    constexpr std::int64_t window = 1 << 16;
    for (std::int64_t end = limit; end > 0; end -= std::min(end, window)) {
      const std::int64_t begin = std::max<std::int64_t>(0, end - window);
      const std::size_t newline = read(begin, end).rfind('\n');
      if (newline != std::string::npos) return begin + static_cast<std::int64_t>(newline) + 1;
    }
    return 0;
  }

  void cut_back(std::int64_t keep_bytes) {
    constexpr std::int64_t longest_line = 1 << 16;
    const std::int64_t size = file_size();
    length = whole_lines(std::min(keep_bytes, size));
    if (length == keep_bytes && length > 0) {
      const std::string after = read(length, std::min(size, length + longest_line));
      const std::size_t newline = after.find('\n');
      if (newline != std::string::npos && is_checkpoint_line(after.substr(0, newline)))
        length += static_cast<std::int64_t>(newline) + 1;
    }
    if (length < size && ftruncate(file, length) != 0) fail("cannot cut back");
  }

  void append(const char* event, const Json& fields) {
    Json line = {{"event", event}, {"time", utc_now()}, {"restarts", restarts}};
    line.update(fields);
    const std::string text = line.dump(-1, ' ', false, Json::error_handler_t::replace) + '\n';
    std::size_t done = 0;
    while (done < text.size()) {
      const ssize_t wrote =
          pwrite(file, text.data() + done, text.size() - done, length + static_cast<std::int64_t>(done));
      if (wrote < 0 && errno == EINTR) continue;
      if (wrote < 0) {
        const int reason = errno;
        // A failure here leaves a partial line, which the next open() cuts off.
        if (ftruncate(file, length) != 0) errno = reason;
        errno = reason;
        fail("cannot write");
      }
      done += static_cast<std::size_t>(wrote);
    }
    length += static_cast<std::int64_t>(text.size());
  }
};

RunLog::RunLog(std::unique_ptr<State> state) : state_(std::move(state)) {}
RunLog::RunLog(RunLog&&) noexcept = default;
RunLog& RunLog::operator=(RunLog&&) noexcept = default;
RunLog::~RunLog() = default;

RunLog RunLog::open(const std::string& path, std::int64_t keep_bytes, std::int64_t restarts) {
  auto state = std::make_unique<State>();
  state->path = path;
  state->restarts = restarts;
  state->file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (state->file < 0) state->fail("cannot open");
  state->cut_back(keep_bytes);
  return RunLog(std::move(state));
}

void RunLog::start(const RunStart& start) {
  state_->append("start", layout(start));
}

void RunLog::resume(const RunStart& start, std::int64_t epoch, std::int64_t step, const std::string& checkpoint) {
  Json fields = {{"epoch", epoch}, {"step", step}, {"checkpoint", checkpoint}};
  fields.update(layout(start));
  state_->append("resume", fields);
}

void RunLog::epoch(const EpochLine& line) {
  state_->append("epoch", {{"epoch", line.epoch},
                           {"stage", line.stage},
                           {"losses", object(line.losses)},
                           {"examples", line.examples},
                           {"examples_per_second", line.examples_per_second},
                           {"seconds", object(line.seconds)},
                           {"bytes_sent", line.bytes_sent}});
}

void RunLog::progress(const ProgressLine& line) {
  state_->append("progress", {{"epoch", line.epoch},
                              {"stage", line.stage},
                              {"step", line.step},
                              {"steps", line.steps},
                              {"losses", object(line.losses)},
                              {"examples_per_second", line.examples_per_second},
                              {"seconds_left", line.seconds_left < 0 ? Json(nullptr) : Json(line.seconds_left)}});
}

void RunLog::validation(const ValidationLine& line) {
  state_->append("validation", {{"epoch", line.epoch},
                                {"stage", line.stage},
                                {"split", line.split},
                                {"users", line.users},
                                {"metrics", object(line.metrics)},
                                {"best", line.best},
                                {"seconds", line.seconds}});
}

void RunLog::checkpoint(const CheckpointLine& line) {
  state_->append("checkpoint",
                 {{"epoch", line.epoch}, {"path", line.path}, {"seconds", line.seconds}, {"bytes", line.bytes}});
}

void RunLog::stop(const StopLine& line) {
  state_->append("stop", {{"epoch", line.epoch}, {"reason", line.reason}, {"seconds", line.seconds}});
}

std::int64_t RunLog::length() const {
  return state_->length;
}

void RunLog::sync() {
  if (fdatasync(state_->file) != 0) state_->fail("cannot flush");
}

}  // namespace spar::report
