#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "spar/base/types.hpp"
#include "spar/store/array_file.hpp"

/// All that this part asks of the HDF5 library: lay a file out, say where its arrays lie, set a text attribute. Values
/// never pass through HDF5. The library is not thread-safe, so every function here holds one mutex.
namespace spar::store {

/// Where an array lies in its file.
struct PlacedArray {
  ElementType type = ElementType::f32;
  std::size_t text_size = 0;
  Index rows = 0;
  Index columns = 1;
  std::int64_t offset = 0;  ///< of the first value, in bytes; any number where there are no values
  std::string unsupported;  ///< why spar cannot read it ("it is stored in chunks"); empty where it can
};

/// The arrays and attributes of a file. Attributes of other kinds than text, integer and real scalars are left out.
struct Layout {
  std::map<std::string, PlacedArray> arrays;                            ///< by path, checksum arrays included
  std::map<std::pair<std::string, std::string>, Attribute> attributes;  ///< by (group, name)

  const Attribute* find(const std::string& group, const std::string& name) const;
};

/// The group under which the checksums of an array at `path` stand: "/checksums" + path.
inline constexpr const char* checksum_group = "/checksums";
/// The attribute of "/" that sums up all checksums, 16 hexadecimal digits.
inline constexpr const char* content_attribute = "content";

/// Makes the HDF5 file `path` (an existing one is cut off) with all arrays allocated and no values written, with its
/// checksum arrays and a "content" of zeros. `shown` is the name for sentences. Throws EnvironmentError.
void create_layout(const std::string& path, const std::string& shown, const std::vector<ArraySpec>& arrays,
                   const std::vector<Attribute>& attributes);

/// Reads the layout of `path`. `accept` sees the layout when it has the attributes of "/" only, and may throw.
/// UserError for a damaged structure.
Layout read_layout(const std::string& path, const std::function<void(const Layout&)>& accept);

/// Overwrites a text attribute with a text of the same size. Throws EnvironmentError.
void overwrite_text_attribute(const std::string& path, const std::string& group, const std::string& name,
                              const std::string& text);

}  // namespace spar::store
