#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "support/shared_folder.hpp"
#include <boost/test/unit_test.hpp>

#include "data_tools/inspect.hpp"
#include "data_tools/synth.hpp"
#include "spar/base/error.hpp"
#include "spar/base/threads.hpp"
#include "spar/data/attributes.hpp"
#include "spar/data/features.hpp"
#include "spar/data/graphs.hpp"
#include "spar/data/interactions.hpp"
#include "spar/data/posts.hpp"
#include "spar/store/durable.hpp"

using namespace spar;
using namespace spar::data_tools;
using namespace spar::data;
using spar::test::SharedFolder;

namespace {

SynthOptions everything(const std::string& to) {
  SynthOptions options;
  options.to = to;
  options.users = 1511;
  options.items = 997;
  options.interactions = 40009;
  options.feature_width = 12;
  options.cold_items = 0.2;
  options.attributes = {{"taste", 2, 1.0}, {"chance", 2, 0.0}, {"age", 7, 0.5}};
  options.tags = 101;
  options.friends = 5.5;
  return options;
}

using Vector = std::vector<double>;

double dot(const Vector& a, const Vector& b) {
  double sum = 0;
  for (std::size_t k = 0; k < a.size(); ++k) sum += a[k] * b[k];
  return sum;
}

/// A written catalogue and the mean features of each user's training items.
class Catalogue {
 public:
  explicit Catalogue(const SynthOptions& options)
      : file(open_dataset(options.to)),
        header(read_header(file)),
        train(read_lists(file, Part::train, 0, header.users)),
        test(read_lists(file, Part::test, 0, header.users)),
        features(read_features(file, Side::items, "planted", 0, header.items)),
        in_train(static_cast<std::size_t>(header.items)) {
    for (const ItemId item : train.items) in_train[item] = true;
    for (Index user = 0; user < header.users; ++user) {
      Vector mean(static_cast<std::size_t>(features.width), 0.0);
      for (const ItemId item : train.of(user)) {
        const Vector of = of_item(item);
        for (std::size_t k = 0; k < mean.size(); ++k) mean[k] += of[k] / static_cast<double>(train.of(user).size());
      }
      tastes.push_back(mean);
    }
  }
  Vector of_item(Index item) const { return {features.of(item).begin(), features.of(item).end()}; }
  const Vector& taste(Index user) const { return tastes[static_cast<std::size_t>(user)]; }

  /// How often the nearer of the two classes' mean tastes, learnt from the users of even rows, is that of an odd one.
  double predicted(const std::string& attribute) const {
    const std::vector<std::uint32_t> codes = read_attribute(file, Side::users, attribute, 0, header.users);
    std::array<Vector, 2> means = {Vector(12, 0.0), Vector(12, 0.0)};
    std::array<double, 2> counts = {0, 0};
    for (std::size_t user = 0; user < codes.size(); user += 2) {
      for (std::size_t k = 0; k < 12; ++k) means[codes[user] - 1][k] += tastes[user][k];
      ++counts[codes[user] - 1];
    }
    for (std::size_t c = 0; c < 2; ++c)
      for (double& value : means[c]) value /= counts[c];
    int right = 0, all = 0;
    for (std::size_t user = 1; user < codes.size(); user += 2) {
      std::array<double, 2> distances = {0, 0};
      for (std::size_t c = 0; c < 2; ++c)
        for (std::size_t k = 0; k < 12; ++k) distances[c] += std::pow(tastes[user][k] - means[c][k], 2);
      right += (distances[0] < distances[1] ? 1U : 2U) == codes[user] ? 1 : 0;
      ++all;
    }
    return static_cast<double>(right) / all;
  }

  store::ArrayFile file;
  DatasetHeader header;
  UserLists train, test;
  FeatureRows features;
  std::vector<bool> in_train;
  std::vector<Vector> tastes;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(synthetic_side_data)

BOOST_AUTO_TEST_CASE(ranks_and_threads_do_not_change_a_byte) {
  const comm::Communicator communicator = comm::Communicator::world();
  const SharedFolder folder(communicator);
  if (communicator.is_root()) synth(comm::Communicator::alone(), everything(folder.file("alone.h5")));
  set_threads(2);
  synth(communicator, everything(folder.file("together.h5")));
  set_threads(1);
  BOOST_CHECK(store::read_text(folder.file("together.h5")) == store::read_text(folder.file("alone.h5")));
  BOOST_CHECK_NO_THROW(inspect(folder.file("together.h5"), false));
  communicator.barrier();
}

BOOST_AUTO_TEST_CASE(interactions_do_not_depend_on_side_data) {
  const comm::Communicator communicator = comm::Communicator::world();
  const SharedFolder folder(communicator);
  SynthOptions options = everything(folder.file("d.h5"));
  options.cold_items = 0;
  synth(communicator, options);
  SynthOptions plain = options;
  plain.to = folder.file("plain.h5");
  plain.feature_width = plain.tags = 0;
  plain.friends = 0;
  plain.attributes.clear();
  synth(communicator, plain);
  const store::ArrayFile with = open_dataset(options.to), without = open_dataset(plain.to);
  BOOST_CHECK(list_side_data(without).empty());
  for (const std::string& array : without.arrays()) BOOST_CHECK(with.checksums(array) == without.checksums(array));
  communicator.barrier();
}

BOOST_AUTO_TEST_CASE(cold_items_are_tested_only_and_features_predict_who_likes_them) {
  const comm::Communicator communicator = comm::Communicator::world();
  const SharedFolder folder(communicator);
  const SynthOptions options = everything(folder.file("d.h5"));
  synth(communicator, options);
  const Catalogue catalogue(options);
  std::vector<ItemId> cold;
  for (Index item = 0; item < options.items; ++item) {
    if (!catalogue.in_train[static_cast<std::size_t>(item)]) cold.push_back(static_cast<ItemId>(item));
  }
  BOOST_CHECK(cold.size() > 150 && cold.size() < 260);
  Index tested = 0, won = 0;
  for (Index user = 0; user < options.users; ++user) {
    for (const ItemId item : catalogue.test.of(user)) {
      if (catalogue.in_train[item]) continue;
      const ItemId other = cold[static_cast<std::size_t>(tested) % cold.size()];
      ++tested;
      won += dot(catalogue.taste(user), catalogue.of_item(item)) > dot(catalogue.taste(user), catalogue.of_item(other))
                 ? 1
                 : 0;
    }
  }
  BOOST_CHECK(tested > 5000);
  BOOST_TEST(static_cast<double>(won) / static_cast<double>(tested) > 0.7);
  communicator.barrier();
}

BOOST_AUTO_TEST_CASE(the_strength_of_an_attribute_is_how_much_taste_tells_of_it) {
  const comm::Communicator communicator = comm::Communicator::world();
  const SharedFolder folder(communicator);
  const SynthOptions options = everything(folder.file("d.h5"));
  synth(communicator, options);
  const Catalogue catalogue(options);
  BOOST_TEST(catalogue.predicted("taste") > 0.8);
  BOOST_TEST(std::abs(catalogue.predicted("chance") - 0.5) < 0.06);
  std::map<std::uint32_t, int> ages;
  for (const std::uint32_t code : read_attribute(catalogue.file, Side::users, "age", 0, options.users)) ++ages[code];
  BOOST_CHECK_EQUAL(ages.size(), 7U);
  for (const auto& [code, count] : ages) BOOST_CHECK(code > 0 && std::abs(count - 1511 / 7) < 60);
  communicator.barrier();
}

BOOST_AUTO_TEST_CASE(friends_have_like_taste_and_are_as_many_as_asked_for) {
  const comm::Communicator communicator = comm::Communicator::world();
  const SharedFolder folder(communicator);
  const SynthOptions options = everything(folder.file("d.h5"));
  synth(communicator, options);
  const Catalogue catalogue(options);
  const SparseRows friends = read_edges(catalogue.file, "friends", 0, options.users);
  BOOST_TEST(std::abs(static_cast<double>(friends.count()) / 1511.0 - 5.5) < 0.1);
  const auto cosine = [&](Index a, Index b) {
    const Vector& x = catalogue.taste(a);
    const Vector& y = catalogue.taste(b);
    return dot(x, y) / std::sqrt(dot(x, x) * dot(y, y));
  };
  double of_friends = 0, of_others = 0;
  for (Index user = 0; user < options.users; ++user) {
    for (const std::uint32_t other : friends.columns_of(user)) {
      BOOST_CHECK(static_cast<Index>(other) != user);
      of_friends += cosine(user, other);
      of_others += cosine(user, (user * 7 + other * 13 + 1) % options.users);
    }
  }
  BOOST_TEST(of_friends > 2 * of_others);
  communicator.barrier();
}

BOOST_AUTO_TEST_CASE(posts_are_interactions_and_their_tags_those_of_item_and_user) {
  const comm::Communicator communicator = comm::Communicator::world();
  const SharedFolder folder(communicator);
  SynthOptions options = everything(folder.file("d.h5"));
  options.split = "none";
  options.cold_items = 0;
  synth(communicator, options);
  const Catalogue catalogue(options);
  std::map<ItemId, std::map<std::uint32_t, int>> of_item;
  std::map<std::uint32_t, int> of_all;
  Index posts_in[3] = {0, 0, 0};
  int assignments = 0;
  for (const Part part : {Part::train, Part::validation, Part::test}) {
    const Posts posts = read_posts(catalogue.file, part, 0, options.users);
    posts_in[static_cast<int>(part)] = posts.count();
    for (Index user = 0; user < options.users; ++user) {
      for (auto p = posts.offsets[static_cast<std::size_t>(user)];
           p < posts.offsets[static_cast<std::size_t>(user) + 1]; ++p) {
        const ItemId item = posts.items[static_cast<std::size_t>(p)];
        BOOST_CHECK(catalogue.train.contains(user, item));
        for (const std::uint32_t tag : posts.tags_of(p)) {
          ++of_item[item][tag];
          ++of_all[tag];
          ++assignments;
        }
      }
    }
  }
  BOOST_CHECK(posts_in[1] > 1300 && posts_in[1] <= 1511);
  BOOST_CHECK(posts_in[2] >= posts_in[1] && posts_in[2] <= 1511);
  const Index posts = posts_in[0] + posts_in[1] + posts_in[2];
  BOOST_CHECK(std::abs(static_cast<double>(posts) / 40009.0 - 0.5) < 0.02);
  // The share of assignments that the item's eight most frequent tags cover, against that of the eight of all.
  const auto covered = [](const std::map<std::uint32_t, int>& counts) {
    std::vector<int> sorted;
    for (const auto& [tag, count] : counts) sorted.push_back(count);
    std::sort(sorted.rbegin(), sorted.rend());
    int sum = 0;
    for (std::size_t k = 0; k < std::min<std::size_t>(8, sorted.size()); ++k) sum += sorted[k];
    return sum;
  };
  int by_item = 0;
  for (const auto& [item, counts] : of_item) by_item += covered(counts);
  BOOST_TEST(by_item > 0.7 * assignments);
  BOOST_TEST(covered(of_all) < 0.6 * assignments);
  communicator.barrier();
}

BOOST_AUTO_TEST_CASE(side_options_out_of_range_are_told) {
  const comm::Communicator communicator = comm::Communicator::world();
  const auto refusal = [&](const std::function<void()>& action) -> std::string {
    try {
      action();
    } catch (const Error& error) {
      BOOST_CHECK(error.code() == ExitCode::usage);
      return error.what();
    }
    return "";
  };
  const auto with = [&](const std::function<void(SynthOptions&)>& change) {
    SynthOptions options = everything("/proc/absent/d.h5");
    change(options);
    return refusal([&] { synth(communicator, options); });
  };
  BOOST_CHECK_EQUAL(with([](SynthOptions& o) { o.feature_width = 70000; }),
                    "--item-features = 70000 is out of range: it must lie between 0 and 65536");
  BOOST_CHECK_EQUAL(with([](SynthOptions& o) { o.cold_items = 0.95; }),
                    "--cold-items = 0.95 is out of range: it must lie between 0 and 0.9");
  BOOST_CHECK_EQUAL(with([](SynthOptions& o) {
                      o.attributes.push_back({"age", 2, 1});
                    }),
                    "--user-attribute age is given twice");
  for (const char* text : {"gender", "gender:1:0.5", "gender:2:1.5", "gender:2.5:1", ":2:1", "a b:2:1"}) {
    BOOST_CHECK_EQUAL(refusal([&] { parse_planted_attribute(text); }),
                      std::string("--user-attribute ") + text +
                          " must be NAME:CATEGORIES:STRENGTH with 2 to 1000 categories and a strength from 0 to 1, for "
                          "instance gender:2:0.8");
  }
  const PlantedAttribute parsed = parse_planted_attribute("gender:2:0.8");
  BOOST_CHECK_EQUAL(parsed.categories, 2);
  BOOST_CHECK_EQUAL(parsed.strength, 0.8);
}

BOOST_AUTO_TEST_SUITE_END()
