#include "checkpoint_index.hpp"

#include <array>
#include <limits>
#include <vector>

#include "checkpoint_plan.hpp"
#include "hdf5_library.hpp"
#include <fmt/format.h>

#include "spar/base/error.hpp"

namespace spar::store {

namespace {

// The file is made in memory, so HDF5 never meets a full disk; a failure is one of memory.
void check(herr_t status) {
  if (status < 0) throw EnvironmentError("the HDF5 library cannot make the index of the checkpoint: no memory is left");
}

Hdf5Id checked(Hdf5Id id) {
  check(id.valid() ? 0 : -1);
  return id;
}

Hdf5Id plain(hid_t property_class) {
  Hdf5Id creation = checked(Hdf5Id(H5Pcreate(property_class), H5Pclose));
  check(H5Pset_obj_track_times(creation.get(), false));
  return creation;
}

void describe(hid_t group, const char* format) {
  const Hdf5Id space = checked(Hdf5Id(H5Screate(H5S_SCALAR), H5Sclose));
  const std::string text = format;
  const Hdf5Id type = checked(text_type(text.size()));
  const auto create = [&](const char* name, hid_t stored) {
    return checked(Hdf5Id(H5Acreate2(group, name, stored, space.get(), H5P_DEFAULT, H5P_DEFAULT), H5Aclose));
  };
  check(H5Awrite(create("format", type.get()).get(), type.get(), text.data()));
  check(H5Awrite(create("version", H5T_STD_I64LE).get(), H5T_NATIVE_INT64, &checkpoint_version));
}

void make_group(hid_t file, const std::string& path, const char* format) {
  const Hdf5Id creation = plain(H5P_GROUP_CREATE);
  const Hdf5Id group =
      checked(Hdf5Id(H5Gcreate2(file, path.c_str(), H5P_DEFAULT, creation.get(), H5P_DEFAULT), H5Gclose));
  describe(group.get(), format);
}

Hdf5Id matrix(Index rows, int columns) {
  const std::array<hsize_t, 2> shape = {static_cast<hsize_t>(rows), static_cast<hsize_t>(columns)};
  return checked(Hdf5Id(H5Screate_simple(columns == 1 ? 1 : 2, shape.data(), nullptr), H5Sclose));
}

void make_virtual(hid_t file, const CheckpointManifest& manifest, const CheckpointManifest::Table& table,
                  const Field& field) {
  const std::string path = field_array(table.name, field.name);
  const Hdf5Id creation = plain(H5P_DATASET_CREATE);
  const float missing = std::numeric_limits<float>::quiet_NaN();
  check(H5Pset_fill_value(creation.get(), H5T_NATIVE_FLOAT, &missing));
  const Hdf5Id whole = matrix(table.rows, field.columns);
  for (int part = 0; part < manifest.parts; ++part) {
    const RowRange rows = part_rows(table.rows, manifest.parts, part);
    if (rows.size() == 0) continue;
    const std::array<hsize_t, 2> start = {static_cast<hsize_t>(rows.begin), 0};
    const std::array<hsize_t, 2> count = {static_cast<hsize_t>(rows.size()), static_cast<hsize_t>(field.columns)};
    check(H5Sselect_hyperslab(whole.get(), H5S_SELECT_SET, start.data(), nullptr, count.data(), nullptr));
    const Hdf5Id source = matrix(rows.size(), field.columns);
    check(H5Pset_virtual(creation.get(), whole.get(), manifest.files[static_cast<std::size_t>(part)].file.c_str(),
                         path.c_str(), source.get()));
  }
  check(H5Sselect_all(whole.get()));
  checked(Hdf5Id(H5Dcreate2(file, path.c_str(), H5T_IEEE_F32LE, whole.get(), H5P_DEFAULT, creation.get(), H5P_DEFAULT),
                 H5Dclose));
}

std::string image_of(hid_t file) {
  check(H5Fflush(file, H5F_SCOPE_GLOBAL));
  const ssize_t size = H5Fget_file_image(file, nullptr, 0);
  check(size < 0 ? -1 : 0);
  std::string image(static_cast<std::size_t>(size), '\0');
  check(H5Fget_file_image(file, image.data(), image.size()) < 0 ? -1 : 0);
  return image;
}

}  // namespace

std::string index_image(const CheckpointManifest& manifest) {
  const Hdf5Session session;
  const Hdf5Id access = checked(Hdf5Id(H5Pcreate(H5P_FILE_ACCESS), H5Pclose));
  check(H5Pset_fapl_core(access.get(), std::size_t{1} << 20, false));
  const Hdf5Id creation = plain(H5P_FILE_CREATE);
  const Hdf5Id file = checked(Hdf5Id(H5Fcreate(index_file, H5F_ACC_TRUNC, creation.get(), access.get()), H5Fclose));
  {
    const Hdf5Id root = checked(Hdf5Id(H5Gopen2(file.get(), "/", H5P_DEFAULT), H5Gclose));
    describe(root.get(), index_format);
  }
  make_group(file.get(), "/tables", "spar-tables");
  for (const auto& table : manifest.tables) {
    make_group(file.get(), "/tables/" + table.name, "spar-table");
    for (const Field& field : table.fields) make_virtual(file.get(), manifest, table, field);
  }
  return image_of(file.get());
}

}  // namespace spar::store
