#include "data_tools/side_carry.hpp"

#include <array>

#include "spar/base/sharding.hpp"
#include "spar/data/attributes.hpp"
#include "spar/data/bags.hpp"
#include "spar/data/features.hpp"
#include "spar/data/graphs.hpp"
#include "spar/data/posts.hpp"

namespace spar::data_tools {

namespace {

using data::SideDescription;

/// Carries one set of side data. Row r of the old file has row of(r) now, or none.
class Carrier {
 public:
  Carrier(const store::ArrayFile& file, const SideDescription& side, const RowMap& users, const RowMap& items,
          SideSet& set)
      : file_(file), side_(side), users_(users), items_(items), set_(set) {}

  void carry() {
    switch (side_.kind) {
      case data::SideKind::features:
        return carry_features();
      case data::SideKind::attribute:
        return carry_attribute();
      case data::SideKind::bag:
        return carry_bag();
      case data::SideKind::graph:
        return carry_graph();
      case data::SideKind::tags:
        return carry_posts();
      case data::SideKind::dislikes:
        return;  // place_dislikes()
    }
  }

 private:
  static constexpr std::int64_t bytes_an_entry = 24;

  std::uint32_t row_of(Index row) const {
    const RowMap& map = side_.side == data::Side::users ? users_ : items_;
    return map.row_of[static_cast<std::size_t>(row)];
  }

  template <class Body>
  void for_groups(const Body& body) const {
    const Partition groups{side_.rows, row_groups};
    for (int group = 0; group < row_groups; ++group) {
      if (groups.size(group) > 0) body(groups.begin(group), groups.end(group));
    }
  }

  void carry_features() {
    FeatureSink& sink = set_.add_features(side_.side, side_.name, file_.path(), side_.width).sink;
    for_groups([&](Index begin, Index end) {
      const data::FeatureRows rows = data::read_features(file_, side_.side, side_.name, begin, end);
      for (Index k = 0; k < rows.rows(); ++k) {
        if (rows.has(k) && row_of(begin + k) != no_row) sink.add(row_of(begin + k), rows.of(k));
      }
    });
  }

  void carry_attribute() {
    auto sink = set_.new_attribute(side_.side, side_.name, side_.rows * bytes_an_entry);
    const std::vector<std::string> values = data::read_attribute_values(file_, side_.side, side_.name);
    for_groups([&](Index begin, Index end) {
      const std::vector<std::uint32_t> codes = data::read_attribute(file_, side_.side, side_.name, begin, end);
      for (std::size_t k = 0; k < codes.size(); ++k) {
        const std::uint32_t row = row_of(begin + static_cast<Index>(k));
        if (row != no_row) sink->add(row, values[codes[k]]);
      }
    });
    ImportReport::SideData report;
    report.path = file_.path();
    set_.add_attribute(std::move(sink), report);
  }

  void carry_bag() {
    SparseSink& sink = set_.add_bag(side_.side, side_.name, file_.path(), side_.entries * bytes_an_entry).sink;
    const std::vector<std::string> words = data::read_vocabulary(file_, side_.side, side_.name, 0, side_.width);
    for_groups([&](Index begin, Index end) {
      const data::SparseRows rows = data::read_bags(file_, side_.side, side_.name, begin, end);
      for (Index k = 0; k < rows.rows(); ++k) {
        if (row_of(begin + k) == no_row) continue;
        for (std::size_t n = 0; n < rows.columns_of(k).size(); ++n)
          sink.add_word(row_of(begin + k), words[rows.columns_of(k)[n]], rows.weights_of(k)[n]);
      }
    });
  }

  void carry_graph() {
    SparseSink& sink = set_.add_graph(side_.name, file_.path(), side_.weighted, side_.entries * bytes_an_entry).sink;
    for_groups([&](Index begin, Index end) {
      const data::SparseRows rows = data::read_edges(file_, side_.name, begin, end);
      for (Index k = 0; k < rows.rows(); ++k) {
        for (std::size_t n = 0; n < rows.columns_of(k).size() && row_of(begin + k) != no_row; ++n) {
          const std::uint32_t to = row_of(rows.columns_of(k)[n]);
          if (to != no_row) sink.add_edge(row_of(begin + k), to, side_.weighted ? rows.weights_of(k)[n] : 1.0F);
        }
      }
    });
  }

  void carry_posts() {
    PostSink& sink = set_.add_posts(file_.path(), side_.timed, side_.entries * bytes_an_entry).sink;
    const std::vector<std::string> tags = data::read_tags(file_, 0, side_.width);
    for (const data::Part part : {data::Part::train, data::Part::validation, data::Part::test}) {
      for_groups([&](Index begin, Index end) {
        const data::Posts posts = data::read_posts(file_, part, begin, end);
        for (Index k = 0; k < posts.users(); ++k) carry_posts_of(begin + k, k, part, posts, tags, sink);
      });
    }
  }

  void carry_posts_of(Index user, Index k, data::Part part, const data::Posts& posts,
                      const std::vector<std::string>& tags, PostSink& sink) const {
    const auto at = static_cast<std::size_t>(k);
    for (std::int64_t post = posts.offsets[at]; post < posts.offsets[at + 1]; ++post) {
      const std::uint32_t item = items_.row_of[posts.items[static_cast<std::size_t>(post)]];
      if (row_of(user) == no_row || item == no_row) continue;
      const auto first = static_cast<std::size_t>(posts.tag_offsets[static_cast<std::size_t>(post)]);
      const auto of_post = posts.tags_of(post);
      for (std::size_t n = 0; n < of_post.size(); ++n) {
        const std::int64_t time = side_.timed ? posts.times[first + n] : 0;
        sink.add(row_of(user), item, tags[of_post[n]], time, part);
      }
    }
  }

  const store::ArrayFile& file_;
  const SideDescription& side_;
  const RowMap& users_;
  const RowMap& items_;
  SideSet& set_;
};

}  // namespace

void carry_side_data(const store::ArrayFile& file, const RowMap& users, const RowMap& items, SideSet& set) {
  for (const SideDescription& side : data::list_side_data(file)) Carrier(file, side, users, items, set).carry();
}

}  // namespace spar::data_tools
