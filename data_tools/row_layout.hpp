#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "data_tools/separator.hpp"

/// Where user, item, rating and time stand in the lines of a text.
namespace spar::data_tools {

enum class Role : std::uint8_t { user, item, rating, time, skip };
const char* role_name(Role role);

/// What the user said about the columns, and what the format demands.
struct LayoutWish {
  std::string separator;  ///< as ImportOptions::separator
  std::string columns;    ///< as ImportOptions::columns
  std::optional<bool> header;
  bool typed_header = false;   ///< recbole: names such as user_id:token
  bool whole_numbers = false;  ///< ids must be whole numbers from 0 to 4294967294
};

struct RowLayout {
  Separator separator;
  std::vector<Role> roles;      ///< by column, up to the last one that is read
  std::int64_t skip_lines = 0;  ///< lines at the head that hold no interaction: comments and names
  bool has_rating = false, has_time = false;
  bool whole_numbers = false;

  std::string describe() const;  ///< "tab, columns user 1, item 2, rating 3"
};

/// Decides from the first lines of a text, `name` in sentences. UserError: no line; a column that the header lacks (its
/// columns are listed); too few columns; columns named twice; a header whose names say nothing where no columns are
/// given.
RowLayout find_layout(const std::vector<std::string>& lines, const LayoutWish& wish, const std::string& name);

/// The place (from 0) of the column of a header whose name is usual for the role ("ts" for time), or nothing.
std::optional<std::size_t> known_column(Role role, const std::vector<std::string>& header);

}  // namespace spar::data_tools
