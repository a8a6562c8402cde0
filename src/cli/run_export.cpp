#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string_view>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "spar/base/error.hpp"
#include "spar/base/threads.hpp"
#include "spar/cli/run.hpp"
#include "spar/store/durable.hpp"
#include "spar/systems/run_directory.hpp"
#include "spar/systems/system.hpp"

namespace spar::cli {

namespace {

namespace fs = std::filesystem;

constexpr Index rows_per_block = 16384;
constexpr std::string_view partial_ending = ".partial";
constexpr std::array<std::string_view, 5> file_names = {"user.npy", "item.npy", "item_bias.npy", "user_ids.txt",
                                                        "item_ids.txt"};

// A file that is written under a temporary name and counts when it is closed.
class OutputFile {
 public:
  explicit OutputFile(const std::string& path)
      : path_(path),
        partial_(path + std::string(partial_ending)),
        stream_(partial_, std::ios::binary | std::ios::trunc) {
    check();
  }
  ~OutputFile() {
    if (path_.empty()) return;
    std::error_code ignored;
    fs::remove(partial_, ignored);
  }
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  void write(const void* bytes, std::size_t size) {
    stream_.write(static_cast<const char*>(bytes), static_cast<std::streamsize>(size));
    check();
  }
  void write(const std::string& text) { write(text.data(), text.size()); }
  void close() {
    stream_.close();
    check();
    store::sync_path(partial_);
    store::rename_durably(partial_, path_);
    path_.clear();
  }

 private:
  void check() const {
    if (!stream_) store::throw_system_failure("cannot write", path_, errno);
  }
  std::string path_;
  std::string partial_;
  std::ofstream stream_;
};

// The header of NumPy's format 1.0: float32, C order, padded to 64 bytes.
std::string npy_header(Index rows, int columns) {
  const std::string shape = columns == 0 ? fmt::format("({},)", rows) : fmt::format("({}, {})", rows, columns);
  std::string text = fmt::format("{{'descr': '<f4', 'fortran_order': False, 'shape': {}, }}", shape);
  constexpr std::size_t preamble = 10;
  text.append(63 - (preamble + text.size()) % 64, ' ');
  text += '\n';
  std::string header("\x93NUMPY\x01\x00", 8);
  header += static_cast<char>(text.size() & 0xFF);
  header += static_cast<char>(text.size() >> 8);
  return header + text;
}

// What becomes a file: rows of vectors, with a column of ones or of biases behind them for --fold-bias.
struct Matrix {
  table::RowBlock rows;
  Index total_rows = 0;
  bool as_vector = false;
  enum class Extra { none, ones, bias } extra = Extra::none;
  const float* bias = nullptr;
  Index bias_stride = 0;
};

class Exporter {
 public:
  Exporter(const comm::Communicator& communicator, const ExportOptions& options)
      : communicator_(communicator), options_(options) {}

  void run() {
    run_ = systems::open_run(communicator_, options_.run, options_.checkpoint);
    if (run_.model.question().ranks != "item" || run_.model.question().asks.size() > 1)
      throw UserError(fmt::format("{}: an export is vectors of users and of items, and {} ranks each {} for {}",
                                  options_.run, run_.recipe.system(), run_.model.question().ranks,
                                  fmt::join(run_.model.question().asks, " and ")));
    if (run_.model.network && run_.model.network->pair_function(*run_.model.dense) != nullptr)
      throw UserError(fmt::format("{}: an export is vectors whose inner product is the score, which {} is not",
                                  options_.run, systems::find_system(run_.recipe.system())->score));
    prepare_directory();
    // As spar recommend scores: users who are known by what they did are known by training and validation.
    const auto lists = systems::read_run_lists(communicator_, *run_.file, run_.header, run_.model, false, false);
    const auto scoring = run_.model.scoring(communicator_, run_.layout.shards, lists.evaluation("test", false));
    const evaluate::Scorer& scorer = scoring.scorer;
    const bool has_bias = scorer.item_bias != nullptr;
    const bool fold = options_.fold_bias && has_bias;
    using Extra = Matrix::Extra;
    const int dim = scorer.users.dim;
    write_matrix("user.npy", {scorer.users, scorer.total_users, false, fold ? Extra::ones : Extra::none});
    write_matrix("item.npy", {scorer.items, scorer.total_items, false, fold ? Extra::bias : Extra::none,
                              scorer.item_bias, scorer.bias_stride});
    if (has_bias && !fold)
      write_matrix("item_bias.npy",
                   {{scorer.item_bias, scorer.items.first_row, scorer.items.rows, 1, scorer.bias_stride},
                    scorer.total_items,
                    true});
    write_ids("user_ids.txt", "/users/ids", run_.header.users);
    write_ids("item_ids.txt", "/items/ids", run_.header.items);
    write_description(dim + (fold ? 1 : 0), has_bias && !fold);
  }

 private:
  std::string path(const std::string& name) const { return options_.to + "/" + name; }

  void prepare_directory() {
    comm::agree(communicator_, [&] {
      if (!communicator_.is_root()) return;
      if (fs::exists(options_.to) && !fs::is_directory(options_.to))
        throw UserError(fmt::format("{}: is a file; --to names a folder", options_.to));
      if (fs::exists(options_.to)) check_contents();
      store::make_directories(options_.to);
      // What lies there belongs to another export until the new one is complete.
      for (const char* name : {"export.json", "item_bias.npy"}) fs::remove(path(name));
    });
  }

  // An export that was killed has no export.json yet, and does not stand in the way of the next.
  void check_contents() const {
    if (fs::exists(path("export.json"))) return;
    std::vector<std::string> strange;
    for (const auto& entry : fs::directory_iterator(options_.to)) {
      std::string name = entry.path().filename().string();
      if (name.ends_with(partial_ending)) name.resize(name.size() - partial_ending.size());
      if (std::find(file_names.begin(), file_names.end(), name) == file_names.end()) strange.push_back(name);
    }
    if (strange.empty()) return;
    throw UserError(fmt::format("{}: holds {}, which is of no export; choose an empty or new folder", options_.to,
                                *std::min_element(strange.begin(), strange.end())));
  }

  // Ranks send their rows to rank 0 in blocks, one after another: no rank holds a table.
  void write_matrix(const std::string& name, const Matrix& matrix) {
    const int width = matrix.rows.dim + (matrix.extra == Matrix::Extra::none ? 0 : 1);
    std::unique_ptr<OutputFile> file;
    comm::agree(communicator_, [&] {
      if (!communicator_.is_root()) return;
      file = std::make_unique<OutputFile>(path(name));
      file->write(npy_header(matrix.total_rows, matrix.as_vector ? 0 : width));
    });
    const auto blocks = communicator_.allgather((matrix.rows.rows + rows_per_block - 1) / rows_per_block);
    std::exception_ptr failure;
    for (int rank = 0; rank < communicator_.size(); ++rank) {
      for (std::int64_t b = 0; b < blocks[static_cast<std::size_t>(rank)]; ++b) {
        std::vector<std::byte> bytes;
        if (rank == communicator_.rank()) bytes = pack(matrix, width, b);
        if (rank != 0 && rank == communicator_.rank()) communicator_.send(bytes, 0);
        if (rank != 0 && communicator_.is_root()) bytes = communicator_.receive(rank);
        if (!communicator_.is_root() || failure) continue;
        try {
          file->write(bytes.data(), bytes.size());
        } catch (...) {
          failure = std::current_exception();
        }
      }
    }
    comm::agree(communicator_, [&] {
      if (failure) std::rethrow_exception(failure);
      if (file) file->close();
    });
  }

  static std::vector<std::byte> pack(const Matrix& matrix, int width, std::int64_t block) {
    const Index begin = block * rows_per_block;
    const Index end = std::min(matrix.rows.rows, begin + rows_per_block);
    std::vector<float> values;
    values.reserve(static_cast<std::size_t>((end - begin) * width));
    for (Index k = begin; k < end; ++k) {
      const float* row = matrix.rows.row(k);
      values.insert(values.end(), row, row + matrix.rows.dim);
      if (matrix.extra == Matrix::Extra::ones) values.push_back(1.0F);
      if (matrix.extra == Matrix::Extra::bias) values.push_back(matrix.bias[k * matrix.bias_stride]);
    }
    const auto bytes = std::as_bytes(std::span(values));
    return {bytes.begin(), bytes.end()};
  }

  void write_ids(const std::string& name, const std::string& array, Index count) {
    comm::agree(communicator_, [&] {
      if (!communicator_.is_root()) return;
      OutputFile file(path(name));
      for (Index first = 0; first < count; first += rows_per_block) {
        std::string text;
        for (const std::string& id : data::read_ids(*run_.file, array, first, std::min(rows_per_block, count - first)))
          text += id + "\n";
        file.write(text);
      }
      file.close();
    });
  }

  void write_description(int dim, bool has_bias) {
    comm::agree(communicator_, [&] {
      if (!communicator_.is_root()) return;
      const nlohmann::ordered_json j{{"format", "spar-export"},
                                     {"version", 1},
                                     {"system", run_.recipe.system()},
                                     {"data", run_.header.name},
                                     {"content", run_.header.content},
                                     {"epoch", run_.epoch},
                                     {"checkpoint", run_.is_best ? "best" : "last"},
                                     {"users", run_.header.users},
                                     {"items", run_.header.items},
                                     {"dim", dim},
                                     {"score", has_bias ? "user . item + item_bias" : "user . item"},
                                     {"score_of_system", systems::find_system(run_.recipe.system())->score}};
      store::write_durably(path("export.json"), j.dump(2) + "\n");
    });
  }

  const comm::Communicator& communicator_;
  const ExportOptions& options_;
  systems::OpenRun run_;
};

}  // namespace

int run_export(const comm::Communicator& communicator, const ExportOptions& options) {
  set_threads(options.threads > 0 ? options.threads : available_processors());
  Exporter(communicator, options).run();
  if (communicator.is_root()) {
    fmt::print("wrote {}\n", options.to);
    std::fflush(stdout);
  }
  return static_cast<int>(ExitCode::done);
}

}  // namespace spar::cli
