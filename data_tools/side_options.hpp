#pragma once
#include <string>
#include <vector>

/// What `spar import` is told about side data (docs/importing.md, "Side data").
namespace spar::data_tools {

/// Of the users or of the items. Entries are "NAME=FILE" or "FILE", whose name without endings is then the name.
struct EntitySideOptions {
  std::vector<std::string> features;            ///< .npy matrices, or delimited: an id, then numbers
  std::vector<std::string> features_ids;        ///< for .npy: the id of each row, a line each
  std::vector<std::string> attributes;          ///< FILE only: delimited; each column becomes an attribute of its name
  std::vector<std::string> attributes_columns;  ///< their names, id first, "-" for a column to pass over; one entry for
                                                ///< all files or one for each; none: from the header
  std::string attributes_lists;                 ///< columns in which this text separates values become bags
  std::vector<std::string> bags;  ///< delimited: id, word[, weight]; or lines "n word:count word:count ..."
};

struct SideOptions {
  EntitySideOptions users, items;
  std::vector<std::string> user_edges;  ///< delimited: user, user[, weight]
  bool undirected = false;              ///< edges hold in both directions
  std::vector<std::string> tags;        ///< FILE only: user, item, tag[, time]; all files together
  std::string tags_columns;             ///< what their columns are, in order: user, item, tag, time, "-"
  bool split_tags = true;               ///< a random post of each user to the test part, another to validation
  std::string separator;                ///< of all delimited side files; empty: detected, '|' included
  bool strict = false;                  ///< an id that the interactions lack, and a row without a value, is an error
  bool movielens = true;  ///< movielens: users' attributes and the genres of movies from the edition's own files
};

}  // namespace spar::data_tools
