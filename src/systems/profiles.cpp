#include "profiles.hpp"

#include <algorithm>

#include "spar/base/error.hpp"
#include "spar/game/represent.hpp"

namespace spar::systems {

namespace {

constexpr std::size_t users_per_wave = 4096;
constexpr int users_per_round = 2048;  // of all ranks

}  // namespace

void represent_profiles(const comm::Communicator& communicator, const ShardLayout& layout, const FactorModel& model,
                        const evaluate::EvaluationLists& lists, float* out) {
  const data::UserLists& train = *lists.masked.front();
  SPAR_ASSERT(train.first_user == model.users->first_row() && train.users() == model.users->rows());
  const bool ratings = model.predicts_ratings();
  std::vector<Index> users;
  for (Index k = 0; k < train.users(); ++k) {
    if (lists.chosen_users == nullptr || (*lists.chosen_users)[static_cast<std::size_t>(k)] != 0) users.push_back(k);
  }
  const auto stride = static_cast<std::size_t>(padded(model.autoencoder->output_width()));
  const auto waves = communicator.max(static_cast<std::int64_t>((users.size() + users_per_wave - 1) / users_per_wave));
  for (std::int64_t wave = 0; wave < waves; ++wave) {
    const std::size_t first = std::min(users.size(), static_cast<std::size_t>(wave) * users_per_wave);
    const auto nodes = std::span(users).subspan(first, std::min(users_per_wave, users.size() - first));
    std::vector<std::int64_t> offsets{0};
    std::vector<ItemId> items;
    std::vector<float> values;
    std::vector<Index> rows;
    for (const Index user : nodes) {
      const bool folds_in = lists.fold_in != nullptr && !lists.fold_in->of(user).empty();
      const data::UserLists& from = folds_in ? *lists.fold_in : train;
      const auto list = from.of(user);
      items.insert(items.end(), list.begin(), list.end());
      if (ratings) values.insert(values.end(), from.ratings_of(user).begin(), from.ratings_of(user).end());
      rows.push_back(folds_in ? -1 : user);
      offsets.push_back(static_cast<std::int64_t>(items.size()));
    }
    const std::vector<float> hidden =
        game::represent(communicator, layout, *model.autoencoder, model.autoencoder_tables(),
                        {.offsets = offsets, .items = items, .values = values, .nodes = rows},
                        std::max(1, users_per_round / layout.ranks));
    for (std::size_t k = 0; k < nodes.size(); ++k)
      std::copy_n(hidden.data() + k * stride, stride, out + static_cast<std::size_t>(nodes[k]) * stride);
  }
}

}  // namespace spar::systems
