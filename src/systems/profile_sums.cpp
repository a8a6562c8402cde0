#include "profile_sums.hpp"

#include <algorithm>

#include "pull_rows.hpp"

#include "spar/base/error.hpp"
#include "spar/base/threads.hpp"
#include "spar/data/transpose.hpp"
#include "spar/data/triple_sampler.hpp"
#include "spar/table/contributions.hpp"

namespace spar::systems {

namespace {

// Away from the tags of a training's exchanges.
constexpr int exchange_tag = 512;
constexpr std::size_t members_per_wave = 65536;  // of a shard

/// The profiles of one shard, in waves of members.
struct ShardProfiles {
  std::vector<Index> owners;  // local rows whose profiles are summed
  std::size_t owner = 0;      // where the next wave goes on
  std::size_t member = 0;
  std::vector<Index> rows;  // distinct members of this wave
  struct Run {
    Index owner;
    std::size_t end;  // of its slots
  };
  std::vector<Run> runs;
  std::vector<std::int32_t> slots;
};

class ProfileSummer {
 public:
  /// `lists`: of the rows of one side, naming rows of `of`; `side` is the table of that side.
  ProfileSummer(const comm::Communicator& communicator, const ShardLayout& layout, const data::UserLists& lists,
                const std::vector<std::uint8_t>* chosen, const table::Table& side, table::Table& of)
      : communicator_(communicator), lists_(lists) {
    const int rank = communicator.rank();
    for (int shard = layout.first_shard(rank); shard < layout.end_shard(rank); ++shard) {
      ShardProfiles& profiles = shards_.emplace_back();
      for (Index row = side.partition().begin(shard); row < side.partition().end(shard); ++row) {
        const Index k = row - side.first_row();
        if (chosen == nullptr || (*chosen)[static_cast<std::size_t>(k)] != 0) profiles.owners.push_back(k);
      }
    }
    most_rows_ = std::min(members_per_wave, static_cast<std::size_t>(of.total_rows()));
    exchange_ = std::make_unique<table::RowExchange>(
        communicator, layout, of, table::ExchangeOptions{.most_rows_per_shard = most_rows_, .tag = exchange_tag});
  }

  void run(int columns, float* out) {
    const Index stride = padded(columns);
    for (std::int64_t wave = 0; communicator_.any(more()); ++wave) {
      parallel_for(static_cast<int>(shards_.size()), [&](int k) { prepare(shards_[static_cast<std::size_t>(k)]); });
      pull_rows(
          *exchange_, shards_, [](const ShardProfiles& shard) { return std::span(shard.rows); }, wave);
      parallel_for(static_cast<int>(shards_.size()), [&](int k) {
        const ShardProfiles& shard = shards_[static_cast<std::size_t>(k)];
        const float* const* rows = exchange_->rows(0, k);
        std::size_t j = 0;
        for (const auto& run : shard.runs) {
          for (; j < run.end; ++j)
            table::add_scaled_row(out + run.owner * stride, 1.0F, rows[shard.slots[j]], static_cast<int>(stride));
        }
      });
      // Until all have read them, rows lie where their owners would put those of the next wave.
      communicator_.barrier();
    }
  }

 private:
  bool more() const {
    return std::ranges::any_of(shards_, [](const ShardProfiles& s) { return s.owner < s.owners.size(); });
  }

  void prepare(ShardProfiles& shard) const {
    shard.rows.clear();
    shard.runs.clear();
    shard.slots.clear();
    data::SlotFinder distinct(most_rows_);
    while (shard.owner < shard.owners.size() && shard.slots.size() < members_per_wave) {
      const Index owner = shard.owners[shard.owner];
      const auto list = lists_.of(owner);
      for (; shard.member < list.size() && shard.slots.size() < members_per_wave; ++shard.member) {
        bool fresh = false;
        shard.slots.push_back(distinct.find(list[shard.member], fresh));
        if (fresh) shard.rows.push_back(list[shard.member]);
      }
      shard.runs.push_back({owner, shard.slots.size()});
      if (shard.member < list.size()) break;
      ++shard.owner;
      shard.member = 0;
    }
  }

  const comm::Communicator& communicator_;
  const data::UserLists& lists_;
  std::size_t most_rows_ = 0;
  std::vector<ShardProfiles> shards_;
  std::unique_ptr<table::RowExchange> exchange_;
};

}  // namespace

ProfileSums sum_profiles(const comm::Communicator& communicator, int shards, const FactorModel& model,
                         const evaluate::EvaluationLists& lists) {
  const data::UserLists& train = *lists.masked.front();
  SPAR_ASSERT(train.first_user == model.users->first_row() && train.users() == model.users->rows());
  const ShardLayout layout{shards, communicator.size()};
  // Evaluations of a training find the lists made; others make them for themselves.
  const bool known = model.by_item && model.by_item->of == &train;
  const data::UserLists made =
      known ? data::UserLists{} : data::transpose(communicator, train, model.items->partition());
  const data::UserLists& by_item = known ? model.by_item->lists : made;
  ProfileSums sums;
  sums.columns = model.items->shape().dim;
  const auto stride = static_cast<std::size_t>(padded(sums.columns));
  const auto sum = [&](const data::UserLists& profiles, const std::vector<std::uint8_t>* chosen,
                       const table::Table& side, table::Table& of, Buffer<float>& out) {
    const auto floats = static_cast<std::size_t>(side.rows()) * stride;
    out = Buffer<float>(floats);
    std::fill_n(out.data(), floats, 0.0F);
    ProfileSummer(communicator, layout, profiles, chosen, side, of).run(sums.columns, out.data());
    for (Index k = 0; k < side.rows(); ++k) {
      const float scale = model.network->profile_scale(static_cast<std::int64_t>(profiles.of(k).size()));
      float* row = out.data() + static_cast<std::size_t>(k) * stride;
      for (int c = 0; c < sums.columns; ++c) row[c] *= scale;
    }
  };
  sum(train, lists.chosen_users, *model.users, *model.items, sums.users);
  sum(by_item, nullptr, *model.items, *model.users, sums.items);
  return sums;
}

}  // namespace spar::systems
