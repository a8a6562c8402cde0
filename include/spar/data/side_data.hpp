#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "spar/base/types.hpp"
#include "spar/data/dataset_file.hpp"
#include "spar/store/array_file.hpp"

/// What a data set knows of its users and items besides interactions (docs/formats.md, "Side data"). Every kind lies by
/// row, cut into the row groups of the users or items it belongs to, so a rank reads and verifies that of its own rows:
///
///   kind       header           holds, for each row                                 import option
///   features   features.hpp     a vector of `width` numbers                         --item-features, --user-features
///   attribute  attributes.hpp   one of `width` categories, 0 for none               --item-attributes, ...
///   bag        bags.hpp         weighted words of a vocabulary of `width`           --item-bags, --user-bags, ...
///   graph      graphs.hpp       the users that a user points to                     --user-edges
///   tags       posts.hpp        a user's posts: an item and its tags, of `width`    --tags
///   dislikes   dislikes.hpp     the items that a user has rated low, of `width`     --dislikes-below
///
/// Data sets without side data have none of these groups; programs that know nothing of them read the rest as before.
namespace spar::data {

enum class Side { users, items };
const char* side_name(Side side);  ///< "users", "items"

enum class SideKind { features, attribute, bag, graph, tags, dislikes };
const char* side_kind_name(SideKind kind);  ///< "features", "attribute", "bag", "graph", "tags", "dislikes"

/// One set of side data.
struct SideDescription {
  SideKind kind = SideKind::features;
  Side side = Side::items;  ///< whose rows; graphs, tags and dislikes: users
  std::string name;         ///< tags: "tags"; dislikes: "dislikes"
  Index rows = 0;           ///< of the side
  Index width = 0;  ///< features: numbers a row; attribute: categories, the missing one (0) included; bag, tags: words
                    ///< of the vocabulary; graph: users; dislikes: items
  Index entries = 0;      ///< features: rows that have some; attribute: rows; bag: weights; graph: edges; tags:
                          ///< assignments; dislikes: items of all users
  bool weighted = false;  ///< graph: edges have weights; bag: always
  bool timed = false;     ///< tags, dislikes: they have times
  std::string content;    ///< XXH3-64 of the checksums of its arrays by path, 16 hexadecimal digits
};

/// All side data of a file: by kind, then side, then name. Reads checksums, not values (8 KiB an array). UserError
/// where arrays do not fit the data set: lengths, types, segments.
std::vector<SideDescription> list_side_data(const store::ArrayFile& file);

/// The side data of that kind, side and name. UserError that names what there is of the kind, and the option of spar
/// import that makes it.
SideDescription find_side_data(const store::ArrayFile& file, SideKind kind, Side side, const std::string& name);

/// Whether `name` may name side data: 1 to 64 letters, digits, '_', '-' and '.', none of '_', '-', '.' in front, and
/// not ending in "_values".
bool is_side_name(const std::string& name);

/// The path of an array of side data. `array` is empty for the main array of features and attributes; otherwise
///   features: "present"; attribute: "values"; bag: "offsets", "entries", "weights", "vocabulary";
///   graph: "offsets", "neighbours", "weights"; tags: "ids" or part_name + "/offsets", "/items", "/tag_offsets", ...;
///   dislikes: "offsets", "items", "times"
std::string side_array(SideKind kind, Side side, const std::string& name, const std::string& array = {});

}  // namespace spar::data
