#include <algorithm>
#include <array>
#include <set>
#include <vector>

#include "hdf5_layout.hpp"
#include "hdf5_library.hpp"
#include <fmt/format.h>

#include "spar/base/error.hpp"

namespace spar::store {

namespace {

// Beyond this many links or attributes HDF5 changes to structures of its own; one plain form for all sizes keeps the
// bytes simple.
constexpr unsigned never_dense = 65535;
// An attribute lives in an object header message, which ends at 64 KiB.
constexpr std::size_t longest_text = 60000;

/// A failed HDF5 call while writing; what HDF5 knows of the reason is not worth a sentence.
struct LayoutFailure {};

void check(herr_t status) {
  if (status < 0) throw LayoutFailure{};
}

Hdf5Id checked(Hdf5Id id) {
  if (!id.valid()) throw LayoutFailure{};
  return id;
}

Hdf5Id stored_type(const ArraySpec& array) {
  const auto copy = [](hid_t type) { return checked(Hdf5Id(H5Tcopy(type), H5Tclose)); };
  switch (array.type) {
    case ElementType::i32:
      return copy(H5T_STD_I32LE);
    case ElementType::u32:
      return copy(H5T_STD_U32LE);
    case ElementType::i64:
      return copy(H5T_STD_I64LE);
    case ElementType::u64:
      return copy(H5T_STD_U64LE);
    case ElementType::f32:
      return copy(H5T_IEEE_F32LE);
    case ElementType::f64:
      return copy(H5T_IEEE_F64LE);
    case ElementType::text:
      return checked(text_type(array.text_size));
  }
  throw LayoutFailure{};
}

// Without times of creation, so that equal contents are equal bytes.
void make_plain(hid_t creation) {
  check(H5Pset_obj_track_times(creation, false));
  check(H5Pset_attr_phase_change(creation, never_dense, 0));
}

void create_group(hid_t file, const std::string& path) {
  const Hdf5Id creation = checked(Hdf5Id(H5Pcreate(H5P_GROUP_CREATE), H5Pclose));
  make_plain(creation.get());
  check(H5Pset_link_phase_change(creation.get(), never_dense, 0));
  checked(Hdf5Id(H5Gcreate2(file, path.c_str(), H5P_DEFAULT, creation.get(), H5P_DEFAULT), H5Gclose));
}

void create_array(hid_t file, const ArraySpec& array) {
  const Hdf5Id creation = checked(Hdf5Id(H5Pcreate(H5P_DATASET_CREATE), H5Pclose));
  make_plain(creation.get());
  check(H5Pset_layout(creation.get(), H5D_CONTIGUOUS));
  check(H5Pset_alloc_time(creation.get(), H5D_ALLOC_TIME_EARLY));
  check(H5Pset_fill_time(creation.get(), H5D_FILL_TIME_NEVER));
  const std::array<hsize_t, 2> shape = {static_cast<hsize_t>(array.rows), static_cast<hsize_t>(array.columns)};
  const Hdf5Id space = checked(Hdf5Id(H5Screate_simple(array.columns == 1 ? 1 : 2, shape.data(), nullptr), H5Sclose));
  const Hdf5Id type = stored_type(array);
  checked(
      Hdf5Id(H5Dcreate2(file, array.path.c_str(), type.get(), space.get(), H5P_DEFAULT, creation.get(), H5P_DEFAULT),
             H5Dclose));
}

void create_attribute(hid_t file, const Attribute& attribute) {
  SPAR_ASSERT(attribute.text.size() <= longest_text);
  const Hdf5Id group = checked(Hdf5Id(H5Gopen2(file, attribute.group.c_str(), H5P_DEFAULT), H5Gclose));
  const Hdf5Id space = checked(Hdf5Id(H5Screate(H5S_SCALAR), H5Sclose));
  const auto write = [&](hid_t stored, hid_t given, const void* value) {
    const Hdf5Id id = checked(Hdf5Id(
        H5Acreate2(group.get(), attribute.name.c_str(), stored, space.get(), H5P_DEFAULT, H5P_DEFAULT), H5Aclose));
    check(H5Awrite(id.get(), given, value));
  };
  switch (attribute.kind) {
    case Attribute::Kind::text: {
      const Hdf5Id type = checked(text_type(std::max<std::size_t>(1, attribute.text.size())));
      return write(type.get(), type.get(), attribute.text.c_str());
    }
    case Attribute::Kind::integer:
      return write(H5T_STD_I64LE, H5T_NATIVE_INT64, &attribute.integer);
    case Attribute::Kind::real:
      return write(H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, &attribute.real);
  }
}

/// Every group above the paths of arrays and of attributes; parents sort before children.
std::set<std::string> groups_of(const std::vector<ArraySpec>& arrays, const std::vector<Attribute>& attributes) {
  std::set<std::string> groups;
  const auto add_parents = [&](const std::string& path) {
    for (std::size_t slash = path.find('/', 1); slash != std::string::npos; slash = path.find('/', slash + 1)) {
      groups.insert(path.substr(0, slash));
    }
  };
  for (const ArraySpec& array : arrays) add_parents(array.path);
  for (const Attribute& attribute : attributes) {
    if (attribute.group != "/") add_parents(attribute.group + "/");
  }
  return groups;
}

std::vector<ArraySpec> with_checksums(const std::vector<ArraySpec>& arrays) {
  std::vector<ArraySpec> all = arrays;
  for (const ArraySpec& array : arrays) {
    ArraySpec sums;
    sums.path = checksum_group + array.path;
    sums.type = ElementType::u64;
    sums.rows = static_cast<Index>(array.segment_rows.size()) - 1;
    all.push_back(sums);
  }
  return all;
}

void lay_out(const std::string& path, const std::vector<ArraySpec>& arrays, const std::vector<Attribute>& attributes) {
  const Hdf5Id creation = checked(Hdf5Id(H5Pcreate(H5P_FILE_CREATE), H5Pclose));
  make_plain(creation.get());
  check(H5Pset_link_phase_change(creation.get(), never_dense, 0));
  const Hdf5Id access = checked(writing_access());
  Hdf5Id file = checked(Hdf5Id(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, creation.get(), access.get()), H5Fclose));
  for (const std::string& group : groups_of(arrays, attributes)) create_group(file.get(), group);
  for (const Attribute& attribute : attributes) create_attribute(file.get(), attribute);
  for (const ArraySpec& array : arrays) create_array(file.get(), array);
  if (!file.release()) throw LayoutFailure{};
}

}  // namespace

void create_layout(const std::string& path, const std::string& shown, const std::vector<ArraySpec>& arrays,
                   const std::vector<Attribute>& attributes) {
  std::vector<Attribute> all_attributes = attributes;
  all_attributes.push_back(Attribute::of("/", content_attribute, std::string(16, '0')));
  all_attributes.push_back(Attribute::of(checksum_group, "format", "spar-checksums"));
  all_attributes.push_back(Attribute::of(checksum_group, "version", std::int64_t{1}));
  const Hdf5Session session;
  try {
    lay_out(path, with_checksums(arrays), all_attributes);
  } catch (const LayoutFailure&) {
    throw EnvironmentError(
        fmt::format("cannot write {}: the HDF5 library fails to lay it out (is the disk full?)", shown));
  }
}

void overwrite_text_attribute(const std::string& path, const std::string& group, const std::string& name,
                              const std::string& text) {
  const Hdf5Session session;
  try {
    const Hdf5Id access = checked(writing_access());
    Hdf5Id file = checked(Hdf5Id(H5Fopen(path.c_str(), H5F_ACC_RDWR, access.get()), H5Fclose));
    {
      const Hdf5Id attribute =
          checked(Hdf5Id(H5Aopen_by_name(file.get(), group.c_str(), name.c_str(), H5P_DEFAULT, H5P_DEFAULT), H5Aclose));
      const Hdf5Id type = checked(Hdf5Id(H5Aget_type(attribute.get()), H5Tclose));
      SPAR_ASSERT(H5Tget_size(type.get()) == text.size());
      check(H5Awrite(attribute.get(), type.get(), text.data()));
    }
    if (!file.release()) throw LayoutFailure{};
  } catch (const LayoutFailure&) {
    throw EnvironmentError(
        fmt::format("cannot write {}: the HDF5 library fails to set its attribute \"{}\"", path, name));
  }
}

}  // namespace spar::store
