#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "data_tools/field_reader.hpp"
#include "data_tools/side_import.hpp"

/// What the readers of side files share.
namespace spar::data_tools {

struct SideFile {
  std::string name;
  std::string path;
};

inline const EntitySideOptions& of_side(const SideOptions& options, data::Side side) {
  return side == data::Side::users ? options.users : options.items;
}

/// "NAME=FILE", or "FILE" whose name without folder and endings is then the name, other characters made '_'.
SideFile parse_side_file(const std::string& option, const std::string& text);
/// `text` with what no side name may hold replaced.
std::string as_side_name(std::string text);
/// UserError: it is missing, or no regular file (side files are looked at before they are read).
void require_side_file(const std::string& option, const std::string& path);
/// Bytes of text, guessed for packed files.
std::int64_t text_bytes(const std::string& path);

/// Finds rows by original ids.
class RowFinder {
 public:
  RowFinder(data::Side side, const Entities& entities, bool strict);

  static constexpr Index none = -1;
  /// The row of an id in column `column` of the reader's line. Where the data set lacks it: none, counted in
  /// report.unknown; UserError in strict mode, or where the id is empty.
  Index row(const FieldReader& reader, std::size_t column, ImportReport::SideData& report);
  /// The row of line or row k of a file without ids, `rows` of them, where the ids are whole numbers and it is clear
  /// whether they count from 0 or from 1; `remedy` says how ids can be given. UserError where it is not.
  Index first_id(const std::string& file, Index rows, const std::string& remedy) const;
  Index row_of_number(Index id, ImportReport::SideData& report);

  /// UserError where no line of a file belongs to the data set.
  void check_match(const std::string& file, const ImportReport::SideData& report) const;

 private:
  Index found(std::string_view id, ImportReport::SideData& report);

  const char* one_;  ///< "user", "item"
  const IdMap& ids_;
  const RowMap& rows_;
  bool strict_;
  std::string first_seen_;  ///< an id of the file
};

/// A finite float32; UserError where it is none. `what` names it: "feature", "weight".
float read_real(const FieldReader& reader, std::size_t column, const char* what);

// One file each.
void read_features(const std::string& option, const SideFile& file, const std::string& ids_path, data::Side side,
                   const SideOptions& options, const Entities& entities, SideSet& set);
void read_attributes(const std::string& option, const std::string& path, const std::string& columns, data::Side side,
                     const SideOptions& options, const Entities& entities, SideSet& set);
void read_bag(const SideFile& file, data::Side side, const SideOptions& options, const Entities& entities,
              SideSet& set);
void read_edges(const SideFile& file, const SideOptions& options, const Entities& entities, SideSet& set);
/// All files of tags.
void read_tags(const SideOptions& options, std::uint64_t seed, const Entities& entities, SideSet& set);
/// Beside the ratings: u.user, u.item and u.genre; users.dat and movies.dat; movies.csv.
void read_movielens(const std::vector<std::string>& paths, const SideOptions& options, const Entities& entities,
                    SideSet& set);

}  // namespace spar::data_tools
