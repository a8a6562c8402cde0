#include "hdf5_library.hpp"

namespace spar::store {

namespace {

std::mutex& library_mutex() {
  static std::mutex mutex;
  return mutex;
}

// Arrays start at multiples of this, so that other programs can map them as numbers.
constexpr hsize_t array_alignment = 64;

}  // namespace

Hdf5Session::Hdf5Session() : lock_(library_mutex()) {
  static const bool started = [] {
    H5dont_atexit();
    H5open();
    H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
    return true;
  }();
  static_cast<void>(started);
}

Hdf5Id reading_access() {
  Hdf5Id access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  H5Pset_file_locking(access.get(), false, true);
  H5Pset_fclose_degree(access.get(), H5F_CLOSE_STRONG);
  return access;
}

Hdf5Id writing_access() {
  Hdf5Id access = reading_access();
  H5Pset_libver_bounds(access.get(), H5F_LIBVER_V18, H5F_LIBVER_V18);
  H5Pset_alignment(access.get(), array_alignment, array_alignment);
  H5Pset_small_data_block_size(access.get(), 0);
  return access;
}

Hdf5Id text_type(std::size_t bytes) {
  Hdf5Id type(H5Tcopy(H5T_C_S1), H5Tclose);
  H5Tset_size(type.get(), bytes);
  H5Tset_strpad(type.get(), H5T_STR_NULLPAD);
  H5Tset_cset(type.get(), H5T_CSET_UTF8);
  return type;
}

}  // namespace spar::store
