#include <cmath>
#include <numeric>
#include <set>

#include "slow_autoencoder.hpp"
#include <boost/test/unit_test.hpp>

#include "spar/base/error.hpp"
#include "spar/game/represent.hpp"

namespace {

using namespace spar;
using test::AutoencoderGame;
using test::AutoencoderSettings;

}  // namespace

BOOST_AUTO_TEST_SUITE(catalogue_models)

BOOST_AUTO_TEST_CASE(mult_vae_without_noise_and_prior_is_an_autoencoder_with_a_linear_code) {
  const auto world = comm::Communicator::world();
  AutoencoderSettings vae = test::mult_vae();
  vae.model.code_noise = 0.0;
  vae.model.beta = Schedule(0.0);
  AutoencoderSettings dae = vae;
  dae.model.gaussian = false;
  AutoencoderGame a(world, vae);
  AutoencoderGame b(world, dae);
  const int weights = a.dense.find("code.weights"), bias = a.dense.find("code.bias");
  for (const int k : {weights, bias}) {
    for (int r = 0; r < a.dense.shape(k).rows; ++r)
      std::copy_n(a.dense.table(k).record(r), vae.model.code, b.dense.table(k).record(r));
  }
  const auto losses = a.train(0, 3);
  const auto same = b.train(0, 3);
  for (std::size_t k = 0; k < losses.size(); k += 2) BOOST_TEST(losses[k] == same[k]);
  BOOST_TEST((a.numbers()[0] == b.numbers()[0]));
  BOOST_TEST((a.numbers()[1] == b.numbers()[1]));
}

BOOST_AUTO_TEST_CASE(cdae_with_user_nodes_of_zero_is_a_plain_denoising_autoencoder) {
  const auto world = comm::Communicator::world();
  AutoencoderSettings with = test::cdae();
  with.batch_users = 1000;  // one step, in which the nodes are still zero
  AutoencoderSettings without = with;
  without.model.user_nodes = false;
  AutoencoderGame a(world, with);
  AutoencoderGame b(world, without);
  for (Index k = 0; k < a.users.rows(); ++k) std::fill_n(a.users.record(k), a.users.shape().width(), 0.0F);
  const auto losses = a.train(0, 1);
  BOOST_TEST((losses == b.train(0, 1)));
  BOOST_TEST((a.numbers()[0] == b.numbers()[0]));
  BOOST_TEST((a.numbers()[1] == b.numbers()[1]));
}

BOOST_AUTO_TEST_CASE(autorec_moves_no_row_of_an_item_that_nobody_rated) {
  const auto world = comm::Communicator::world();
  AutoencoderSettings settings = test::autorec();
  settings.data = {13, 211, false};
  AutoencoderGame before(world, settings);
  AutoencoderGame after(world, settings);
  after.train(0, 2);
  int still = 0, moved = 0;
  for (Index k = 0; k < after.decoder.rows(); ++k) {
    bool rated = false;
    for (Index u = 0; u < settings.data.users; ++u) rated |= settings.data.has(u, after.decoder.first_row() + k);
    const bool same = std::equal(before.decoder.record(k), before.decoder.record(k) + before.decoder.shape().record(),
                                 after.decoder.record(k));
    BOOST_TEST(same == !rated);
    (same ? still : moved) += 1;
  }
  BOOST_TEST(world.sum(std::int64_t{still}) > 20);
  BOOST_TEST(world.sum(std::int64_t{moved}) > 20);
}

BOOST_AUTO_TEST_CASE(every_user_with_interactions_is_in_one_batch_of_an_epoch) {
  const auto world = comm::Communicator::world();
  const test::ToyData data{211, 31, false};
  const ShardLayout layout{8, world.size()};
  const Partition partition{data.users, 8};
  const auto lists =
      data.lists(partition.begin(layout.first_shard(world.rank())), partition.begin(layout.end_shard(world.rank())));
  game::UserBatches batches(world, layout, data.users, lists, {}, 30, 9);
  std::set<Index> expected;
  const auto whole = data.lists(0, data.users);
  for (Index u = 0; u < data.users; ++u) {
    if (!whole.of(u).empty()) expected.insert(u);
  }
  BOOST_TEST(batches.steps() == static_cast<std::int64_t>((expected.size() + 29) / 30));
  std::vector<Index> orders[2];
  for (int epoch = 0; epoch < 2; ++epoch) {
    batches.begin_epoch(epoch);
    std::set<Index> met;
    for (std::int64_t step = 0; step < batches.steps(); ++step) {
      game::UserBatch batch;
      batches.gather(step, world.rank() == world.size() - 1 ? 4U : 1U, batch);
      BOOST_TEST(batch.flags == (world.size() > 1 ? 5U : 4U));
      BOOST_TEST(std::abs(batch.rows.rows() - 30) <= 8);
      for (int s = 0; s < 8; ++s) {
        for (int r = batch.rows.begin[static_cast<std::size_t>(s)];
             r < batch.rows.begin[static_cast<std::size_t>(s) + 1]; ++r) {
          const Index user = batch.users[static_cast<std::size_t>(r)];
          BOOST_TEST(partition.part_of(user) == s);
          BOOST_TEST(batch.totals[static_cast<std::size_t>(r)] == static_cast<float>(whole.of(user).size()));
          BOOST_TEST(met.insert(user).second);
          orders[epoch].push_back(user);
        }
      }
    }
    BOOST_TEST((met == expected));
  }
  BOOST_TEST((orders[0] != orders[1]));
  BOOST_TEST(world.sum(batches.without_interactions()) == data.users - static_cast<Index>(expected.size()));
}

// Represents users by their profiles, whoever asks and in whatever blocks.
BOOST_AUTO_TEST_CASE(represented_users_score_as_on_paper_whatever_the_launch_and_the_blocks) {
  const auto world = comm::Communicator::world();
  const auto alone = comm::Communicator::alone();
  for (const auto& [name, settings] : test::all_models()) {
    BOOST_TEST_CONTEXT(name) {
      AutoencoderGame here(world, settings);
      AutoencoderGame single(alone, settings);
      const auto rows_of = [&](AutoencoderGame& game, int block) {
        std::vector<Index> nodes(static_cast<std::size_t>(game.lists.users()));
        std::iota(nodes.begin(), nodes.end(), Index{0});
        if (!nodes.empty() && game.lists.first_user == 0) nodes.front() = -1;
        const game::Profiles profiles{
            game.lists.offsets, {game.lists.items.data(), game.lists.items.size()}, game.values, nodes};
        return game::represent(game.communicator, game.layout, settings.model, game.tables(), profiles, block);
      };
      const auto expected = rows_of(single, 1000);
      const auto width = static_cast<std::size_t>(padded(settings.model.output_width()));
      const auto begin = static_cast<std::size_t>(here.lists.first_user) * width;
      for (const int block : {1000, 7}) {
        const auto got = rows_of(here, block);
        BOOST_TEST(got.size() == static_cast<std::size_t>(here.lists.users()) * width);
        BOOST_TEST(std::equal(got.begin(), got.end(), expected.begin() + static_cast<std::ptrdiff_t>(begin)));
      }
      test::SlowAutoencoder slow(single);
      for (int c = 0; c < slow.users.columns; ++c) slow.users.at(0, c) = 0.0;
      for (Index u = 0; u < settings.data.users; u += 5) {
        const auto h = slow.hidden(u, false);
        for (std::size_t c = 0; c < width; ++c) {
          const auto got = static_cast<double>(expected[static_cast<std::size_t>(u) * width + c]);
          BOOST_TEST(std::abs(got - (c < h.size() ? h[c] : 0.0)) < 2e-6);
        }
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(scopes_and_taps_that_do_not_exist_are_named) {
  const auto world = comm::Communicator::world();
  AutoencoderGame game(world, test::cdae());
  auto adversary = test::adversary_of(adversary::Scope::batch);
  adversary.taps = {"decoder.wights"};
  BOOST_CHECK_EXCEPTION(game.engine->begin_stage({"acae", 1, adversary}), UserError, [](const UserError& e) {
    return std::string(e.what()) ==
           "adversary.taps: auto-encoders have no tap \"decoder.wights\"; they have \"encoder.weights\" and "
           "\"decoder.weights\"";
  });
  BOOST_CHECK_EXCEPTION(
      game.engine->begin_stage({"acae", 1, test::adversary_of(adversary::Scope::sample)}), UserError,
      [](const UserError& e) { return std::string(e.what()).find("scope \"batch\" only") != std::string::npos; });
}

BOOST_AUTO_TEST_SUITE_END()
