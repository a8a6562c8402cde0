#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <functional>
#include <memory>
#include <system_error>
#include <unistd.h>

#include <fmt/format.h>

#include "spar/base/error.hpp"
#include "spar/evaluate/results.hpp"
#include "spar/store/durable.hpp"

namespace spar::evaluate {

namespace {

constexpr std::size_t users_in_piece = 8192;
// Users may be a sparse sample, but ids are read in one stretch.
constexpr Index rows_in_piece = 65'536;

// A text file under a temporary name that becomes the final one when it is whole.
class DurableText {
 public:
  explicit DurableText(const std::string& path)
      : path_(path), temporary_(path + ".partial-" + store::make_nonce()), file_(std::fopen(temporary_.c_str(), "wb")) {
    if (file_ == nullptr) fail();
  }
  DurableText(const DurableText&) = delete;
  DurableText& operator=(const DurableText&) = delete;
  ~DurableText() {
    if (file_ != nullptr) std::fclose(file_);
    if (!committed_) ::unlink(temporary_.c_str());
  }
  void write(std::string_view text) {
    if (std::fwrite(text.data(), 1, text.size(), file_) != text.size()) fail();
  }
  void commit() {
    const bool flushed = std::fflush(file_) == 0 && ::fsync(::fileno(file_)) == 0;
    if (!flushed) fail();
    store::rename_durably(temporary_, path_);
    committed_ = true;
  }

 private:
  [[noreturn]] void fail() const {
    throw EnvironmentError(fmt::format("cannot write {}: {}", path_, std::generic_category().message(errno)));
  }

  std::string path_;
  std::string temporary_;
  std::FILE* file_;
  bool committed_ = false;
};

std::size_t end_of_piece(const EvaluationResult& result, std::size_t begin) {
  const auto first = result.user_rows.begin() + static_cast<std::ptrdiff_t>(begin);
  const auto last = std::lower_bound(first, result.user_rows.end(), *first + rows_in_piece);
  return std::min(begin + users_in_piece, static_cast<std::size_t>(last - result.user_rows.begin()));
}

std::string lines_of(const EvaluationResult& result, std::size_t begin, std::size_t end,
                     const std::function<std::vector<std::string>(Index, Index)>& ids,
                     const std::function<std::string(Index)>& item_id) {
  std::string text;
  if (begin == end) return text;
  const Index first = result.user_rows[begin];
  const auto names = ids(first, result.user_rows[end - 1] - first + 1);
  const std::size_t width = result.names.size();
  for (std::size_t k = begin; k < end; ++k) {
    text += names[static_cast<std::size_t>(result.user_rows[k] - first)];
    if (!result.item_rows.empty()) text += "\t" + item_id(result.item_rows[k]);
    for (std::size_t c = 0; c < width; ++c) text += fmt::format("\t{}", result.user_values[k * width + c]);
    text += '\n';
  }
  return text;
}

}  // namespace

void save_user_values(const comm::Communicator& communicator, const std::string& path, const EvaluationResult& result,
                      const std::function<std::vector<std::string>(Index, Index)>& ids,
                      const std::function<std::string(Index)>& item_id) {
  const bool of_posts = communicator.any(!result.item_rows.empty());
  std::unique_ptr<DurableText> file;
  comm::agree(communicator, [&] {
    if (!communicator.is_root()) return;
    file = std::make_unique<DurableText>(path);
    std::string titles = of_posts ? "user\titem" : "user";
    for (const std::string& name : result.names) titles += "\t" + name;
    file->write(titles + "\n");
  });
  // Rank after rank, a piece at a time: rank 0 holds one piece, and all ranks learn of a failure before the next.
  for (int rank = 0; rank < communicator.size(); ++rank) {
    const bool mine = communicator.rank() == rank;
    const std::size_t count = mine ? result.user_rows.size() : 0;
    for (std::size_t next = 0; communicator.any(next < count);) {
      const std::size_t end = next < count ? end_of_piece(result, next) : next;
      std::string text;
      comm::agree(communicator, [&] { text = lines_of(result, next, end, ids, item_id); });
      if (mine && rank != 0) communicator.send(std::as_bytes(std::span(text)), 0);
      if (communicator.is_root() && rank != 0) {
        const auto bytes = communicator.receive(rank);
        text.assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      }
      comm::agree(communicator, [&] {
        if (communicator.is_root()) file->write(text);
      });
      next = end;
    }
  }
  comm::agree(communicator, [&] {
    if (communicator.is_root()) file->commit();
  });
}

}  // namespace spar::evaluate
