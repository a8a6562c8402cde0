#pragma once
#include <string>

#include "data_tools/id_map.hpp"
#include "data_tools/import.hpp"
#include "data_tools/placing.hpp"
#include "data_tools/side_set.hpp"

/// From files of side data to sinks. Rows whose id the data set lacks are dropped and counted (with options.strict: an
/// error where the interactions never had the id).
namespace spar::data_tools {

/// The users and items that the data set keeps.
struct Entities {
  const IdMap& user_ids;
  const IdMap& item_ids;
  const RowMap& users;
  const RowMap& items;
};

/// What can be said before anything is read: missing files, names that cannot be. UserError.
void check_side_options(const SideOptions& options);

/// Reads all files that the options name into the set. `movielens_paths`: where the ratings came from, when their
/// format is movielens and its own side files are wanted. UserError: file, line, column.
void read_side_data(const SideOptions& options, const std::vector<std::string>& movielens_paths, std::uint64_t seed,
                    const Entities& entities, SideSet& set);

}  // namespace spar::data_tools
