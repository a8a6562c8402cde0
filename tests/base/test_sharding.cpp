#include <boost/test/unit_test.hpp>

#include "spar/base/sharding.hpp"

using spar::Index;
using spar::Partition;
using spar::ShardLayout;

BOOST_AUTO_TEST_SUITE(sharding)

BOOST_AUTO_TEST_CASE(parts_cover_all_rows_once_and_differ_by_at_most_one) {
  for (const Index rows :
       {Index{0}, Index{1}, Index{2}, Index{943}, Index{1023}, Index{1024}, Index{1025}, Index{99991}}) {
    for (const int parts : {1, 2, 3, 7, 8, 64, 1024}) {
      const Partition partition{rows, parts};
      BOOST_TEST(partition.begin(0) == 0);
      BOOST_TEST(partition.end(parts - 1) == rows);
      for (int p = 0; p < parts; ++p) {
        const bool even = partition.size(p) == rows / parts || partition.size(p) == rows / parts + 1;
        BOOST_TEST(even);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(part_of_names_the_part_that_holds_the_row) {
  for (const Index rows : {Index{1}, Index{5}, Index{943}, Index{1682}, Index{10007}}) {
    for (const int parts : {1, 2, 8, 256, 1024}) {
      const Partition partition{rows, parts};
      for (Index row = 0; row < rows; ++row) {
        const int part = partition.part_of(row);
        const bool inside = partition.begin(part) <= row && row < partition.end(part);
        if (!inside) BOOST_ERROR("row " << row << " of " << rows << " is not in part " << part << " of " << parts);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(partitions_of_2_to_the_52_rows_do_not_overflow) {
  const Partition partition{(Index{1} << 52) + 12345, 1024};
  BOOST_TEST(partition.end(1023) == (Index{1} << 52) + 12345);
  BOOST_TEST(partition.part_of(partition.begin(700)) == 700);
  BOOST_TEST(partition.part_of(partition.end(700) - 1) == 700);
}

BOOST_AUTO_TEST_CASE(every_shard_is_a_union_of_whole_row_groups) {
  for (const Index rows : {Index{943}, Index{1682}, Index{1000003}}) {
    const Partition groups{rows, spar::row_groups};
    for (int shards = 1; shards <= spar::row_groups; shards *= 2) {
      const Partition by_shard{rows, shards};
      for (int s = 0; s <= shards; ++s) BOOST_TEST(by_shard.begin(s) == groups.begin(s * (spar::row_groups / shards)));
    }
  }
}

BOOST_AUTO_TEST_CASE(ranks_hold_contiguous_blocks_of_floor_or_ceil_of_shards_over_ranks) {
  for (const int shards : {1, 8, 64, 1024}) {
    for (int ranks = 1; ranks <= std::min(shards, 40); ++ranks) {
      const ShardLayout layout{shards, ranks};
      BOOST_TEST(layout.first_shard(0) == 0);
      BOOST_TEST(layout.end_shard(ranks - 1) == shards);
      for (int r = 0; r < ranks; ++r) {
        const bool even =
            layout.shard_count(r) == shards / ranks || layout.shard_count(r) == (shards + ranks - 1) / ranks;
        BOOST_TEST(even);
        for (int s = layout.first_shard(r); s < layout.end_shard(r); ++s) BOOST_TEST(layout.rank_of(s) == r);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(aligned_subtrees_tile_the_shards_with_subtrees_of_the_tree) {
  for (const int shards : {1, 2, 8, 64, 1024}) {
    for (int ranks = 1; ranks <= std::min(shards, 40); ++ranks) {
      const ShardLayout layout{shards, ranks};
      int next = 0;
      for (const spar::Subtree& subtree : spar::aligned_subtrees(layout)) {
        BOOST_TEST(subtree.begin == next);
        const int size = subtree.end - subtree.begin;
        const bool power_of_two = size > 0 && (size & (size - 1)) == 0;
        BOOST_TEST(power_of_two);
        BOOST_TEST(subtree.begin % size == 0);
        BOOST_TEST(layout.rank_of(subtree.begin) == subtree.rank);
        BOOST_TEST(layout.rank_of(subtree.end - 1) == subtree.rank);
        next = subtree.end;
      }
      BOOST_TEST(next == shards);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_rank_has_one_subtree_when_the_ranks_are_a_power_of_two) {
  for (const int ranks : {1, 2, 4, 8, 16})
    BOOST_TEST(spar::aligned_subtrees({64, ranks}).size() == static_cast<std::size_t>(ranks));
}

BOOST_AUTO_TEST_SUITE_END()
