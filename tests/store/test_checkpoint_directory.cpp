#include <fstream>
#include <set>

#include "src/store/checkpoint_directory.hpp"
#include "src/store/checkpoint_manifest.hpp"
#include "src/store/checkpoint_plan.hpp"
#include "support/scratch.hpp"
#include "support/sentence.hpp"
#include <boost/test/unit_test.hpp>

#include "spar/store/checkpoint.hpp"

using namespace spar;
using namespace spar::store;
using namespace spar::test;

namespace {

const std::function<bool()> always = [] { return true; };

// A checkpoint without tables: one manifest that names one file.
void make_checkpoint(const std::string& directory, const std::string& name) {
  std::filesystem::create_directories(directory);
  CheckpointManifest manifest;
  manifest.info.name = name;
  manifest.shards = 8;
  manifest.parts = 1;
  manifest.files = {{"part-0000.h5", 4, "0123456789abcdef"}};
  std::ofstream(directory + "/part-0000.h5") << "rows";
  std::ofstream(directory + "/manifest.json") << manifest_text(manifest);
}

std::vector<std::string> names(const std::vector<CheckpointManifest>& manifests) {
  std::vector<std::string> result;
  for (const auto& manifest : manifests) result.push_back(manifest.info.name);
  return result;
}

using Names = std::vector<std::string>;

}  // namespace

BOOST_AUTO_TEST_SUITE(checkpoint_directory)

BOOST_AUTO_TEST_CASE(newest_come_first_and_what_is_half_written_is_none) {
  const ScratchFolder folder;
  for (const char* name : {"epoch-000002", "epoch-000010", "epoch-000003"}) make_checkpoint(folder.file(name), name);
  make_checkpoint(folder.file("epoch-000011.partial-aaaa"), "epoch-000011");
  std::filesystem::create_directories(folder.file("notes"));
  BOOST_CHECK(names(list_checkpoints(folder.path())) == (Names{"epoch-000010", "epoch-000003", "epoch-000002"}));
  BOOST_CHECK(list_checkpoints(folder.file("absent")).empty());
}

BOOST_AUTO_TEST_CASE(the_newest_and_the_named_are_kept) {
  const ScratchFolder folder;
  for (const char* name : {"epoch-1", "epoch-2", "epoch-3", "epoch-4", "epoch-5"})
    make_checkpoint(folder.file(name), name);
  std::filesystem::create_directories(folder.file("epoch-2.partial-dead"));
  std::filesystem::create_directories(folder.file("epoch-6.partial-mine"));
  std::filesystem::create_directories(folder.file("notes"));
  std::ofstream(folder.file("a-file")) << "x";
  sweep_checkpoints(folder.path(), 2, {"epoch-2"}, "mine", always);
  BOOST_CHECK(folder.names() == (Names{"a-file", "epoch-2", "epoch-4", "epoch-5", "epoch-6.partial-mine", "notes"}));
}

BOOST_AUTO_TEST_CASE(a_damaged_newest_stays_and_a_damaged_old_one_goes) {
  const ScratchFolder folder;
  for (const char* name : {"epoch-1", "epoch-2", "epoch-3"}) make_checkpoint(folder.file(name), name);
  for (const char* name : {"epoch-1", "epoch-3"}) std::ofstream(folder.file(name) + "/manifest.json") << "{";
  sweep_checkpoints(folder.path(), 1, {}, "mine", always);
  BOOST_CHECK(folder.names() == (Names{"epoch-2", "epoch-3"}));
}

BOOST_AUTO_TEST_CASE(without_the_lock_nothing_is_deleted) {
  const ScratchFolder folder;
  for (const char* name : {"epoch-1", "epoch-2"}) make_checkpoint(folder.file(name), name);
  std::filesystem::create_directories(folder.file("epoch-2.partial-dead"));
  const auto before = folder.names();
  const std::string sentence = sentence_of(
      ExitCode::environment, [&] { sweep_checkpoints(folder.path(), 1, {}, "mine", [] { return false; }); });
  BOOST_CHECK_EQUAL(
      without(sentence, folder.path()),
      "/epoch-2.partial-dead is no longer this run's to change: another process has taken over the run directory");
  BOOST_CHECK(folder.names() == before);
}

BOOST_AUTO_TEST_CASE(a_kill_while_a_checkpoint_is_replaced_loses_nothing) {
  const ScratchFolder folder;
  make_checkpoint(folder.file("epoch-1"), "epoch-1");
  make_checkpoint(folder.file("epoch-2.replaced-dead"), "epoch-2");  // the newer one had not come yet
  BOOST_CHECK(names(list_checkpoints(folder.path())) == (Names{"epoch-2", "epoch-1"}));
  sweep_checkpoints(folder.path(), 5, {}, "mine", always);
  BOOST_CHECK(folder.names() == (Names{"epoch-1", "epoch-2"}));

  make_checkpoint(folder.file("epoch-2.replaced-dead"), "epoch-2");  // the newer one is there
  BOOST_CHECK(names(list_checkpoints(folder.path())) == (Names{"epoch-2", "epoch-1"}));
  sweep_checkpoints(folder.path(), 5, {}, "mine", always);
  BOOST_CHECK(folder.names() == (Names{"epoch-1", "epoch-2"}));
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(checkpoint_plan)

BOOST_AUTO_TEST_CASE(parts_follow_from_sizes_and_shards) {
  const std::int64_t full = checkpoint_part_bytes;
  BOOST_CHECK_EQUAL(checkpoint_parts(0, 64), 1);
  BOOST_CHECK_EQUAL(checkpoint_parts(full, 64), 1);
  BOOST_CHECK_EQUAL(checkpoint_parts(full + 1, 64), 2);
  BOOST_CHECK_EQUAL(checkpoint_parts(5 * full, 64), 8);
  BOOST_CHECK_EQUAL(checkpoint_parts(100 * full, 64), 64);
  BOOST_CHECK_EQUAL(checkpoint_parts(std::int64_t{1} << 50, 1024), 1024);
}

BOOST_AUTO_TEST_CASE(every_part_has_one_writer_and_no_two_ranks_wait_for_each_other) {
  for (const int shards : {8, 64, 1024}) {
    for (int parts = 1; parts <= shards; parts *= 2) {
      for (const int ranks : {1, 2, 3, 4, 5, 7, 8, shards - 1, shards}) {
        if (ranks > shards) continue;
        const ShardLayout layout{shards, ranks};
        std::vector<std::vector<PartDuty>> duties;
        std::vector<int> written(static_cast<std::size_t>(parts), 0);
        for (int rank = 0; rank < ranks; ++rank) {
          duties.push_back(duties_of(rank, layout, parts));
          for (const PartDuty& duty : duties.back())
            written[static_cast<std::size_t>(duty.part)] += duty.writer == rank;
        }
        BOOST_CHECK(std::all_of(written.begin(), written.end(), [](int count) { return count == 1; }));
        // Blocking messages: in each turn, the parts that all of their ranks have come to are done; and no chain of
        // waits is longer than two shared parts.
        std::vector<std::size_t> next(static_cast<std::size_t>(ranks), 0);
        std::size_t left = 0;
        for (const auto& list : duties) left += list.size();
        int shared_turns = 0;
        for (int turn = 0; left > 0 && turn < 3 * parts + 3; ++turn) {
          std::set<int> ready;
          const auto at = [&](int rank) -> const PartDuty* {
            const auto r = static_cast<std::size_t>(rank);
            return next[r] < duties[r].size() ? &duties[r][next[r]] : nullptr;
          };
          for (int rank = 0; rank < ranks; ++rank) {
            const PartDuty* duty = at(rank);
            if (duty == nullptr || duty->writer != rank) continue;
            bool all = true;
            for (int other = duty->writer; other < duty->end_rank; ++other)
              all = all && at(other) != nullptr && at(other)->part == duty->part;
            if (all) ready.insert(duty->part);
            if (all && duty->shared()) shared_turns = turn + 1;
          }
          for (int rank = 0; rank < ranks; ++rank) {
            const PartDuty* duty = at(rank);
            if (duty == nullptr || !ready.contains(duty->part)) continue;
            ++next[static_cast<std::size_t>(rank)];
            --left;
          }
        }
        BOOST_CHECK_EQUAL(left, 0U);
        BOOST_CHECK_LE(shared_turns, 2);
      }
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
