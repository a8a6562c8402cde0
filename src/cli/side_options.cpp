#include "side_options.hpp"

namespace spar::cli {

namespace {

void declare_entity(OptionSet& set, const std::string& one, data_tools::EntitySideOptions& side) {
  const std::string prefix = "--" + one + "-";
  set.repeated(prefix + "features", "[NAME=]FILE", side.features,
               "Dense features of " + one + "s: .npy (float32 or float64), or lines of an id and numbers");
  set.repeated(prefix + "features-ids", "[NAME=]FILE", side.features_ids,
               "The " + one + " of each row of a .npy file, one a line");
  set.repeated(prefix + "attributes", "FILE", side.attributes,
               "Categories of " + one + "s: lines of an id and a value for each column of the header");
  set.repeated(prefix + "attributes-columns", "id,NAME,...", side.attributes_columns,
               "Names of the columns of " + prefix + "attributes in place of a header; - passes one over");
  set.text(prefix + "attributes-lists", "TEXT", side.attributes_lists,
           "What stands between several values of one " + one + " in a column, which then becomes a bag");
  set.repeated(prefix + "bags", "[NAME=]FILE", side.bags,
               "Words of " + one + "s: lines of id, word[, weight], or of n word:count pairs behind their number n");
}

}  // namespace

void SideWords::apply(data_tools::SideOptions& side) const {
  side.split_tags = tags_split == "leave-one-out";
  side.movielens = !none;
}

void declare_side(OptionSet& set, SideWords& words, data_tools::SideOptions& side) {
  declare_entity(set, "user", side.users);
  declare_entity(set, "item", side.items);
  set.repeated("--user-edges", "[NAME=]FILE", side.user_edges, "A graph over users: lines of user, user[, weight]");
  set.flag("--undirected", side.undirected, "Edges hold in both directions");
  set.repeated("--tags", "FILE", side.tags, "Tag assignments: lines of user, item, tag[, time]");
  set.text("--tags-columns", "NAME,...", side.tags_columns,
           "What the columns of --tags are: user, item, tag, time, in their order; - passes one over");
  set.choice("--tags-split", {"leave-one-out", "none"}, words.tags_split,
             "Whether a random post of each user makes a test part of the posts");
  set.text("--side-separator", "TEXT", side.separator,
           "What stands between the columns of side files, as --separator; default: detected");
  set.flag("--strict-side", side.strict,
           "Refuse side data of unknown users and items, and users and items without a row of it");
  set.flag("--no-side", words.none, "movielens: leave out the users' attributes and the movies' genres");
}

}  // namespace spar::cli
