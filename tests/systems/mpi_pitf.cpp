#include <cmath>
#include <cstring>
#include <functional>

#include "game/toy_game.hpp"
#include "support/sentence.hpp"
#include "systems/toy_posts.hpp"
#include <boost/test/unit_test.hpp>

#include "spar/base/threads.hpp"
#include "spar/systems/factor_model.hpp"
#include "spar/systems/system.hpp"

namespace {

using namespace spar;
using test::ToyPosts;

constexpr int dim = 5;
const ToyPosts toy;
// With SGD and all assignments in one step, nothing is left to chance.
const ToyPosts certain{.users = 61, .items = 23, .tags = 7, .one_missing = true};
const std::vector<std::string> one_step{"train.batch_size=1000000", "optimizer.name=sgd",
                                        "optimizer.learning_rate=0.01"};

std::vector<std::string> with(std::vector<std::string> settings, const std::vector<std::string>& more) {
  settings.insert(settings.end(), more.begin(), more.end());
  return settings;
}

Recipe recipe_of(const std::vector<std::string>& overrides, const std::string& system = "atf") {
  std::vector<std::string> all{"model.dim=5", "model.init_law=normal", "model.init_std=0.4"};
  if (system != "pitf") all.emplace_back("game.pretrain_epochs=0");
  return systems::load_recipe(system, with(all, overrides));
}

data::DatasetHeader header_of(const ToyPosts& posts) {
  data::DatasetHeader header;
  header.users = posts.users;
  header.items = posts.items;
  header.tags = posts.tags;
  const data::PostRows all = posts.rows(0, posts.users);
  header.posts[0] = all.count();
  header.assignments[0] = all.tags.count();
  return header;
}

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

/// The numbers of users, items and tags, state included, and the losses.
struct Result {
  std::vector<std::vector<float>> tables;
  std::vector<double> losses;
  bool operator==(const Result&) const = default;
};

using Change = std::function<void(systems::FactorModel&)>;

void train(game::Engine& engine, const comm::Communicator& communicator, Recipe& recipe, std::int64_t epochs,
           std::vector<double>& losses) {
  const auto plan = systems::plan_of(recipe);
  engine.use_optimizer(plan.optimizer, 0);
  engine.begin_stage(plan.stages.back());
  for (std::int64_t epoch = 0; epoch < epochs; ++epoch) {
    engine.begin_epoch(epoch, 0, {});
    while (engine.next_step() < engine.steps()) engine.step(0);
    engine.end_epoch();
    for (auto* sums : {&engine.losses(), &engine.second_losses()})
      losses.push_back(comm::tree_sum(communicator, systems::resolve_shards(recipe), *sums, 1).front());
  }
}

Result train(const comm::Communicator& communicator, const ToyPosts& posts, Recipe recipe, std::int64_t epochs,
             int thread_count = 1, const Change& change = {}) {
  set_threads(thread_count);
  const ShardLayout layout{systems::resolve_shards(recipe), communicator.size()};
  const auto header = header_of(posts);
  auto model = systems::make_model(communicator, layout, header, recipe, true);
  if (change) change(model);
  const Index first = model.users->first_row();
  const data::PostRows rows = posts.rows(first, first + model.users->rows());
  Result result;
  {
    const auto engine = systems::make_engine(communicator, layout, header, recipe, model, {}, &rows);
    train(*engine, communicator, recipe, epochs, result.losses);
  }
  for (const auto* table : model.tables()) result.tables.push_back(whole(communicator, *table));
  set_threads(1);
  return result;
}

double difference(const Result& a, const Result& b) {
  double most = 0.0;
  for (std::size_t t = 0; t < a.tables.size(); ++t)
    most = std::max(most, test::largest_difference(a.tables[t], b.tables[t]));
  return most;
}

// A step over all assignments in double, everything by its definition.
struct SlowStep {
  using Rows = std::vector<std::vector<double>>;

  explicit SlowStep(const Result& start) {
    for (std::size_t t = 0; t < 3; ++t) {
      const int columns = t == 2 ? 2 * dim : dim;
      for (std::size_t k = 0; k < start.tables[t].size(); k += static_cast<std::size_t>(padded(columns)))
        values[t].emplace_back(start.tables[t].begin() + static_cast<std::ptrdiff_t>(k),
                               start.tables[t].begin() + static_cast<std::ptrdiff_t>(k) + columns);
    }
  }
  Rows like(std::size_t t) const { return Rows(values[t].size(), std::vector<double>(values[t][0].size())); }

  // Adds the gradients of weight * loss at the values moved by delta, and of the penalty.
  double add(double weight, double l2, const Rows (&delta)[3], Rows (&gradients)[3]) const {
    double loss = 0.0;
    for (Index u = 0; u < certain.users; ++u) {
      for (Index i = 0; i < certain.items; ++i) {
        if (!certain.has(u, i)) continue;
        const auto other = static_cast<std::size_t>(certain.missing(u, i));
        for (const std::uint32_t tag : certain.tags_of(u, i))
          loss += add_example({static_cast<std::size_t>(u), static_cast<std::size_t>(i), tag, other}, weight, l2, delta,
                              gradients);
      }
    }
    return loss;
  }
  double add_example(const std::vector<std::size_t>& rows, double weight, double l2, const Rows (&delta)[3],
                     Rows (&gradients)[3]) const {
    const auto at = [&](std::size_t t, std::size_t row, std::size_t c) { return values[t][row][c] + delta[t][row][c]; };
    double margin = 0.0;
    for (std::size_t c = 0; c < 2 * dim; ++c) {
      const double post = c < dim ? at(0, rows[0], c) : at(1, rows[1], c - dim);
      margin += post * (at(2, rows[2], c) - at(2, rows[3], c));
    }
    const double pull = weight / (1.0 + std::exp(margin));
    for (std::size_t c = 0; c < 2 * dim; ++c) {
      const std::size_t t = c < dim ? 0 : 1;
      const std::size_t k = c < dim ? c : c - dim;
      gradients[t][rows[t]][k] += -pull * (at(2, rows[2], c) - at(2, rows[3], c)) + 2.0 * l2 * values[t][rows[t]][k];
      gradients[2][rows[2]][c] += -pull * at(t, rows[t], k) + 2.0 * l2 * values[2][rows[2]][c];
      gradients[2][rows[3]][c] += pull * at(t, rows[t], k) + 2.0 * l2 * values[2][rows[3]][c];
    }
    return std::log1p(std::exp(-margin));
  }

  Rows values[3];  // users, items, tags
};

// epsilon * g / |g| for columns [first, end) of every row that has a gradient there.
void perturb(const SlowStep::Rows& gradients, std::size_t first, std::size_t end, double epsilon,
             SlowStep::Rows& delta) {
  for (std::size_t r = 0; r < gradients.size(); ++r) {
    double squares = 0.0;
    for (std::size_t c = first; c < end; ++c) squares += gradients[r][c] * gradients[r][c];
    for (std::size_t c = first; c < end && squares > 0.0; ++c)
      delta[r][c] = epsilon * gradients[r][c] / std::sqrt(squares);
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(pitf_mpi)

BOOST_AUTO_TEST_CASE(every_scope_and_tap_gives_the_bits_of_one_process) {
  const auto world = comm::Communicator::world();
  const auto alone = comm::Communicator::alone();
  const std::vector<std::vector<std::string>> cases{
      {},
      {"adversary.scope=shard"},
      {"network.taps=tag", "adversary.method=fgsm", "adversary.ball=linf"},
      {"adversary.method=random"},
      {"adversary.scope=shard", "adversary.ball=global_l2", "network.taps=tag_item,user"},
      {"optimizer.name=adam", "objective.l2=0"},
      {"adversary.weight=0", "parallel.node_memory=false"},
      {"parallel.node_memory=false", "network.taps=tag_user,item"}};
  for (const auto& settings : cases) {
    const Recipe recipe = recipe_of(with(settings, {"train.batch_size=200"}));
    const Result expected = train(alone, toy, recipe, 2);
    BOOST_TEST(std::isfinite(expected.losses.front()));
    for (const int thread_count : {1, 2})
      BOOST_TEST((train(world, toy, recipe, 2, thread_count) == expected),
                 (settings.empty() ? "published" : settings.front()) << " on " << thread_count << " threads");
  }
}

// Perturbations have the norm epsilon in each half of a tag's row, or in both together, and are 0 in rows of no post.
BOOST_AUTO_TEST_CASE(a_step_is_the_one_that_the_definition_gives) {
  const auto alone = comm::Communicator::alone();
  for (const bool jointly : {false, true}) {
    auto settings = with(one_step, {"objective.l2=0.002", "adversary.epsilon=0.3", "adversary.weight=0.7"});
    if (jointly) settings.emplace_back("network.taps=user,item,tag");
    const Recipe recipe = recipe_of(settings);
    const SlowStep slow(train(alone, certain, recipe, 0));
    SlowStep::Rows gradients[3];
    SlowStep::Rows clean[3];
    SlowStep::Rows delta[3];
    for (std::size_t t = 0; t < 3; ++t) gradients[t] = clean[t] = delta[t] = slow.like(t);
    const double loss = slow.add(1.0, 0.0, delta, clean);
    slow.add(1.0, 0.002, delta, gradients);
    perturb(clean[0], 0, dim, 0.3, delta[0]);
    perturb(clean[1], 0, dim, 0.3, delta[1]);
    perturb(clean[2], 0, jointly ? 2 * dim : dim, 0.3, delta[2]);
    if (!jointly) perturb(clean[2], dim, 2 * dim, 0.3, delta[2]);
    const double perturbed = slow.add(0.7, 0.0, delta, gradients);
    const Result got = train(alone, certain, recipe, 1);
    BOOST_TEST(std::abs(got.losses[0] - loss) < 1e-4 * loss);
    BOOST_TEST(std::abs(got.losses[1] - perturbed) < 1e-4 * perturbed);
    BOOST_TEST(perturbed > loss);
    for (std::size_t t = 0; t < 3; ++t) {
      const auto stride = static_cast<std::size_t>(padded(t == 2 ? 2 * dim : dim));
      double most = 0.0;
      double moved = 0.0;
      for (std::size_t r = 0; r < slow.values[t].size(); ++r) {
        for (std::size_t c = 0; c < slow.values[t][r].size(); ++c) {
          const double expected = slow.values[t][r][c] - 0.01 * gradients[t][r][c];
          most = std::max(most, std::abs(static_cast<double>(got.tables[t][r * stride + c]) - expected));
          moved = std::max(moved, std::abs(expected - slow.values[t][r][c]));
        }
      }
      BOOST_TEST(most < 2e-5 * std::max(1.0, moved), "table " << t << ": " << most << " of " << moved);
      BOOST_TEST(moved > 0.01);
    }
  }
}

BOOST_AUTO_TEST_CASE(scope_batch_perturbs_alike_for_any_number_of_shards_and_scope_shard_does_not) {
  const auto world = comm::Communicator::world();
  const auto shards = [&](int count, const std::string& scope) {
    return train(world, certain,
                 recipe_of(with(one_step, {"parallel.shards=" + std::to_string(count), "adversary.scope=" + scope})),
                 1);
  };
  const Result eight = shards(8, "batch");
  for (const int count : {4, 16}) BOOST_TEST(difference(shards(count, "batch"), eight) < 1e-5);
  BOOST_TEST(difference(shards(8, "shard"), eight) > 1e-4);
}

BOOST_AUTO_TEST_CASE(without_a_weight_atf_is_pitf_and_with_epsilon_0_it_moves_by_1_plus_the_weight) {
  const auto world = comm::Communicator::world();
  const Result atf = train(world, toy, recipe_of({"train.batch_size=200", "adversary.weight=0"}), 2);
  BOOST_TEST((train(world, toy, recipe_of({"train.batch_size=200"}, "pitf"), 2) == atf));
  const auto plain = with(one_step, {"objective.l2=0"});
  const Result start = train(world, certain, recipe_of(plain), 0);
  const Result pitf = train(world, certain, recipe_of(plain, "pitf"), 1);
  const Result still =
      train(world, certain, recipe_of(with(plain, {"adversary.epsilon=0", "adversary.weight=0.7"})), 1);
  BOOST_TEST(still.losses[0] == still.losses[1]);
  double most = 0.0;
  for (std::size_t t = 0; t < 3; ++t) {
    for (std::size_t k = 0; k < start.tables[t].size(); ++k) {
      const float x = start.tables[t][k];
      most = std::max(most, std::abs(static_cast<double>((still.tables[t][k] - x) - 1.7F * (pitf.tables[t][k] - x))));
    }
  }
  BOOST_TEST(most < 1e-6);
}

// Users with one post each, items and the tags' halves for items at 0: what is left is apr between users and tags.
BOOST_AUTO_TEST_CASE(without_items_it_is_apr_between_users_and_tags) {
  const auto world = comm::Communicator::world();
  const ToyPosts posts{.one_post = true};
  const std::vector<std::string> settings{"train.batch_size=200", "objective.l2=0"};
  Recipe recipe = recipe_of(settings, "apr");
  const ShardLayout layout{systems::resolve_shards(recipe), world.size()};
  data::DatasetHeader header;
  header.users = posts.users;
  header.items = posts.tags;
  const auto untrained = systems::make_model(world, layout, header, recipe, true);
  auto model = systems::make_model(world, layout, header, recipe, true);
  const Index first = model.users->first_row();
  data::UserLists lists = posts.rows(first, first + model.users->rows()).tags;
  BOOST_REQUIRE(lists.users() == model.users->rows());
  lists.first_user = first;
  header.counts[0] = world.sum(lists.count());
  Result apr;
  const auto engine = systems::make_engine(world, layout, header, recipe, model, lists);
  train(*engine, world, recipe, 3, apr.losses);
  const Result atf = train(world, posts, recipe_of(settings), 3, 1, [&](systems::FactorModel& other) {
    for (Index k = 0; k < other.items->rows(); ++k) std::fill_n(other.items->record(k), dim, 0.0F);
    table::Table& tags = *other.further.front();
    for (Index k = 0; k < tags.rows(); ++k) {
      std::copy_n(untrained.items->record(k), dim, tags.record(k));
      std::fill_n(tags.record(k) + dim, dim, 0.0F);
    }
  });
  BOOST_TEST(apr.losses.size() == 6U);
  for (std::size_t k = 0; k < 6; ++k) BOOST_TEST(std::abs(atf.losses[k] - apr.losses[k]) < 1e-4 * apr.losses[k]);
  const auto users = whole(world, *model.users);
  const auto tags = whole(world, *model.items);
  double most = test::largest_difference(users, atf.tables[0]);
  double of_items = 0.0;
  for (std::size_t row = 0; row < static_cast<std::size_t>(posts.tags); ++row) {
    const std::size_t apr_row = row * static_cast<std::size_t>(model.items->shape().record());
    const std::size_t row_of_both = row * 2 * static_cast<std::size_t>(padded(2 * dim));  // values, accumulators
    for (std::size_t c = 0; c < dim; ++c) {
      most = std::max(most, static_cast<double>(std::abs(tags[apr_row + c] - atf.tables[2][row_of_both + c])));
      of_items = std::max(of_items, static_cast<double>(std::abs(atf.tables[2][row_of_both + dim + c])));
    }
  }
  BOOST_TEST(most < 1e-4);
  BOOST_TEST(of_items == 0.0);
}

BOOST_AUTO_TEST_CASE(posts_are_judged_alike_on_any_launch_and_in_any_order_of_tags) {
  const auto world = comm::Communicator::world();
  const auto judge = [](const comm::Communicator& communicator, bool reversed,
                        const std::vector<std::uint8_t>& chosen) {
    Recipe recipe = recipe_of({});
    const ShardLayout layout{systems::resolve_shards(recipe), communicator.size()};
    const auto model = systems::make_model(communicator, layout, header_of(toy), recipe, false);
    const Index first = model.users->first_row();
    data::PostRows posts = toy.rows(first, first + model.users->rows());
    if (reversed) {
      table::Table& tags = *model.further.front();
      for (Index k = 0; k < tags.rows() / 2; ++k)
        std::swap_ranges(tags.record(k), tags.record(k) + 2 * dim, tags.record(tags.rows() - 1 - k));
      for (ItemId& tag : posts.tags.items) tag = static_cast<ItemId>(toy.tags - 1) - tag;
      for (Index k = 0; k < posts.count(); ++k)
        std::reverse(posts.tags.items.begin() + posts.tags.offsets[static_cast<std::size_t>(k)],
                     posts.tags.items.begin() + posts.tags.offsets[static_cast<std::size_t>(k) + 1]);
    }
    std::vector<std::uint8_t> mine(static_cast<std::size_t>(model.users->rows()));
    for (std::size_t k = 0; k < mine.size(); ++k) mine[k] = chosen[static_cast<std::size_t>(first) + k];
    evaluate::EvaluationLists lists;
    lists.targets = &posts.tags;
    lists.posts = &posts;
    lists.chosen_users = &mine;
    evaluate::EvaluationOptions options;
    options.metrics = {"f1", "recall", "ndcg", "hr", "auc"};
    options.cutoffs = {1, 5};
    options.per_user = true;
    const auto scoring = model.scoring(communicator, layout.shards, lists);
    return evaluate::evaluate(communicator, layout.shards, scoring.scorer, lists, options);
  };
  std::vector<std::uint8_t> chosen(static_cast<std::size_t>(toy.users), 1);
  for (std::size_t user = 3; user < chosen.size(); user += 5) chosen[user] = 0;
  Index posts = 0;
  for (Index user = 0; user < toy.users; ++user) {
    for (Index item = 0; item < toy.items; ++item)
      posts += chosen[static_cast<std::size_t>(user)] != 0 && toy.has(user, item) ? 1 : 0;
  }
  const auto expected = judge(comm::Communicator::alone(), false, chosen);
  const auto reversed = judge(comm::Communicator::alone(), true, chosen);
  const auto result = judge(world, false, chosen);
  BOOST_TEST(expected.users == posts);
  BOOST_TEST(result.users == posts);
  BOOST_TEST(posts > 2 * toy.users);
  BOOST_TEST(expected.metrics.size() == 9U);
  for (const auto& [name, value] : expected.metrics) {
    BOOST_TEST(result.metrics.at(name).mean == value.mean, name);
    BOOST_TEST(result.metrics.at(name).standard_error == value.standard_error, name);
    BOOST_TEST(std::abs(reversed.metrics.at(name).mean - value.mean) < 1e-12, name);
  }
  BOOST_TEST(result.item_rows.size() == result.user_rows.size());
  BOOST_TEST(std::ranges::is_sorted(result.user_rows));
  for (std::size_t k = 0; k < result.user_rows.size(); ++k)
    BOOST_TEST(toy.has(result.user_rows[k], result.item_rows[k]));
}

BOOST_AUTO_TEST_CASE(adversaries_that_atf_cannot_have_are_refused) {
  const auto sentence = [](const std::vector<std::string>& overrides) {
    return test::sentence_of(ExitCode::usage, [&] { systems::plan_of(systems::load_recipe("atf", overrides)); });
  };
  BOOST_TEST(sentence({"network.taps=user,tag_user,tag"}) ==
             "network.taps has both tag and tag_user, which is a part of tag: choose one");
  BOOST_TEST(sentence({"network.taps=hidden.1"}) ==
             "network.taps: atf has no tap \"hidden.1\", only user, item, tag, tag_user, tag_item");
  BOOST_TEST(sentence({"adversary.scope=sample"}) ==
             "adversary.scope = \"sample\" is for factor models: atf takes shard and batch");
}

BOOST_AUTO_TEST_SUITE_END()
