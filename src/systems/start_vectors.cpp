#include "spar/systems/start_vectors.hpp"

#include <filesystem>
#include <fstream>
#include <regex>
#include <unordered_map>

#include <fmt/format.h>

#include "spar/base/error.hpp"
#include "spar/systems/run_directory.hpp"

namespace spar::systems {

namespace {

namespace fs = std::filesystem;

constexpr Index ids_per_block = 65536;

// A float32 matrix or vector of NumPy's format 1.0, row by row.
class NpyReader {
 public:
  explicit NpyReader(const std::string& path) : path_(path), stream_(path, std::ios::binary) {
    char preamble[10] = {};
    stream_.read(preamble, sizeof preamble);
    const auto length = static_cast<unsigned char>(preamble[8]) + 256U * static_cast<unsigned char>(preamble[9]);
    std::string header(length, ' ');
    stream_.read(header.data(), static_cast<std::streamsize>(length));
    std::smatch shape;
    if (!stream_ || std::string(preamble, 6) != "\x93NUMPY" || preamble[6] != 1 ||
        header.find("'<f4'") == std::string::npos || header.find("'fortran_order': False") == std::string::npos ||
        !std::regex_search(header, shape, std::regex("\\((\\d+),\\s*(\\d*)\\)"))) {
      throw UserError(fmt::format(
          "{}: is no NumPy file of float32 in C order (np.save of an array of type float32 makes one)", path));
    }
    rows = std::stoll(shape[1]);
    columns = shape[2].length() == 0 ? 1 : std::stoi(shape[2]);
    data_ = stream_.tellg();
  }
  void read(Index row, float* values) {
    const auto bytes = static_cast<std::streamoff>(columns) * 4;
    stream_.seekg(data_ + row * bytes);
    stream_.read(reinterpret_cast<char*>(values), bytes);
    if (!stream_) throw UserError(fmt::format("{}: ends before row {} of {}", path_, row, rows));
  }
  Index rows = 0;
  int columns = 0;

 private:
  std::string path_;
  std::ifstream stream_;
  std::streamoff data_ = 0;
};

// Fills `columns` numbers at `offset` of this rank's records from the file's rows of the same ids; returns how many
// rows were found.
Index fill(const std::string& matrix, const std::string& ids, const store::ArrayFile& dataset,
           const std::string& id_array, table::Table& table, int columns, int offset) {
  NpyReader reader(matrix);
  if (reader.columns != columns)
    throw UserError(
        fmt::format("{}: has {} columns, but the recipe's model needs {}", matrix, reader.columns, columns));
  std::unordered_map<std::string, Index> own;
  for (Index begin = 0; begin < table.rows(); begin += ids_per_block) {
    const auto block =
        data::read_ids(dataset, id_array, table.first_row() + begin, std::min(ids_per_block, table.rows() - begin));
    for (std::size_t k = 0; k < block.size(); ++k) own.emplace(block[k], begin + static_cast<Index>(k));
  }
  std::ifstream names(ids);
  if (!names) throw UserError(fmt::format("{}: cannot be read", ids));
  Index row = 0;
  Index found = 0;
  for (std::string id; std::getline(names, id); ++row) {
    const auto at = own.find(id);
    if (at == own.end() || row >= reader.rows) continue;
    reader.read(row, table.record(at->second) + offset);
    ++found;
  }
  if (row != reader.rows)
    throw UserError(fmt::format("{} has {} ids, but {} has {} rows", ids, row, matrix, reader.rows));
  return found;
}

void load_run(const comm::Communicator& communicator, const std::string& folder, const data::DatasetHeader& header,
              FactorModel& model) {
  OpenRun run = open_run(communicator, folder, "best");
  comm::agree(communicator, [&] {
    if (run.header.content != header.content)
      throw UserError(fmt::format(
          "{}: was trained on other data; export it, and start from the export, to match rows by their ids", folder));
    for (const auto& [from, to] :
         {std::pair{run.model.users.get(), model.users.get()}, {run.model.items.get(), model.items.get()}}) {
      if (from->shape().dim != to->shape().dim || (to->shape().has_bias && !from->shape().has_bias)) {
        throw UserError(fmt::format("{}: its {} vectors do not fit the recipe's model ({} against {} columns)", folder,
                                    from->name(), from->shape().dim, to->shape().dim));
      }
    }
  });
  std::vector<store::TableRows> tables{model.users->stored(false), model.items->stored(false)};
  store::load_checkpoint(communicator, run.checkpoint, tables, nullptr);
}

}  // namespace

std::string load_start_vectors(const comm::Communicator& communicator, const std::string& folder,
                               const store::ArrayFile& dataset, const data::DatasetHeader& header, FactorModel& model) {
  if (fs::exists(folder + "/run.json")) {
    load_run(communicator, folder, header, model);
    return {};
  }
  std::int64_t found[2] = {0, 0};
  comm::agree(communicator, [&] {
    if (!fs::exists(folder + "/user.npy") || !fs::exists(folder + "/item.npy")) {
      throw UserError(
          fmt::format("model.init = \"{}\" is neither a run directory nor an export with user.npy, user_ids.txt, "
                      "item.npy and item_ids.txt",
                      folder));
    }
    const int dim = model.users->shape().dim;
    found[0] = fill(folder + "/user.npy", folder + "/user_ids.txt", dataset, "/users/ids", *model.users, dim, 0);
    found[1] = fill(folder + "/item.npy", folder + "/item_ids.txt", dataset, "/items/ids", *model.items, dim, 0);
    if (model.items->shape().has_bias && fs::exists(folder + "/item_bias.npy")) {
      fill(folder + "/item_bias.npy", folder + "/item_ids.txt", dataset, "/items/ids", *model.items, 1,
           model.items->shape().bias_offset());
    }
  });
  communicator.sum(found);
  if (found[0] == header.users && found[1] == header.items) return {};
  return fmt::format("{} has vectors for {} of {} users and {} of {} items; the others start at random", folder,
                     found[0], header.users, found[1], header.items);
}

}  // namespace spar::systems
