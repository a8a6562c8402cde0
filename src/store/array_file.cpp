#include "spar/store/array_file.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>

#include "content.hpp"
#include "descriptor.hpp"
#include "hdf5_layout.hpp"
#include <fmt/format.h>

#include "spar/base/error.hpp"
#include "spar/store/durable.hpp"

namespace spar::store {

namespace {

constexpr std::array<unsigned char, 8> hdf5_signature = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};

/// Where the superblock of each version keeps the end of the file (HDF5 File Format Specification 3.0, section II.A).
std::size_t end_of_file_field(unsigned char superblock_version) {
  switch (superblock_version) {
    case 0:
      return 40;
    case 1:
      return 44;
    default:
      return 28;
  }
}

// HDF5 says the same of a file that is no HDF5 file and of one that is cut off; people must be told apart what
// happened.
void check_whole(const Descriptor& file, const std::string& path, const std::string& format) {
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) throw_system_failure("cannot read", path, errno);
  if (S_ISDIR(status.st_mode))
    throw UserError(fmt::format("{} is a directory, where a {} file is needed", path, format));
  std::array<unsigned char, 52> head{};
  const std::size_t got = read_fully(file, path, head.data(), head.size(), 0);
  if (got < hdf5_signature.size() || std::memcmp(head.data(), hdf5_signature.data(), hdf5_signature.size()) != 0) {
    throw UserError(fmt::format("{} is not an HDF5 file ({} is needed)", path, format));
  }
  std::uint64_t expected = head.size();
  if (got == head.size())
    std::memcpy(&expected, head.data() + end_of_file_field(head[hdf5_signature.size()]), sizeof expected);
  if (static_cast<std::uint64_t>(status.st_size) < expected) {
    throw UserError(fmt::format("{} is truncated: it has {} of its {} bytes", path, status.st_size, expected));
  }
}

void check_kind(const Layout& layout, const std::string& path, const std::string& format, std::int64_t newest_version) {
  const Attribute* found = layout.find("/", "format");
  if (found == nullptr || found->kind != Attribute::Kind::text) {
    throw UserError(fmt::format(
        "{} is an HDF5 file of another program: its attribute \"format\" is missing (\"{}\" is needed)", path, format));
  }
  if (found->text != format)
    throw UserError(fmt::format("{} is a \"{}\" file, where a \"{}\" file is needed", path, found->text, format));
  const Attribute* version = layout.find("/", "version");
  if (version == nullptr || version->kind != Attribute::Kind::integer) {
    throw UserError(fmt::format("{} is damaged: its attribute \"version\" is missing", path));
  }
  if (version->integer > newest_version) {
    throw UserError(fmt::format(
        "{} has version {} of the \"{}\" format, but this program knows versions up to {}: use a newer spar", path,
        version->integer, format, newest_version));
  }
}

}  // namespace

struct ArrayFile::State {
  std::string path;
  Descriptor file;
  Layout layout;

  const PlacedArray& array(const std::string& name) const {
    const auto found = layout.arrays.find(name);
    if (found == layout.arrays.end())
      throw UserError(fmt::format("{} is damaged: its array {} is missing", path, name));
    if (!found->second.unsupported.empty()) {
      throw UserError(fmt::format("{}: array {} cannot be read: {}", path, name, found->second.unsupported));
    }
    return found->second;
  }

  const Attribute& attribute(const std::string& group, const std::string& name, Attribute::Kind kind) const {
    const Attribute* found = layout.find(group, name);
    if (found == nullptr)
      throw UserError(fmt::format("{} is damaged: attribute \"{}\" of {} is missing", path, name, group));
    if (found->kind != kind)
      throw UserError(fmt::format("{} is damaged: attribute \"{}\" of {} is of another type", path, name, group));
    return *found;
  }
};

ArrayFile::ArrayFile(std::unique_ptr<State> state) : state_(std::move(state)) {}
ArrayFile::ArrayFile(ArrayFile&&) noexcept = default;
ArrayFile& ArrayFile::operator=(ArrayFile&&) noexcept = default;
ArrayFile::~ArrayFile() = default;

ArrayFile ArrayFile::open(const std::string& path, const std::string& format, std::int64_t newest_version) {
  auto state = std::make_unique<State>();
  state->path = path;
  state->file = open_descriptor(path, O_RDONLY, "cannot read", path);
  check_whole(state->file, path, format);
  state->layout = read_layout(path, [&](const Layout& root) { check_kind(root, path, format, newest_version); });
  return ArrayFile(std::move(state));
}

const std::string& ArrayFile::path() const {
  return state_->path;
}
bool ArrayFile::has(const std::string& array) const {
  return state_->layout.arrays.contains(array);
}
Index ArrayFile::rows(const std::string& array) const {
  return state_->array(array).rows;
}
Index ArrayFile::columns(const std::string& array) const {
  return state_->array(array).columns;
}
std::size_t ArrayFile::text_size(const std::string& array) const {
  return state_->array(array).text_size;
}
ElementType ArrayFile::type(const std::string& array) const {
  return state_->array(array).type;
}
int ArrayFile::segments(const std::string& array) const {
  return static_cast<int>(state_->array(checksum_group + array).rows);
}

std::vector<std::string> ArrayFile::arrays() const {
  const std::string prefix = std::string(checksum_group) + "/";
  std::vector<std::string> paths;
  for (const auto& [path, array] : state_->layout.arrays) {
    if (path.compare(0, prefix.size(), prefix) != 0) paths.push_back(path);
  }
  return paths;
}

bool ArrayFile::has_attribute(const std::string& group, const std::string& name) const {
  return state_->layout.find(group, name) != nullptr;
}

std::string ArrayFile::text_attribute(const std::string& group, const std::string& name) const {
  return state_->attribute(group, name, Attribute::Kind::text).text;
}

std::int64_t ArrayFile::integer_attribute(const std::string& group, const std::string& name) const {
  return state_->attribute(group, name, Attribute::Kind::integer).integer;
}

double ArrayFile::real_attribute(const std::string& group, const std::string& name) const {
  return state_->attribute(group, name, Attribute::Kind::real).real;
}

void ArrayFile::read(const std::string& array, Index first_row, Index count, void* values) const {
  const PlacedArray& placed = state_->array(array);
  SPAR_ASSERT(first_row >= 0 && count >= 0 && first_row + count <= placed.rows);
  const Index row_bytes = static_cast<Index>(element_bytes(placed.type, placed.text_size)) * placed.columns;
  const auto bytes = static_cast<std::size_t>(count * row_bytes);
  const std::size_t got = read_fully(state_->file, state_->path, values, bytes, placed.offset + first_row * row_bytes);
  if (got < bytes) throw UserError(fmt::format("{} is truncated: it ends within array {}", state_->path, array));
}

void ArrayFile::verify(const std::string& array, int segment, Index first_row, const void* values,
                       std::size_t bytes) const {
  std::uint64_t stored = 0;
  if (segment >= segments(array))
    throw UserError(fmt::format("{} is damaged: array {} has too few checksums", state_->path, array));
  read(checksum_group + array, segment, 1, &stored);
  if (stored == checksum(values, bytes)) return;
  const PlacedArray& placed = state_->array(array);
  const auto row_bytes = static_cast<Index>(element_bytes(placed.type, placed.text_size)) * placed.columns;
  throw UserError(
      fmt::format("{} is damaged: the checksum of array {} does not match in rows {} to {}; make the file again or "
                  "take a sound copy",
                  state_->path, array, first_row, first_row + static_cast<Index>(bytes) / row_bytes - 1));
}

void ArrayFile::read_segments(const std::string& array, const std::vector<Index>& segment_rows, int first_segment,
                              int end_segment, void* values) const {
  SPAR_ASSERT(first_segment >= 0 && first_segment <= end_segment &&
              static_cast<std::size_t>(end_segment) < segment_rows.size());
  const auto boundary = [&](int segment) { return segment_rows[static_cast<std::size_t>(segment)]; };
  const PlacedArray& placed = state_->array(array);
  const Index row_bytes = static_cast<Index>(element_bytes(placed.type, placed.text_size)) * placed.columns;
  const Index first = boundary(first_segment);
  read(array, first, boundary(end_segment) - first, values);
  for (int segment = first_segment; segment < end_segment; ++segment) {
    const char* begin = static_cast<const char*>(values) + (boundary(segment) - first) * row_bytes;
    const auto bytes = static_cast<std::size_t>((boundary(segment + 1) - boundary(segment)) * row_bytes);
    verify(array, segment, boundary(segment), begin, bytes);
  }
}

std::vector<std::uint64_t> ArrayFile::checksums(const std::string& array) const {
  std::vector<std::uint64_t> values(static_cast<std::size_t>(segments(array)));
  read(checksum_group + array, 0, static_cast<Index>(values.size()), values.data());
  return values;
}

std::string ArrayFile::content_of_checksums() const {
  std::map<std::string, std::vector<std::uint64_t>> all;
  for (const std::string& path : arrays()) all[path] = checksums(path);
  return content_of(all);
}

}  // namespace spar::store
