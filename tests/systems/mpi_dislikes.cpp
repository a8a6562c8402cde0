#include <cmath>
#include <functional>
#include <memory>

#include "systems/toy_training.hpp"
#include <boost/test/unit_test.hpp>

namespace {

using namespace spar;
using test::joined;
using test::ToyData;
using test::train_toy;
using Words = std::vector<std::string>;

// Two users of three dislike up to two items that they do not have.
std::vector<ItemId> dislikes_of(const ToyData& toy, Index user) {
  std::vector<ItemId> items;
  for (Index item = user % 7; item < toy.items && items.size() < 2 && user % 3 != 0; item += 11) {
    if (!toy.has(user, item)) items.push_back(static_cast<ItemId>(item));
  }
  return items;
}

// As if load_dislikes() had read them from a file.
void give_dislikes(const std::function<std::vector<ItemId>(Index user)>& dislikes_of_user,
                   systems::FactorModel& model) {
  data::UserLists lists;
  lists.first_user = model.users->first_row();
  for (Index user = lists.first_user; user < lists.first_user + model.users->rows(); ++user) {
    const auto items = dislikes_of_user(user);
    lists.items.insert(lists.items.end(), items.begin(), items.end());
    lists.offsets.push_back(static_cast<std::int64_t>(lists.items.size()));
  }
  model.dislikes = std::make_shared<const data::UserLists>(std::move(lists));
}

test::TrainedToy trained(const comm::Communicator& communicator, const Words& words, int epochs, int threads = 1) {
  const ToyData toy;
  const auto give = [&](systems::FactorModel& model) {
    give_dislikes([&](Index user) { return dislikes_of(toy, user); }, model);
  };
  return train_toy(communicator, words, epochs, toy, give, threads);
}

const Words law{"sampling.negatives=dislikes", "train.batch_size=150"};
Words share(const std::string& value) {
  return joined(law, {"sampling.dislike_share=" + value});
}

}  // namespace

BOOST_AUTO_TEST_SUITE(dislikes)

BOOST_AUTO_TEST_CASE(a_law_with_dislikes_gives_the_bits_of_one_process) {
  const auto world = comm::Communicator::world();
  const auto alone = comm::Communicator::alone();
  const Words small{"model.dim=5", "model.init_std=0.4"};
  for (const Words& words : {joined({"bpr-mf"}, small), joined({"bpr-mf", "parallel.pipeline=1"}, small),
                             joined({"bpr-mf", "sampling.candidates=3"}, small),
                             joined({"apr", "game.pretrain_epochs=0", "adversary.epsilon=0.3"}, small),
                             joined({"mf", "sampling.own_items=true"}, {"model.dim=5"}),
                             Words{"neumf", "sampling.per_positive=2", "sampling.candidates=2", "model.dim=8"}}) {
    BOOST_TEST_CONTEXT(words[0] << " " << words[1]) {
      const Words all = joined(words, share("0.4"));
      const auto expected = trained(alone, all, 2);
      BOOST_TEST((trained(world, all, 2) == expected));
      BOOST_TEST((trained(world, all, 2, 2) == expected));
      BOOST_TEST(std::isfinite(expected.losses.back()));
      BOOST_TEST(!(trained(world, joined(words, {"train.batch_size=150"}), 2) == expected));
    }
  }
}

BOOST_AUTO_TEST_CASE(a_share_of_nothing_trains_the_bits_of_uniform_negatives) {
  const auto world = comm::Communicator::world();
  for (const char* system : {"bpr-mf", "apr", "mf", "neumf"}) {
    const Words words{system, "model.dim=8"};
    BOOST_TEST(
        (trained(world, joined(words, share("0")), 2) == trained(world, joined(words, {"train.batch_size=150"}), 2)),
        system);
  }
}

// One step of plain descent from zeros moves biases alone: that of a triple's positive by rate / 2, that of its
// negative by as much the other way. Who dislikes one item and draws nothing else makes all of it known.
BOOST_AUTO_TEST_CASE(with_all_of_the_share_a_user_of_one_dislike_meets_no_other_negative) {
  const auto world = comm::Communicator::world();
  const ToyData toy;
  const auto disliked = [&](Index user) -> std::vector<ItemId> {
    for (Index k = 0; k < toy.items; ++k) {
      const Index item = (user * 5 + k) % toy.items;
      if (!toy.has(user, item)) return {static_cast<ItemId>(item)};
    }
    return {};
  };
  const Words words{"bpr-mf",
                    "model.dim=4",
                    "model.item_bias=true",
                    "optimizer.name=sgd",
                    "optimizer.learning_rate=1",
                    "sampling.negatives=dislikes",
                    "sampling.dislike_share=1",
                    "train.batch_size=1000000"};
  const auto got = train_toy(world, words, 1, toy, [&](systems::FactorModel& model) {
    give_dislikes(disliked, model);
    for (auto* table : {model.users.get(), model.items.get()}) {
      for (Index k = 0; k < table->rows(); ++k) std::fill_n(table->record(k), table->shape().record(), 0.0F);
    }
  });
  std::vector<float> bias(static_cast<std::size_t>(toy.items));
  for (Index user = 0; user < toy.users; ++user) {
    const auto negative = disliked(user);
    for (Index item = 0; item < toy.items && !negative.empty(); ++item) {
      if (!toy.has(user, item)) continue;
      bias[static_cast<std::size_t>(item)] += 0.5F;
      bias[negative.front()] -= 0.5F;
    }
  }
  const int bias_column = table::RowShape{4, true, 0}.bias_offset();
  for (Index item = 0; item < toy.items; ++item)
    BOOST_TEST(got.item(item)[bias_column] == bias[static_cast<std::size_t>(item)], "item " << item);
}

BOOST_AUTO_TEST_SUITE_END()
