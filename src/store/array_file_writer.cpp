#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <unistd.h>

#include "content.hpp"
#include "descriptor.hpp"
#include "hdf5_layout.hpp"
#include <fmt/format.h>

#include "spar/base/error.hpp"
#include "spar/store/array_file.hpp"
#include "spar/store/durable.hpp"

namespace spar::store {

namespace {

// Writes of this size are sent to the disk at once, so that it works while the next are prepared; a hint, whose failure
// the flush will show.
constexpr std::int64_t early_bytes = std::int64_t{1} << 20;

// What HDF5 adds to the values: headers and alignment, generously.
constexpr std::int64_t overhead_per_array = 3 * 4096;
constexpr std::int64_t overhead_per_file = std::int64_t{1} << 17;

std::int64_t bytes_of(const ArraySpec& array) {
  return array.rows * array.columns * static_cast<std::int64_t>(element_bytes(array.type, array.text_size));
}

std::int64_t expected_bytes(const std::vector<ArraySpec>& arrays) {
  std::int64_t bytes = overhead_per_file;
  for (const ArraySpec& array : arrays) {
    bytes += bytes_of(array) + static_cast<std::int64_t>(array.segment_rows.size() * sizeof(std::uint64_t)) +
             overhead_per_array;
  }
  return bytes;
}

std::string reserving(std::int64_t bytes) {
  const double megabytes = static_cast<double>(bytes) * 1e-6;
  return megabytes < 1000 ? fmt::format("cannot reserve {:.3g} MB for", megabytes)
                          : fmt::format("cannot reserve {:.3g} GB for", megabytes * 1e-3);
}

// Asks for the room before HDF5 writes anything, since HDF5 leaves a full disk badly. A file system without fallocate
// answers later, in reserve().
void probe_room(const Descriptor& file, const std::string& shown, std::int64_t bytes) {
  if (::fallocate(file.get(), 0, 0, bytes) == 0 || errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL) return;
  throw_system_failure(reserving(bytes), shown, errno);
}

void reserve(const Descriptor& file, const std::string& shown) {
  const off_t bytes = ::lseek(file.get(), 0, SEEK_END);
  const int failure = ::posix_fallocate(file.get(), 0, bytes);
  if (failure != 0 && failure != EOPNOTSUPP && failure != EINVAL)
    throw_system_failure(reserving(bytes), shown, failure);
}

void check_spec(const ArraySpec& array) {
  SPAR_ASSERT(array.path.size() > 1 && array.path.front() == '/' && array.path.back() != '/');
  SPAR_ASSERT(array.rows >= 0 && array.columns >= 1 && array.segment_rows.size() >= 2);
  SPAR_ASSERT(array.segment_rows.front() == 0 && array.segment_rows.back() == array.rows);
  SPAR_ASSERT(std::is_sorted(array.segment_rows.begin(), array.segment_rows.end()));
}

}  // namespace

struct ArrayFileWriter::State {
  struct Target {
    ArraySpec spec;
    std::int64_t values_offset = 0;
    std::int64_t checksums_offset = 0;
    Index row_bytes = 0;
  };

  std::string final_path;
  std::string temporary_path;
  bool creator = false;
  bool committed = false;
  Descriptor file;
  std::map<std::string, Target> targets;

  State(const std::string& path, const std::string& nonce)
      : final_path(path), temporary_path(path + ".partial-" + nonce) {}
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() {
    if (creator && !committed) ::unlink(temporary_path.c_str());
  }

  void place(const std::vector<ArraySpec>& arrays) {
    const Layout layout = read_layout(temporary_path, [](const Layout&) {});
    for (const ArraySpec& array : arrays) {
      check_spec(array);
      const PlacedArray& values = layout.arrays.at(array.path);
      SPAR_ASSERT(values.unsupported.empty() && values.rows == array.rows && values.columns == array.columns);
      const auto row_bytes = static_cast<Index>(element_bytes(array.type, array.text_size)) * array.columns;
      targets[array.path] = {array, values.offset, layout.arrays.at(checksum_group + array.path).offset, row_bytes};
    }
  }

  const Target& target(const std::string& path) const {
    const auto found = targets.find(path);
    SPAR_ASSERT(found != targets.end());
    return found->second;
  }

  std::map<std::string, std::vector<std::uint64_t>> read_checksums() const {
    std::map<std::string, std::vector<std::uint64_t>> checksums;
    for (const auto& [path, target] : targets) {
      std::vector<std::uint64_t> values(target.spec.segment_rows.size() - 1);
      read_fully(file, final_path, values.data(), values.size() * sizeof(std::uint64_t), target.checksums_offset);
      // No checksum is 0 but by a chance of 2^-64: a segment that nobody wrote.
      SPAR_ASSERT(std::find(values.begin(), values.end(), 0U) == values.end());
      checksums[path] = std::move(values);
    }
    return checksums;
  }
};

ArrayFileWriter::ArrayFileWriter(std::unique_ptr<State> state) : state_(std::move(state)) {}
ArrayFileWriter::ArrayFileWriter(ArrayFileWriter&&) noexcept = default;
ArrayFileWriter& ArrayFileWriter::operator=(ArrayFileWriter&&) noexcept = default;
ArrayFileWriter::~ArrayFileWriter() = default;

ArrayFileWriter ArrayFileWriter::create(const std::string& final_path, const std::vector<ArraySpec>& arrays,
                                        const std::vector<Attribute>& attributes, const std::string& nonce) {
  for (const ArraySpec& array : arrays) check_spec(array);
  auto state = std::make_unique<State>(final_path, nonce);
  state->file = open_descriptor(state->temporary_path, O_RDWR | O_CREAT | O_EXCL, "cannot write", final_path);
  state->creator = true;
  probe_room(state->file, final_path, expected_bytes(arrays));
  create_layout(state->temporary_path, final_path, arrays, attributes);
  reserve(state->file, final_path);
  state->place(arrays);
  ArrayFileWriter writer(std::move(state));
  for (const ArraySpec& array : arrays) {
    for (std::size_t k = 0; k + 1 < array.segment_rows.size(); ++k) {
      if (array.segment_rows[k] == array.segment_rows[k + 1])
        writer.write_segment(array.path, static_cast<int>(k), nullptr);
    }
  }
  return writer;
}

ArrayFileWriter ArrayFileWriter::open_existing(const std::string& final_path, const std::vector<ArraySpec>& arrays,
                                               const std::string& nonce) {
  auto state = std::make_unique<State>(final_path, nonce);
  state->file = open_descriptor(state->temporary_path, O_RDWR, "cannot write", state->temporary_path);
  state->place(arrays);
  return ArrayFileWriter(std::move(state));
}

void ArrayFileWriter::write(const std::string& path, Index first_row, Index count, const void* values) {
  const State::Target& target = state_->target(path);
  SPAR_ASSERT(first_row >= 0 && count >= 0 && first_row + count <= target.spec.rows);
  const std::int64_t offset = target.values_offset + first_row * target.row_bytes;
  const std::int64_t bytes = count * target.row_bytes;
  write_fully(state_->file, state_->final_path, values, static_cast<std::size_t>(bytes), offset);
  if (bytes >= early_bytes) ::sync_file_range(state_->file.get(), offset, bytes, SYNC_FILE_RANGE_WRITE);
}

void ArrayFileWriter::write_checksum(const std::string& path, int segment, std::uint64_t checksum) {
  const State::Target& target = state_->target(path);
  SPAR_ASSERT(segment >= 0 && static_cast<std::size_t>(segment) + 1 < target.spec.segment_rows.size());
  write_fully(state_->file, state_->final_path, &checksum, sizeof checksum,
              target.checksums_offset + static_cast<std::int64_t>(sizeof checksum) * segment);
}

void ArrayFileWriter::write_segment(const std::string& path, int segment, const void* values) {
  const State::Target& target = state_->target(path);
  SPAR_ASSERT(segment >= 0 && static_cast<std::size_t>(segment) + 1 < target.spec.segment_rows.size());
  const Index first = target.spec.segment_rows[static_cast<std::size_t>(segment)];
  const Index count = target.spec.segment_rows[static_cast<std::size_t>(segment) + 1] - first;
  write(path, first, count, values);
  write_checksum(path, segment, checksum(values, static_cast<std::size_t>(count * target.row_bytes)));
}

void ArrayFileWriter::flush() {
  sync_descriptor(state_->file, state_->final_path);
}

void ArrayFileWriter::commit() {
  SPAR_ASSERT(state_->creator && !state_->committed);
  overwrite_text_attribute(state_->temporary_path, "/", content_attribute, content_of(state_->read_checksums()));
  flush();
  rename_durably(state_->temporary_path, state_->final_path);
  state_->committed = true;
}

}  // namespace spar::store
