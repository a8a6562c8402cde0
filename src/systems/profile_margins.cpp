#include "profile_margins.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "pull_rows.hpp"

#include "spar/base/error.hpp"
#include "spar/catalogue/lanes.hpp"
#include "spar/data/transpose.hpp"
#include "spar/table/statistics.hpp"
#include "spar/tape/operations.hpp"

namespace spar::systems {

namespace {

// Away from those of trainings, of profile sums and of attacks.
constexpr int item_tag = 1032;
constexpr int gram_tag = 1048;

}  // namespace

GatheredRows::GatheredRows(const comm::Communicator& communicator, const ShardLayout& layout, table::Table& table,
                           std::size_t most, int tag)
    : most_(most), rows_(static_cast<std::size_t>(layout.shard_count(communicator.rank()))) {
  const auto distinct = std::min(most, static_cast<std::size_t>(table.total_rows()));
  exchange_ = std::make_unique<table::RowExchange>(communicator, layout, table,
                                                   table::ExchangeOptions{.most_rows_per_shard = distinct, .tag = tag});
  for (std::size_t s = 0; s < rows_.size(); ++s) finders_.emplace_back(distinct);
}

void GatheredRows::begin() {
  for (std::size_t s = 0; s < rows_.size(); ++s) {
    rows_[s].clear();
    finders_[s].clear();
  }
}

std::int32_t GatheredRows::want(std::size_t shard, Index row) {
  bool fresh = false;
  const std::int32_t slot = finders_[shard].find(static_cast<std::uint32_t>(row), fresh);
  if (fresh) rows_[shard].push_back(row);
  return slot;
}

void GatheredRows::pull() {
  pull_rows(
      *exchange_, rows_, [](const std::vector<Index>& rows) { return std::span(rows); }, wave_++);
}

void MarginRoom::require(std::size_t pairs, int columns) {
  stride = padded(columns);
  const std::size_t floats = pairs * static_cast<std::size_t>(stride);
  points.require(floats);
  gradients.require(floats);
  std::fill_n(points.data(), floats, 0.0F);
}

ProfileMargins::ProfileMargins(const comm::Communicator& communicator, const ShardLayout& layout,
                               const FactorModel& model, const Scoring& scoring, const ProfileSums& sums,
                               const data::UserLists& train, const FeatureAttackPlan& plan, std::size_t pairs,
                               std::size_t rivals)
    : model_(model),
      scoring_(scoring),
      train_(train),
      plan_(plan),
      columns_(sums.columns),
      items_("profile", model.items->total_rows(), layout, communicator.rank(),
             {static_cast<int>(padded(sums.columns)) + 1, false, 0}, {.rule = optim::Rule::sgd}),
      rows_(communicator, layout, items_, pairs * (rivals + 1), item_tag) {
  const data::UserLists by_item = data::transpose(communicator, train, model.items->partition());
  for (Index k = 0; k < items_.rows(); ++k) {
    std::copy_n(sums.item(k), columns_, items_.record(k));
    items_.record(k)[items_.shape().dim - 1] = static_cast<float>(by_item.of(k).size());
  }
  if (plan.draws > 0) sum_grams(communicator, layout);
}

void ProfileMargins::sum_grams(const comm::Communicator& communicator, const ShardLayout& layout) {
  const auto tables = model_.tables();
  for (const game::Gram& gram : model_.network->grams()) {
    table::GramSums<double> sums(communicator, layout, {{tables[gram.table]}, 0, gram.columns}, {.tag = gram_tag});
    sums.add_up();
    const double* const total = sums.receive(0);
    const int stride = sums.stride();
    Buffer<float>& values = gram_values_.emplace_back(static_cast<std::size_t>(gram.columns * stride));
    std::transform(total, total + gram.columns * stride, values.data(), [](double x) { return static_cast<float>(x); });
    grams_.push_back({values.data(), gram.columns, gram.columns, stride, nullptr});
  }
}

void ProfileMargins::want(std::size_t shard, ProfilePair& pair) {
  pair.item_slots.assign(1, rows_.want(shard, pair.item));
  for (const Index rival : pair.rivals) pair.item_slots.push_back(rows_.want(shard, rival));
}

ProfileMargin ProfileMargins::open(std::size_t shard, ProfilePair& pair) const {
  ProfileMargin margin{.pair = &pair};
  for (const std::int32_t slot : pair.item_slots) margin.items.push_back(rows_.row(shard, slot));
  if (plan_.goal == Goal::label) return margin;
  const int columns = model_.network->score_columns();
  const std::size_t places = (margin.items.size() + catalogue::lanes - 1) / catalogue::lanes * catalogue::lanes;
  margin.columns.require(places * static_cast<std::size_t>(columns));
  std::fill_n(margin.columns.data(), places * static_cast<std::size_t>(columns), 0.0F);
  std::vector<float> one(static_cast<std::size_t>(padded(columns)));
  for (std::size_t i = 0; i < margin.items.size(); ++i) {
    model_.network->represent_item(*model_.dense, margin.items[i], one.data());
    for (int c = 0; c < columns; ++c)
      margin.columns.data()[static_cast<std::size_t>(c) * places + i] = one[static_cast<std::size_t>(c)];
  }
  return margin;
}

// The K-th best rival of each pair stands against its item.
std::vector<ProfileMargins::Example> ProfileMargins::rank(const std::vector<ProfileMargin*>& pairs, MarginRoom& room,
                                                          std::vector<double>& margins) const {
  std::vector<Example> examples;
  std::vector<float> user(static_cast<std::size_t>(padded(model_.network->score_columns())));
  std::vector<std::size_t> order;
  for (std::size_t r = 0; r < pairs.size(); ++r) {
    const std::size_t count = pairs[r]->items.size();
    const std::size_t places = (count + catalogue::lanes - 1) / catalogue::lanes * catalogue::lanes;
    room.scores.require(places);
    float* const scores = room.scores.data();
    model_.network->represent_user(*model_.dense, room.point(r), user.data());
    for (std::size_t first = 0; first < places; first += catalogue::lanes)
      scoring_.pairs->score_lanes(user.data(), pairs[r]->columns.data() + first, static_cast<Index>(places),
                                  scores + first);
    order.resize(count - 1);
    std::iota(order.begin(), order.end(), std::size_t{1});
    const auto last = order.begin() + (plan_.top - 1);
    std::ranges::nth_element(order, last, [&](std::size_t a, std::size_t b) {
      return scores[a] > scores[b] || (scores[a] == scores[b] && a < b);
    });
    const float sign = plan_.pushed < 0 ? 1.0F : -1.0F;
    margins.push_back(static_cast<double>(sign) *
                      (static_cast<double>(scores[0]) - static_cast<double>(scores[*last])));
    examples.push_back({r, pairs[r]->items[0], sign, 0});
    examples.push_back({r, pairs[r]->items[*last], -sign, 0});
  }
  return examples;
}

tape::Matrix<float> ProfileMargins::logits(const std::vector<ProfileMargin*>& pairs,
                                           const std::vector<Example>& examples, MarginRoom& room) const {
  tape::Tape<float>& tape = room.tape;
  tape.reset();
  const int count = static_cast<int>(examples.size());
  const int stride = static_cast<int>(room.stride);
  auto** places = tape.arena().take<float*>(examples.size());
  float* const weights = tape.arena().take<float>(examples.size() * static_cast<std::size_t>(padded(1)));
  std::vector<Index> samples;
  game::NeuralBatch batch;
  batch.examples = count;
  batch.slots.resize(2);
  batch.bags = {{{0}, {}}, {{0}, {}}};
  for (const ProfileMargin* pair : pairs)
    batch.bags[0].offsets.push_back(batch.bags[0].offsets.back() +
                                    static_cast<std::int64_t>(train_.of(pair->pair->user).size()));
  for (std::size_t k = 0; k < examples.size(); ++k) {
    const Example& example = examples[k];
    places[k] = const_cast<float*>(example.item);
    weights[k * static_cast<std::size_t>(padded(1))] = example.weight;
    samples.push_back(example.sample);
    batch.slots[0].push_back(static_cast<std::int32_t>(example.pair));
    batch.slots[1].push_back(static_cast<std::int32_t>(k));
    batch.bags[1].offsets.push_back(batch.bags[1].offsets.back() +
                                    static_cast<std::int64_t>(example.item[items_.shape().dim - 1]));
  }
  const int users = static_cast<int>(pairs.size());
  const tape::Var tables[] = {tape.parameter({room.points.data(), users, columns_, stride, nullptr},
                                             {room.gradients.data(), users, columns_, stride, nullptr}),
                              tape.constant({nullptr, count, columns_, static_cast<int>(padded(columns_)), places})};
  std::vector<tape::Var> dense;
  for (int d = 0; d < model_.dense->count(); ++d) {
    const table::DenseShape& shape = model_.dense->shape(d);
    dense.push_back(tape.constant({model_.dense->table(d).record(0), shape.rows, shape.columns,
                                   static_cast<int>(model_.dense->stride(d)), nullptr}));
  }
  game::Pass<float> pass{.context = {tape, dense}, .batch = batch, .tables = tables, .grams = grams_};
  pass.context.training = plan_.draws > 0;
  pass.context.noise = {plan_.seed, Purpose::attack_start, 0, 0, 0};
  pass.context.samples = samples;
  const tape::Var scores = model_.network->profiled()->profile_scores(pass);
  const tape::Var weight = tape.constant({weights, count, 1, padded(1), nullptr});
  tape.backward(tape::sum(tape, tape::multiply(tape, scores, weight)));
  return tape.value(scores);
}

std::vector<double> ProfileMargins::evaluate(const std::vector<ProfileMargin*>& pairs, MarginRoom& room) const {
  std::vector<double> margins;
  if (plan_.goal == Goal::list) {
    logits(pairs, rank(pairs, room, margins), room);
    return margins;
  }
  const int draws = std::max(1, plan_.draws);
  const float weight = (plan_.pushed < 0 ? 1.0F : -1.0F) / static_cast<float>(draws);
  std::vector<Example> examples;
  for (std::size_t r = 0; r < pairs.size(); ++r) {
    const Index user = train_.first_user + pairs[r]->pair->user;
    for (int draw = 0; draw < draws; ++draw) examples.push_back({r, pairs[r]->items[0], weight, user * draws + draw});
  }
  const tape::Matrix<float> scores = logits(pairs, examples, room);
  margins.assign(pairs.size(), 0.0);
  for (std::size_t k = 0; k < examples.size(); ++k)
    margins[examples[k].pair] +=
        static_cast<double>(examples[k].weight) * static_cast<double>(scores.at(static_cast<int>(k), 0));
  return margins;
}

}  // namespace spar::systems
