#include "pat.hpp"

#include "factor_network.hpp"
#include "row_penalty.hpp"
#include <fmt/format.h>

#include "spar/base/error.hpp"
#include "spar/base/random.hpp"
#include "spar/systems/declarations.hpp"
#include "spar/systems/private_attributes.hpp"
#include "spar/tape/functions.hpp"
#include "spar/tape/losses.hpp"
#include "spar/tape/operations.hpp"
#include "spar/tape/pairwise.hpp"

namespace spar::systems {

namespace {

using tape::Matrix;
using tape::Var;

constexpr std::size_t private_rows = 2;
constexpr std::size_t inner_private_rows = 1;
constexpr int lines = 16;

// Triples as ever. For inner steps, as many users as the shard has triples in the step, drawn uniformly with
// replacement; their labels make up for what the table of private rows divides by (load_attributes), so that a draw
// counts as the users of the shard divided by the draws of an epoch.
class PatSource final : public game::BatchSource {
 public:
  PatSource(const data::UserLists& lists, Index first_user, Index users, int shard, Index total_items,
            std::uint64_t seed)
      : triples_(lists, first_user, users, shard, total_items, seed),
        lists_(lists),
        first_user_(first_user),
        users_(users),
        shard_(shard),
        stream_(seed, Purpose::user_order) {}

  std::int64_t entries() const override { return triples_.entries(); }
  void begin_epoch(std::int64_t epoch) override {
    epoch_ = epoch;
    triples_.begin_epoch(epoch);
  }
  void draw(std::int64_t step, std::int64_t steps, game::NeuralBatch& batch) override {
    triples_.draw(step, steps, batch);
  }
  std::int64_t skipped() const override { return triples_.skipped(); }
  data::TripleSampler* sampler() override { return triples_.sampler(); }
  std::int64_t most_rows_per_entry() const override { return triples_.most_rows_per_entry(); }

  void draw_inner(std::int64_t step, std::int64_t steps, int inner, game::NeuralBatch& batch) override {
    const std::int64_t draws = (step + 1) * entries() / steps - step * entries() / steps;
    batch.rows.resize(1);
    batch.slots.resize(1);
    batch.rows[0].clear();
    batch.slots[0].clear();
    batch.labels.clear();
    for (std::int64_t k = 0; k < draws; ++k) {
      const auto block = stream_.block(static_cast<std::uint32_t>(epoch_), static_cast<std::uint32_t>(step),
                                       static_cast<std::uint32_t>(shard_) << 16 | static_cast<std::uint32_t>(inner),
                                       static_cast<std::uint32_t>(k));
      const Index user =
          first_user_ + static_cast<Index>(bounded(word64(block, 0), static_cast<std::uint64_t>(users_)));
      const auto own = static_cast<double>(lists_.of(user).size());
      batch.rows[0].push_back(lists_.first_user + user);
      batch.slots[0].push_back(static_cast<std::int32_t>(k));
      batch.labels.push_back(static_cast<float>(own * static_cast<double>(users_) /
                                                (static_cast<double>(draws) * static_cast<double>(steps))));
    }
    batch.examples = static_cast<int>(draws);
  }

 private:
  game::PairSource triples_;
  const data::UserLists& lists_;
  Index first_user_;
  Index users_;
  int shard_;
  RandomStream stream_;
  std::int64_t epoch_ = 0;
};

// What each distinct user counts, by his examples.
template <class T>
T* user_counts(const game::Pass<T>& pass, int users, const Matrix<T>& hidden) {
  const game::NeuralBatch& batch = pass.batch;
  T* counts = pass.tape().arena().template take<T>(static_cast<std::size_t>(users));
  std::fill_n(counts, users, T{});
  for (std::size_t e = 0; e < batch.slots[0].size(); ++e)
    counts[batch.slots[0][e]] += batch.labels.empty() ? T{1} : static_cast<T>(batch.labels[e]);
  for (int r = 0; r < users; ++r) counts[r] *= hidden.at(r, hidden.columns - 1);
  return counts;
}

}  // namespace

PatModel::PatModel(const PatSettings& settings) : settings_(settings) {
  for (std::size_t k = 0; k < settings.attributes.size(); ++k) {
    std::vector<int> widths{settings.dim, settings.classes[k]};
    if (settings.hidden > 0) widths.insert(widths.begin() + 1, settings.hidden);
    const std::string name = "reader." + settings.attributes[k];
    readers_.emplace_back(declarations_, name, widths, tape::layers::MlpSettings{}, name + ".");
  }
}

std::vector<game::FrozenTable> PatModel::frozen() const {
  return {{.name = private_table,
           .follows = 0,
           .columns = 2 * static_cast<int>(settings_.attributes.size()) + 1,
           .stays_with_owner = true}};
}

std::unique_ptr<game::BatchSource> PatModel::source(const data::UserLists& lists, Index first_user, Index users,
                                                    int shard, Index total_items, std::uint64_t seed) const {
  return std::make_unique<PatSource>(lists, first_user, users, shard, total_items, seed);
}

template <class T>
Var PatModel::reading(const game::Pass<T>& pass, Var users, Var hidden) const {
  tape::Tape<T>& tape = pass.tape();
  const Matrix<T> secrets = tape.value(hidden);
  const int rows = secrets.rows;
  const T* counts = user_counts(pass, rows, secrets);
  Var total;
  for (std::size_t k = 0; k < readers_.size(); ++k) {
    auto* classes = tape.arena().template take<std::int32_t>(static_cast<std::size_t>(rows));
    T* weights = tape.arena().template take<T>(static_cast<std::size_t>(rows) * lines);
    for (int r = 0; r < rows; ++r) {
      classes[r] = static_cast<std::int32_t>(secrets.row(r)[2 * k]) - 1;
      weights[r * lines] = counts[r] * secrets.row(r)[2 * k + 1];
    }
    const Var losses =
        tape::cross_entropy(tape, readers_[k].apply(pass.context, users), {classes, static_cast<std::size_t>(rows)});
    const Var weighted = tape::multiply(tape, losses, tape.constant({weights, rows, 1, lines, nullptr}));
    const Var sum = tape::sum(tape, weighted);
    total = total.id < 0 ? sum : tape::add(tape, total, sum);
  }
  return total;
}

template <class T>
Var PatModel::build(const game::Pass<T>& pass) const {
  tape::Tape<T>& tape = pass.tape();
  const Var users = pass.tables[0];
  const Var items = pass.tables[1];
  const tape::Triples triples{pass.batch.slots[0], pass.batch.slots[1], pass.batch.slots[2]};
  const int bias = settings_.item_bias ? padded(settings_.dim) : -1;
  const Var ranking =
      tape::pairwise_ranking(tape, users, items, triples, {.l2 = settings_.l2}, bias, static_cast<double*>(nullptr));
  if (pass.second == nullptr) return ranking;
  // Without a weight nothing at all is added to the users' gradients, not even a zero.
  const double weight = settings_.weight.at(pass.moment);
  const Var read =
      weight == 0.0 ? tape::stop_gradient(tape, users) : tape::reverse_gradient(tape, users, static_cast<T>(weight));
  *pass.second = reading(pass, read, pass.tables[private_rows]);
  return ranking;
}

Var PatModel::pair_scores(const game::Pass<float>& pass) const {
  return factor_scores(pass, settings_.dim, settings_.item_bias);
}

template Var PatModel::build(const game::Pass<float>&) const;
template Var PatModel::build(const game::Pass<double>&) const;

Var PatModel::inner_loss(const game::Pass<float>& pass) const {
  return reading(pass, pass.tables[0], pass.tables[inner_private_rows]);
}

namespace {

std::unique_ptr<game::NeuralModel> pat_of(const Recipe& recipe) {
  PatSettings settings;
  settings.dim = static_cast<int>(recipe.integer("model.dim"));
  settings.item_bias = recipe.flag("model.item_bias");
  settings.l2 = loss_penalty_of(recipe);
  settings.penalty = row_penalty_of(recipe, 1.0);
  settings.attributes = recipe.texts("privacy.attributes");
  const auto& classes = recipe.integers("privacy.classes");
  settings.classes.assign(classes.begin(), classes.end());
  // A recipe that no data set has resolved yet.
  if (classes == std::vector<std::int64_t>{0}) settings.classes.assign(settings.attributes.size(), 2);
  if (settings.classes.size() != settings.attributes.size())
    throw UserError(fmt::format("privacy.classes has {} numbers for the {} names of privacy.attributes",
                                settings.classes.size(), settings.attributes.size()));
  if (recipe.text("privacy.reader") == "hidden") settings.hidden = static_cast<int>(recipe.integer("privacy.hidden"));
  settings.inner_steps = static_cast<int>(recipe.integer("privacy.inner_steps"));
  settings.weight = recipe.schedule("privacy.weight");
  return std::make_unique<PatModel>(settings);
}

}  // namespace

SystemInfo declare_pat() {
  SystemInfo info;
  info.name = "pat";
  info.family = "privacy";
  info.sentence =
      "Matrix factorisation by BPR against readers of users' private attributes, which its vectors learn to hide "
      "(privacy-adversarial training)";
  info.inputs = {"interactions", "user attributes"};
  info.score = "user . item (+ item_bias)";
  info.bibtex = R"(@article{resheff2018privacy,
  author  = {Yehezkel S. Resheff and Yanai Elazar and Moni Shahar and Oren Sar Shalom},
  title   = {Privacy-Adversarial User Representations in Recommender Systems},
  journal = {arXiv preprint arXiv:1807.03521},
  year    = {2018}
}
)";
  info.settings = {
      .system = info.name,
      .takes = {"model.*", "privacy.*", "rates.*", "objective.*", "optimizer.*", "sampling.negatives", "sampling.power",
                "sampling.dislike_share", "sampling.own_items", "sampling.candidates", "train.*"},
      // Readers that lag behind are fooled by vectors that tell every label in another way: these are quick.
      .defaults = {{"privacy.weight", 0.03, "own choice"},
                   {"privacy.reader", std::string("hidden"), "own choice"},
                   {"privacy.inner_steps", std::int64_t{3}, "own choice"},
                   {"rates.dense", 0.01, "own choice"},
                   {"optimizer.name", std::string("lazy_adam"), "own choice"},
                   {"optimizer.learning_rate", 0.001, "own choice"}}};
  info.network = pat_of;
  return info;
}

}  // namespace spar::systems
