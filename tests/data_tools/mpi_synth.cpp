#include <algorithm>
#include <numeric>
#include <set>

#include "support/shared_folder.hpp"
#include <boost/test/unit_test.hpp>

#include "data_tools/inspect.hpp"
#include "data_tools/synth.hpp"
#include "spar/base/error.hpp"
#include "spar/base/threads.hpp"
#include "spar/data/interactions.hpp"
#include "spar/store/durable.hpp"

using namespace spar;
using namespace spar::data_tools;
using spar::data::Part;
using spar::test::SharedFolder;

namespace {

/// Prime sizes; the most active users look at every item, the others reject.
SynthOptions sample_options(const std::string& to) {
  SynthOptions options;
  options.to = to;
  options.users = 1511;
  options.items = 997;
  options.interactions = 40009;
  return options;
}

Index total(const data::DatasetHeader& header) {
  return header.counts[0] + header.counts[1] + header.counts[2];
}

data::UserLists all_lists(const store::ArrayFile& file, Part part) {
  return data::read_lists(file, part, 0, data::read_header(file).users);
}

/// The sentence with which synth() refuses options, the same on every rank.
std::string refusal(const comm::Communicator& communicator, const SynthOptions& options) {
  try {
    synth(communicator, options);
  } catch (const Error& error) {
    BOOST_CHECK(error.code() == ExitCode::usage);
    return error.what();
  }
  return "";
}

}  // namespace

BOOST_AUTO_TEST_SUITE(synthetic_catalogue)

BOOST_AUTO_TEST_CASE(threads_and_names_do_not_change_a_byte) {
  const comm::Communicator communicator = comm::Communicator::world();
  const SharedFolder folder(communicator);
  synth(communicator, sample_options(folder.file("one.h5")));
  set_threads(2);
  synth(communicator, sample_options(folder.file("two.h5")));
  set_threads(1);
  const std::string bytes = store::read_text(folder.file("one.h5"));
  BOOST_CHECK(bytes == store::read_text(folder.file("two.h5")));
  communicator.barrier();
}

BOOST_AUTO_TEST_CASE(every_interaction_asked_for_is_there_once) {
  const comm::Communicator communicator = comm::Communicator::world();
  const SharedFolder folder(communicator);
  for (const char* split : {"leave-one-out", "ratio", "none"}) {
    SynthOptions options = sample_options(folder.file("d.h5"));
    options.split = split;
    synth(communicator, options);
    const store::ArrayFile file = data::open_dataset(folder.file("d.h5"));
    const data::DatasetHeader header = data::read_header(file);
    BOOST_CHECK_EQUAL(header.users, options.users);
    BOOST_CHECK_EQUAL(header.items, options.items);
    BOOST_CHECK_EQUAL(total(header), options.interactions);
    const data::UserLists train = all_lists(file, Part::train);
    const data::UserLists validation = all_lists(file, Part::validation);
    const data::UserLists test = all_lists(file, Part::test);
    for (Index user = 0; user < options.users; ++user) {
      std::set<ItemId> items(train.of(user).begin(), train.of(user).end());
      items.insert(validation.of(user).begin(), validation.of(user).end());
      items.insert(test.of(user).begin(), test.of(user).end());
      BOOST_CHECK_EQUAL(items.size(), train.of(user).size() + validation.of(user).size() + test.of(user).size());
    }
    communicator.barrier();
  }
}

BOOST_AUTO_TEST_CASE(leave_one_out_holds_one_test_and_one_validation_item_a_user) {
  const comm::Communicator communicator = comm::Communicator::world();
  const SharedFolder folder(communicator);
  synth(communicator, sample_options(folder.file("d.h5")));
  const data::DatasetHeader header = data::read_header(data::open_dataset(folder.file("d.h5")));
  BOOST_CHECK_EQUAL(header.counts[1], 1511);
  BOOST_CHECK_EQUAL(header.counts[2], 1511);
  communicator.barrier();
}

BOOST_AUTO_TEST_CASE(activity_and_popularity_fall_along_the_ids_and_shards_are_even) {
  const comm::Communicator communicator = comm::Communicator::world();
  const SharedFolder folder(communicator);
  const SynthOptions options = sample_options(folder.file("d.h5"));
  synth(communicator, options);
  const store::ArrayFile file = data::open_dataset(folder.file("d.h5"));
  const data::UserLists train = all_lists(file, Part::train);
  const std::vector<std::string> user_ids = data::read_ids(file, "/users/ids", 0, options.users);
  const std::vector<std::string> item_ids = data::read_ids(file, "/items/ids", 0, options.items);
  std::vector<Index> of_user(static_cast<std::size_t>(options.users));
  std::vector<Index> of_item(static_cast<std::size_t>(options.items), 0);
  for (Index user = 0; user < options.users; ++user) {
    const auto place = static_cast<std::size_t>(std::stoll(user_ids[static_cast<std::size_t>(user)].substr(1)));
    of_user[place] = static_cast<Index>(train.of(user).size());
    for (const ItemId item : train.of(user)) ++of_item[static_cast<std::size_t>(std::stoll(item_ids[item].substr(1)))];
  }
  for (std::size_t place = 1; place < of_user.size(); ++place) BOOST_CHECK(of_user[place] <= of_user[place - 1] + 1);
  const Index head = std::accumulate(of_item.begin(), of_item.begin() + 100, Index{0});
  BOOST_CHECK(head > 2 * train.count() / 10 && head < 8 * train.count() / 10);
  const Partition shards{options.users, 16};
  for (int shard = 0; shard < 16; ++shard) {
    const Index held = data::read_lists(file, Part::train, shards.begin(shard), shards.end(shard)).count();
    BOOST_CHECK(std::abs(held * 16 - train.count()) < train.count() / 50);
  }
  communicator.barrier();
}

BOOST_AUTO_TEST_CASE(extreme_shapes_are_written) {
  const comm::Communicator communicator = comm::Communicator::world();
  const SharedFolder folder(communicator);
  struct Shape {
    Index users, items, interactions;
    double affinity;
  };
  for (const Shape& shape : {Shape{1, 2, 1, 6}, Shape{3, 5, 7, 6}, Shape{40, 10, 200, 6}, Shape{2000, 1, 1000, 0},
                             Shape{5, 20000, 50000, 50}, Shape{900, 900, 100, 6}}) {
    SynthOptions options;
    options.to = folder.file("d.h5");
    options.users = shape.users;
    options.items = shape.items;
    options.interactions = shape.interactions;
    options.affinity = shape.affinity;
    synth(communicator, options);
    const store::ArrayFile file = data::open_dataset(options.to);
    BOOST_CHECK_EQUAL(total(data::read_header(file)), shape.interactions);
    BOOST_CHECK_NO_THROW(inspect(options.to, false));
    communicator.barrier();
  }
}

BOOST_AUTO_TEST_CASE(another_seed_is_another_catalogue) {
  const comm::Communicator communicator = comm::Communicator::world();
  const SharedFolder folder(communicator);
  SynthOptions options = sample_options(folder.file("a.h5"));
  synth(communicator, options);
  options.to = folder.file("b.h5");
  options.seed = 2;
  synth(communicator, options);
  BOOST_CHECK(data::read_header(data::open_dataset(folder.file("a.h5"))).content !=
              data::read_header(data::open_dataset(folder.file("b.h5"))).content);
  communicator.barrier();
}

BOOST_AUTO_TEST_CASE(options_out_of_range_are_told) {
  const comm::Communicator communicator = comm::Communicator::world();
  const auto with = [&](const std::function<void(SynthOptions&)>& change) {
    SynthOptions options = sample_options("/proc/absent/d.h5");
    change(options);
    return refusal(communicator, options);
  };
  BOOST_CHECK_EQUAL(with([](SynthOptions& o) { o.users = 0; }),
                    "--users = 0 is out of range: it must lie between 1 and 1099511627776");
  BOOST_CHECK_EQUAL(with([](SynthOptions& o) { o.factors = 65; }),
                    "--factors = 65 is out of range: it must lie between 1 and 64");
  BOOST_CHECK_EQUAL(with([](SynthOptions& o) { o.split = "random"; }),
                    "--split = random is unknown: choose leave-one-out, ratio or none");
  BOOST_CHECK_EQUAL(with([](SynthOptions& o) { o.interactions = 1511 * 997; }),
                    "--interactions = 1506467 is out of range: 1511 users and 997 items have room for 1 to 753233 "
                    "(half of all pairs)");
  BOOST_CHECK_EQUAL(with([](SynthOptions&) {}),
                    "cannot write /proc/absent/d.h5: the folder /proc/absent does not exist");
}

BOOST_AUTO_TEST_SUITE_END()
