#include <array>
#include <vector>

#include "hdf5_layout.hpp"
#include "hdf5_library.hpp"
#include <fmt/format.h>

#include "spar/base/error.hpp"

namespace spar::store {

namespace {

// Groups of spar's files are two deep; links that go round must not be followed for ever.
constexpr int deepest_group = 16;

/// The library fails on the file's structure.
struct DamagedStructure {};

Hdf5Id checked(Hdf5Id id) {
  if (!id.valid()) throw DamagedStructure{};
  return id;
}

std::string read_text(hid_t attribute, hid_t type) {
  if (H5Tis_variable_str(type) > 0) {
    char* text = nullptr;
    if (H5Aread(attribute, type, &text) < 0 || text == nullptr) throw DamagedStructure{};
    std::string copy(text);
    H5free_memory(text);
    return copy;
  }
  std::string text(H5Tget_size(type), '\0');
  if (H5Aread(attribute, type, text.data()) < 0) throw DamagedStructure{};
  return text.substr(0, text.find('\0'));
}

void read_attribute(hid_t object, const std::string& group, hsize_t k, Layout& layout) {
  const Hdf5Id id =
      checked(Hdf5Id(H5Aopen_by_idx(object, ".", H5_INDEX_NAME, H5_ITER_INC, k, H5P_DEFAULT, H5P_DEFAULT), H5Aclose));
  const Hdf5Id space = checked(Hdf5Id(H5Aget_space(id.get()), H5Sclose));
  if (H5Sget_simple_extent_npoints(space.get()) != 1) return;
  std::array<char, 256> name{};
  if (H5Aget_name(id.get(), name.size(), name.data()) < 0) throw DamagedStructure{};
  const Hdf5Id type = checked(Hdf5Id(H5Aget_type(id.get()), H5Tclose));
  Attribute attribute;
  attribute.group = group;
  attribute.name = name.data();
  switch (H5Tget_class(type.get())) {
    case H5T_STRING:
      attribute.kind = Attribute::Kind::text;
      attribute.text = read_text(id.get(), type.get());
      break;
    case H5T_INTEGER:
      attribute.kind = Attribute::Kind::integer;
      if (H5Aread(id.get(), H5T_NATIVE_INT64, &attribute.integer) < 0) throw DamagedStructure{};
      break;
    case H5T_FLOAT:
      attribute.kind = Attribute::Kind::real;
      if (H5Aread(id.get(), H5T_NATIVE_DOUBLE, &attribute.real) < 0) throw DamagedStructure{};
      break;
    default:
      return;
  }
  layout.attributes[{group, attribute.name}] = attribute;
}

void read_attributes(hid_t object, const std::string& group, Layout& layout) {
  H5O_info_t info;
  if (H5Oget_info2(object, &info, H5O_INFO_NUM_ATTRS) < 0) throw DamagedStructure{};
  for (hsize_t k = 0; k < info.num_attrs; ++k) read_attribute(object, group, k, layout);
}

bool read_type(hid_t type, PlacedArray& array) {
  const std::array<std::pair<hid_t, ElementType>, 6> known = {{{H5T_STD_I32LE, ElementType::i32},
                                                               {H5T_STD_U32LE, ElementType::u32},
                                                               {H5T_STD_I64LE, ElementType::i64},
                                                               {H5T_STD_U64LE, ElementType::u64},
                                                               {H5T_IEEE_F32LE, ElementType::f32},
                                                               {H5T_IEEE_F64LE, ElementType::f64}}};
  for (const auto& [stored, element] : known) {
    if (H5Tequal(type, stored) > 0) {
      array.type = element;
      return true;
    }
  }
  if (H5Tget_class(type) != H5T_STRING || H5Tis_variable_str(type) > 0) return false;
  array.type = ElementType::text;
  array.text_size = H5Tget_size(type);
  return true;
}

PlacedArray read_array(hid_t id) {
  PlacedArray array;
  const Hdf5Id space = checked(Hdf5Id(H5Dget_space(id), H5Sclose));
  const int dimensions = H5Sget_simple_extent_ndims(space.get());
  if (dimensions != 1 && dimensions != 2) {
    array.unsupported = fmt::format("it has {} dimensions", dimensions);
    return array;
  }
  std::array<hsize_t, 2> shape = {0, 1};
  H5Sget_simple_extent_dims(space.get(), shape.data(), nullptr);
  array.rows = static_cast<Index>(shape[0]);
  array.columns = static_cast<Index>(shape[1]);
  const Hdf5Id type = checked(Hdf5Id(H5Dget_type(id), H5Tclose));
  const Hdf5Id creation = checked(Hdf5Id(H5Dget_create_plist(id), H5Pclose));
  if (!read_type(type.get(), array)) {
    array.unsupported = "its elements are of a type that spar does not use";
  } else if (H5Pget_layout(creation.get()) != H5D_CONTIGUOUS || H5Pget_external_count(creation.get()) != 0) {
    array.unsupported = "it is not stored as one contiguous block";
  } else if (array.rows * array.columns > 0) {
    const haddr_t offset = H5Dget_offset(id);
    if (offset == HADDR_UNDEF)
      array.unsupported = "it was never written";
    else
      array.offset = static_cast<std::int64_t>(offset);
  }
  return array;
}

std::string link_name(hid_t group, hsize_t k) {
  const ssize_t size = H5Lget_name_by_idx(group, ".", H5_INDEX_NAME, H5_ITER_INC, k, nullptr, 0, H5P_DEFAULT);
  if (size < 0) throw DamagedStructure{};
  std::string name(static_cast<std::size_t>(size) + 1, '\0');
  if (H5Lget_name_by_idx(group, ".", H5_INDEX_NAME, H5_ITER_INC, k, name.data(), name.size(), H5P_DEFAULT) < 0)
    throw DamagedStructure{};
  name.resize(static_cast<std::size_t>(size));
  return name;
}

// `path` is "" for the root.
void read_group(hid_t group, const std::string& path, int depth, Layout& layout) {
  H5G_info_t info;
  if (depth > deepest_group || H5Gget_info(group, &info) < 0) throw DamagedStructure{};
  for (hsize_t k = 0; k < info.nlinks; ++k) {
    const std::string name = link_name(group, k);
    H5L_info_t link;
    if (H5Lget_info(group, name.c_str(), &link, H5P_DEFAULT) < 0) throw DamagedStructure{};
    if (link.type != H5L_TYPE_HARD) continue;
    const Hdf5Id object = checked(Hdf5Id(H5Oopen(group, name.c_str(), H5P_DEFAULT), H5Oclose));
    const std::string child = path + "/" + name;
    if (H5Iget_type(object.get()) == H5I_DATASET) layout.arrays[child] = read_array(object.get());
    if (H5Iget_type(object.get()) != H5I_GROUP) continue;
    read_attributes(object.get(), child, layout);
    read_group(object.get(), child, depth + 1, layout);
  }
}

}  // namespace

const Attribute* Layout::find(const std::string& group, const std::string& name) const {
  const auto found = attributes.find({group, name});
  return found == attributes.end() ? nullptr : &found->second;
}

Layout read_layout(const std::string& path, const std::function<void(const Layout&)>& accept) {
  const Hdf5Session session;
  try {
    const Hdf5Id access = checked(reading_access());
    const Hdf5Id file = checked(Hdf5Id(H5Fopen(path.c_str(), H5F_ACC_RDONLY, access.get()), H5Fclose));
    const Hdf5Id root = checked(Hdf5Id(H5Gopen2(file.get(), "/", H5P_DEFAULT), H5Gclose));
    Layout layout;
    read_attributes(root.get(), "/", layout);
    accept(layout);
    read_group(root.get(), "", 0, layout);
    return layout;
  } catch (const DamagedStructure&) {
    throw UserError(fmt::format("{} is damaged: the HDF5 library cannot read its structure", path));
  }
}

}  // namespace spar::store
