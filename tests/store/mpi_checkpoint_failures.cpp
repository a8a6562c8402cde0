#include <csignal>
#include <fstream>
#include <optional>
#include <string>
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>
#include <vector>

#include "store/checkpoint_case.hpp"
#include "support/sentence.hpp"
#include <boost/test/unit_test.hpp>

#include "spar/base/error.hpp"

using namespace spar;
using namespace spar::store;
using namespace spar::test;
using comm::Communicator;

namespace {

const std::function<bool()> always = [] { return true; };
const Shape shape{20'011, 5'003, 16};
constexpr int shards = 16;
constexpr std::int64_t part_bytes = 1'000'000;  // 4 parts

void save(const Communicator& communicator, const std::string& directory, const std::string& name, int version) {
  Tables tables(shape, shards, communicator.size(), communicator.rank());
  tables.fill(version);
  save_checkpoint(communicator, shards, directory, "nonce-a", info_of(name), tables.rows(), pending_of(tables), always,
                  part_bytes);
}

// Every rank must leave with the same sentence and the code for a failing environment.
std::string failure_of_save(const Communicator& communicator, const std::string& directory, const std::string& name) {
  std::string sentence = "nothing was thrown";
  try {
    save(communicator, directory, name, 2);
  } catch (const Error& failure) {
    sentence = failure.what();
    BOOST_CHECK_EQUAL(static_cast<int>(failure.code()), static_cast<int>(ExitCode::environment));
  }
  for (const std::string& other : communicator.allgather(sentence)) BOOST_CHECK_EQUAL(other, sentence);
  return sentence;
}

void check_only_old(const Communicator& communicator, const std::string& directory) {
  communicator.barrier();
  if (communicator.is_root()) {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(directory))
      names.push_back(entry.path().filename().string());
    BOOST_CHECK(names == std::vector<std::string>{"old"});
    verify_checkpoint(read_manifest(directory + "/old"));
  }
  communicator.barrier();
}

// Files of one rank end at `bytes` while this lives: a disk that fails for that rank alone.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    handler_ = std::signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_{};
  void (*handler_)(int) = SIG_DFL;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(checkpoint_failures)

BOOST_AUTO_TEST_CASE(a_rank_that_cannot_write_makes_all_leave_and_touches_nothing_older) {
  const Communicator world = Communicator::world();
  const SharedFolder folder(world);
  save(world, folder.path(), "old", 1);
  for (int failing = 0; failing < world.size(); ++failing) {
    std::string sentence;
    {
      std::optional<FileSizeLimit> limit;
      if (world.rank() == failing) limit.emplace(rlim_t{100'000});
      sentence = failure_of_save(world, folder.path(), "new");
    }
    // A rank without the first shard of any part writes nothing, so its limit does no harm.
    const ShardLayout layout{shards, world.size()};
    bool writes = false;
    for (int part = 0; part < 4; ++part) writes = writes || layout.rank_of(part * shards / 4) == failing;
    if (writes) {
      BOOST_CHECK(sentence.find("the checkpoint " + folder.file("new") + " was not written: ") == 0);
      BOOST_CHECK(sentence.find("; earlier checkpoints are untouched") != std::string::npos);
    }
    BOOST_CHECK_EQUAL(sentence == "nothing was thrown", !writes);
    if (writes) check_only_old(world, folder.path());
  }
}

BOOST_AUTO_TEST_CASE(a_full_disk_is_said_with_what_is_missing) {
  const Communicator world = Communicator::world();
  const SharedFolder folder(world);
  bool mounted = false;
  if (world.is_root()) mounted = mount("tmpfs", folder.path().c_str(), "tmpfs", 0, "size=4m") == 0;
  mounted = world.any(mounted);
  if (!mounted) {
    BOOST_TEST_MESSAGE("skipped: a small file system can be mounted by root only");
    return;
  }
  save(world, folder.path(), "old", 1);
  const std::string sentence = failure_of_save(world, folder.path(), "new");
  BOOST_CHECK(sentence.find("the checkpoint " + folder.file("new") +
                            " was not written: the disk is full (it needs 3.2 MB, but " + folder.path() + " has ") ==
              0);
  BOOST_CHECK(sentence.find(" MB free); earlier checkpoints are untouched") != std::string::npos);
  BOOST_TEST_MESSAGE(sentence);
  check_only_old(world, folder.path());
  if (world.is_root()) umount(folder.path().c_str());
  world.barrier();
}

BOOST_AUTO_TEST_CASE(a_path_that_cannot_be_a_directory_is_said) {
  const Communicator world = Communicator::world();
  const SharedFolder folder(world);
  if (world.is_root()) std::ofstream(folder.file("file")) << "x";
  world.barrier();
  const std::string sentence = failure_of_save(world, folder.file("file"), "new");
  BOOST_CHECK(sentence.find("was not written: cannot create the directory " + folder.file("file")) !=
              std::string::npos);
}

BOOST_AUTO_TEST_SUITE_END()

namespace {

// A saved checkpoint in a folder of its own, and the sentence with which loading and verifying it fail.
struct Damage {
  const Communicator& communicator;
  SharedFolder folder{communicator};
  std::string path = folder.file("a");

  explicit Damage(const Communicator& world) : communicator(world) {
    save(world, folder.path(), "a", 1);
    save(world, folder.path(), "b", 1);
  }

  void change(const std::function<void()>& action) const {
    communicator.barrier();
    if (communicator.is_root()) action();
    communicator.barrier();
  }

  std::string load_failure(const CheckpointManifest& manifest) const {
    Tables tables(shape, shards, communicator.size(), communicator.rank());
    std::vector<PendingRows> pending;
    const std::string sentence =
        sentence_of(ExitCode::usage, [&] { load_checkpoint(communicator, manifest, tables.rows(), &pending); });
    for (const std::string& other : communicator.allgather(sentence)) BOOST_CHECK_EQUAL(other, sentence);
    BOOST_CHECK_EQUAL(sentence, sentence_of(ExitCode::usage, [&] { verify_checkpoint(manifest); }));
    BOOST_CHECK_EQUAL(sentence, sentence_of(ExitCode::usage, [&] { verify_checkpoint(communicator, manifest); }));
    return sentence;
  }

  // The list skips "a", says why, and still has "b".
  std::string skipped() const {
    std::vector<std::string> damaged;
    const auto sound = list_checkpoints(communicator, folder.path(), &damaged);
    BOOST_CHECK_EQUAL(sound.size(), 1U);
    BOOST_CHECK_EQUAL(damaged.size(), 1U);
    BOOST_CHECK(!sound.empty() && sound[0].info.name == "b");
    return damaged.empty() ? "" : damaged[0];
  }
};

void flip(const std::string& file, std::size_t place) {
  std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
  stream.seekg(static_cast<std::streamoff>(place));
  const int byte = stream.get();
  stream.seekp(static_cast<std::streamoff>(place));
  stream.put(static_cast<char>(byte ^ 1));
}

// Where a value of version 1 stands in a file.
std::size_t place_of(const std::string& file, int table, int field, Index row) {
  const std::string text = bytes_of(file);
  std::string sought;
  for (int c = 0; c < 3; ++c) {
    const float value = value_at(table, field, row, c, 1);
    sought.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  return text.find(sought);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(checkpoint_damage)

BOOST_AUTO_TEST_CASE(a_flipped_byte_is_found_and_named_by_table_and_rows) {
  const Communicator world = Communicator::world();
  const Damage damage(world);
  const auto manifest = read_manifest(damage.path);
  // Row 16,000 of the users lies in part 3 of 4, whose first row is 15,008, in a row group of 19 or 20 rows.
  damage.change([&] { flip(damage.path + "/part-0003.h5", place_of(damage.path + "/part-0003.h5", 0, 1, 16'000)); });
  BOOST_CHECK_EQUAL(damage.load_failure(manifest), "the checkpoint " + damage.path +
                                                       " is damaged: its file part-0003.h5 does not match its checksum "
                                                       "in table user, field vector.accumulator, rows "
                                                       "15985 to 16003; use an older one");
  BOOST_CHECK_EQUAL(list_checkpoints(world, damage.folder.path()).size(), 2U);  // the list reads no rows
}

BOOST_AUTO_TEST_CASE(a_flipped_byte_in_pending_rows_is_found) {
  const Communicator world = Communicator::world();
  const Damage damage(world);
  const auto manifest = read_manifest(damage.path);
  damage.change([&] {
    const std::string file = damage.path + "/part-0000.h5";
    const std::vector<Index> rows = {1, 4, 7, 10};
    flip(file,
         bytes_of(file).find(std::string(reinterpret_cast<const char*>(rows.data()), rows.size() * sizeof(Index))));
  });
  BOOST_CHECK_EQUAL(damage.load_failure(manifest), "the checkpoint " + damage.path +
                                                       " is damaged: its file part-0000.h5 does not match its checksum "
                                                       "in the pending rows of table item; use an older one");
}

BOOST_AUTO_TEST_CASE(a_truncated_part_is_said) {
  const Communicator world = Communicator::world();
  const Damage damage(world);
  const auto manifest = read_manifest(damage.path);
  const std::string expected = "the checkpoint " + damage.path +
                               " is damaged: its file part-0001.h5 has 5000 bytes instead of " +
                               std::to_string(manifest.files[1].bytes) + "; use an older one";
  damage.change([&] { std::filesystem::resize_file(damage.path + "/part-0001.h5", 5000); });
  BOOST_CHECK_EQUAL(damage.load_failure(manifest), expected);
  BOOST_CHECK_EQUAL(damage.skipped(), expected);
}

BOOST_AUTO_TEST_CASE(a_missing_part_is_said) {
  const Communicator world = Communicator::world();
  const Damage damage(world);
  const auto manifest = read_manifest(damage.path);
  const std::string expected =
      "the checkpoint " + damage.path + " is damaged: its file part-0002.h5 is missing; use an older one";
  damage.change([&] { std::filesystem::remove(damage.path + "/part-0002.h5"); });
  BOOST_CHECK_EQUAL(damage.load_failure(manifest), expected);
  BOOST_CHECK_EQUAL(damage.skipped(), expected);
}

BOOST_AUTO_TEST_CASE(a_part_of_another_checkpoint_is_refused) {
  const Communicator world = Communicator::world();
  const Damage damage(world);
  save(world, damage.folder.path(), "b", 2);
  const auto manifest = read_manifest(damage.path);
  damage.change([&] {
    std::filesystem::copy_file(damage.folder.file("b/part-0002.h5"), damage.path + "/part-0002.h5",
                               std::filesystem::copy_options::overwrite_existing);
  });
  BOOST_CHECK_EQUAL(damage.load_failure(manifest), "the checkpoint " + damage.path +
                                                       " is damaged: its file part-0002.h5 is not the one that belongs "
                                                       "to it (its checksums differ from those of the "
                                                       "manifest); use an older one");
}

BOOST_AUTO_TEST_CASE(a_damaged_manifest_is_no_manifest) {
  const Communicator world = Communicator::world();
  const Damage damage(world);
  const std::string file = damage.path + "/manifest.json";
  const std::string text = bytes_of(file);
  damage.change([&] { flip(file, text.find("20011") + 4); });  // still JSON, another number of rows
  BOOST_CHECK_EQUAL(
      damage.skipped(),
      "the checkpoint " + damage.path + " is damaged: its manifest.json does not match its checksum; use an older one");
  damage.change([&] { std::filesystem::resize_file(file, 100); });
  BOOST_CHECK_EQUAL(damage.skipped(), "the checkpoint " + damage.path +
                                          " is damaged: its manifest.json is not readable; use an older one");
  damage.change([&] { std::ofstream(file) << R"({"format": "spar-checkpoint", "version": 2})"; });
  BOOST_CHECK_EQUAL(damage.skipped(),
                    "the checkpoint " + damage.path +
                        " has version 2 of its format, but this program knows versions up to 1: use a newer spar");
  damage.change([&] { std::filesystem::remove(file); });
  std::vector<std::string> damaged;
  BOOST_CHECK_EQUAL(list_checkpoints(world, damage.folder.path(), &damaged).size(), 1U);
  BOOST_CHECK(damaged.empty());
  BOOST_CHECK_EQUAL(sentence_of(ExitCode::usage, [&] { read_manifest(damage.path); }),
                    damage.path + " is no checkpoint: it has no manifest.json");
}

BOOST_AUTO_TEST_SUITE_END()
