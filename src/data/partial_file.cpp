#include "spar/data/partial_file.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <sstream>
#include <unistd.h>

#include <fmt/format.h>

#include "spar/store/run_lock.hpp"

namespace spar::data {

namespace {

namespace fs = std::filesystem;

constexpr int process_bits = 22;  // the most that Linux gives a process number
constexpr int start_bits = 18;    // of the clock ticks since boot: 44 minutes at the usual 100 a second
constexpr int machine_bits = 24;
constexpr std::size_t mark_digits = 16;
static_assert(process_bits + start_bits + machine_bits == 64);

constexpr std::uint64_t low_bits(std::uint64_t value, int bits) {
  return value & ((std::uint64_t{1} << bits) - 1);
}

// FNV-1a: short texts, no adversary.
std::uint64_t hash_of(const std::string& text) {
  std::uint64_t hash = 0xcbf29ce484222325U;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
  return hash ^ (hash >> 32);
}

struct Mark {
  std::uint64_t machine = 0;
  std::uint64_t process = 0;
  std::uint64_t start = 0;
};

Mark own_mark() {
  const store::LockOwner self = store::this_process();
  return {low_bits(hash_of(self.host + " " + self.machine), machine_bits),
          low_bits(static_cast<std::uint64_t>(self.process), process_bits),
          low_bits(static_cast<std::uint64_t>(self.process_start), start_bits)};
}

std::optional<Mark> parse_mark(const std::string& digits) {
  std::uint64_t value = 0;
  const auto [end, fault] = std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
  if (digits.size() != mark_digits || fault != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return Mark{value >> (process_bits + start_bits), low_bits(value >> start_bits, process_bits),
              low_bits(value, start_bits)};
}

// /proc/PID/stat: the state is field 3, the start field 22; the name in field 2 may hold blanks and brackets.
bool is_running(const Mark& mark) {
  std::ifstream file(fmt::format("/proc/{}/stat", mark.process));
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const std::size_t name_end = text.rfind(')');
  if (name_end == std::string::npos) return false;
  std::istringstream fields(text.substr(name_end + 1));
  std::string state;
  std::string field;
  fields >> state;
  if (state == "Z" || state == "X") return false;
  for (int k = 4; k <= 22; ++k) fields >> field;
  std::uint64_t start = 0;
  std::from_chars(field.data(), field.data() + field.size(), start);
  return low_bits(start, start_bits) == mark.start;
}

constexpr std::array<int, 3> ending_signals = {SIGINT, SIGTERM, SIGHUP};

// What a signal handler may touch.
char doomed_path[4096] = {};
std::array<bool, ending_signals.size()> handled = {};

extern "C" void remove_and_end(int signal) {
  ::unlink(doomed_path);
  ::signal(signal, SIG_DFL);
  ::raise(signal);
}

}  // namespace

RemovedBySignals::RemovedBySignals(const std::string& path) {
  std::error_code unknown;
  const std::string absolute = fs::absolute(path, unknown).string();
  if (doomed_path[0] != '\0' || absolute.size() >= sizeof doomed_path) return;
  active_ = true;
  absolute.copy(doomed_path, absolute.size());
  for (std::size_t k = 0; k < ending_signals.size(); ++k) {
    struct sigaction now {};
    ::sigaction(ending_signals[k], nullptr, &now);
    handled[k] = now.sa_handler == SIG_DFL;
    if (handled[k]) ::signal(ending_signals[k], remove_and_end);
  }
}

RemovedBySignals::~RemovedBySignals() {
  if (!active_) return;
  for (std::size_t k = 0; k < ending_signals.size(); ++k)
    if (handled[k]) ::signal(ending_signals[k], SIG_DFL);
  std::fill(std::begin(doomed_path), std::end(doomed_path), '\0');
}

std::string partial_mark() {
  const Mark mark = own_mark();
  return fmt::format("{:016x}",
                     (mark.machine << (process_bits + start_bits)) | (mark.process << start_bits) | mark.start);
}

std::vector<AbandonedFile> remove_abandoned(const std::string& target) {
  const fs::path path(target);
  const std::string beginning = path.filename().string() + ".partial-";
  const Mark self = own_mark();
  std::vector<AbandonedFile> removed;
  std::error_code failure;
  const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
  for (fs::directory_iterator entry(folder, failure), end; !failure && entry != end; entry.increment(failure)) {
    const std::string name = entry->path().filename().string();
    if (!name.starts_with(beginning)) continue;
    const std::optional<Mark> mark = parse_mark(name.substr(beginning.size()));
    if (!mark || mark->machine != self.machine || is_running(*mark)) continue;
    std::error_code refused;
    if (!fs::is_regular_file(entry->symlink_status(refused))) continue;
    const auto bytes = static_cast<std::int64_t>(entry->file_size(refused));
    // What cannot be removed harms nobody.
    if (fs::remove(entry->path(), refused)) removed.push_back({(path.parent_path() / name).string(), bytes});
  }
  std::sort(removed.begin(), removed.end(), [](const auto& a, const auto& b) { return a.path < b.path; });
  return removed;
}

std::string removal_note(const AbandonedFile& file) {
  return fmt::format("removed {} ({:.3g} MB), which a killed program had left", file.path,
                     static_cast<double>(file.bytes) * 1e-6);
}

}  // namespace spar::data
