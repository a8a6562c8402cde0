#include "history_states.hpp"

#include <algorithm>

#include "pull_rows.hpp"

#include "spar/base/threads.hpp"
#include "spar/game/sequence_batch.hpp"

namespace spar::systems {

namespace {

// Away from the tags of a training's exchanges.
constexpr int exchange_tag = 512;
constexpr int users_per_wave = 512;  // of all shards
constexpr std::size_t users_per_pass = 16;

int users_per_shard(int shards) {
  return std::max(1, users_per_wave / shards);
}

std::vector<ItemId> history_of(const evaluate::EvaluationLists& lists, Index user) {
  std::vector<ItemId> history;
  for (const data::UserLists* part : lists.masked) {
    const auto items = part->history(user);
    history.insert(history.end(), items.begin(), items.end());
  }
  return history;
}

// The histories of one shard in a wave: a batch for each pass, and the distinct rows of all of them, which are pulled.
struct ShardWave {
  std::vector<Index> users;
  std::vector<game::NeuralBatch> batches;
  std::vector<Index> rows;
  std::vector<std::vector<std::int32_t>> places;  // by batch: of its rows among all
};

class HistoryStates {
 public:
  HistoryStates(const comm::Communicator& communicator, const ShardLayout& layout, const FactorModel& model,
                const evaluate::EvaluationLists& lists)
      : communicator_(communicator), model_(model), lists_(lists), workers_(static_cast<std::size_t>(threads())) {
    const int rank = communicator.rank();
    for (int shard = layout.first_shard(rank); shard < layout.end_shard(rank); ++shard) find_users(shard);
    per_wave_ = static_cast<std::size_t>(users_per_shard(layout.shards));
    most_rows_ = static_cast<std::size_t>(
        pulled_history_rows(model.network->histories()->length(), model.items->total_rows(), layout.shards));
    exchange_ = std::make_unique<table::RowExchange>(
        communicator, layout, *model.items,
        table::ExchangeOptions{.most_rows_per_shard = most_rows_, .tag = exchange_tag});
    shards_.resize(users_.size());
  }

  void run(float* out, Index stride) {
    std::size_t most = 0;
    for (const auto& users : users_) most = std::max(most, users.size());
    const auto waves = communicator_.max(static_cast<std::int64_t>((most + per_wave_ - 1) / per_wave_));
    for (std::int64_t wave = 0; wave < waves; ++wave) {
      parallel_for(static_cast<int>(shards_.size()), [&](int k) { prepare(static_cast<std::size_t>(k), wave); });
      pull_rows(
          *exchange_, shards_, [](const ShardWave& shard) { return std::span(shard.rows); }, wave);
      parallel_for_worker(static_cast<int>(shards_.size()), [&](int k, int worker) {
        compute(k, workers_[static_cast<std::size_t>(worker)], out, stride);
      });
      // Until all have read them, rows lie where their owners would put those of the next wave.
      communicator_.barrier();
    }
  }

 private:
  struct Worker {
    tape::Tape<float> tape;
    std::vector<tape::Var> dense;
  };

  void find_users(int shard) {
    const table::Table& users = *model_.users;
    std::vector<Index> found;
    for (Index row = users.partition().begin(shard); row < users.partition().end(shard); ++row) {
      const Index user = row - users.first_row();
      const bool chosen = lists_.chosen_users == nullptr || (*lists_.chosen_users)[static_cast<std::size_t>(user)] != 0;
      const bool known = std::any_of(lists_.masked.begin(), lists_.masked.end(),
                                     [&](const data::UserLists* part) { return !part->of(user).empty(); });
      if (chosen && known) found.push_back(user);
    }
    users_.push_back(std::move(found));
  }

  void prepare(std::size_t k, std::int64_t wave) {
    ShardWave& shard = shards_[k];
    const std::size_t begin = std::min(users_[k].size(), static_cast<std::size_t>(wave) * per_wave_);
    const std::size_t end = std::min(users_[k].size(), begin + per_wave_);
    shard.users.assign(users_[k].begin() + static_cast<std::ptrdiff_t>(begin),
                       users_[k].begin() + static_cast<std::ptrdiff_t>(end));
    const std::size_t passes = (end - begin + users_per_pass - 1) / users_per_pass;
    shard.batches.resize(passes);
    shard.places.resize(passes);
    shard.rows.clear();
    game::HistoryBatcher batcher(model_.network->histories()->length());
    data::SlotFinder distinct(most_rows_);
    for (std::size_t p = 0; p < passes; ++p) {
      std::vector<std::vector<ItemId>> histories;
      for (std::size_t u = p * users_per_pass; u < std::min(shard.users.size(), (p + 1) * users_per_pass); ++u)
        histories.push_back(history_of(lists_, shard.users[u]));
      batcher.fill(histories, shard.batches[p]);
      shard.places[p].clear();
      for (const Index row : shard.batches[p].rows.front()) {
        bool fresh = false;
        shard.places[p].push_back(distinct.find(static_cast<std::uint32_t>(row), fresh));
        if (fresh) shard.rows.push_back(row);
      }
    }
  }

  void compute(int k, Worker& worker, float* out, Index stride) {
    const ShardWave& shard = shards_[static_cast<std::size_t>(k)];
    const float* const* rows = exchange_->rows(0, k);
    const table::RowShape& shape = model_.items->shape();
    for (std::size_t p = 0; p < shard.batches.size(); ++p) {
      tape::Tape<float>& tape = worker.tape;
      tape.reset();
      const auto count = shard.places[p].size();
      auto** places = tape.arena().take<float*>(count);
      for (std::size_t j = 0; j < count; ++j)
        places[j] = const_cast<float*>(rows[shard.places[p][j]]);  // a constant of the tape is only read
      const tape::Var items = tape.constant({nullptr, static_cast<int>(count), shape.dim, shape.width(), places});
      worker.dense.clear();
      for (int d = 0; d < model_.dense->count(); ++d) {
        const table::DenseShape& dense = model_.dense->shape(d);
        worker.dense.push_back(tape.constant({model_.dense->table(d).record(0), dense.rows, dense.columns,
                                              static_cast<int>(model_.dense->stride(d)), nullptr}));
      }
      const game::Pass<float> pass{{tape, worker.dense}, shard.batches[p], std::span(&items, 1)};
      const auto& states = tape.value(model_.network->histories()->states(pass));
      for (int r = 0; r < states.rows; ++r) {
        const Index user = shard.users[p * users_per_pass + static_cast<std::size_t>(r)];
        std::copy_n(states.row(r), states.columns, out + user * stride);
      }
    }
  }

  const comm::Communicator& communicator_;
  const FactorModel& model_;
  const evaluate::EvaluationLists& lists_;
  std::size_t per_wave_ = 1;
  std::size_t most_rows_ = 0;
  std::vector<std::vector<Index>> users_;  // by local shard: chosen, with a history
  std::vector<ShardWave> shards_;
  std::vector<Worker> workers_;
  std::unique_ptr<table::RowExchange> exchange_;
};

}  // namespace

std::int64_t pulled_history_rows(int length, Index total_items, int shards) {
  return std::min<std::int64_t>(std::int64_t{length} * users_per_shard(shards), total_items);
}

void represent_histories(const comm::Communicator& communicator, const ShardLayout& layout, const FactorModel& model,
                         const evaluate::EvaluationLists& lists, float* out, Index stride) {
  HistoryStates(communicator, layout, model, lists).run(out, stride);
}

}  // namespace spar::systems
