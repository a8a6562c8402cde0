#include "data_tools/target.hpp"

#include <cerrno>
#include <filesystem>
#include <unistd.h>

#include <fmt/format.h>

#include "spar/base/error.hpp"
#include "spar/data/dataset_file.hpp"
#include "spar/data/partial_file.hpp"
#include "spar/store/durable.hpp"

namespace spar::data_tools {

namespace {

namespace fs = std::filesystem;

bool is_dataset(const std::string& path) {
  try {
    data::open_dataset(path);
    return true;
  } catch (const Error&) {
    return false;
  }
}

void check_existing(const std::string& to) {
  std::error_code error;
  if (!fs::exists(to, error)) return;
  if (fs::is_directory(to, error)) throw UserError(fmt::format("{} is a folder, not a file to write to", to));
  if (!fs::is_regular_file(to, error))
    throw UserError(fmt::format("{} is a device or a pipe: a data set needs a file of its own", to));
  if (fs::file_size(to, error) > 0 && !is_dataset(to))
    throw UserError(fmt::format("{} exists and is no data set of spar: choose another --to, or delete it", to));
}

void check_folder(const std::string& to) {
  std::error_code error;
  std::string folder = fs::path(to).parent_path().string();
  if (folder.empty()) folder = ".";
  if (!fs::is_directory(folder, error))
    throw UserError(fmt::format("cannot write {}: the folder {} does not exist", to, folder));
  if (::access(folder.c_str(), W_OK) != 0) store::throw_system_failure("cannot write", to, errno);
}

}  // namespace

void check_target(const std::string& to, const std::vector<std::string>& inputs) {
  if (to.empty()) throw UserError("there is no file to write to: add --to FILE");
  std::error_code error;
  for (const std::string& input : inputs) {
    if (input != "-" && fs::equivalent(input, to, error))
      throw UserError(fmt::format("{} is what is to be read: choose another --to", to));
  }
  check_existing(to);
  check_folder(to);
}

std::vector<std::string> sweep_target(const std::string& to) {
  std::vector<std::string> notes;
  for (const data::AbandonedFile& file : data::remove_abandoned(to)) notes.push_back(data::removal_note(file));
  return notes;
}

}  // namespace spar::data_tools
