#include <algorithm>
#include <string>
#include <vector>

#include "store/checkpoint_case.hpp"
#include <boost/test/unit_test.hpp>

#include "spar/base/error.hpp"

using namespace spar;
using namespace spar::store;
using namespace spar::test;
using comm::Communicator;

namespace {

const std::function<bool()> always = [] { return true; };

struct Case {
  Shape shape;
  int shards = 8;
  std::int64_t part_bytes = checkpoint_part_bytes;
};

SaveReport save(const Communicator& communicator, const Case& c, const std::string& directory, const std::string& name,
                int version, const std::function<bool()>& may_commit = always) {
  Tables tables(c.shape, c.shards, communicator.size(), communicator.rank());
  tables.fill(version);
  return save_checkpoint(communicator, c.shards, directory, "nonce-a", info_of(name), tables.rows(), pending_of(tables),
                         may_commit, c.part_bytes);
}

// How many values come back wrong when a rank of a launch of `ranks` ranks loads; pending rows count as well.
Index wrong_after_load(const Communicator& communicator, const Case& c, const CheckpointManifest& manifest, int ranks,
                       int rank, int version) {
  Tables tables(c.shape, c.shards, ranks, rank);
  std::vector<PendingRows> pending;
  load_checkpoint(communicator, manifest, tables.rows(), &pending);
  const auto expected = pending_of(tables);
  const bool same =
      pending.size() == 1 && pending[0].rows == expected[0].rows && pending[0].values == expected[0].values;
  return tables.wrong(version) + (same ? 0 : 1);
}

// The sentence with which every rank leaves, which must be the same on all.
std::string common_sentence(const Communicator& communicator, ExitCode code, const std::function<void()>& action) {
  std::string sentence = "nothing was thrown";
  try {
    action();
  } catch (const Error& failure) {
    sentence = failure.what();
    BOOST_CHECK_EQUAL(static_cast<int>(failure.code()), static_cast<int>(code));
  }
  for (const std::string& other : communicator.allgather(sentence)) BOOST_CHECK_EQUAL(other, sentence);
  return sentence;
}

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const int shards : {8, 64, 1024})
    for (const Shape& shape :
         {Shape{0, 1, 5}, Shape{1, 7, 1}, Shape{97, 1009, 5}, Shape{2053, 3, 16}, Shape{5003, 1024, 7}})
      for (const std::int64_t part_bytes : {std::int64_t{30'000}, checkpoint_part_bytes})
        all.push_back({shape, shards, part_bytes});
  return all;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(checkpoint)

BOOST_AUTO_TEST_CASE(bytes_do_not_depend_on_the_launch_and_any_launch_loads_them) {
  const Communicator world = Communicator::world();
  const Communicator alone = Communicator::alone();
  const SharedFolder folder(world);
  for (const Case& c : cases()) {
    const SaveReport report = save(world, c, folder.file("together"), "epoch-000003", 1);
    const auto manifests = list_checkpoints(world, folder.file("together"));
    BOOST_CHECK_EQUAL(manifests.size(), 1U);
    if (manifests.size() != 1) break;
    BOOST_CHECK_EQUAL(manifests[0].path, report.path);
    BOOST_CHECK_EQUAL(manifests[0].parts,
                      checkpoint_parts((c.shape.users * 2 * c.shape.dim + c.shape.items * (2 * c.shape.dim + 1)) * 4,
                                       c.shards, c.part_bytes));
    BOOST_CHECK_EQUAL(wrong_after_load(world, c, manifests[0], world.size(), world.rank(), 1), 0);
    if (world.is_root()) {
      save(alone, c, folder.file("single"), "epoch-000003", 1);
      BOOST_CHECK(contents(folder.file("together/epoch-000003")) == contents(folder.file("single/epoch-000003")));
      for (int ranks = 1; ranks <= 5; ++ranks)
        for (int rank = 0; rank < ranks; ++rank)
          BOOST_CHECK_EQUAL(wrong_after_load(alone, c, manifests[0], ranks, rank, 1), 0);
      verify_checkpoint(manifests[0]);
    }
    world.barrier();
  }
}

BOOST_AUTO_TEST_CASE(rows_travel_in_many_blocks) {
  const Communicator world = Communicator::world();
  const SharedFolder folder(world);
  const Case c{{300'007, 100'003, 12}, 64, std::int64_t{9} << 20};
  save(world, c, folder.path(), "a", 2);
  const auto manifest = read_manifest(folder.file("a"));
  BOOST_CHECK_EQUAL(manifest.parts, 8);
  BOOST_CHECK_EQUAL(wrong_after_load(world, c, manifest, world.size(), world.rank(), 2), 0);
}

BOOST_AUTO_TEST_CASE(one_field_of_one_table_can_be_loaded_alone) {
  const Communicator world = Communicator::world();
  const SharedFolder folder(world);
  const Case c{{97, 1009, 5}, 8, 10'000};
  save(world, c, folder.path(), "a", 4);
  std::vector<float> bias(1009);
  std::vector<TableRows> tables = {{"item", 1009, 0, 1009, bias.data(), 1, {{"bias", 1, 0}}}};
  load_checkpoint(world, read_manifest(folder.file("a")), tables, nullptr);
  Index wrong = 0;
  for (Index row = 0; row < 1009; ++row) wrong += bias[static_cast<std::size_t>(row)] != value_at(1, 1, row, 0, 4);
  BOOST_CHECK_EQUAL(wrong, 0);
}

BOOST_AUTO_TEST_CASE(what_the_checkpoint_lacks_is_named) {
  const Communicator world = Communicator::world();
  const SharedFolder folder(world);
  save(world, {{97, 103, 5}, 8}, folder.path(), "a", 1);
  const auto manifest = read_manifest(folder.file("a"));
  std::vector<float> memory(103 * 9);
  const auto sentence = [&](const TableRows& table) {
    std::vector<TableRows> tables = {table};
    return common_sentence(world, ExitCode::usage, [&] { load_checkpoint(world, manifest, tables, nullptr); });
  };
  const std::string path = folder.file("a");
  BOOST_CHECK_EQUAL(sentence({"tag", 103, 0, 103, memory.data(), 9, {}}), "nothing was thrown");
  BOOST_CHECK_EQUAL(sentence({"tag", 103, 0, 103, memory.data(), 9, {{"vector", 5, 0}}}),
                    "the checkpoint " + path + " has no table tag");
  BOOST_CHECK_EQUAL(sentence({"item", 103, 0, 103, memory.data(), 9, {{"norm", 1, 0}}}),
                    "the checkpoint " + path + " has no field norm in table item");
  BOOST_CHECK_EQUAL(sentence({"item", 103, 0, 103, memory.data(), 9, {{"vector", 8, 0}}}),
                    "the checkpoint " + path + " has 5 columns in field vector of table item, but 8 are needed");
  BOOST_CHECK_EQUAL(
      sentence({"item", 99, 0, 99, memory.data(), 9, {{"vector", 5, 0}}}),
      "the checkpoint " + path + " has 103 rows in table item, but 99 are needed: it belongs to another data set");
}

BOOST_AUTO_TEST_CASE(a_manifest_gives_back_what_the_trainer_said) {
  const Communicator world = Communicator::world();
  const SharedFolder folder(world);
  save(world, {{97, 103, 5}, 8}, folder.path(), "a", 1);
  const auto manifest = read_manifest(folder.file("a"));
  const CheckpointInfo info = info_of("a");
  BOOST_CHECK_EQUAL(manifest.info.name, info.name);
  BOOST_CHECK_EQUAL(manifest.info.progress, info.progress);
  BOOST_CHECK_EQUAL(manifest.info.recipe, info.recipe);
  BOOST_CHECK_EQUAL(manifest.info.identity, info.identity);
  BOOST_CHECK(manifest.info.id_sources == info.id_sources);
  BOOST_CHECK_EQUAL(manifest.shards, 8);
}

BOOST_AUTO_TEST_CASE(a_checkpoint_of_the_same_name_is_replaced) {
  const Communicator world = Communicator::world();
  const SharedFolder folder(world);
  const Case c{{97, 1009, 5}, 8, 5'000};
  save(world, c, folder.path(), "a", 1);
  save(world, c, folder.path(), "a", 2);
  const auto manifests = list_checkpoints(world, folder.path());
  BOOST_CHECK_EQUAL(manifests.size(), 1U);
  BOOST_CHECK_EQUAL(wrong_after_load(world, c, manifests.at(0), world.size(), world.rank(), 2), 0);
  if (world.is_root()) {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder.path()))
      names.push_back(entry.path().filename().string());
    BOOST_CHECK(names == std::vector<std::string>{"a"});
  }
}

BOOST_AUTO_TEST_CASE(a_run_that_lost_its_lock_commits_nothing) {
  const Communicator world = Communicator::world();
  const SharedFolder folder(world);
  const Case c{{97, 1009, 5}, 8, 5'000};
  save(world, c, folder.path(), "a", 1);
  for (const int allowed : {0, 3, 1000}) {  // lost at the first block, between blocks, or never
    int asked = 0;
    const std::string sentence = common_sentence(world, ExitCode::environment, [&] {
      save(world, c, folder.path(), "b", 2, [&] { return ++asked <= allowed; });
      if (allowed == 1000) throw EnvironmentError("saved");
    });
    if (allowed == 1000) continue;
    BOOST_CHECK(sentence.find("the checkpoint " + folder.file("b") + " was not written: ") == 0);
    BOOST_CHECK(sentence.find("another process has taken over the run directory; earlier checkpoints are untouched") !=
                std::string::npos);
    BOOST_CHECK_EQUAL(list_checkpoints(world, folder.path()).size(), 1U);
    BOOST_CHECK(!std::filesystem::exists(folder.file("b.partial-nonce-a")));
    world.barrier();
  }
}

BOOST_AUTO_TEST_SUITE_END()
