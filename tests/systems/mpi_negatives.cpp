#include <cmath>

#include "systems/toy_training.hpp"
#include <boost/test/unit_test.hpp>

namespace {

using namespace spar;
using test::joined;
using test::train_toy;
using test::TrainedToy;
using Words = std::vector<std::string>;

constexpr int dim = 5;
constexpr double rate = 0.1;
const Words small{"model.dim=5", "model.init_std=0.4"};
// One step over all triples by plain descent.
const Words one_step{"train.batch_size=1000000", "optimizer.name=sgd", "optimizer.learning_rate=0.1"};
Words bpr(const Words& more) {
  return joined(joined({"bpr-mf"}, small), more);
}

Words bpr_step(const Words& more) {
  return joined(bpr(one_step), more);
}

double distance(const TrainedToy& a, const TrainedToy& b) {
  return std::max(test::largest_difference(a.users, b.users), test::largest_difference(a.items, b.items));
}

// Each item's vector is its number along the first column and every user's 1: the highest number is the highest score.
void score_by_number(systems::FactorModel& model) {
  for (Index k = 0; k < model.users->rows(); ++k) {
    std::fill_n(model.users->record(k), dim, 0.0F);
    model.users->record(k)[0] = 1.0F;
  }
  for (Index k = 0; k < model.items->rows(); ++k) {
    std::fill_n(model.items->record(k), dim, 0.0F);
    model.items->record(k)[0] = 0.01F * static_cast<float>(model.items->first_row() + k);
  }
}

// All items score alike for a user, and no two users or items are alike.
void score_alike(systems::FactorModel& model) {
  const auto fill = [](table::Table& table, float first, float first_step, float other) {
    for (Index k = 0; k < table.rows(); ++k) {
      const auto number = static_cast<float>(table.first_row() + k);
      std::fill_n(table.record(k), table.shape().dim, other * number);
      table.record(k)[0] = first + first_step * number;
    }
  };
  fill(*model.users, 1.0F, 0.01F, 0.0F);
  fill(*model.items, 1.0F, 0.0F, 0.1F);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(negatives)

BOOST_AUTO_TEST_CASE(every_law_and_penalty_gives_the_bits_of_one_process) {
  const auto world = comm::Communicator::world();
  const auto alone = comm::Communicator::alone();
  const Words apr{"game.pretrain_epochs=0", "adversary.epsilon=0.3", "objective.l2=0.01"};
  const std::vector<Words> runs{
      joined({"bpr-mf", "sampling.own_items=true"}, small),
      joined({"bpr-mf", "sampling.candidates=4", "sampling.negatives=popularity", "model.item_bias=true"}, small),
      joined({"bpr-mf", "sampling.candidates=3", "optimizer.name=lazy_adam", "optimizer.clip_norm=0.5"}, small),
      joined({"bpr-mf", "objective.l2=0.02", "objective.l2_form=table", "optimizer.clip_norm=1"}, small),
      joined(
          {"bpr-mf", "objective.l2=0.02", "objective.l2_form=distinct", "optimizer.name=adam", "sampling.candidates=4"},
          small),
      joined(joined({"apr", "sampling.candidates=4", "model.item_bias=true"}, apr), small),
      joined(joined({"apr", "objective.l2_form=table", "optimizer.clip_norm=3", "adversary.scope=shard"}, apr), small),
      joined({"mf", "sampling.own_items=true", "sampling.candidates=2", "objective.l2_form=distinct"}, small),
      {"neumf", "sampling.candidates=4", "sampling.per_positive=2", "model.dim=8"},
      joined({"bpr-mf", "sampling.negatives=popularity", "parallel.pipeline=1"}, small),
      joined(joined({"apr", "sampling.negatives=popularity", "sampling.power=0.5"}, apr), small),
      {"neumf", "sampling.negatives=popularity", "sampling.per_positive=3", "sampling.candidates=2", "model.dim=8"},
  };
  for (const Words& words : runs) {
    BOOST_TEST_CONTEXT(words[0] << " " << words[1] << " " << words[2]) {
      const Words batched = joined(words, {"train.batch_size=150"});
      const auto expected = train_toy(alone, batched, 2);
      BOOST_TEST((train_toy(world, batched, 2) == expected));
      BOOST_TEST((train_toy(world, batched, 2, {}, {}, 2) == expected));
      BOOST_TEST(std::isfinite(expected.losses.back()));
    }
  }
}

// What the two engines share is the same mathematics: a clip that is never met asks for the general one.
BOOST_AUTO_TEST_CASE(a_factor_model_trains_alike_as_a_network_and_by_its_own_engine) {
  const auto world = comm::Communicator::world();
  for (const Words& words :
       {Words{"bpr-mf", "model.item_bias=true", "objective.l2=0.02"},
        Words{"apr", "model.item_bias=true", "objective.l2=0.02", "game.pretrain_epochs=0", "adversary.epsilon=0.3"},
        Words{"apr", "objective.l2=0.02", "game.pretrain_epochs=0", "adversary.scope=shard", "adversary.ball=linf",
              "adversary.epsilon=0.05"}}) {
    const Words all = joined(joined(words, small), {"train.batch_size=150"});
    const auto own = train_toy(world, all, 2);
    const auto general = train_toy(world, joined(all, {"optimizer.clip_norm=1000000"}), 2);
    BOOST_TEST(distance(own, general) < 2e-4, words[0]);
    BOOST_TEST(distance(own, train_toy(world, all, 0)) > 0.1);
    BOOST_TEST(own.losses[1] == general.losses[1], boost::test_tools::tolerance(1e-4));
  }
}

BOOST_AUTO_TEST_CASE(nobody_is_left_out_where_own_items_may_be_negatives) {
  const auto world = comm::Communicator::world();
  BOOST_TEST(train_toy(world, bpr({}), 1).skipped > 0);
  BOOST_TEST(train_toy(world, bpr({"sampling.own_items=true"}), 1).skipped == 0);
}

// With 400 draws among at most 97 items, each of a user's is among them but for a chance of a few per cent; the one
// that is left then is the highest number that he lacks, or one right below it.
BOOST_AUTO_TEST_CASE(the_negative_is_the_candidate_that_the_model_scores_highest) {
  const auto world = comm::Communicator::world();
  const test::ToyData toy;
  const auto start = train_toy(world, bpr_step({}), 0, toy, score_by_number);
  const auto hard = train_toy(world, bpr_step({"sampling.candidates=400"}), 1, toy, score_by_number);
  std::vector<double> expected(static_cast<std::size_t>(toy.items));
  for (Index u = 0; u < toy.users; ++u) {
    Index highest = toy.items - 1;
    while (highest >= 0 && toy.has(u, highest)) --highest;
    if (highest < 0) continue;
    for (Index i = 0; i < toy.items; ++i) {
      if (!toy.has(u, i)) continue;
      const double margin = 0.01 * static_cast<double>(i - highest);
      expected[static_cast<std::size_t>(i)] += rate / (1.0 + std::exp(margin));
      expected[static_cast<std::size_t>(highest)] -= rate / (1.0 + std::exp(margin));
    }
  }
  double wrong = 0.0;
  double moved = 0.0;
  for (Index i = 0; i < toy.items; ++i) {
    const double change = static_cast<double>(hard.item(i)[0]) - static_cast<double>(start.item(i)[0]);
    wrong += std::abs(change - expected[static_cast<std::size_t>(i)]);
    moved += std::abs(expected[static_cast<std::size_t>(i)]);
  }
  BOOST_TEST(wrong < 0.05 * moved);
}

// Where all candidates score alike the first is taken, which is the draw without others; rows that were only looked at
// do not move, not even lazy Adam's counts of their steps.
BOOST_AUTO_TEST_CASE(equal_candidates_leave_the_first_and_those_not_chosen_do_not_move) {
  const auto world = comm::Communicator::world();
  for (const char* rule : {"sgd", "adagrad", "adam", "lazy_adam"}) {
    const Words common =
        bpr({"train.batch_size=1000000", "optimizer.clip_norm=1000000", std::string("optimizer.name=") + rule});
    const auto plain = train_toy(world, common, 1, {}, score_alike);
    const auto hardest = train_toy(world, joined(common, {"sampling.candidates=5"}), 1, {}, score_alike);
    BOOST_TEST(distance(plain, hardest) == 0.0, rule);
    const Words pointwise{"gmf", "model.dim=8", "train.batch_size=1000000", std::string("optimizer.name=") + rule};
    BOOST_TEST(distance(train_toy(world, pointwise, 1, {}, score_alike),
                        train_toy(world, joined(pointwise, {"sampling.candidates=3"}), 1, {}, score_alike)) == 0.0);
  }
}

// Beside the step without penalty, a row moves by rate x weight x itself as often as its penalty counts.
BOOST_AUTO_TEST_CASE(penalties_count_occurrences_or_distinct_rows_or_whole_tables) {
  const auto world = comm::Communicator::world();
  const test::ToyData toy{61, 23, false};
  const auto start = train_toy(world, bpr_step({}), 0, toy);
  const auto free = train_toy(world, bpr_step({"optimizer.clip_norm=1000000"}), 1, toy);
  constexpr double weight = 0.03;
  const auto with_form = [&](const std::string& form) {
    return train_toy(world, bpr_step({"objective.l2=0.03", "objective.l2_form=" + form, "optimizer.clip_norm=1000000"}),
                     1, toy);
  };
  const auto row_moved = [&](const float* from, const float* to, int record) {
    return !std::equal(from, from + record, to);
  };
  int untouched = 0;
  for (const std::string form : {"distinct", "table"}) {
    const auto got = with_form(form);
    double wrong = 0.0;
    const auto check = [&](const float* x, const float* without, const float* with, int record) {
      const bool touched = row_moved(x, without, record);
      untouched += touched ? 0 : 1;
      const double count = touched || form == "table" ? 1.0 : 0.0;
      for (int c = 0; c < record; ++c)
        wrong = std::max(wrong, std::abs(without[c] - rate * weight * count * x[c] - static_cast<double>(with[c])));
    };
    for (Index u = 0; u < toy.users; ++u) check(start.user(u), free.user(u), got.user(u), got.user_record);
    for (Index i = 0; i < toy.items; ++i) check(start.item(i), free.item(i), got.item(i), got.item_record);
    BOOST_TEST(wrong < 1e-6, form);
  }
  BOOST_TEST(untouched > 0);
  const auto got = with_form("occurrence");
  for (Index u = 0; u < toy.users; ++u) {
    double count = 0.0;
    for (Index i = 0; i < toy.items; ++i) count += toy.has(u, i) ? 1.0 : 0.0;
    if (count == static_cast<double>(toy.items)) count = 0.0;  // he has no negative
    for (int c = 0; c < dim; ++c)
      BOOST_TEST(std::abs(free.user(u)[c] - rate * weight * count * start.user(u)[c] -
                          static_cast<double>(got.user(u)[c])) < 1e-5);
  }
}

// A penalty of the whole table is part of the gradient that is clipped.
BOOST_AUTO_TEST_CASE(clipping_shortens_the_whole_step_of_factor_models_penalties_of_tables_included) {
  const auto world = comm::Communicator::world();
  for (const Words& form : {Words{}, Words{"objective.l2=0.5", "objective.l2_form=distinct"},
                            Words{"objective.l2=0.5", "objective.l2_form=table"}}) {
    const test::ToyData toy{61, 23, false};
    const auto step = [&](const std::string& clip) {
      return train_toy(world, bpr_step(joined(form, {"optimizer.clip_norm=" + clip})), 1, toy);
    };
    const auto start = train_toy(world, bpr_step({}), 0, toy);
    const auto free = step("1000000");
    double square = 0.0;
    for (std::size_t k = 0; k < start.users.size(); ++k)
      square += std::pow((static_cast<double>(free.users[k]) - start.users[k]) / rate, 2);
    for (std::size_t k = 0; k < start.items.size(); ++k)
      square += std::pow((static_cast<double>(free.items[k]) - start.items[k]) / rate, 2);
    const double norm = std::sqrt(square);
    const auto clipped = step(std::to_string(0.25 * norm));
    double wrong = 0.0;
    for (std::size_t k = 0; k < start.users.size(); ++k)
      wrong = std::max(wrong, std::abs(start.users[k] + 0.25 * (free.users[k] - start.users[k]) -
                                       static_cast<double>(clipped.users[k])));
    for (std::size_t k = 0; k < start.items.size(); ++k)
      wrong = std::max(wrong, std::abs(start.items[k] + 0.25 * (free.items[k] - start.items[k]) -
                                       static_cast<double>(clipped.items[k])));
    BOOST_TEST(wrong < 1e-5);
    BOOST_TEST((step(std::to_string(4.0 * norm)) == free));
  }
}

BOOST_AUTO_TEST_SUITE_END()
