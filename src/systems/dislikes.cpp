#include "spar/systems/dislikes.hpp"

#include <fmt/format.h>

#include "spar/base/error.hpp"
#include "spar/data/dislikes.hpp"

namespace spar::systems {

bool draws_dislikes(const Recipe& recipe) {
  return recipe.has("sampling.negatives") && recipe.text("sampling.negatives") == "dislikes";
}

void require_dislikes(const Recipe& recipe, const data::DatasetHeader& data) {
  if (!draws_dislikes(recipe) || data.dislikes > 0) return;
  throw UserError(fmt::format(
      "sampling.negatives = \"dislikes\", but {} keeps no dislikes: spar import with --dislikes-below 3, for "
      "instance, keeps what users rate lower",
      data.path));
}

void load_dislikes(const comm::Communicator& communicator, const store::ArrayFile& file, const Recipe& recipe,
                   const data::UserLists& train, FactorModel& model) {
  if (!draws_dislikes(recipe)) return;
  comm::agree(communicator, [&] {
    auto lists = data::read_dislikes(file, train.first_user, train.first_user + train.users());
    for (Index user = 0; user < lists.users(); ++user) {
      for (const ItemId item : lists.of(user)) {
        if (train.contains(user, item))
          throw UserError(fmt::format("{} is damaged: user {} has item {} in training and among the dislikes",
                                      file.path(), train.first_user + user, item));
      }
    }
    model.dislikes = std::make_shared<const data::UserLists>(std::move(lists));
  });
}

}  // namespace spar::systems
