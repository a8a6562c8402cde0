#include "checkpoint_directory.hpp"

#include <algorithm>
#include <filesystem>
#include <map>
#include <system_error>

#include "checkpoint_plan.hpp"
#include <fmt/format.h>

#include "spar/base/error.hpp"
#include "spar/store/checkpoint.hpp"
#include "spar/store/durable.hpp"

namespace spar::store {

namespace {

namespace fs = std::filesystem;

constexpr const char* partial_mark = ".partial-";
constexpr const char* replaced_mark = ".replaced-";

std::vector<std::string> directories(const std::string& path) {
  std::vector<std::string> names;
  std::error_code failure;
  fs::directory_iterator entries(path, failure);
  if (failure == std::errc::no_such_file_or_directory) return names;
  for (; !failure && entries != fs::directory_iterator(); entries.increment(failure)) {
    std::error_code unknown;
    if (entries->is_directory(unknown)) names.push_back(entries->path().filename().string());
  }
  if (failure) throw_system_failure("cannot read the directory", path, failure.value());
  std::sort(names.begin(), names.end());
  return names;
}

bool is_marked(const std::string& name, const char* mark) {
  return name.find(mark) != std::string::npos;
}

std::string without(const std::string& name, const char* mark) {
  return name.substr(0, name.find(mark));
}

bool ends_with_nonce(const std::string& name, const std::string& nonce) {
  return name.size() > nonce.size() &&
         name.compare(name.size() - nonce.size() - 1, std::string::npos, "-" + nonce) == 0;
}

}  // namespace

std::string temporary_name(const std::string& checkpoint_path, const std::string& nonce) {
  return checkpoint_path + partial_mark + nonce;
}

std::vector<Candidate> candidates(const std::string& checkpoints_dir) {
  std::map<std::string, std::string, std::greater<>> found;
  for (const std::string& directory : directories(checkpoints_dir)) {
    if (is_marked(directory, partial_mark)) continue;
    const std::string name = without(directory, replaced_mark);
    auto& kept = found[name];
    if (kept.empty() || directory == name) kept = directory;
  }
  std::vector<Candidate> result;
  for (const auto& [name, directory] : found) result.push_back({name, directory});
  return result;
}

std::vector<std::string> leftovers(const std::string& checkpoints_dir, const std::string& nonce) {
  const std::vector<std::string> all = directories(checkpoints_dir);
  std::vector<std::string> result;
  for (const std::string& directory : all) {
    const bool partial = is_marked(directory, partial_mark) && !ends_with_nonce(directory, nonce);
    const bool replaced = is_marked(directory, replaced_mark) && !is_marked(directory, partial_mark) &&
                          std::binary_search(all.begin(), all.end(), without(directory, replaced_mark));
    if (partial || replaced) result.push_back(directory);
  }
  return result;
}

void put_in_place(const std::string& temporary, const std::string& checkpoint_path, const std::string& nonce) {
  const std::string older = checkpoint_path + replaced_mark + nonce;
  std::error_code unknown;
  const bool replaces = fs::exists(checkpoint_path, unknown);
  if (replaces) rename_durably(checkpoint_path, older);
  rename_durably(temporary, checkpoint_path);
  if (replaces) delete_checkpoint(older, nonce);
}

void delete_checkpoint(const std::string& path, const std::string& nonce) {
  const std::string doomed = temporary_name(path, nonce);
  rename_durably(path, doomed);
  remove_tree(doomed);
}

void remove_tree(const std::string& path) noexcept {
  std::error_code ignored;
  fs::remove_all(path, ignored);
}

std::string lost_directory(const std::string& path) {
  return fmt::format("{} is no longer this run's to change: another process has taken over the run directory", path);
}

void sweep_checkpoints(const std::string& checkpoints_dir, int keep, const std::vector<std::string>& keep_names,
                       const std::string& nonce, const std::function<bool()>& may_delete) {
  const auto path = [&](const std::string& directory) { return checkpoints_dir + "/" + directory; };
  const auto allowed = [&](const std::string& directory) {
    if (!may_delete()) throw EnvironmentError(lost_directory(path(directory)));
    return path(directory);
  };
  for (const std::string& directory : leftovers(checkpoints_dir, nonce)) remove_tree(allowed(directory));
  for (const Candidate& candidate : candidates(checkpoints_dir))
    if (candidate.replaced()) rename_durably(allowed(candidate.directory), path(candidate.name));

  int kept = 0;
  for (const Candidate& candidate : candidates(checkpoints_dir)) {
    const bool named = std::find(keep_names.begin(), keep_names.end(), candidate.name) != keep_names.end();
    bool sound = true;
    std::error_code unknown;
    const bool ours = fs::exists(path(candidate.directory) + "/" + manifest_file, unknown);
    try {
      read_manifest(path(candidate.directory));
    } catch (const Error&) {
      sound = false;
    }
    // A damaged checkpoint newer than those kept stays: it is news to the user, and the next save of its name replaces
    // it.
    if (ours && !named && kept >= keep) delete_checkpoint(allowed(candidate.directory), nonce);
    if (sound && kept < keep) ++kept;
  }
}

}  // namespace spar::store
