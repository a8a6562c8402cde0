#include "lock_owner.hpp"

#include <charconv>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>
#include <time.h>
#include <unistd.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "spar/store/durable.hpp"

namespace spar::store {

namespace {

std::string host_name() {
  char name[256] = {};
  return gethostname(name, sizeof name - 1) == 0 ? name : "unknown";
}

std::string link_target(const char* path) {
  char target[256] = {};
  const ssize_t size = readlink(path, target, sizeof target - 1);
  return size > 0 ? std::string(target, static_cast<std::size_t>(size)) : std::string();
}

std::string first_word(const char* path) {
  std::ifstream file(path);
  std::string word;
  file >> word;
  return word;
}

// Field 22 of /proc/PID/stat; the name in field 2 may hold blanks and brackets. 0 where there is no such process, or
// only what is left of it until its parent asks.
std::int64_t start_of_process(std::int64_t process) {
  std::ifstream file(fmt::format("/proc/{}/stat", process));
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const std::size_t name_end = text.rfind(')');
  if (name_end == std::string::npos) return 0;
  std::istringstream fields(text.substr(name_end + 1));
  std::string field;
  fields >> field;
  if (field == "Z" || field == "X") return 0;
  for (int k = 4; k <= 22; ++k) fields >> field;
  std::int64_t start = 0;
  std::from_chars(field.data(), field.data() + field.size(), start);
  return start;
}

std::string local_now() {
  const std::time_t seconds = std::time(nullptr);
  tm parts{};
  localtime_r(&seconds, &parts);
  return fmt::format("{:04}-{:02}-{:02} {:02}:{:02}:{:02}", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday,
                     parts.tm_hour, parts.tm_min, parts.tm_sec);
}

}  // namespace

LockOwner this_process() {
  LockOwner owner;
  owner.nonce = make_nonce();
  owner.host = host_name();
  owner.machine = first_word("/proc/sys/kernel/random/boot_id") + " " + link_target("/proc/self/ns/pid");
  owner.process = getpid();
  owner.process_start = start_of_process(owner.process);
  if (const char* job = std::getenv("SLURM_JOB_ID")) owner.job = job;
  if (const char* restarts = std::getenv("SLURM_RESTART_COUNT")) owner.restarts = std::strtoll(restarts, nullptr, 10);
  owner.since = local_now();
  return owner;
}

std::string to_text(const LockOwner& owner) {
  const nlohmann::ordered_json json = {{"format", "spar-run-lock"},
                                       {"version", 1},
                                       {"nonce", owner.nonce},
                                       {"host", owner.host},
                                       {"machine", owner.machine},
                                       {"process", owner.process},
                                       {"process_start", owner.process_start},
                                       {"job", owner.job},
                                       {"restarts", owner.restarts},
                                       {"since", owner.since}};
  return json.dump(1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + '\n';
}

std::optional<LockOwner> parse_owner(const std::string& text) {
  try {
    const auto json = nlohmann::json::parse(text);
    LockOwner owner;
    owner.nonce = json.at("nonce").get<std::string>();
    owner.host = json.at("host").get<std::string>();
    owner.machine = json.at("machine").get<std::string>();
    owner.process = json.at("process").get<std::int64_t>();
    owner.process_start = json.at("process_start").get<std::int64_t>();
    owner.job = json.at("job").get<std::string>();
    owner.restarts = json.at("restarts").get<std::int64_t>();
    owner.since = json.at("since").get<std::string>();
    return owner;
  } catch (const nlohmann::json::exception&) {
    return std::nullopt;
  }
}

std::optional<LockOwner> read_owner(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  return parse_owner({std::istreambuf_iterator<char>(file), {}});
}

bool is_dead(const LockOwner& owner, const LockOwner& self) {
  if (owner.host != self.host || owner.machine != self.machine) return false;
  return start_of_process(owner.process) != owner.process_start;
}

bool is_earlier_start(const LockOwner& owner, const LockOwner& self) {
  return !self.job.empty() && owner.job == self.job && owner.restarts < self.restarts;
}

}  // namespace spar::store
