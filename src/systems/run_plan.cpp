#include "spar/systems/run_plan.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

#include "history_states.hpp"
#include "row_penalty.hpp"
#include <fmt/format.h>

#include "spar/base/error.hpp"
#include "spar/catalogue/wide_output.hpp"
#include "spar/data/negative_service.hpp"
#include "spar/game/segmented_model.hpp"
#include "spar/systems/dislikes.hpp"
#include "spar/systems/factor_model.hpp"

namespace spar::systems {

namespace {

// Resident size of a rank before it has read anything: program, shared libraries, MPI's buffers.
constexpr std::int64_t program_bytes = std::int64_t{60} << 20;
// What one thread scores, products and selection together: half of what a core with AVX-512 does.
constexpr double scoring_flops = 4e10;
constexpr int steps_in_flight = 3;
// An exchange that only pulls has room for values, and for gradients on both channels.
constexpr int rooms_per_pulled_row = 3;

// The largest share of `total` in a block of `count` of `shards` shards.
std::int64_t share(std::int64_t total, int count, int shards) {
  return (total * count + shards - 1) / shards;
}

std::int64_t buffer_bytes(const Recipe& recipe, const RunPlan& plan, const table::RowShape& user,
                          const table::RowShape& item, int rank_shards, std::int64_t triples_per_shard) {
  const std::int64_t triples = triples_per_shard * rank_shards;
  const bool pipeline = recipe.integer("parallel.pipeline") == 1;
  const bool adversarial = recipe.has("adversary.scope");
  const bool two_pushes = adversarial && recipe.text("adversary.scope") == "batch";
  const std::int64_t user_row = user.width() * 4;
  const std::int64_t item_row = item.width() * 4;
  const int sets = pipeline ? steps_in_flight : 1;
  std::int64_t bytes = sets * 2 * triples * item_row * (two_pushes ? 2 : 1);
  if (adversarial || pipeline) bytes += sets * triples * user_row;
  if (pipeline) bytes += steps_in_flight * triples * (user_row + 2 * item_row);
  if (two_pushes) bytes += 2 * triples * item_row;  // perturbations
  // Rows that others pull, and the sums and answers for them, lie side by side; between nodes they are copied at both
  // ends.
  const std::int64_t exchanged = sets * (two_pushes ? 3 : 2) + (two_pushes ? 1 : 0);
  if (plan.ranks > 1) bytes += exchanged * 2 * triples * item_row;
  if (plan.ranks > 1 && !recipe.flag("parallel.node_memory")) bytes += exchanged * 2 * triples * item_row;
  // Per set of steps in flight: the micro-batch, and for each of two items its places, contributions and sums; once:
  // the lists that part own rows from others'.
  constexpr std::int64_t bytes_per_triple =
      steps_in_flight * (3 * 4 + 8 + 2 * 8 + 2 * (4 + 8 + 8 + 6 * 4 + 2 * 8)) + 2 * (12 + 16);
  return bytes + triples * bytes_per_triple;
}

// The tables of data::Popularity, and where the owners of items draw for other ranks what is under way.
std::int64_t popularity_bytes(const Recipe& recipe, const RunPlan& plan, Index items) {
  std::int64_t bytes = 8 * (items + plan.shards);
  if (plan.ranks == 1) return bytes;
  constexpr std::int64_t bytes_per_draw =
      4 + 40 + 2 * (12 + 4);  // the item, its place, question and answer at both ends
  std::int64_t places = plan.batch_size;
  if (recipe.has("sampling.per_positive")) places *= recipe.integer("sampling.per_positive");
  if (recipe.has("sampling.candidates")) places *= recipe.integer("sampling.candidates");
  return bytes + bytes_per_draw * data::NegativeService::most_draws(places) / plan.ranks;
}

// Dense parameters, their gradients of each shard, and what frozen tables take; what networks need for the values on
// their tapes is not in it.
void add_network(RunPlan& plan, const game::NeuralModel& network, const Recipe& recipe, Index users, Index items,
                 int rank_shards, std::int64_t triples_per_shard) {
  const int state = 1 + optim::state_blocks(optimizer_of(recipe).rule);
  for (const auto& parameter : network.declarations().all()) {
    const std::int64_t bytes = std::int64_t{4} * parameter.rows * padded(parameter.columns);
    plan.tables += bytes * state;
    plan.buffers += bytes * (rank_shards + 1);
    plan.checkpoint += std::int64_t{4} * parameter.rows * parameter.columns * state;
  }
  // All tapes of a rank are alive at once where passes have cuts.
  if (network.segmented() != nullptr)
    plan.buffers += network.segmented()->bytes_per_entry() * triples_per_shard * rank_shards;
  for (const auto& moments : network.declarations().states())
    plan.tables += std::int64_t{4} * moments.rows * padded(moments.columns);
  for (const game::FrozenTable& frozen : network.frozen()) {
    const std::int64_t row = std::int64_t{4} * padded(frozen.columns);
    if (frozen.stays_with_owner) {
      plan.tables += users * row;
      continue;
    }
    plan.tables += items * row;
    const std::int64_t rooms = (recipe.has("adversary.scope") ? 3 : 2) + (plan.ranks > 1 ? 1 : 0);
    plan.buffers += rooms * 2 * triples_per_shard * rank_shards * row + items * 4;
  }
}

// Moments of whole tables, in double: what a rank keeps, and sends in the mean step.
void add_decorrelation(RunPlan& plan, const Recipe& recipe, const std::vector<game::Vectors>& all) {
  const game::Decorrelation decorrelation = decorrelation_of(recipe);
  if (!decorrelation.is_present()) return;
  std::int64_t bytes = 0;
  for (const game::Vectors& vectors : all) {
    plan.buffers += table::GramSums<double>::bytes(vectors.columns, plan.shards, plan.threads);
    bytes += std::int64_t{sizeof(double)} * padded(vectors.columns) * (padded(vectors.columns) + 1);
  }
  plan.sent_per_step += 2 * bytes * (plan.ranks - 1) / plan.ranks / decorrelation.every;
}

// Tables besides those of users and items, which `rank_shards` of all shards hold at most; an example needs two rows of
// each.
void add_further(RunPlan& plan, const game::NeuralModel& network, const Recipe& recipe, const data::DatasetHeader& data,
                 int rank_shards, std::int64_t examples_per_shard) {
  const int state = 1 + optim::state_blocks(optimizer_of(recipe).rule);
  for (const game::FurtherTable& form : network.further()) {
    const Index rows = share(data.rows(form.space), rank_shards, plan.shards);
    const table::RowShape shape{form.columns, false, state - 1};
    plan.tables += table::Table::bytes(rows, shape);
    plan.checkpoint += std::int64_t{4} * state * data.rows(form.space) * form.columns;
    plan.buffers += rows * 4 + buffer_bytes(recipe, plan, {}, shape, rank_shards, examples_per_shard);
  }
}

// Posts in place of interactions: what training and evaluation keep of them.
void add_posts(RunPlan& plan, const data::DatasetHeader& data, int rank_shards, Index users) {
  constexpr std::int64_t bytes_per_post = 8 + 4 + 4;
  constexpr std::int64_t bytes_in_order = 8;
  std::int64_t bytes = data.assignments[0] * bytes_in_order;
  for (int part = 0; part < 3; ++part) bytes += data.posts[part] * bytes_per_post + data.assignments[part] * 4;
  plan.pairs += share(bytes, rank_shards, plan.shards) + 3 * (users + 1) * 8;
}

// Models that read profiles hold the users of the rank's items, and in a step pull the rows of all members of all bags:
// at most a whole table a shard. A triple's two items are each in as many lists as the mean item.
void add_profiles(RunPlan& plan, const data::DatasetHeader& data, const table::RowShape& user,
                  const table::RowShape& item, Index users, Index items, int rank_shards, std::int64_t triples) {
  constexpr std::int64_t number = sizeof(float);
  const std::int64_t by_user = data.counts[0] / std::max<std::int64_t>(1, data.users);
  const std::int64_t by_item = data.counts[0] / std::max<std::int64_t>(1, data.items);
  const std::int64_t of_items = std::min(data.items, triples * by_user);
  const std::int64_t of_users = std::min(data.users, 2 * triples * by_item);
  const std::int64_t rooms = plan.ranks > 1 ? 3 : 2;
  plan.pairs += share(data.counts[0], rank_shards, plan.shards) * number;
  plan.buffers += rooms * rank_shards * number * (of_items * item.width() + of_users * user.width()) + users * number;
  plan.evaluation += number * (users * user.width() + items * item.width());
}

// What the steps of an auto-encoder take on the fullest rank, which holds `users` and `items` of all; see
// game::CatalogueEngine.
void add_autoencoder(RunPlan& plan, const game::Autoencoder& model, const Recipe& recipe,
                     const data::DatasetHeader& data, Index users, Index items, int rank_shards) {
  constexpr std::int64_t number = sizeof(float);
  constexpr std::int64_t most_kept = std::int64_t{256} << 20;
  const std::int64_t in = padded(model.input_width());
  const std::int64_t out = padded(model.output_width());
  const std::int64_t decoder_row = number * item_shape(recipe).width();
  const std::int64_t batch = std::min<std::int64_t>(plan.batch_size, data.users);
  const std::int64_t own = share(batch, rank_shards, plan.shards);
  const std::int64_t cells = batch * data.counts[0] / std::max<std::int64_t>(1, data.users) * rank_shards / plan.shards;
  const bool few_cells = model.cells != game::LossCells::all;
  std::int64_t dense = 0;
  std::int64_t dense_numbers = 0;
  std::int64_t inner = in;
  for (const table::DenseShape& shape : game::dense_shapes(model)) {
    dense += number * shape.rows * padded(shape.columns);
    dense_numbers += static_cast<std::int64_t>(shape.rows) * shape.columns;
    if (shape.rows > 1) inner += padded(shape.columns);
  }
  const int state = 1 + optim::state_blocks(optimizer_of(recipe).rule);
  plan.tables += table::Table::bytes(items, {model.input_width(), false, state - 1}) + dense * state;
  plan.checkpoint += number * state * (data.items * model.input_width() + dense_numbers);
  // Interactions by slice of the items, 8 bytes for each user who has some there, and 12 for each own one.
  const std::int64_t interaction = model.reads_ratings ? 2 * number : number;
  plan.pairs += share(data.counts[0], rank_shards, plan.shards) * interaction + users * 12 +
                8 * std::min(data.users, share(data.counts[0], rank_shards, plan.shards));
  const std::int64_t tree_rooms = plan.threads + std::bit_width(static_cast<unsigned>(plan.shards));
  constexpr std::int64_t layer_copies = 5;  // values and gradients of a layer's sums and activations, and noise
  plan.buffers = number * batch * (in + out + tree_rooms * std::max(in, out)) +
                 number * own * (3 * in + out + layer_copies * inner) + dense * (rank_shards + 1) +
                 plan.threads * number * batch * (2 * catalogue::WideOutput::tile_items + 2 * out);
  plan.buffers += std::min(cells, items) * number * in + items * 8 + cells * 12;
  if (model.samples_softmax()) {
    // The draws' rows and logits, and the gradients of rows, of which popular items share many cells.
    const std::int64_t draws = share(model.samples, rank_shards, plan.shards);
    const std::int64_t logits = number * batch * draws;
    plan.buffers += draws * decoder_row + std::min(cells + draws, items) * decoder_row + cells * 4 + items / 8;
    if (logits <= most_kept) plan.buffers += logits;
    if (model.sample_power > 0.0) plan.buffers += items * 12;
  } else if (few_cells) {
    const auto drawn = static_cast<std::int64_t>(static_cast<double>(cells) * (1.0 + model.negatives));
    plan.buffers += std::min(drawn, items) * decoder_row + drawn * 12;
  } else if (model.loss == catalogue::OutputLoss::multinomial && number * batch * items <= most_kept) {
    plan.buffers += number * batch * items;
  }
  int passes = 1;
  if (!recipe.has("adversary.scope") && recipe.real("optimizer.clip_norm") > 0.0 && !few_cells)
    plan.buffers += items * decoder_row;  // gradients wait for their norm
  if (recipe.has("adversary.scope")) {
    passes = 3;
    plan.buffers += items * decoder_row * (few_cells ? 1 : 2) + std::min(cells, items) * number * in + cells * 12;
  }
  // Where users' hidden rows stand for evaluation.
  plan.evaluation += users * number * out;
  const double away = plan.ranks == 1 ? 0.0 : static_cast<double>(plan.ranks - 1) / plan.ranks;
  plan.sent_per_step = static_cast<std::int64_t>(
      away * static_cast<double>(passes * batch * (number * 2 * (in + out) + 16) + 2 * dense));
}

}  // namespace

RunPlan plan_run(Recipe& recipe, const data::DatasetHeader& data, int ranks, int threads) {
  RunPlan plan;
  plan.ranks = ranks;
  plan.threads = threads;
  plan.shards = resolve_shards(recipe);
  if (ranks > plan.shards) {
    throw UserError(
        fmt::format("{0} ranks need at least {0} shards, but parallel.shards = {1}: add --set parallel.shards={2} (a "
                    "new experiment: its numbers differ)",
                    ranks, plan.shards, std::bit_ceil(static_cast<unsigned>(ranks))));
  }
  check_data(recipe, data);
  const ShardLayout layout{plan.shards, ranks};
  int most_shards = 0;
  for (int r = 0; r < ranks; ++r) most_shards = std::max(most_shards, layout.shard_count(r));
  const bool counts = recipe.system() == "popularity";
  const auto optimizer = optimizer_of(recipe);
  table::RowShape user = user_shape(recipe);
  table::RowShape item = item_shape(recipe);
  user.blocks = item.blocks = optim::state_blocks(optimizer.rule);
  const auto network = network_of(recipe);
  const auto autoencoder = autoencoder_of(recipe);
  const int columns = network ? network->score_columns() : autoencoder ? autoencoder->output_width() : user.dim;
  const Index users = share(data.users, most_shards, plan.shards);
  const Index items = share(data.items, most_shards, plan.shards);
  plan.tables = table::Table::bytes(users, user) + table::Table::bytes(items, item);
  const std::int64_t train = share(data.counts[0], most_shards, plan.shards);
  const std::int64_t held_out = share(data.counts[1] + data.counts[2] + data.counts[3], most_shards, plan.shards);
  const std::int64_t lists = data.holds_out_users ? 4 : 3;
  const bool of_posts = network && network->learns_from_posts();
  plan.pairs = train * (counts || autoencoder || of_posts ? 4 : 12) + held_out * 4 + lists * (users + 1) * 8;
  if (autoencoder && autoencoder->reads_ratings) plan.pairs += (train + held_out) * 4;
  if (draws_dislikes(recipe)) plan.pairs += share(data.dislikes, most_shards, plan.shards) * 4 + (users + 1) * 8;
  if (of_posts) add_posts(plan, data, most_shards, users);
  const Index all_askers = of_posts ? std::max(data.posts[1], data.posts[2]) : data.users;
  const Index all_ranked = of_posts ? data.tags : data.items;
  const Index askers = share(all_askers, most_shards, plan.shards);
  const Index ranked = share(all_ranked, most_shards, plan.shards);
  plan.evaluation = evaluate::evaluation_bytes(columns, askers, ranked, evaluation_options(recipe));
  if (network) plan.evaluation += (askers + ranked) * padded(columns) * static_cast<std::int64_t>(sizeof(float));
  const game::HistoryModel* histories = network ? network->histories() : nullptr;
  plan.program = program_bytes;
  const int state = 1 + user.blocks;
  plan.checkpoint = 4 * state * (data.users * user.dim + data.items * (item.dim + (item.has_bias ? 1 : 0)));
  double seconds_per_user = 2.0 * columns * static_cast<double>(all_ranked) / (scoring_flops * ranks * threads);
  if (histories != nullptr) seconds_per_user += histories->cost().flops / (scoring_flops * ranks * threads);
  plan.full_evaluation_seconds = seconds_per_user * static_cast<double>(all_askers);
  plan.validation_seconds = plan.full_evaluation_seconds;
  plan.checkpoints_kept = 1;
  if (counts) return plan;
  plan.batch_size = recipe.integer("train.batch_size");
  const Index chosen = recipe.integer("evaluate.validation_users");
  if (chosen > 0) plan.validation_seconds = seconds_per_user * static_cast<double>(std::min(chosen, all_askers));
  plan.checkpoints_kept =
      static_cast<int>(recipe.integer("checkpoint.keep")) + static_cast<int>(plan_of(recipe).stages.size());
  if (autoencoder) {
    add_autoencoder(plan, *autoencoder, recipe, data, users, items, most_shards);
    return plan;
  }
  const std::int64_t entries = histories != nullptr ? data.users : of_posts ? data.assignments[0] : data.counts[0];
  const std::int64_t steps = std::max<std::int64_t>(1, (entries + plan.batch_size - 1) / plan.batch_size);
  std::int64_t triples = (share(entries, 1, plan.shards) + steps - 1) / steps;
  // A negative is one of several candidates, whose rows are pulled with it.
  if (recipe.has("sampling.candidates")) triples = triples * (1 + recipe.integer("sampling.candidates")) / 2;
  plan.buffers = items * 4;  // the stamps of the item owners
  if (recipe.has("sampling.negatives") && recipe.text("sampling.negatives") == "popularity")
    plan.buffers += popularity_bytes(recipe, plan, items);
  if (histories != nullptr) {
    const game::SequenceCost cost = histories->cost();
    plan.buffers += std::min(threads, most_shards) * triples * cost.bytes;
    triples = (std::min(triples * cost.rows, data.items) + 1) / 2;  // a triple has two rows of items
    plan.evaluation += most_shards * pulled_history_rows(histories->length(), data.items, plan.shards) *
                       rooms_per_pulled_row * item.width() * static_cast<std::int64_t>(sizeof(float));
  }
  plan.buffers += buffer_bytes(recipe, plan, user, item, most_shards, triples);
  const double away = ranks == 1 ? 0.0 : static_cast<double>(ranks - 1) / ranks;
  const int row_messages = recipe.has("adversary.scope") && recipe.text("adversary.scope") == "batch" ? 4 : 2;
  int row_bytes = item.width() * 4;
  if (network) {
    add_network(plan, *network, recipe, users, items, most_shards, triples);
    add_further(plan, *network, recipe, data, most_shards, triples);
    for (const game::FurtherTable& form : network->further()) row_bytes += padded(form.columns) * 4;
    if (network->reads_profiles()) add_profiles(plan, data, user, item, users, items, most_shards, triples);
  }
  plan.sent_per_step = static_cast<std::int64_t>(2.0 * away * static_cast<double>(triples * most_shards) *
                                                 (8 + row_messages * row_bytes));
  add_decorrelation(plan, recipe,
                    network ? network->vectors() : std::vector<game::Vectors>{{0, 0, user.dim}, {1, 0, item.dim}});
  return plan;
}

}  // namespace spar::systems
