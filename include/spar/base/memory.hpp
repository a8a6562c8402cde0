#pragma once
#include <cstddef>
#include <cstring>
#include <new>
#include <type_traits>
#include <utility>
#include <vector>

/// Memory for tables and buffers: aligned to cache lines, on huge pages where it is large, reused between steps.
namespace spar {

/// Every buffer and every padded row starts at a multiple of this many bytes (a cache line, an AVX-512 register).
inline constexpr std::size_t line_bytes = 64;

inline constexpr std::size_t huge_page_bytes = std::size_t{2} << 20;

/// `bytes` of zeroed memory; from 2 MiB on, aligned to 2 MiB and advised to use huge pages (1.3 to 2 times faster
/// random rows). Throws EnvironmentError naming the size where memory is refused.
void* allocate_lines(std::size_t bytes);
void release_lines(void* memory, std::size_t bytes) noexcept;

/// A fixed number of trivially copyable values, zeroed, in memory of allocate_lines. Move-only.
template <class T>
class Buffer {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  Buffer() = default;
  explicit Buffer(std::size_t size) : data_(static_cast<T*>(allocate_lines(size * sizeof(T)))), size_(size) {}
  Buffer(Buffer&& other) noexcept : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { release_lines(data_, size_ * sizeof(T)); }

  /// Makes room for at least `size` values; contents are lost when it must grow. For scratch memory that reaches a
  /// steady size.
  void require(std::size_t size) {
    if (size > size_) *this = Buffer(size + size / 4);
  }

  T* data() { return data_; }
  const T* data() const { return data_; }
  std::size_t size() const { return size_; }
  T& operator[](std::size_t k) { return data_[k]; }
  const T& operator[](std::size_t k) const { return data_[k]; }
  T* begin() { return data_; }
  T* end() { return data_ + size_; }
  const T* begin() const { return data_; }
  const T* end() const { return data_ + size_; }

 private:
  T* data_ = nullptr;
  std::size_t size_ = 0;
};

/// For containers whose random accesses should find huge pages.
template <class T>
struct LineAllocator {
  using value_type = T;
  LineAllocator() = default;
  template <class U>
  explicit(false) LineAllocator(const LineAllocator<U>&) noexcept {}
  T* allocate(std::size_t count) { return static_cast<T*>(allocate_lines(count * sizeof(T))); }
  void deallocate(T* memory, std::size_t count) noexcept { release_lines(memory, count * sizeof(T)); }
  friend bool operator==(const LineAllocator&, const LineAllocator&) { return true; }
};
template <class T>
using LargeVector = std::vector<T, LineAllocator<T>>;

/// `width` floats rounded up to whole cache lines: the stride of rows in memory. Padding is zero and stays zero.
inline constexpr int padded(int width) {
  return (width + 15) / 16 * 16;
}

}  // namespace spar
