#include <optional>

#include "../support/gradient_check.hpp"
#include <boost/test/unit_test.hpp>

#include "spar/base/error.hpp"
#include "spar/game/sequence_batch.hpp"
#include "spar/systems/factor_model.hpp"
#include "spar/systems/system.hpp"

namespace {

using namespace spar;
using test::Grid;
using Histories = std::vector<std::vector<ItemId>>;

constexpr Index total_items = 9;

std::shared_ptr<const game::NeuralModel> network(const std::string& system, int length, double dropout = 0.0) {
  std::vector<std::string> more{"model.dim=6", "sequence.length=" + std::to_string(length),
                                "network.dropout=" + std::to_string(dropout)};
  if (system == "sasrec") more.emplace_back("network.heads=2");
  if (system == "gru4rec") more.emplace_back("sampling.per_positive=3");
  return systems::network_of(systems::load_recipe(system, more));
}

data::UserLists lists_of(const Histories& histories) {
  data::UserLists lists;
  for (auto history : histories) {
    lists.by_time.insert(lists.by_time.end(), history.begin(), history.end());
    std::sort(history.begin(), history.end());
    lists.items.insert(lists.items.end(), history.begin(), history.end());
    lists.offsets.push_back(lists.offsets.back() + static_cast<std::int64_t>(history.size()));
  }
  return lists;
}

// Items, then dense parameters: numbers far from any start that would hide a mistake (gains 1, offsets 0).
template <class T>
std::vector<Grid<T>> numbers_of(const game::NeuralModel& model, std::size_t rows) {
  std::vector<Grid<T>> grids;
  grids.emplace_back(static_cast<int>(rows), model.item_columns(), 0.6, 1);
  int salt = 2;
  for (const auto& parameter : model.declarations().all())
    grids.emplace_back(parameter.rows, parameter.columns, 0.5, salt++);
  return grids;
}

template <class T>
game::Pass<T> pass_of(tape::Tape<T>& tape, const std::vector<tape::Var>& vars, const game::NeuralBatch& batch,
                      bool training = false) {
  const std::span<const tape::Var> all(vars);
  game::Pass<T> pass{{tape, all.subspan(1)}, batch, all.first(1)};
  pass.context.training = training;
  pass.context.samples = batch.samples;
  return pass;
}

// The rows of `table` that the batch names, in its order, are those of the catalogue.
std::vector<std::vector<float>> states(const game::NeuralModel& model, const game::NeuralBatch& batch) {
  auto grids = numbers_of<float>(model, total_items);
  std::vector<float*> rows;
  for (const Index row : batch.rows[0]) rows.push_back(&grids[0].at(static_cast<int>(row), 0));
  tape::Tape<float> tape;
  std::vector<tape::Var> vars{
      tape.constant({nullptr, static_cast<int>(rows.size()), model.item_columns(), grids[0].stride(), rows.data()})};
  for (std::size_t k = 1; k < grids.size(); ++k) vars.push_back(tape.constant(grids[k].view()));
  const auto out = tape.value(model.histories()->states(pass_of<float>(tape, vars, batch)));
  std::vector<std::vector<float>> result;
  for (int r = 0; r < out.rows; ++r) result.emplace_back(out.row(r), out.row(r) + out.columns);
  return result;
}

game::NeuralBatch batch_of(const Histories& histories, int length) {
  game::HistoryBatcher batcher(length);
  game::NeuralBatch batch;
  batcher.fill(histories, batch);
  return batch;
}

const std::vector<std::string> both{"sasrec", "gru4rec"};

}  // namespace

BOOST_AUTO_TEST_SUITE(sequence_models)

BOOST_AUTO_TEST_CASE(the_gradient_of_the_loss_is_that_of_central_differences) {
  const auto lists = lists_of({{0, 3, 1, 4, 2}, {5, 6, 2}, {7, 8}});
  for (const std::string& system : both) {
    for (const double dropout : {0.0, 0.3}) {
      BOOST_TEST_CONTEXT(system << " with dropout " << dropout) {
        const auto model = network(system, 4, dropout);
        const auto source = model->source(lists, 0, 3, 0, total_items, 5);
        source->begin_epoch(0);
        game::NeuralBatch batch;
        source->draw(0, 1, batch);
        test::check_gradients(numbers_of<double>(*model, batch.rows[0].size()),
                              [&](tape::Tape<double>& tape, const std::vector<tape::Var>& vars) {
                                return model->loss(pass_of<double>(tape, vars, batch, true));
                              });
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(a_shard_without_sequences_moves_nothing) {
  for (const std::string& system : both) {
    const auto model = network(system, 4);
    const auto lists = lists_of({{1}});
    const auto source = model->source(lists, 0, 1, 0, total_items, 5);
    source->begin_epoch(0);
    game::NeuralBatch batch;
    source->draw(0, 1, batch);
    auto grids = numbers_of<float>(*model, 0);
    const auto gradients =
        test::tape_gradients<float>(grids, [&](tape::Tape<float>& tape, const std::vector<tape::Var>& vars) {
          return model->loss(pass_of<float>(tape, vars, batch, true));
        });
    for (const auto& gradient : gradients) {
      for (const float number : gradient.numbers()) BOOST_TEST(number == 0.0F);
    }
  }
}

// Short and long histories together: the short ones are padded to the length of the longest.
BOOST_AUTO_TEST_CASE(a_state_has_the_same_bits_whoever_else_is_scored_and_however_much_padding_stands_in_front) {
  const Histories histories{{3}, {1, 2, 3, 4, 5, 6, 7}, {8, 0, 5}, {2, 2, 1}, {0, 1}};
  for (const std::string& system : both) {
    BOOST_TEST_CONTEXT(system) {
      const auto model = network(system, 7);
      const auto together = states(*model, batch_of(histories, 7));
      BOOST_TEST_REQUIRE(together.size() == histories.size());
      for (std::size_t k = 0; k < histories.size(); ++k) {
        const auto alone = states(*model, batch_of({histories[k]}, 7));
        BOOST_TEST(alone.front() == together[k], boost::test_tools::per_element());
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(what_stands_in_the_padding_does_not_count) {
  for (const std::string& system : both) {
    BOOST_TEST_CONTEXT(system) {
      const auto model = network(system, 6);
      auto batch = batch_of({{3, 1}, {1, 2, 3, 4, 5, 6}}, 6);
      const auto expected = states(*model, batch);
      for (std::size_t p = 0; p < batch.valid.size(); ++p) {
        if (batch.valid[p] == 0) batch.slots[game::SequenceRoles::inputs][p] = 4;
      }
      const auto got = states(*model, batch);
      for (std::size_t k = 0; k < got.size(); ++k) BOOST_TEST(got[k] == expected[k], boost::test_tools::per_element());
    }
  }
}

BOOST_AUTO_TEST_CASE(a_state_follows_the_order_and_only_the_newest_items) {
  for (const std::string& system : both) {
    BOOST_TEST_CONTEXT(system) {
      const auto model = network(system, 3);
      const auto of = [&](const std::vector<ItemId>& history) {
        return states(*model, batch_of({history}, 3)).front();
      };
      BOOST_TEST((of({1, 2, 3}) != of({2, 1, 3})));
      BOOST_TEST((of({7, 1, 2, 3}) == of({8, 1, 2, 3})));
      BOOST_TEST((of({7, 2, 3}) != of({8, 2, 3})));
    }
  }
}

BOOST_AUTO_TEST_CASE(heads_that_do_not_divide_the_width_are_refused) {
  const Recipe recipe = systems::load_recipe("sasrec", {"network.heads=3"});
  BOOST_CHECK_EXCEPTION(systems::network_of(recipe), UserError, [](const UserError& error) {
    return std::string(error.what()) ==
           "network.heads = 3 does not divide model.dim = 50: every head takes as many columns";
  });
}

BOOST_AUTO_TEST_SUITE_END()
