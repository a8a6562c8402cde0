#define BOOST_TEST_DYN_LINK
#include <bit>
#include <limits>
#include <vector>

#include "catalogue/support.hpp"
#include <boost/test/unit_test.hpp>

#include "spar/catalogue/score.hpp"

namespace {

using namespace spar;
using test::reference_score;
using test::Rows;

std::vector<const float*> pointers(const Rows& rows) {
  std::vector<const float*> all;
  for (Index r = 0; r < rows.count; ++r) all.push_back(rows.row(r));
  return all;
}

// All scores of users x items, through the kernel, in pieces of `piece` panels.
std::vector<float> kernel_scores(const Rows& users, const Rows& items, const catalogue::BiasColumn& bias, int piece) {
  catalogue::ItemPanels panels;
  panels.pack(items.block(), 0, items.count, bias);
  const auto user_rows = pointers(users);
  const Index stride = static_cast<Index>(piece) * catalogue::panel_items;
  Buffer<float> scores(static_cast<std::size_t>(users.count * stride));
  std::vector<float> all(static_cast<std::size_t>(users.count * items.count));
  for (int p = 0; p < panels.panels(); p += piece) {
    const int together = std::min(piece, panels.panels() - p);
    BOOST_TEST(catalogue::score_panels(user_rows.data(), static_cast<int>(users.count), panels, p, together,
                                       scores.data(), stride));
    for (Index u = 0; u < users.count; ++u) {
      for (Index j = 0; j < static_cast<Index>(together) * catalogue::panel_items; ++j) {
        const Index item = static_cast<Index>(p) * catalogue::panel_items + j;
        if (item < items.count)
          all[static_cast<std::size_t>(u * items.count + item)] = scores[static_cast<std::size_t>(u * stride + j)];
      }
    }
  }
  return all;
}

std::int64_t differing_bits(const std::vector<float>& scores, const Rows& users, const Rows& items, const float* bias) {
  std::int64_t different = 0;
  for (Index u = 0; u < users.count; ++u) {
    for (Index i = 0; i < items.count; ++i) {
      const float product = reference_score(users.row(u), items.row(i), items.width);
      const float expected = bias != nullptr ? product + bias[i] : product;
      const float got = scores[static_cast<std::size_t>(u * items.count + i)];
      different += std::bit_cast<std::uint32_t>(expected) != std::bit_cast<std::uint32_t>(got) ? 1 : 0;
    }
  }
  return different;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(score)

BOOST_AUTO_TEST_CASE(kernel_scores_are_in_order_fused_sums_bit_for_bit_at_every_depth) {
  std::vector<int> depths;
  for (int dim = 1; dim <= 70; ++dim) depths.push_back(dim);
  depths.insert(depths.end(), {128, 200});
  for (const int dim : depths) {
    const Rows users(13, dim, 1);
    const Rows items(101, dim, 2);
    BOOST_TEST(differing_bits(kernel_scores(users, items, {}, 2), users, items, nullptr) == 0, "depth " << dim);
  }
}

BOOST_AUTO_TEST_CASE(scores_do_not_depend_on_where_rows_stand_or_how_many_are_scored_together) {
  const int dim = 67;
  for (const Index user_count : {1, 2, 3, 5, 7, 11, 17, 31}) {
    for (const Index item_count : {1, 2, 47, 53, 97, 149}) {
      const Rows users(user_count, dim, 3, 5);
      const Rows items(item_count, dim, 4, 3);
      BOOST_TEST(differing_bits(kernel_scores(users, items, {}, 1), users, items, nullptr) == 0,
                 user_count << " users, " << item_count << " items");
    }
  }
}

BOOST_AUTO_TEST_CASE(biases_are_added_last_and_may_lie_inside_the_rows) {
  const int dim = 19;
  const Rows users(9, dim, 5);
  const Rows items(103, dim, 6, 4);
  std::vector<float> bias;
  for (Index i = 0; i < items.count; ++i) bias.push_back(items.row(i)[0] * 0.5F);
  const auto separate = kernel_scores(users, items, {bias.data(), 1}, 3);
  BOOST_TEST(differing_bits(separate, users, items, bias.data()) == 0);
  Rows with_bias = items;
  for (Index i = 0; i < items.count; ++i)
    with_bias.values[static_cast<std::size_t>(i * items.stride + dim)] = bias[static_cast<std::size_t>(i)];
  const auto inside = kernel_scores(users, with_bias, {with_bias.values.data() + dim, with_bias.stride}, 3);
  BOOST_TEST(inside == separate, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_pair_scored_alone_has_the_bits_of_the_block) {
  for (const int dim : {1, 16, 63, 200}) {
    const Rows users(3, dim, 7);
    const Rows items(5, dim, 8);
    for (Index u = 0; u < users.count; ++u) {
      for (Index i = 0; i < items.count; ++i) {
        BOOST_TEST(catalogue::score_pair(users.row(u), items.row(i), dim) ==
                   reference_score(users.row(u), items.row(i), dim));
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(a_score_that_is_not_finite_is_reported) {
  const int dim = 8;
  for (const float poison : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                             -std::numeric_limits<float>::infinity()}) {
    for (const Index place : {0, 46, 47, 48, 99}) {
      const Rows users(11, dim, 9);
      Rows items(100, dim, 10);
      items.values[static_cast<std::size_t>(place * dim + 3)] = poison;
      catalogue::ItemPanels panels;
      panels.pack(items.block(), 0, items.count, {});
      const auto rows = pointers(users);
      const Index stride = static_cast<Index>(panels.panels()) * catalogue::panel_items;
      Buffer<float> scores(static_cast<std::size_t>(users.count * stride));
      BOOST_TEST(!catalogue::score_panels(rows.data(), 11, panels, 0, panels.panels(), scores.data(), stride));
    }
  }
}

BOOST_AUTO_TEST_CASE(panels_keep_their_values_when_passed_on) {
  const Rows items(59, 6, 11);
  catalogue::ItemPanels sent;
  sent.pack(items.block(1000), 7, 50, {items.values.data(), items.stride});
  catalogue::ItemPanels received;
  received.assign(sent.first_item(), sent.items(), sent.dim(), sent.has_bias(), sent.values().data());
  BOOST_TEST(received.first_item() == 1007);
  BOOST_TEST(received.items() == 50);
  BOOST_TEST(received.has_bias());
  BOOST_TEST(
      std::equal(sent.values().begin(), sent.values().end(), received.values().begin(), received.values().end()));
}

BOOST_AUTO_TEST_SUITE_END()
