#include "data_tools/row_layout.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "spar/base/error.hpp"

namespace spar::data_tools {

namespace {

constexpr std::array<Role, 4> roles_in_order = {Role::user, Role::item, Role::rating, Role::time};

/// Column names that are understood without being told, the likelier first.
const std::array<std::vector<std::string>, 4>& known_names() {
  static const std::array<std::vector<std::string>, 4> names = {{
      {"user", "userid", "uid", "username", "reviewerid", "customerid", "customer", "memberid", "visitorid",
       "profileid", "session", "sessionid"},
      {"item",       "itemid",   "iid",     "movie", "movieid",  "productid", "product",
       "asin",       "isbn",     "bookid",  "book",  "artistid", "artist",    "song",
       "songid",     "trackid",  "track",   "tagid", "sid",      "business",  "businessid",
       "locationid", "location", "placeid", "place", "poi",      "newsid",    "articleid"},
      {"rating", "ratings", "score", "stars", "overall", "weight", "plays", "playcount", "visits"},
      {"time", "timestamp", "ts", "unixtime", "unixreviewtime", "datetime", "date", "chronologicalposition"},
  }};
  return names;
}

/// Lower case, without blanks, dashes and underscores.
std::string plain(const std::string& name) {
  std::string result;
  for (const char c : name) {
    if (c != ' ' && c != '_' && c != '-') result += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return result;
}

/// The place (from 0) of the column that is known as `role`, or nothing. An exact role name wins, then the order of
/// known_names.
std::optional<std::size_t> known_place(Role role, const std::vector<std::string>& header) {
  for (const std::string& known : known_names()[static_cast<std::size_t>(role)]) {
    for (std::size_t k = 0; k < header.size(); ++k) {
      if (plain(header[k]) == known) return k;
    }
  }
  return std::nullopt;
}

std::optional<Role> role_of_name(const std::string& name) {
  for (const Role role : roles_in_order) {
    const auto& names = known_names()[static_cast<std::size_t>(role)];
    if (std::find(names.begin(), names.end(), plain(name)) != names.end()) return role;
  }
  return std::nullopt;
}

bool is_number(const std::string& text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

bool looks_like_name(const std::string& text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return std::isalpha(static_cast<unsigned char>(c)) != 0 || c == '_' || c == ' ' || c == '.' || c == ':' || c == '-';
  });
}

/// One entry of --columns.
struct Wish {
  Role role = Role::skip;
  std::string name;                  ///< by name
  std::optional<std::size_t> place;  ///< by place, from 0
  bool soft = false;         ///< the bare word of a role: by name, by a known name, else by its place in the list
  std::size_t position = 0;  ///< in the list
};

std::optional<Role> exact_role(const std::string& word) {
  for (const Role role : roles_in_order) {
    if (word == role_name(role)) return role;
  }
  return std::nullopt;
}

std::optional<std::size_t> place_number(const std::string& text) {
  std::size_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if (value < 1 || value > 65536) throw UserError(fmt::format("--columns counts columns from 1, not {}", text));
  return value - 1;
}

Wish parse_wish(const std::string& entry, std::size_t position) {
  Wish wish;
  wish.position = position;
  std::string target = entry;
  const std::size_t equals = entry.find('=');
  if (equals != std::string::npos) {
    const std::optional<Role> role = exact_role(entry.substr(0, equals));
    if (!role) {
      throw UserError(fmt::format(
          "--columns gives \"{}\", but only user, item, rating and time can be set, for instance user=1 or user=name",
          entry));
    }
    wish.role = *role;
    target = std::string(trimmed(std::string_view(entry).substr(equals + 1)));
    wish.place = place_number(target);
    wish.name = target;
    return wish;
  }
  if (entry == "-" || entry == "_" || entry == "skip") return wish;
  if (const std::optional<Role> role = exact_role(entry)) {
    wish.role = *role;
    wish.soft = true;
    wish.name = entry;
    return wish;
  }
  if (position >= roles_in_order.size()) {
    throw UserError(
        fmt::format("--columns has the entry \"{}\" behind the four of user, item, rating and time", entry));
  }
  wish.role = roles_in_order[position];
  wish.place = place_number(entry);
  wish.name = entry;
  return wish;
}

std::vector<Wish> parse_columns(const std::string& option) {
  std::vector<Wish> wishes;
  const Separator comma{Separator::Kind::byte, ","};
  std::size_t position = 0;
  for (const std::string& entry : comma.cut(option)) {
    if (entry.empty())
      throw UserError(fmt::format("--columns {} has an empty entry; write for instance user,item,rating,time", option));
    wishes.push_back(parse_wish(entry, position++));
  }
  for (const Role role : {Role::user, Role::item}) {
    if (std::none_of(wishes.begin(), wishes.end(), [&](const Wish& wish) { return wish.role == role; })) {
      throw UserError(fmt::format("--columns {} names no {} column", option, role_name(role)));
    }
  }
  return wishes;
}

/// The head of a text, as far as the layout needs it.
struct Head {
  std::string name;  ///< of the text
  Separator separator;
  std::vector<std::string> header;  ///< names, where there are any
  std::vector<std::string> row;     ///< the fields of the first line of data (empty where there is none)
  std::int64_t header_line = 0;     ///< from 1
  std::int64_t skip_lines = 0;

  std::size_t columns() const { return std::max(header.size(), row.size()); }
};

UserError missing_column(const Head& head, const std::string& column) {
  if (head.header.empty()) {
    return UserError(fmt::format(
        "{} has no line of column names, so --columns must give places, not \"{}\": its first line has {} columns",
        head.name, column, head.columns()));
  }
  return UserError(fmt::format("{}, line {}: there is no column \"{}\"; the columns are {}", head.name,
                               head.header_line, column, fmt::join(head.header, ", ")));
}

std::size_t place_of(const Wish& wish, const Head& head) {
  const std::size_t columns = head.columns();
  if (wish.place) {
    if (*wish.place < columns) return *wish.place;
    throw UserError(fmt::format("{} has {} columns ({} between them), but --columns asks for column {}", head.name,
                                columns, head.separator.describe(), *wish.place + 1));
  }
  const auto exact = std::find(head.header.begin(), head.header.end(), wish.name);
  if (exact != head.header.end()) return static_cast<std::size_t>(exact - head.header.begin());
  for (std::size_t k = 0; k < head.header.size(); ++k) {
    if (plain(head.header[k]) == plain(wish.name)) return k;
  }
  if (!wish.soft) throw missing_column(head, wish.name);
  if (const auto known = known_place(wish.role, head.header)) return *known;
  const bool taken = wish.position < head.header.size() && role_of_name(head.header[wish.position]).has_value();
  if (wish.position < columns && !taken) return wish.position;
  if (!head.header.empty()) throw missing_column(head, wish.name);
  throw UserError(fmt::format("{} has {} columns ({} between them), too few for --columns with a {} in place {}",
                              head.name, columns, head.separator.describe(), wish.name, wish.position + 1));
}

void set_role(RowLayout& layout, std::size_t place, Role role, const std::string& name) {
  if (role == Role::skip) return;
  if (std::find(layout.roles.begin(), layout.roles.end(), role) != layout.roles.end()) {
    throw UserError(fmt::format("--columns names the {} column twice", role_name(role)));
  }
  if (layout.roles.size() <= place) layout.roles.resize(place + 1, Role::skip);
  Role& slot = layout.roles[place];
  if (slot != Role::skip) {
    throw UserError(fmt::format("{}: column {} cannot be both {} and {}; say which columns are meant with --columns",
                                name, place + 1, role_name(slot), role_name(role)));
  }
  slot = role;
  if (role == Role::rating) layout.has_rating = true;
  if (role == Role::time) layout.has_time = true;
}

void place_by_default(RowLayout& layout, const Head& head) {
  if (!head.header.empty()) {
    for (const Role role : roles_in_order) {
      const auto place = known_place(role, head.header);
      if (place) set_role(layout, *place, role, head.name);
      if (!place && (role == Role::user || role == Role::item)) {
        throw UserError(
            fmt::format("{}, line {}: no column is known as the {}; the columns are {}: name them, for instance "
                        "--columns user={},item={}",
                        head.name, head.header_line, role_name(role), fmt::join(head.header, ", "), head.header.front(),
                        head.header.back()));
      }
    }
    return;
  }
  for (std::size_t k = 0; k < std::min(head.columns(), roles_in_order.size()); ++k)
    set_role(layout, k, roles_in_order[k], head.name);
}

bool is_header(const std::vector<std::string>& first, const std::vector<std::string>& second,
               const std::vector<Wish>& wishes) {
  for (const Wish& wish : wishes) {
    const bool by_name = !wish.soft && !wish.place && wish.role != Role::skip;
    if (by_name) return true;
  }
  if (known_place(Role::user, first) && known_place(Role::item, first)) return true;
  if (!std::all_of(first.begin(), first.end(), looks_like_name)) return false;
  return std::any_of(second.begin(), second.end(), is_number);
}

/// Names behind a '#' count as a header when they fit the row below and at least one is known; else the line is a
/// comment.
bool is_comment_header(const std::vector<std::string>& names, const std::vector<std::string>& row) {
  return names.size() >= 2 && names.size() == row.size() &&
         std::any_of(names.begin(), names.end(),
                     [](const std::string& name) { return role_of_name(name).has_value(); });
}

Head read_head(const std::vector<std::string>& lines, const LayoutWish& wish, const std::vector<Wish>& wishes,
               const std::string& name) {
  Head head;
  head.name = name;
  std::size_t at = 0;
  std::size_t comment = lines.size();
  for (; at < lines.size(); ++at) {
    const std::string_view line = trimmed(lines[at]);
    if (!line.empty() && line.front() != '#') break;
    if (!line.empty()) comment = at;
  }
  if (at == lines.size()) throw UserError(fmt::format("{} holds no line of data", name));
  head.separator = wish.separator.empty() ? detect_separator(lines[at]) : parse_separator(wish.separator);
  const std::vector<std::string> first = head.separator.cut(lines[at]);
  const std::vector<std::string> second =
      at + 1 < lines.size() ? head.separator.cut(lines[at + 1]) : std::vector<std::string>();
  head.skip_lines = static_cast<std::int64_t>(at);
  if (wish.header.value_or(is_header(first, second, wishes))) {
    head.header = first;
    head.header_line = ++head.skip_lines;
    head.row = second;
    return head;
  }
  head.row = first;
  if (comment < lines.size() && !wish.header) {
    const std::vector<std::string> names = head.separator.cut(trimmed(trimmed(lines[comment]).substr(1)));
    if (is_comment_header(names, first)) {
      head.header = names;
      head.header_line = static_cast<std::int64_t>(comment) + 1;
    }
  }
  return head;
}

void take_types_off(Head& head) {
  for (std::string& field : head.header) {
    const std::size_t colon = field.rfind(':');
    const std::string type = colon == std::string::npos ? "" : field.substr(colon + 1);
    if (type != "token" && type != "float" && type != "token_seq" && type != "float_seq") {
      throw UserError(
          fmt::format("{}, line {}: a RecBole header such as user_id:token, item_id:token was expected, not \"{}\"",
                      head.name, head.header_line, field));
    }
    field.resize(colon);
  }
}

}  // namespace

std::optional<std::size_t> known_column(Role role, const std::vector<std::string>& header) {
  return known_place(role, header);
}

const char* role_name(Role role) {
  constexpr std::array<const char*, 5> names = {"user", "item", "rating", "time", "skip"};
  return names[static_cast<std::size_t>(role)];
}

std::string RowLayout::describe() const {
  std::vector<std::string> parts;
  for (const Role role : roles_in_order) {
    const auto at = std::find(roles.begin(), roles.end(), role);
    if (at != roles.end()) parts.push_back(fmt::format("{} {}", role_name(role), at - roles.begin() + 1));
  }
  return fmt::format("{}, columns {}", separator.describe(), fmt::join(parts, ", "));
}

RowLayout find_layout(const std::vector<std::string>& lines, const LayoutWish& wish, const std::string& name) {
  const std::vector<Wish> wishes = wish.columns.empty() ? std::vector<Wish>() : parse_columns(wish.columns);
  LayoutWish used = wish;
  if (wish.typed_header) {
    used.header = true;
    if (used.separator.empty()) used.separator = "\t";
  }
  Head head = read_head(lines, used, wishes, name);
  if (wish.typed_header) take_types_off(head);
  if (head.columns() < 2) {
    throw UserError(
        fmt::format("{}, line {}: one column where at least a user and an item were expected; say with --separator "
                    "what stands between them",
                    name, head.skip_lines + (head.header.empty() ? 1 : 0)));
  }
  RowLayout layout;
  layout.separator = head.separator;
  layout.skip_lines = head.skip_lines;
  layout.whole_numbers = wish.whole_numbers;
  if (wishes.empty()) place_by_default(layout, head);
  for (const Wish& entry : wishes) {
    if (entry.role != Role::skip) set_role(layout, place_of(entry, head), entry.role, name);
  }
  return layout;
}

}  // namespace spar::data_tools
