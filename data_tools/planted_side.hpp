#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "data_tools/planted_model.hpp"
#include "data_tools/synth.hpp"
#include "spar/data/dataset_file.hpp"
#include "spar/data/dataset_writer.hpp"

/// The side data of a synthetic catalogue (formulas in synth.hpp): pure functions of the options and of a row, so any
/// rank can make any group.
namespace spar::data_tools {

class PlantedSide {
 public:
  /// All of them must outlive this.
  PlantedSide(const SynthOptions& options, const PlantedModel& model, const data::RowDealing& users,
              const data::RowDealing& items);

  bool has_posts() const { return options_.tags > 0; }
  bool is_cold(Index item_place) const;

  /// Posts of some users in order, one part each.
  struct Posts {
    std::vector<std::int64_t> offsets{0}, tag_offsets{0};
    std::vector<ItemId> items;
    std::vector<std::uint32_t> tags;
  };
  /// Appends the posts of one user (train, validation, test), whose items are rows, ascending.
  void add_posts(Index user_place, const std::vector<ItemId>& items, Posts (&parts)[3]) const;

  /// The plan of each kind, as far as it needs no counts, in the order of data::list_side_data; `groups` counts of
  /// edges and posts are to be filled in by count_group() of all groups.
  std::vector<data::SidePlan> plans() const;
  /// Edges of the users of a group.
  std::int64_t count_edges(int group) const;
  /// Writes what needs no interactions: features, attributes, edges, the texts of tags. Any rank, each group once.
  void write_group(data::DatasetWriter& writer, int group) const;
  /// The place of the tags among plans().
  std::size_t tags_index() const { return plans().size() - 1; }

 private:
  struct Edges {
    std::vector<std::int64_t> offsets{0};
    std::vector<std::uint32_t> users;
  };
  Edges edges_of(int group) const;
  void add_friends(Index user_place, Edges& edges) const;
  std::uint32_t tag_of(Index user_place, Index item_place, std::uint32_t k) const;
  std::uint32_t category_of(std::size_t attribute, Index user_place) const;
  void write_features(data::SideWriter& writer, int group) const;
  void write_attribute(data::SideWriter& writer, std::size_t attribute, int group) const;

  const SynthOptions& options_;
  const PlantedModel& model_;
  const data::RowDealing& users_;
  const data::RowDealing& items_;
  data::RowDealing tags_;
  PowerLaw tag_law_;
  PowerLaw friend_law_;
  std::vector<float> map_;                      ///< feature width x factors
  std::vector<std::vector<float>> directions_;  ///< by attribute: a unit vector over the factors
};

}  // namespace spar::data_tools
