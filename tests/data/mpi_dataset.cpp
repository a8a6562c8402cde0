#include <algorithm>

#include "sample_side.hpp"
#include "support/shared_folder.hpp"
#include <boost/test/unit_test.hpp>

#include "spar/base/error.hpp"
#include "spar/base/threads.hpp"
#include "spar/data/features.hpp"
#include "spar/data/interactions.hpp"
#include "spar/data/posts.hpp"
#include "spar/store/durable.hpp"

using namespace spar;
using namespace spar::data;
using spar::test::SampleDataset;
using spar::test::SampleSide;
using spar::test::SharedFolder;

namespace {

template <class Sample>
void write_together(const comm::Communicator& communicator, const Sample& sample, const std::string& path) {
  DatasetWriter writer = DatasetWriter::create_together(communicator, path, sample.plan());
  const ShardLayout layout{row_groups, communicator.size()};
  const int first = layout.first_shard(communicator.rank());
  parallel_for(layout.shard_count(communicator.rank()), [&](int k) { sample.write_group(writer, first + k); });
  writer.commit_together(communicator);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(dataset_on_ranks)

BOOST_AUTO_TEST_CASE(any_number_of_ranks_and_threads_writes_the_same_bytes) {
  const comm::Communicator communicator = comm::Communicator::world();
  const SharedFolder folder(communicator);
  for (const Index users : {Index{3}, Index{1031}}) {
    const SampleDataset sample = SampleDataset::random(users, 17, 9, true);
    if (communicator.is_root()) sample.write(folder.file("alone.h5"));
    for (const int threads : {1, 2}) {
      set_threads(threads);
      write_together(communicator, sample, folder.file("together.h5"));
      BOOST_CHECK(store::read_text(folder.file("together.h5")) == store::read_text(folder.file("alone.h5")));
      communicator.barrier();
    }
    set_threads(1);
  }
}

BOOST_AUTO_TEST_CASE(every_rank_reads_the_lists_of_its_users) {
  const comm::Communicator communicator = comm::Communicator::world();
  const SharedFolder folder(communicator);
  const SampleDataset sample = SampleDataset::random(777, 17, 10, true);
  write_together(communicator, sample, folder.file("d.h5"));
  const ShardLayout layout{8, communicator.size()};
  const Partition shards{777, 8};
  const Index first = shards.begin(layout.first_shard(communicator.rank()));
  const Index end = shards.begin(layout.end_shard(communicator.rank()));
  const UserLists lists = read_lists(open_dataset(folder.file("d.h5")), Part::train, first, end);
  BOOST_CHECK(std::ranges::equal(lists.items, SampleDataset::flatten(sample.lists[0], first, end).second));
  std::int64_t total = 0;
  for (const auto& list : sample.lists[0]) total += static_cast<std::int64_t>(list.size());
  BOOST_CHECK_EQUAL(communicator.sum(lists.count()), total);
}

BOOST_AUTO_TEST_CASE(side_data_are_the_same_bytes_from_any_ranks_and_read_by_each_for_its_rows) {
  const comm::Communicator communicator = comm::Communicator::world();
  const SharedFolder folder(communicator);
  const SampleSide sample = SampleSide::random(1031, 211);
  if (communicator.is_root()) sample.write(folder.file("alone.h5"));
  write_together(communicator, sample, folder.file("together.h5"));
  BOOST_CHECK(store::read_text(folder.file("together.h5")) == store::read_text(folder.file("alone.h5")));
  const ShardLayout layout{8, communicator.size()};
  const int first_shard = layout.first_shard(communicator.rank()), end_shard = layout.end_shard(communicator.rank());
  const store::ArrayFile file = open_dataset(folder.file("together.h5"));
  const Partition users{1031, 8}, items{211, 8};
  const FeatureRows features =
      read_features(file, Side::items, "image", items.begin(first_shard), items.begin(end_shard));
  for (Index k = 0; k < features.rows(); ++k)
    BOOST_CHECK_EQUAL(features.of(k)[1], SampleSide::feature(features.first_row + k, 1));
  const Posts posts = read_posts(file, Part::train, users.begin(first_shard), users.begin(end_shard));
  const SideDescription tags = find_side_data(file, SideKind::tags, Side::users, "tags");
  const std::int64_t others =
      read_posts(file, Part::validation, users.begin(first_shard), users.begin(end_shard)).assignments() +
      read_posts(file, Part::test, users.begin(first_shard), users.begin(end_shard)).assignments();
  BOOST_CHECK_EQUAL(communicator.sum(posts.assignments() + others), tags.entries);
  communicator.barrier();
}

BOOST_AUTO_TEST_CASE(a_path_that_cannot_be_written_is_one_sentence_on_every_rank) {
  const comm::Communicator communicator = comm::Communicator::world();
  const SampleDataset sample = SampleDataset::random(5, 5, 11, false);
  std::string sentence;
  try {
    write_together(communicator, sample, "/proc/absent/d.h5");
  } catch (const Error& error) {
    sentence = error.what();
  }
  BOOST_CHECK_EQUAL(sentence, "cannot write /proc/absent/d.h5: no such file or directory");
}

BOOST_AUTO_TEST_SUITE_END()
