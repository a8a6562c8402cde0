#include "data_tools/text_source.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <zlib.h>

#include "spar/base/error.hpp"

namespace spar::data_tools {

struct TextSource::Inflater {
  z_stream stream{};
  std::vector<char> packed = std::vector<char>(1 << 18);
  bool between_members = true;
  bool any_member = false;
  Inflater() {
    if (inflateInit2(&stream, 15 + 16) != Z_OK) throw EnvironmentError("zlib could not get memory to unpack gzip data");
  }
  ~Inflater() { inflateEnd(&stream); }
};

namespace {

struct Magic {
  std::string_view bytes;
  const char* what;
};

constexpr std::array<Magic, 8> other_formats = {{
    {"PK\x03\x04", "a zip archive: unpack it first"},
    {"\x28\xb5\x2f\xfd", "packed with zstd: pipe it in, zstd -dc FILE | spar import FORMAT -"},
    {"\xfd\x37zXZ", "packed with xz: pipe it in, xz -dc FILE | spar import FORMAT -"},
    {"BZh", "packed with bzip2: pipe it in, bzip2 -dc FILE | spar import FORMAT -"},
    {"PAR1\x15", "a Parquet file: write it out as text first, for instance with duckdb -csv"},
    {"\x89HDF\r\n\x1a\n", "an HDF5 file, not text: a data set of spar needs no import"},
    {std::string_view("\xff\xfe", 2), "UTF-16 text: save it as UTF-8"},
    {std::string_view("\xfe\xff", 2), "UTF-16 text: save it as UTF-8"},
}};

}  // namespace

TextSource::TextSource(std::string name, int descriptor) : name_(std::move(name)), descriptor_(descriptor) {}

TextSource::~TextSource() {
  if (descriptor_ > STDIN_FILENO) ::close(descriptor_);
}

std::unique_ptr<TextSource> TextSource::open(const std::string& path) {
  const bool standard_input = path == "-";
  const int descriptor = standard_input ? STDIN_FILENO : ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) throw UserError(fmt::format("{} cannot be read: {}", path, std::strerror(errno)));
  std::unique_ptr<TextSource> source(new TextSource(standard_input ? "standard input" : path, descriptor));
  struct stat status {};
  if (::fstat(descriptor, &status) == 0 && S_ISDIR(status.st_mode)) {
    throw UserError(fmt::format("{} is a folder where a file is expected", path));
  }
  if (!standard_input) static_cast<void>(::posix_fadvise(descriptor, 0, 0, POSIX_FADV_SEQUENTIAL));
  source->head_.resize(8);
  const std::size_t got = source->read_raw(source->head_.data(), 8);
  source->head_.resize(got);
  source->head_used_ = 0;
  if (source->head_.starts_with("\x1f\x8b")) source->inflater_ = std::make_unique<Inflater>();
  source->refuse_other_formats();
  return source;
}

void TextSource::refuse_other_formats() const {
  for (const Magic& magic : other_formats) {
    const std::string_view head = head_;
    // "BZh" and a digit may well begin a text; the block mark behind them does not.
    const bool plain_text = magic.bytes == "BZh" && (head.size() < 8 || head.substr(4) != "1AY&");
    if (head.starts_with(magic.bytes) && !plain_text) throw UserError(fmt::format("{} is {}", name_, magic.what));
  }
}

std::size_t TextSource::read_raw(char* bytes, std::size_t size) {
  std::size_t done = 0;
  while (done < size) {
    const ssize_t got = ::read(descriptor_, bytes + done, size - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw UserError(fmt::format("{} cannot be read: {}", name_, std::strerror(errno)));
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  return done;
}

std::size_t TextSource::read_through(char* bytes, std::size_t size) {
  const auto take_head = [&](char* to, std::size_t room) {
    const std::size_t count = std::min(room, head_.size() - head_used_);
    std::memcpy(to, head_.data() + head_used_, count);
    head_used_ += count;
    return count;
  };
  if (!inflater_) {
    const std::size_t count = take_head(bytes, size);
    return count + read_raw(bytes + count, size - count);
  }
  z_stream& stream = inflater_->stream;
  stream.next_out = reinterpret_cast<Bytef*>(bytes);
  stream.avail_out = static_cast<uInt>(std::min<std::size_t>(size, 1U << 30));
  const std::size_t wanted = stream.avail_out;
  while (stream.avail_out > 0) {
    if (stream.avail_in == 0) {
      std::vector<char>& packed = inflater_->packed;
      const std::size_t from_head = take_head(packed.data(), packed.size());
      const std::size_t got = from_head + read_raw(packed.data() + from_head, packed.size() - from_head);
      stream.next_in = reinterpret_cast<Bytef*>(packed.data());
      stream.avail_in = static_cast<uInt>(got);
      if (got == 0) {
        if (inflater_->between_members) break;
        throw UserError(fmt::format("{} is broken: its gzip data ends too soon", name_));
      }
    }
    if (inflater_->between_members) {
      // Padding with zeros after the last member is allowed, as gzip itself does.
      if (inflater_->any_member && *stream.next_in == 0) {
        ++stream.next_in;
        --stream.avail_in;
        continue;
      }
      inflater_->between_members = false;
      inflater_->any_member = true;
    }
    const int result = ::inflate(&stream, Z_NO_FLUSH);
    if (result == Z_STREAM_END) {
      inflateReset(&stream);
      inflater_->between_members = true;
    } else if (result != Z_OK && result != Z_BUF_ERROR) {
      throw UserError(fmt::format("{} is broken: its gzip data cannot be unpacked ({})", name_,
                                  stream.msg != nullptr ? stream.msg : "damaged"));
    }
  }
  return wanted - stream.avail_out;
}

std::string_view TextSource::peek(std::size_t size) {
  if (peeked_.size() < size) {
    const std::size_t before = peeked_.size();
    peeked_.resize(size);
    peeked_.resize(before + read_through(peeked_.data() + before, size - before));
  }
  return std::string_view(peeked_).substr(0, size);
}

std::size_t TextSource::read(char* bytes, std::size_t size) {
  const std::size_t count = std::min(size, peeked_.size() - peeked_used_);
  std::memcpy(bytes, peeked_.data() + peeked_used_, count);
  peeked_used_ += count;
  return count + (count < size ? read_through(bytes + count, size - count) : 0);
}

void TextSource::check_rest() {
  if (!inflater_) return;
  std::vector<char> rest(std::size_t{1} << 16);
  while (read_through(rest.data(), rest.size()) == rest.size()) {
  }
}

}  // namespace spar::data_tools
