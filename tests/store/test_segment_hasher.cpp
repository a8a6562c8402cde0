#include <map>
#include <vector>

#include "src/store/segment_hasher.hpp"
#include <boost/test/unit_test.hpp>
#include <rapidcheck.h>

#include "spar/store/array_file.hpp"

using namespace spar;
using namespace spar::store;

BOOST_AUTO_TEST_SUITE(segment_hasher)

BOOST_AUTO_TEST_CASE(checksums_do_not_depend_on_how_rows_come) {
  BOOST_CHECK(rc::check([] {
    constexpr Index columns = 3;
    const auto sizes = *rc::gen::container<std::vector<int>>(*rc::gen::inRange(1, 12), rc::gen::inRange(0, 200));
    std::vector<Index> boundaries = {0};
    for (const int size : sizes) boundaries.push_back(boundaries.back() + size);
    std::vector<float> rows(static_cast<std::size_t>(boundaries.back() * columns));
    for (std::size_t k = 0; k < rows.size(); ++k) rows[k] = static_cast<float>(k) * 0.37F;

    const int first = *rc::gen::inRange(0, static_cast<int>(sizes.size()));
    SegmentHasher hasher(boundaries, columns * 4, first);
    std::map<int, std::uint64_t> found;
    for (Index row = hasher.next_row(); row < boundaries.back();) {
      const Index count = std::min<Index>(boundaries.back() - row, *rc::gen::inRange(1, 90));
      hasher.add(rows.data() + row * columns, count,
                 [&](int segment, std::uint64_t sum) { RC_ASSERT(found.emplace(segment, sum).second); });
      row += count;
      RC_ASSERT(hasher.next_row() == row);
    }
    for (int segment = first; segment < static_cast<int>(sizes.size()); ++segment) {
      const auto k = static_cast<std::size_t>(segment);
      const auto bytes = static_cast<std::size_t>(sizes[k]) * columns * sizeof(float);
      RC_ASSERT(found.count(segment) == (bytes > 0 ? 1U : 0U));
      if (bytes > 0) RC_ASSERT(found[segment] == checksum(rows.data() + boundaries[k] * columns, bytes));
    }
  }));
}

BOOST_AUTO_TEST_SUITE_END()
