#include "spar/systems/feature_attack.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "pull_rows.hpp"
#include <fmt/format.h>

#include "spar/base/error.hpp"
#include "spar/base/threads.hpp"
#include "spar/tape/operations.hpp"

namespace spar::systems {

namespace {

// Away from the tags of a training's exchanges and those of histories.
constexpr int first_tag = 1024;
constexpr int tags_per_table = 8;
constexpr Index users_per_wave = 65536;
constexpr int pairs_per_pull = 512;  // of all shards
constexpr std::size_t pairs_per_pass = 64;

// One item of one user: what its row must do.
struct Pair {
  Index user = 0;  // local row
  Index item = 0;  // global row
  float to_pass = 0;
};

struct Sums {
  double pairs = 0, hits = 0, attacked = 0, successes = 0, distortion = 0, relative = 0, changes = 0;
  static constexpr int count = 7;
};

double length(std::span<const float> row) {
  double squares = 0.0;
  for (const float x : row) squares += static_cast<double>(x) * static_cast<double>(x);
  return std::sqrt(squares);
}

class FeatureAttack {
 public:
  FeatureAttack(const comm::Communicator& communicator, const ShardLayout& layout, const FactorModel& model,
                const evaluate::EvaluationLists& lists, const FeatureAttackPlan& plan)
      : communicator_(communicator),
        layout_(layout),
        model_(model),
        lists_(lists),
        plan_(plan),
        first_shard_(layout.first_shard(communicator.rank())),
        pairs_(static_cast<std::size_t>(layout.shard_count(communicator.rank()))),
        sums_(pairs_.size()),
        workers_(static_cast<std::size_t>(threads())) {
    for (std::size_t f = 0; f < model.frozen.size(); ++f) {
      if (model.frozen[f]->name() == plan.tap) attacked_ = f;
    }
    find_box();
    tables_.push_back(model.items.get());
    for (const auto& frozen : model.frozen) tables_.push_back(frozen.get());
    per_pull_ = std::max(1, pairs_per_pull / layout.shards);
    for (std::size_t t = 0; t < tables_.size(); ++t) {
      exchanges_.push_back(std::make_unique<table::RowExchange>(
          communicator, layout, *tables_[t],
          table::ExchangeOptions{.most_rows_per_shard = static_cast<std::size_t>(per_pull_),
                                 .tag = first_tag + tags_per_table * static_cast<int>(t)}));
    }
  }

  FeatureAttackResult run() {
    const Scoring scoring = model_.scoring(communicator_, layout_.shards, lists_);
    for (Index wave = 0; wave < model_.users->total_rows(); wave += users_per_wave) {
      find_pairs(scoring.scorer, wave);
      search();
    }
    return result();
  }

 private:
  struct Worker {
    tape::Tape<float> tape;
    Buffer<float> points;
    Buffer<float> gradients;
  };

  void find_box() {
    const table::Table& table = *model_.frozen[attacked_];
    double lowest = std::numeric_limits<double>::infinity();
    double highest = -lowest;
    for (Index k = 0; k < table.rows(); ++k) {
      const auto [low, high] = std::minmax_element(table.record(k), table.record(k) + table.shape().dim);
      lowest = std::min(lowest, static_cast<double>(*low));
      highest = std::max(highest, static_cast<double>(*high));
    }
    lowest = -communicator_.max(-lowest);
    highest = communicator_.max(highest);
    const auto [low, high] = plan_.box.value_or(std::pair{lowest, highest});
    if (low > lowest || high < highest)
      throw UserError(fmt::format("--box {:g},{:g} does not hold the values of {}, which lie from {:g} to {:g}", low,
                                  high, plan_.tap, lowest, highest));
    plan_.search.lowest = low;
    plan_.search.highest = high;
  }

  bool is_masked(Index user, Index item) const {
    return std::any_of(lists_.masked.begin(), lists_.masked.end(), [&](const data::UserLists* part) {
      const auto items = part->of(user);
      return std::binary_search(items.begin(), items.end(), static_cast<ItemId>(item));
    });
  }

  // The pairs of the wave's users, by shard: who is in whose list, and the score of the K-th best other candidate.
  void find_pairs(const evaluate::Scorer& scorer, Index wave) {
    const table::Table& users = *model_.users;
    std::vector<std::uint8_t> chosen(static_cast<std::size_t>(users.rows()));
    for (Index k = 0; k < users.rows(); ++k) {
      const Index row = users.first_row() + k;
      const auto at = static_cast<std::size_t>(k);
      const bool asked = lists_.chosen_users == nullptr || (*lists_.chosen_users)[at] != 0;
      chosen[at] = asked && row >= wave && row < wave + users_per_wave && !lists_.targets->of(k).empty() ? 1 : 0;
    }
    evaluate::EvaluationLists lists = lists_;
    lists.chosen_users = &chosen;
    const auto best = evaluate::recommend(communicator_, scorer, lists, static_cast<int>(plan_.top) + 1);
    for (auto& pairs : pairs_) pairs.clear();
    std::size_t next = 0;
    for (Index k = 0; k < users.rows(); ++k) {
      if (chosen[static_cast<std::size_t>(k)] == 0) continue;
      const auto& list = best[next++];
      const auto shard = static_cast<std::size_t>(users.partition().part_of(users.first_row() + k) - first_shard_);
      if (plan_.pushed >= 0) {
        add_pair(shard, k, plan_.pushed, list);
      } else {
        for (const ItemId item : lists_.targets->of(k)) add_pair(shard, k, item, list);
      }
    }
  }

  void add_pair(std::size_t shard, Index user, Index item, const std::vector<evaluate::Recommendation>& list) {
    if (is_masked(user, item)) return;
    Sums& sums = sums_[shard];
    sums.pairs += 1;
    const auto top = static_cast<std::size_t>(plan_.top);
    const auto end = list.begin() + static_cast<std::ptrdiff_t>(std::min(list.size(), top));
    const bool hit = std::any_of(list.begin(), end, [&](const auto& r) { return r.item == item; });
    sums.hits += hit ? 1 : 0;
    // To leave, there must be a candidate behind the list; to enter, the list must be full.
    const std::size_t place = hit ? top : top - 1;
    if (hit != (plan_.pushed < 0) || list.size() <= place) return;
    sums.attacked += 1;
    pairs_[shard].push_back({user, item, list[place].score});
  }

  void search() {
    std::size_t most = 0;
    for (const auto& pairs : pairs_) most = std::max(most, pairs.size());
    const auto per_pull = static_cast<std::size_t>(per_pull_);
    const auto pulls = communicator_.max(static_cast<std::int64_t>((most + per_pull - 1) / per_pull));
    for (std::int64_t pull = 0; pull < pulls; ++pull) {
      const std::size_t begin = static_cast<std::size_t>(pull) * per_pull;
      pull_rows(begin);
      parallel_for_worker(static_cast<int>(pairs_.size()), [&](int shard, int worker) {
        const auto& pairs = pairs_[static_cast<std::size_t>(shard)];
        const std::size_t end = std::min(pairs.size(), begin + per_pull);
        for (std::size_t k = begin; k < end; k += pairs_per_pass)
          search_pairs(shard, begin, k, std::min(end, k + pairs_per_pass), workers_[static_cast<std::size_t>(worker)]);
      });
      // Until all have read them, rows lie where their owners would put those of the next pull.
      communicator_.barrier();
    }
  }

  // An item of several pairs is pulled once for each; lists of a shard must be distinct, so equal ones share a place.
  void pull_rows(std::size_t begin) {
    rows_.assign(pairs_.size(), {});
    places_.assign(pairs_.size(), {});
    for (std::size_t shard = 0; shard < pairs_.size(); ++shard) {
      const auto& pairs = pairs_[shard];
      for (std::size_t k = begin; k < std::min(pairs.size(), begin + static_cast<std::size_t>(per_pull_)); ++k) {
        const auto known = std::ranges::find(rows_[shard], pairs[k].item);
        places_[shard].push_back(static_cast<std::size_t>(known - rows_[shard].begin()));
        if (known == rows_[shard].end()) rows_[shard].push_back(pairs[k].item);
      }
    }
    for (auto& exchange : exchanges_)
      systems::pull_rows(
          *exchange, rows_, [](const std::vector<Index>& rows) { return std::span(rows); }, wave_);
    ++wave_;
  }

  // The searches of some pairs of one shard side by side; those that are done leave.
  void search_pairs(int shard, std::size_t first, std::size_t begin, std::size_t end, Worker& worker) {
    const auto at = static_cast<std::size_t>(shard);
    const auto columns = static_cast<std::size_t>(tables_[1 + attacked_]->shape().dim);
    std::vector<adversary::CarliniWagnerSearch> searches;
    std::vector<std::size_t> running;
    const auto row = [&](std::size_t table, std::size_t k) {
      return exchanges_[table]->rows(0, shard)[places_[at][k - first]];
    };
    for (std::size_t k = begin; k < end; ++k) {
      searches.emplace_back(plan_.search, std::span(row(1 + attacked_, k), columns));
      running.push_back(k);
    }
    const auto stride = static_cast<std::size_t>(padded(static_cast<int>(columns)));
    worker.points.require((end - begin) * stride);
    worker.gradients.require((end - begin) * stride);
    while (!running.empty()) {
      for (std::size_t r = 0; r < running.size(); ++r) {
        const auto point = searches[running[r] - begin].point();
        std::copy(point.begin(), point.end(), worker.points.data() + r * stride);
        std::fill(worker.points.data() + r * stride + columns, worker.points.data() + (r + 1) * stride, 0.0F);
      }
      const tape::Matrix<float> scores = score(at, running, row, worker);
      const double sign = plan_.pushed < 0 ? 1.0 : -1.0;
      for (std::size_t r = 0; r < running.size(); ++r) {
        const double margin = sign * (static_cast<double>(scores.at(static_cast<int>(r), 0)) -
                                      static_cast<double>(pairs_[at][running[r]].to_pass));
        float* gradient = worker.gradients.data() + r * stride;
        for (std::size_t c = 0; c < columns; ++c) gradient[c] *= static_cast<float>(sign);
        searches[running[r] - begin].tell(margin, std::span(gradient, columns));
      }
      std::erase_if(running, [&](std::size_t k) { return searches[k - begin].is_done(); });
    }
    Sums& sums = sums_[at];
    for (std::size_t k = begin; k < end; ++k) {
      const auto& search = searches[k - begin];
      if (!search.has_reached()) continue;
      sums.successes += 1;
      sums.distortion += search.distortion();
      sums.changes += static_cast<double>(search.changes());
      const double norm = length(std::span(row(1 + attacked_, k), columns));
      sums.relative += norm > 0.0 ? search.distortion() / norm : 0.0;
    }
  }

  // The scores of the running pairs at their points; the gradients go to worker.gradients.
  template <class Row>
  tape::Matrix<float> score(std::size_t shard, const std::vector<std::size_t>& running, Row&& row, Worker& worker) {
    tape::Tape<float>& tape = worker.tape;
    tape.reset();
    const int count = static_cast<int>(running.size());
    const auto scattered = [&](const table::RowShape& shape, auto&& place) {
      auto** places = tape.arena().take<float*>(running.size());
      for (std::size_t r = 0; r < running.size(); ++r) places[r] = const_cast<float*>(place(running[r]));
      return tape.constant({nullptr, count, shape.dim, shape.width(), places});
    };
    std::vector<tape::Var> tables;
    tables.push_back(
        scattered(model_.users->shape(), [&](std::size_t k) { return model_.users->record(pairs_[shard][k].user); }));
    for (std::size_t t = 0; t < tables_.size(); ++t) {
      const table::RowShape& shape = tables_[t]->shape();
      tables.push_back(t == 1 + attacked_
                           ? tape.parameter({worker.points.data(), count, shape.dim, shape.width(), nullptr},
                                            {worker.gradients.data(), count, shape.dim, shape.width(), nullptr})
                           : scattered(shape, [&](std::size_t k) { return row(t, k); }));
    }
    std::vector<tape::Var> dense;
    for (int d = 0; d < model_.dense->count(); ++d) {
      const table::DenseShape& shape = model_.dense->shape(d);
      dense.push_back(tape.constant({model_.dense->table(d).record(0), shape.rows, shape.columns,
                                     static_cast<int>(model_.dense->stride(d)), nullptr}));
    }
    game::NeuralBatch batch;
    batch.examples = count;
    batch.slots.resize(2);
    for (int r = 0; r < count; ++r) {
      for (auto& slots : batch.slots) slots.push_back(r);
    }
    const game::Pass<float> pass{.context = {tape, dense}, .batch = batch, .tables = tables};
    const tape::Var scores = model_.network->described()->pair_scores(pass);
    tape.backward(tape::sum(tape, scores));
    return tape.value(scores);
  }

  FeatureAttackResult result() {
    std::vector<double> numbers;
    for (const Sums& s : sums_) {
      const double row[] = {s.pairs, s.hits, s.attacked, s.successes, s.distortion, s.relative, s.changes};
      numbers.insert(numbers.end(), std::begin(row), std::end(row));
    }
    const auto total = comm::tree_sum(communicator_, layout_.shards, numbers, Sums::count);
    FeatureAttackResult result;
    result.pairs = std::llround(total[0]);
    result.hits = std::llround(total[1]);
    result.attacked = std::llround(total[2]);
    result.successes = std::llround(total[3]);
    // Means over nothing are not a number.
    result.distortion = total[4] / total[3];
    result.relative = total[5] / total[3];
    result.changes = total[6] / total[3];
    return result;
  }

  const comm::Communicator& communicator_;
  ShardLayout layout_;
  const FactorModel& model_;
  const evaluate::EvaluationLists& lists_;
  FeatureAttackPlan plan_;
  int first_shard_;
  std::vector<std::vector<Pair>> pairs_;  // by local shard: of the wave's users
  std::vector<Sums> sums_;
  std::vector<Worker> workers_;
  std::size_t attacked_ = 0;           // place of the tap's table among the frozen ones
  std::vector<table::Table*> tables_;  // items, then frozen
  std::vector<std::unique_ptr<table::RowExchange>> exchanges_;
  int per_pull_ = 1;
  std::int64_t wave_ = 0;
  std::vector<std::vector<Index>> rows_;          // by local shard: distinct items of the pull
  std::vector<std::vector<std::size_t>> places_;  // of its pairs among them
};

}  // namespace

std::vector<std::string> continuous_inputs(const FactorModel& model) {
  if (!model.network) return {};
  if (model.network->profiled() != nullptr) return {profile_tap};
  if (model.network->described() == nullptr) return {};
  return model.network->described()->inputs();
}

FeatureAttackResult attack_features(const comm::Communicator& communicator, const ShardLayout& layout,
                                    const FactorModel& model, const evaluate::EvaluationLists& lists,
                                    const FeatureAttackPlan& plan) {
  const auto inputs = continuous_inputs(model);
  SPAR_ASSERT(std::ranges::find(inputs, plan.tap) != inputs.end());
  return FeatureAttack(communicator, layout, model, lists, plan).run();
}

}  // namespace spar::systems
