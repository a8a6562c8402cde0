#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>

#include "game/toy_game.hpp"
#include <boost/test/unit_test.hpp>

#include "spar/base/threads.hpp"
#include "spar/systems/factor_model.hpp"
#include "spar/systems/private_attributes.hpp"
#include "spar/systems/system.hpp"
#include "spar/table/dense_sums.hpp"

namespace {

using namespace spar;

const test::ToyData toy{211, 97};

// Two attributes, the second unknown of a third of the users.
int code_of(Index user, int attribute) {
  return attribute == 0 ? 1 + static_cast<int>(user % 2) : static_cast<int>((user / (attribute + 1)) % 4);
}

const std::vector<std::string> two_attributes{"privacy.attributes=gender,age", "privacy.classes=2,3"};

Recipe recipe_of(const std::string& system, std::vector<std::string> overrides) {
  for (const char* setting : {"model.dim=20", "model.init_std=0.3", "train.batch_size=160"})
    overrides.emplace_back(setting);
  if (system == "pat") {
    overrides.insert(overrides.end(), two_attributes.begin(), two_attributes.end());
    // One pass for all, unless a test says otherwise.
    for (const std::string setting :
         {"privacy.inner_steps=0", "privacy.reader=linear", "privacy.weight=1", "rates.dense=0"}) {
      const std::string key = setting.substr(0, setting.find('=') + 1);
      if (std::none_of(overrides.begin(), overrides.end(), [&](const std::string& o) { return o.starts_with(key); }))
        overrides.push_back(setting);
    }
  }
  return systems::load_recipe(system, overrides);
}

struct Result {
  std::vector<float> users, items;
  std::vector<float> dense;  // values of the readers
  std::vector<double> losses;
  std::int64_t bytes = 0;
  std::int64_t steps = 0;
  std::size_t dense_floats = 0;
  bool operator==(const Result& other) const {
    return users == other.users && items == other.items && dense == other.dense && losses == other.losses;
  }
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

void fill_private(table::Table& table, const data::UserLists& lists) {
  const int attributes = (table.shape().dim - 1) / 2;
  for (Index k = 0; k < table.rows(); ++k) {
    float* row = table.record(k);
    const bool active = !lists.of(k).empty();
    for (int a = 0; a < attributes; ++a) {
      row[2 * a] = active ? static_cast<float>(code_of(table.first_row() + k, a)) : 0.0F;
      row[2 * a + 1] = 1.25F;
    }
    row[2 * attributes] = active ? 8.0F / static_cast<float>(lists.of(k).size()) : 0.0F;
  }
}

Result train(const comm::Communicator& communicator, Recipe recipe, std::int64_t epochs, int thread_count = 1) {
  set_threads(thread_count);
  const ShardLayout layout{systems::resolve_shards(recipe), communicator.size()};
  data::DatasetHeader header;
  header.users = toy.users;
  header.items = toy.items;
  header.counts[0] = toy.positives();
  auto model = systems::make_model(communicator, layout, header, recipe, true);
  const auto lists = toy.lists(model.users->first_row(), model.users->first_row() + model.users->rows());
  for (const auto& table : model.staying) fill_private(*table, lists);
  const auto plan = systems::plan_of(recipe);
  Result result;
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
  result.users = whole(communicator, *model.users);
  result.items = whole(communicator, *model.items);
  for (int k = 0; model.dense && k < model.dense->count(); ++k) {
    const auto& table = model.dense->table(k);
    result.dense.insert(result.dense.end(), table.record(0), table.record(0) + table.rows() * table.shape().record());
    result.dense_floats = model.dense->gradient_floats();
  }
  result.bytes = communicator.sum(engine->bytes_sent());
  result.steps = epochs * engine->steps();
  set_threads(1);
  return result;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(pat)

BOOST_AUTO_TEST_CASE(every_form_gives_the_bits_of_one_process) {
  const auto world = comm::Communicator::world();
  const auto alone = comm::Communicator::alone();
  const std::vector<std::vector<std::string>> cases{
      {},
      {"privacy.reader=hidden", "model.item_bias=true", "objective.l2=0.01"},
      {"privacy.inner_steps=2"},
      {"privacy.inner_steps=3", "optimizer.name=adam", "rates.dense=0.01"},
      {"optimizer.name=adagrad", "optimizer.learning_rate=step 0.1 times 0.5 every 1 epochs",
       "privacy.weight=dann 2 over 3 epochs"},
      {"optimizer.name=sgd", "optimizer.clip_norm=0.7", "optimizer.learning_rate=0.1"},
      {"privacy.inner_steps=2", "optimizer.clip_norm=0.7"},
      {"parallel.node_memory=false"}};
  for (const auto& settings : cases) {
    const Recipe recipe = recipe_of("pat", settings);
    const Result expected = train(alone, recipe, 2);
    BOOST_TEST(std::isfinite(expected.losses.back()));
    for (const int thread_count : {1, 2})
      BOOST_TEST((train(world, recipe, 2, thread_count) == expected), (settings.empty() ? "defaults" : settings.front())
                                                                          << " on " << thread_count << " threads");
  }
}

// Against the engine of factor models, state of the optimiser included.
BOOST_AUTO_TEST_CASE(without_a_weight_users_and_items_hold_the_bits_of_bpr_mf_while_readers_learn) {
  const auto world = comm::Communicator::world();
  for (const std::vector<std::string>& settings : std::vector<std::vector<std::string>>{
           {"optimizer.name=lazy_adam", "optimizer.learning_rate=0.01"},
           {"optimizer.name=adagrad", "optimizer.learning_rate=0.05", "model.item_bias=true"},
           {"optimizer.name=adam", "optimizer.learning_rate=0.01", "objective.l2=0.02"},
           {"optimizer.name=sgd", "optimizer.learning_rate=0.02", "model.item_bias=true", "objective.l2=0.02"}}) {
    const Result bpr = train(world, recipe_of("bpr-mf", settings), 2);
    for (const std::string inner : {"0", "2"}) {
      auto more = settings;
      more.insert(more.end(), {"privacy.weight=0", "privacy.reader=hidden", "privacy.inner_steps=" + inner});
      const Recipe recipe = recipe_of("pat", more);
      const Result pat = train(world, recipe, 2);
      BOOST_TEST((pat.users == bpr.users), settings.front());
      BOOST_TEST((pat.items == bpr.items), settings.front());
      BOOST_TEST((pat.dense != train(world, recipe, 0).dense));
      BOOST_TEST(pat.losses[3] < pat.losses[1]);
      BOOST_TEST(std::abs(pat.losses[2] - bpr.losses[2]) < 1e-5 * bpr.losses[2]);
      more.emplace_back("privacy.weight=1");
      more.erase(std::find(more.begin(), more.end(), "privacy.weight=0"));
      BOOST_TEST((train(world, recipe_of("pat", more), 2).users != bpr.users));
    }
  }
}

// Besides the sums of the readers' gradients, no byte more travels for three attributes than for one; and users' rows,
// which are their rank's own, travel as little as with bpr-mf, which exchanges none.
BOOST_AUTO_TEST_CASE(no_message_holds_a_private_row) {
  const auto world = comm::Communicator::world();
  const auto without_readers = [&](const std::string& names, const std::string& classes) {
    const Recipe recipe = systems::load_recipe(
        "pat", {"model.dim=20", "train.batch_size=160", "parallel.node_memory=false", "privacy.inner_steps=0",
                "privacy.attributes=" + names, "privacy.classes=" + classes});
    const Result pat = train(world, recipe, 1);
    Recipe resolved = recipe;
    const ShardLayout layout{systems::resolve_shards(resolved), world.size()};
    table::DenseSums sums(world, layout, pat.dense_floats, {.tag = 16});
    for (int k = 0; k < layout.shard_count(world.rank()); ++k) {
      std::fill_n(sums.room(k), pat.dense_floats, 0.0F);
      sums.finish(k);
    }
    sums.send();
    sums.receive(0);
    return pat.bytes - pat.steps * world.sum(sums.bytes_sent());
  };
  const std::int64_t one = without_readers("gender", "2");
  BOOST_TEST(without_readers("gender,age,town", "2,3,3") == one);
  BOOST_TEST((one > 0) == (world.size() > 1));
  const Result bpr = train(world, recipe_of("bpr-mf", {"parallel.node_memory=false", "optimizer.name=lazy_adam"}), 1);
  const std::int64_t pairs = static_cast<std::int64_t>(world.size()) * (world.size() - 1);
  constexpr std::int64_t header_bytes = 2 * 64;  // a list of no ids, and its answer
  BOOST_TEST(one - bpr.bytes <= bpr.steps * pairs * header_bytes);
}

BOOST_AUTO_TEST_CASE(labels_are_held_while_training_alone) {
  const auto world = comm::Communicator::world();
  Recipe recipe = recipe_of("pat", {});
  const ShardLayout layout{systems::resolve_shards(recipe), world.size()};
  data::DatasetHeader header;
  header.users = toy.users;
  header.items = toy.items;
  const auto trained = systems::make_model(world, layout, header, recipe, true);
  BOOST_TEST_REQUIRE(trained.staying.size() == 1U);
  BOOST_TEST(trained.staying.front()->rows() == trained.users->rows());
  BOOST_TEST(trained.frozen.empty());
  BOOST_TEST(systems::make_model(world, layout, header, recipe, false).staying.empty());
  std::set<std::string> stored;
  auto model = systems::make_model(world, layout, header, recipe, true);
  for (const auto& rows : model.stored(true)) stored.insert(rows.name);
  BOOST_TEST(stored.count(systems::private_table) == 0U);
}

// One step of plain descent: with clipping, all movements shrink by the same factor, to the length clip_norm times the
// rate; a longer clip_norm changes no bit.
BOOST_AUTO_TEST_CASE(clipping_shortens_the_step_of_all_rows_and_readers_together) {
  const auto world = comm::Communicator::world();
  const std::vector<std::string> common{"optimizer.name=sgd", "optimizer.learning_rate=0.5", "train.batch_size=1000000",
                                        "rates.dense=0.5", "privacy.inner_steps=0"};
  const auto one_step = [&](const std::string& clip, std::int64_t epochs) {
    std::vector<std::string> settings{"model.dim=20", "model.init_std=0.3", "optimizer.clip_norm=" + clip};
    settings.insert(settings.end(), common.begin(), common.end());
    settings.insert(settings.end(), two_attributes.begin(), two_attributes.end());
    return train(world, systems::load_recipe("pat", settings), epochs);
  };
  const Result start = one_step("0", 0);
  const Result free = one_step("0", 1);
  double square = 0.0;
  const auto add = [&](const std::vector<float>& a, const std::vector<float>& b) {
    for (std::size_t k = 0; k < a.size(); ++k) square += std::pow((static_cast<double>(b[k]) - a[k]) / 0.5, 2);
  };
  add(start.users, free.users);
  add(start.items, free.items);
  add(start.dense, free.dense);
  const double norm = std::sqrt(square);
  BOOST_TEST(norm > 2.0);
  const double clip = 0.25 * norm;
  const Result clipped = one_step(std::to_string(clip), 1);
  const auto shrunk = [&](const std::vector<float>& from, const std::vector<float>& to, const std::vector<float>& got) {
    double most = 0.0;
    for (std::size_t k = 0; k < from.size(); ++k) {
      const double expected = static_cast<double>(from[k]) + 0.25 * (static_cast<double>(to[k]) - from[k]);
      most = std::max(most, std::abs(expected - static_cast<double>(got[k])));
    }
    return most;
  };
  BOOST_TEST(shrunk(start.users, free.users, clipped.users) < 1e-5);
  BOOST_TEST(shrunk(start.items, free.items, clipped.items) < 1e-5);
  BOOST_TEST(shrunk(start.dense, free.dense, clipped.dense) < 1e-5);
  BOOST_TEST((one_step(std::to_string(4.0 * norm), 1) == free));
}

BOOST_AUTO_TEST_SUITE_END()
