#pragma once
#include <mutex>
#include <utility>

#include <hdf5.h>

namespace spar::store {

/// Holds the mutex of the library, which is started on first use: no handler at exit (it crashes after a failed write),
/// no error stacks on stderr.
class Hdf5Session {
 public:
  Hdf5Session();

 private:
  std::lock_guard<std::mutex> lock_;
};

/// An HDF5 handle that closes itself.
class Hdf5Id {
 public:
  using Close = herr_t (*)(hid_t);
  Hdf5Id() = default;
  Hdf5Id(hid_t id, Close close) : id_(id), close_(close) {}
  Hdf5Id(Hdf5Id&& other) noexcept : id_(std::exchange(other.id_, H5I_INVALID_HID)), close_(other.close_) {}
  Hdf5Id& operator=(Hdf5Id&& other) noexcept {
    std::swap(id_, other.id_);
    std::swap(close_, other.close_);
    return *this;
  }
  ~Hdf5Id() { release(); }

  hid_t get() const { return id_; }
  bool valid() const { return id_ >= 0; }
  /// Closes now; false where HDF5 fails to.
  bool release() { return id_ < 0 || close_(std::exchange(id_, H5I_INVALID_HID)) >= 0; }

 private:
  hid_t id_ = H5I_INVALID_HID;
  Close close_ = nullptr;
};

/// Access properties of every file: no locking, which fails on many cluster file systems.
Hdf5Id reading_access();
/// The same for writing, in the formats of HDF5 1.8: their metadata carries checksums, and any reader knows them.
Hdf5Id writing_access();

/// Fixed-size, NUL-padded UTF-8.
Hdf5Id text_type(std::size_t bytes);

}  // namespace spar::store
