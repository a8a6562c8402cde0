#pragma once
#include <algorithm>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "data_tools/import_fixture.hpp"
#include "spar/data/attributes.hpp"
#include "spar/data/bags.hpp"
#include "spar/data/features.hpp"
#include "spar/data/graphs.hpp"
#include "spar/data/histories.hpp"
#include "spar/data/posts.hpp"

namespace spar::test {

using Words = std::map<std::string, float>;

/// The side data of a data set, by original ids.
struct SideContents {
  store::ArrayFile file;
  std::vector<std::string> users, items;

  Index row(data::Side side, const std::string& id) const {
    const std::vector<std::string>& ids = side == data::Side::users ? users : items;
    const auto at = std::find(ids.begin(), ids.end(), id);
    BOOST_REQUIRE(at != ids.end());
    return at - ids.begin();
  }
  Index rows(data::Side side) const {
    return static_cast<Index>(side == data::Side::users ? users.size() : items.size());
  }
  bool has(data::SideKind kind, data::Side side, const std::string& name) const {
    const auto all = data::list_side_data(file);
    return std::any_of(all.begin(), all.end(), [&](const data::SideDescription& one) {
      return one.kind == kind && one.side == side && one.name == name;
    });
  }
  /// Empty where the item has none.
  std::vector<float> features(const std::string& name, const std::string& item) const {
    const data::FeatureRows rows = data::read_features(file, data::Side::items, name, 0, this->rows(data::Side::items));
    const Index k = row(data::Side::items, item);
    if (rows.has(k)) return {rows.of(k).begin(), rows.of(k).end()};
    for (const float value : rows.of(k)) BOOST_CHECK_EQUAL(value, 0.0F);
    return {};
  }
  std::vector<std::string> values(const std::string& name) const {
    return data::read_attribute_values(file, data::Side::users, name);
  }
  std::string attribute(const std::string& name, const std::string& user) const {
    const auto codes = data::read_attribute(file, data::Side::users, name, 0, rows(data::Side::users));
    return values(name)[codes[static_cast<std::size_t>(row(data::Side::users, user))]];
  }
  Words bag(data::Side side, const std::string& name, const std::string& id) const {
    const data::SparseRows bags = data::read_bags(file, side, name, 0, rows(side));
    const Index k = row(side, id);
    Words words;
    for (std::size_t n = 0; n < bags.columns_of(k).size(); ++n)
      words[data::read_vocabulary(file, side, name, bags.columns_of(k)[n], 1)[0]] = bags.weights_of(k)[n];
    return words;
  }
  Words edges(const std::string& name, const std::string& user) const {
    const data::SparseRows graph = data::read_edges(file, name, 0, rows(data::Side::users));
    const Index k = row(data::Side::users, user);
    Words friends;
    for (std::size_t n = 0; n < graph.columns_of(k).size(); ++n)
      friends[users[graph.columns_of(k)[n]]] = graph.weights.empty() ? 1.0F : graph.weights_of(k)[n];
    return friends;
  }
  /// Tags of a post with their times, whatever its part.
  std::map<std::string, std::int64_t> posts(const std::string& user, const std::string& item) const {
    std::map<std::string, std::int64_t> tags;
    for (int part = 0; part < 3; ++part) add_post(user, item, part, tags);
    return tags;
  }
  int part_of_post(const std::string& user, const std::string& item) const {
    for (int part = 0; part < 3; ++part) {
      std::map<std::string, std::int64_t> tags;
      if (add_post(user, item, part, tags)) return part;
    }
    return -1;
  }

 private:
  bool add_post(const std::string& user, const std::string& item, int part,
                std::map<std::string, std::int64_t>& tags) const {
    const data::Posts posts = data::read_posts(file, static_cast<data::Part>(part), 0, rows(data::Side::users));
    const auto k = static_cast<std::size_t>(row(data::Side::users, user));
    bool found = false;
    for (std::int64_t p = posts.offsets[k]; p < posts.offsets[k + 1]; ++p) {
      if (static_cast<Index>(posts.items[static_cast<std::size_t>(p)]) != row(data::Side::items, item)) continue;
      found = true;
      const auto first = static_cast<std::size_t>(posts.tag_offsets[static_cast<std::size_t>(p)]);
      const auto of_post = posts.tags_of(p);
      for (std::size_t n = 0; n < of_post.size(); ++n)
        tags[data::read_tags(file, of_post[n], 1)[0]] = posts.times.empty() ? 0 : posts.times[first + n];
    }
    return found;
  }
};

inline SideContents read_side(const std::string& path) {
  store::ArrayFile file = data::open_dataset(path);
  const data::DatasetHeader header = data::read_header(file);
  std::vector<std::string> users = data::read_ids(file, "/users/ids", 0, header.users);
  std::vector<std::string> items = data::read_ids(file, "/items/ids", 0, header.items);
  return {std::move(file), std::move(users), std::move(items)};
}

/// A matrix as numpy.save writes it.
inline std::string npy(bool doubles, const std::vector<std::vector<double>>& rows) {
  std::string header = std::string("{'descr': '") + (doubles ? "<f8" : "<f4") +
                       "', 'fortran_order': False, 'shape': (" + std::to_string(rows.size()) + ", " +
                       std::to_string(rows.at(0).size()) + "), }";
  header.resize((header.size() + 11 + 63) / 64 * 64 - 11, ' ');
  header += '\n';
  std::string bytes = std::string("\x93NUMPY\x01", 7) + std::string(1, '\0');
  bytes += static_cast<char>(header.size() & 255);
  bytes += static_cast<char>(header.size() >> 8);
  bytes += header;
  for (const std::vector<double>& row : rows) {
    for (const double value : row) {
      const auto narrow = static_cast<float>(value);
      bytes.append(doubles ? reinterpret_cast<const char*>(&value) : reinterpret_cast<const char*>(&narrow),
                   doubles ? 8 : 4);
    }
  }
  return bytes;
}

class SideImportFixture : public ImportFixture {
 public:
  /// Users 1, 2, 3 and items a, b, c, d, of which a and b have two interactions and more.
  data_tools::ImportOptions sample_options() const {
    return unsplit("delimited", write("sample.txt", "1 a\n1 b\n1 c\n2 a\n2 d\n3 a\n3 b\n"));
  }
  data_tools::ImportOptions options_of_sequences(const std::string& text) const {
    data_tools::ImportOptions result = options("delimited", write("sequences.txt", text));
    result.columns = "user,item";
    result.ordered = true;
    return result;
  }
  /// One of each kind.
  data_tools::ImportOptions everything() const {
    data_tools::ImportOptions result = sample_options();
    result.side.items.features = {"image=" + write("v.csv", "b,1.5,-2\nd,0,1e3\na,0.25,7\n")};
    result.side.users.attributes = {write("u.csv", "id,gender\n1,M\n2,F\n3,M\n")};
    result.side.items.bags = {"text=" + write("w.csv", "a,x,2\nb,x,1\na,y,0.5\na,x,1\nc,z,1\n")};
    result.side.user_edges = {"trust=" + write("e.csv", "1,2\n2,3\n3,1\n1,3\n"),
                              "rated=" + write("r.csv", "1,2,0.5\n")};
    result.side.tags = {write("t.csv", "1,a,t1\n1,b,t2\n1,b,t1\n2,a,t3\n3,a,t1\n3,b,t1\n")};
    return result;
  }

  SideContents import_side(const data_tools::ImportOptions& options) {
    report = data_tools::import_dataset(options);
    return read_side(options.to);
  }
};

}  // namespace spar::test
