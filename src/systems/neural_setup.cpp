#include "neural_setup.hpp"

#include "spar/data/transpose.hpp"
#include "spar/game/profile_batch.hpp"
#include "spar/systems/item_features.hpp"

namespace spar::systems {

game::NeuralSetup neural_setup(const comm::Communicator& communicator, const ShardLayout& layout, FactorModel& model,
                               const data::UserLists& train, const data::PostRows* posts) {
  mark_seen_items(communicator, train, model);
  game::NeuralSetup setup;
  setup.communicator = &communicator;
  setup.layout = layout;
  setup.model = model.network.get();
  setup.users = model.users.get();
  setup.items = model.items.get();
  setup.tables = model.tables();
  setup.dense = model.dense.get();
  for (const auto& table : model.frozen) setup.frozen.push_back(table.get());
  for (const auto& table : model.staying) setup.frozen.push_back(table.get());
  setup.train = &train;
  setup.posts = posts;
  if (model.network->reads_profiles()) {
    const auto by_item = std::make_shared<const ItemLists>(
        ItemLists{&train, data::transpose(communicator, train, model.items->partition())});
    model.by_item = by_item;
    const auto batcher =
        std::make_shared<game::ProfileBatcher>(communicator, train, by_item->lists, model.items->partition());
    setup.complete = [by_item, batcher](std::span<game::NeuralBatch* const> batches) { batcher->complete(batches); };
  }
  return setup;
}

}  // namespace spar::systems
