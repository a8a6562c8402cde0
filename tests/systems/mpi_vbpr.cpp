#include <cmath>
#include <cstring>

#include "game/toy_game.hpp"
#include "support/sentence.hpp"
#include <boost/test/unit_test.hpp>

#include "spar/base/threads.hpp"
#include "spar/systems/factor_model.hpp"
#include "spar/systems/item_features.hpp"
#include "spar/systems/system.hpp"

namespace {

using namespace spar;

constexpr int width = 21;
// Every user lacks one item, so the triples of a step over all positives are the same for any number of shards.
const test::ToyData toy{61, 23, true};

float feature(Index item, int column) {
  return static_cast<float>(std::sin(0.7 * static_cast<double>(item) + 1.3 * column));
}

Recipe recipe_of(std::vector<std::string> overrides) {
  for (const char* setting : {"model.dim=5", "model.init_std=0.4", "features.columns=21", "game.pretrain_epochs=0"})
    overrides.emplace_back(setting);
  return systems::load_recipe("amr", overrides);
}

// The numbers of all tables, state included, and the losses.
struct Result {
  std::vector<std::vector<float>> tables;
  std::vector<double> losses;
  bool operator==(const Result&) const = default;
};

std::vector<float> whole(const comm::Communicator& communicator, const table::Table& table) {
  const std::span<const float> mine(table.rows() == 0 ? nullptr : table.record(0),
                                    static_cast<std::size_t>(table.rows() * table.shape().record()));
  std::vector<float> all;
  for (const auto& part : communicator.allgather(std::as_bytes(mine))) {
    const std::size_t begin = all.size();
    all.resize(begin + part.size() / sizeof(float));
    if (!part.empty()) std::memcpy(all.data() + begin, part.data(), part.size());
  }
  return all;
}

// `epochs` of the second stage on this communicator.
Result train(const comm::Communicator& communicator, Recipe recipe, std::int64_t epochs, int thread_count = 1) {
  set_threads(thread_count);
  const ShardLayout layout{systems::resolve_shards(recipe), communicator.size()};
  data::DatasetHeader header;
  header.users = toy.users;
  header.items = toy.items;
  header.counts[0] = toy.positives();
  auto model = systems::make_model(communicator, layout, header, recipe, true);
  table::Table& features = *model.frozen.front();
  for (Index k = 0; k < features.rows(); ++k) {
    for (int c = 0; c < width; ++c) features.record(k)[c] = feature(features.first_row() + k, c);
  }
  const auto lists = toy.lists(model.users->first_row(), model.users->first_row() + model.users->rows());
  const auto plan = systems::plan_of(recipe);
  Result result;
  {
    const auto engine = systems::make_engine(communicator, layout, header, recipe, model, lists);
    engine->use_optimizer(plan.optimizer, 0);
    engine->begin_stage(plan.stages.back());
    for (std::int64_t epoch = 0; epoch < epochs; ++epoch) {
      engine->begin_epoch(epoch, 0, {});
      while (engine->next_step() < engine->steps()) engine->step(0);
      engine->end_epoch();
      for (auto* losses : {&engine->losses(), &engine->second_losses()})
        result.losses.push_back(comm::tree_sum(communicator, layout.shards, *losses, 1).front());
    }
  }
  for (const auto* table : {model.users.get(), model.items.get(), model.frozen.front().get()})
    result.tables.push_back(whole(communicator, *table));
  const table::Table& projection = model.dense->table(0);
  result.tables.emplace_back(projection.record(0),
                             projection.record(0) + projection.rows() * projection.shape().record());
  set_threads(1);
  return result;
}

double difference(const Result& a, const Result& b) {
  double most = 0.0;
  for (std::size_t t = 0; t < a.tables.size(); ++t)
    most = std::max(most, test::largest_difference(a.tables[t], b.tables[t]));
  return most;
}

const std::vector<std::string> one_step{
    "train.batch_size=1000000", "optimizer.name=sgd",    "optimizer.learning_rate=0.01", "rates.item=0.02",
    "rates.dense=0.005",        "adversary.epsilon=0.3", "adversary.weight=0.7"};

std::vector<std::string> with(std::vector<std::string> settings, const std::vector<std::string>& more) {
  settings.insert(settings.end(), more.begin(), more.end());
  return settings;
}

// The same step in double, one triple after the other, everything by its definition.
struct SlowStep {
  static constexpr int dim = 5;
  using Rows = std::vector<std::vector<double>>;

  explicit SlowStep(const Result& start) {
    for (std::size_t t = 0; t < 4; ++t) {
      const int columns = t == 2 ? width : dim;
      for (std::size_t k = 0; k < start.tables[t].size(); k += static_cast<std::size_t>(padded(columns)))
        values[t].emplace_back(start.tables[t].begin() + static_cast<std::ptrdiff_t>(k),
                               start.tables[t].begin() + static_cast<std::ptrdiff_t>(k) + columns);
    }
  }
  Rows like(std::size_t t) const { return Rows(values[t].size(), std::vector<double>(values[t][0].size())); }

  // Adds the gradients of weight * loss at features moved by delta; penalties by themselves.
  double add(double weight, const Rows& delta, Rows (&gradients)[4], const double (&penalties)[3]) const {
    double loss = 0.0;
    for (Index u = 0; u < toy.users; ++u) {
      const auto j = static_cast<std::size_t>((u * 7 + 3) % toy.items);
      for (std::size_t i = 0; i < values[1].size(); ++i) {
        if (i == j) continue;
        const auto& p = values[0][static_cast<std::size_t>(u)];
        std::vector<double> items[2] = {composed(i, delta), composed(j, delta)};
        double margin = 0.0;
        for (std::size_t c = 0; c < dim; ++c) margin += p[c] * (items[0][c] - items[1][c]);
        loss += std::log1p(std::exp(-margin));
        const double pull = weight / (1.0 + std::exp(margin));
        for (std::size_t c = 0; c < dim; ++c) {
          gradients[0][static_cast<std::size_t>(u)][c] +=
              -pull * (items[0][c] - items[1][c]) + 2.0 * penalties[0] * p[c];
          const double to_positive = -pull * p[c] + 2.0 * penalties[1] * items[0][c];
          const double to_negative = pull * p[c] + 2.0 * penalties[1] * items[1][c];
          add_item(i, c, to_positive, delta, gradients);
          add_item(j, c, to_negative, delta, gradients);
        }
      }
    }
    for (std::size_t k = 0; k < values[3].size(); ++k) {
      for (std::size_t c = 0; c < dim; ++c) gradients[3][k][c] += 2.0 * penalties[2] * values[3][k][c];
    }
    return loss;
  }
  std::vector<double> composed(std::size_t i, const Rows& delta) const {
    std::vector<double> x = values[1][i];
    for (std::size_t k = 0; k < width; ++k) {
      for (std::size_t c = 0; c < dim; ++c) x[c] += (values[2][i][k] + delta[i][k]) * values[3][k][c];
    }
    return x;
  }
  void add_item(std::size_t i, std::size_t c, double g, const Rows& delta, Rows (&gradients)[4]) const {
    gradients[1][i][c] += g;
    for (std::size_t k = 0; k < width; ++k) {
      gradients[2][i][k] += g * values[3][k][c];
      gradients[3][k][c] += g * (values[2][i][k] + delta[i][k]);
    }
  }

  Rows values[4];  // users, items, features, projection
};

}  // namespace

BOOST_AUTO_TEST_SUITE(vbpr)

BOOST_AUTO_TEST_CASE(every_form_scope_and_tap_gives_the_bits_of_one_process) {
  const auto world = comm::Communicator::world();
  const auto alone = comm::Communicator::alone();
  const std::vector<std::vector<std::string>> cases{
      {},
      {"network.form=full", "network.visual_dim=3"},
      {"adversary.scope=shard"},
      {"network.taps=item_features,user,item"},
      {"network.form=full", "network.taps=user,item", "adversary.method=fgsm", "adversary.ball=linf"},
      {"adversary.method=random"},
      {"adversary.scope=shard", "adversary.ball=global_l2", "network.taps=item"},
      {"optimizer.name=adam"},
      {"adversary.weight=0", "parallel.node_memory=false"},
      {"parallel.node_memory=false", "network.taps=item_features,item"}};
  for (const auto& settings : cases) {
    const Recipe recipe = recipe_of(with(settings, {"train.batch_size=200"}));
    const Result expected = train(alone, recipe, 2);
    BOOST_TEST(std::isfinite(expected.losses.front()));
    for (const int thread_count : {1, 2})
      BOOST_TEST((train(world, recipe, 2, thread_count) == expected),
                 (settings.empty() ? "published" : settings.front()) << " on " << thread_count << " threads");
  }
}

// One perturbation for an item whatever its occurrences; the penalty counts once and is kept from the adversary; three
// learning rates.
BOOST_AUTO_TEST_CASE(a_step_is_the_one_that_the_definition_gives) {
  const auto alone = comm::Communicator::alone();
  const double penalties[] = {0.03, 0.02, 0.05};
  const double none[] = {0.0, 0.0, 0.0};
  const Recipe recipe = recipe_of(with(one_step, {"penalty.user=0.03", "penalty.item=0.02", "penalty.dense=0.05"}));
  const SlowStep slow(train(alone, recipe, 0));
  SlowStep::Rows gradients[4];
  SlowStep::Rows at_clean[4];
  SlowStep::Rows delta = slow.like(2);
  for (std::size_t t = 0; t < 4; ++t) gradients[t] = at_clean[t] = slow.like(t);
  const double clean = slow.add(1.0, delta, at_clean, none);
  slow.add(1.0, delta, gradients, penalties);
  for (std::size_t i = 0; i < delta.size(); ++i) {
    double squares = 0.0;
    for (const double g : at_clean[2][i]) squares += g * g;
    for (std::size_t k = 0; k < width; ++k) delta[i][k] = 0.3 * at_clean[2][i][k] / std::sqrt(squares);
  }
  const double perturbed = slow.add(0.7, delta, gradients, none);
  const Result got = train(alone, recipe, 1);
  BOOST_TEST(std::abs(got.losses[0] - clean) < 1e-4 * clean);
  BOOST_TEST(std::abs(got.losses[1] - perturbed) < 1e-4 * perturbed);
  BOOST_TEST(perturbed > clean);
  const double rates[] = {0.01, 0.02, 0.0, 0.005};
  for (std::size_t t = 0; t < 4; ++t) {
    const auto stride = static_cast<std::size_t>(padded(static_cast<int>(slow.values[t][0].size())));
    double most = 0.0;
    double moved = 0.0;
    for (std::size_t r = 0; r < slow.values[t].size(); ++r) {
      for (std::size_t c = 0; c < slow.values[t][r].size(); ++c) {
        const double expected = slow.values[t][r][c] - rates[t] * gradients[t][r][c];
        most = std::max(most, std::abs(static_cast<double>(got.tables[t][r * stride + c]) - expected));
        moved = std::max(moved, std::abs(expected - slow.values[t][r][c]));
      }
    }
    BOOST_TEST(most < 2e-5 * std::max(1.0, moved), "table " << t << ": " << most << " of " << moved);
    BOOST_TEST((moved > 0.01) == (t != 2));
  }
}

BOOST_AUTO_TEST_CASE(scope_batch_perturbs_alike_for_any_number_of_shards_and_scope_shard_does_not) {
  const auto world = comm::Communicator::world();
  const auto shards = [&](int count, const std::string& scope) {
    return train(
        world, recipe_of(with(one_step, {"parallel.shards=" + std::to_string(count), "adversary.scope=" + scope})), 1);
  };
  const Result eight = shards(8, "batch");
  for (const int count : {4, 16}) BOOST_TEST(difference(shards(count, "batch"), eight) < 1e-5);
  BOOST_TEST(difference(shards(8, "shard"), eight) > 1e-4);
}

BOOST_AUTO_TEST_CASE(without_a_weight_amr_is_vbpr_and_with_epsilon_0_its_second_loss_is_the_first) {
  const auto world = comm::Communicator::world();
  auto settings = std::vector<std::string>{"train.batch_size=200", "adversary.weight=0"};
  const Result amr = train(world, recipe_of(settings), 2);
  Recipe vbpr = systems::load_recipe(
      "vbpr", {"model.dim=5", "model.init_std=0.4", "features.columns=21", "train.batch_size=200"});
  BOOST_TEST((train(world, vbpr, 2) == amr));
  const Result still = train(world, recipe_of({"train.batch_size=200", "adversary.epsilon=0"}), 2);
  BOOST_TEST(still.losses[0] == still.losses[1]);
  BOOST_TEST(still.losses[2] == still.losses[3]);
  BOOST_TEST(difference(still, amr) > 1e-4);
}

BOOST_AUTO_TEST_CASE(scores_are_those_that_training_ranks_by) {
  const auto world = comm::Communicator::world();
  for (const std::string form : {"shared", "full"}) {
    std::vector<std::string> settings{"network.form=" + form};
    if (form == "full") settings.emplace_back("network.visual_dim=3");
    Recipe recipe = recipe_of(settings);
    const ShardLayout layout{systems::resolve_shards(recipe), world.size()};
    data::DatasetHeader header;
    header.users = toy.users;
    header.items = toy.items;
    auto model = systems::make_model(world, layout, header, recipe, false);
    const auto& projection = model.dense->table(0);
    for (Index k = 0; k < model.items->rows(); ++k) {
      for (int c = 0; c < width; ++c) model.frozen.front()->record(k)[c] = feature(model.items->first_row() + k, c);
      if (form == "full") BOOST_TEST(model.items->record(k)[5] == 0.0F);
      model.items->record(k)[model.items->shape().dim - 1] = 0.25F;
    }
    const auto scoring = model.scoring();
    for (Index u = 0; u < model.users->rows(); ++u) {
      for (Index k = 0; k < model.items->rows(); ++k) {
        const float* user = model.users->record(u);
        const float* item = model.items->record(k);
        double expected = form == "full" ? 0.25 : 0.0;
        for (int c = 0; c < 5; ++c) expected += static_cast<double>(user[c] * item[c]);
        const int visual = form == "full" ? 3 : 5;
        for (int f = 0; f < width; ++f) {
          const auto x = static_cast<double>(feature(model.items->first_row() + k, f));
          for (int c = 0; c < visual; ++c)
            expected += static_cast<double>(user[form == "full" ? 5 + c : c]) * x *
                        static_cast<double>(projection.record(f)[c]);
          if (form == "full") expected += x * static_cast<double>(projection.record(f)[3]);
        }
        double score = 0.0;
        for (int c = 0; c < model.network->score_columns(); ++c)
          score +=
              static_cast<double>(scoring.scorer.users.row(u)[c]) * static_cast<double>(scoring.scorer.items.row(k)[c]);
        BOOST_TEST(std::abs(score - expected) < 1e-5);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(adversaries_that_a_network_cannot_have_are_refused) {
  const auto sentence = [](const std::vector<std::string>& overrides) {
    return test::sentence_of(ExitCode::usage, [&] { systems::plan_of(systems::load_recipe("amr", overrides)); });
  };
  BOOST_TEST(sentence({"adversary.scope=sample"}) ==
             "adversary.scope = \"sample\" is for factor models: amr takes shard and batch");
  BOOST_TEST(sentence({"adversary.ball=global_l2"}) ==
             "adversary.ball = \"global_l2\" of amr is that of a shard's micro-batch: it needs adversary.scope = "
             "\"shard\"; scope batch takes row_l2 and linf");
  BOOST_TEST(sentence({"network.taps=pixels"}) ==
             "network.taps: amr has no tap \"pixels\", only user, item, item_features");
}

BOOST_AUTO_TEST_CASE(published_defaults_of_amr_are_those_of_its_authors_code) {
  const Recipe recipe = systems::load_recipe("amr", {});
  const auto plan = systems::plan_of(recipe);
  BOOST_TEST(plan.stages.size() == 2U);
  BOOST_TEST(plan.stages[0].name == "vbpr");
  BOOST_TEST(!plan.stages[0].adversary.has_value());
  const auto& adversary = *plan.stages[1].adversary;
  BOOST_TEST((adversary.scope == adversary::Scope::batch));
  BOOST_TEST((adversary.taps == std::vector<std::string>{"item_features"}));
  BOOST_TEST(adversary.perturbation.epsilon == 0.1);
  BOOST_TEST(adversary.weight == 1.0);
  BOOST_TEST(plan.optimizer.learning_rate == 0.01F);
  BOOST_TEST(plan.optimizer.initial_accumulator == 0.1F);
  BOOST_TEST(recipe.real("rates.item") == 1e-4);
  BOOST_TEST(recipe.real("rates.dense") == 1e-3);
  BOOST_TEST(recipe.real("penalty.user") == 0.1);
  BOOST_TEST(recipe.real("penalty.item") == 1e-3);
  BOOST_TEST(recipe.real("penalty.dense") == 0.0);
  BOOST_TEST(recipe.integer("model.dim") == 64);
  BOOST_TEST(recipe.integer("train.batch_size") == 512);
  BOOST_TEST(!recipe.flag("sampling.cold_items"));
}

BOOST_AUTO_TEST_SUITE_END()
