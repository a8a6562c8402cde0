#include "spar/systems/attack.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <mutex>

#include "spar/base/error.hpp"
#include "spar/base/lanes.hpp"
#include "spar/base/random.hpp"
#include "spar/base/threads.hpp"
#include "spar/game/pairwise_engine.hpp"
#include "spar/table/contributions.hpp"

namespace spar::systems {

namespace {

using adversary::Ball;
using adversary::Method;

constexpr double deadline_seconds = 600;
constexpr Index rows_per_task = 1024;

std::unique_ptr<table::Table> like(const table::Table& table, const ShardLayout& layout, int rank) {
  const optim::OptimizerSettings none{.rule = optim::Rule::sgd};
  return std::make_unique<table::Table>(table.name(), table.total_rows(), layout, rank,
                                        table::RowShape{table.shape().dim, table.shape().has_bias, 0}, none);
}

void for_rows(Index rows, const std::function<void(Index)>& body) {
  parallel_for(static_cast<int>((rows + rows_per_task - 1) / rows_per_task), [&](int task) {
    for (Index k = task * rows_per_task; k < std::min(rows, (task + 1) * rows_per_task); ++k) body(k);
  });
}

// One table under attack: its rows, their perturbation, and the gradient of the pass.
struct Target {
  const table::Table* clean = nullptr;
  std::uint32_t number = 0;
  std::unique_ptr<table::Table> perturbed;
  std::unique_ptr<table::Table> delta;
  std::unique_ptr<table::Table> gradient;
  bool tapped = true;

  int width() const { return padded(clean->shape().dim); }
  int dim() const { return clean->shape().dim; }

  // perturbed = clean + delta, the bias as it is.
  void place(Index k) {
    float* row = perturbed->record(k);
    std::memcpy(row, clean->record(k), static_cast<std::size_t>(clean->shape().width()) * sizeof(float));
    if (tapped) table::add_row(row, delta->record(k), width());
  }
};

class Attack {
 public:
  Attack(const comm::Communicator& communicator, const ShardLayout& layout, const FactorModel& model,
         const data::UserLists& train, std::int64_t total_positives, const AttackPlan& plan)
      : communicator_(communicator), layout_(layout), plan_(plan), train_(train), total_positives_(total_positives) {
    set(user_, *model.users, 0, plan.users);
    set(item_, *model.items, 1, plan.items);
  }

  FactorModel run() {
    if (plan_.method == AttackMethod::random) {
      noise();
    } else if (plan_.epsilon > 0) {
      gradient_attack();
    }
    for (Target* t : {&user_, &item_}) for_rows(t->clean->rows(), [&](Index k) { t->place(k); });
    return {std::move(user_.perturbed), std::move(item_.perturbed)};
  }

 private:
  void set(Target& t, const table::Table& clean, std::uint32_t number, bool tapped) {
    const int rank = communicator_.rank();
    t.clean = &clean;
    t.number = number;
    t.tapped = tapped;
    t.perturbed = like(clean, layout_, rank);
    t.delta = like(clean, layout_, rank);
    t.gradient = like(clean, layout_, rank);
    for_rows(clean.rows(), [&](Index k) { t.place(k); });
  }

  bool iterated() const { return plan_.method == AttackMethod::bim || plan_.method == AttackMethod::pgd; }

  // The steepest direction of the ball, or what the one-step method says.
  adversary::PerturbationSettings settings(double size) const {
    const bool sign = plan_.method == AttackMethod::fgsm || (iterated() && plan_.ball == Ball::linf);
    const Method method = plan_.method == AttackMethod::random ? Method::random : sign ? Method::fgsm : Method::fgm;
    return {method, plan_.ball, size, plan_.norm_floor};
  }

  adversary::NoiseKey key(const Target& t, Index k) const {
    return {plan_.seed, t.number, t.clean->first_row() + k, 0, 0};
  }

  // The sum of value(target, row) over all tapped rows of all ranks, along the shard tree.
  double total(const std::function<double(Target&, Index)>& value) {
    const int first = layout_.first_shard(communicator_.rank());
    std::vector<double> by_shard(static_cast<std::size_t>(layout_.shard_count(communicator_.rank())));
    for (Target* t : {&user_, &item_}) {
      if (!t->tapped) continue;
      parallel_for(static_cast<int>(by_shard.size()), [&](int s) {
        const Partition& p = t->clean->partition();
        double sum = 0;
        for (Index row = p.begin(first + s); row < p.end(first + s); ++row)
          sum += value(*t, row - t->clean->first_row());
        by_shard[static_cast<std::size_t>(s)] += sum;
      });
    }
    return comm::tree_sum(communicator_, layout_.shards, by_shard, 1).front();
  }

  double squares_of_directions(const adversary::PerturbationSettings& s) {
    if (s.ball != Ball::global_l2) return 0.0;
    return total([&](Target& t, Index k) {
      std::vector<float> row(static_cast<std::size_t>(t.width()));
      adversary::direction(s, t.gradient->record(k), key(t, k), t.dim(), t.width(), row.data());
      return adversary::squared_norm(row.data(), t.width());
    });
  }

  void noise() {
    const auto s = settings(plan_.epsilon);
    const double squares = squares_of_directions(s);
    for (Target* t : {&user_, &item_}) {
      if (!t->tapped) continue;
      for_rows(t->clean->rows(), [&](Index k) {
        adversary::direction(s, nullptr, key(*t, k), t->dim(), t->width(), t->delta->record(k));
        adversary::scale_to_ball(s, squares, t->width(), t->delta->record(k));
      });
    }
  }

  void gradient_attack() {
    game::PairwiseSetup setup;
    setup.communicator = &communicator_;
    setup.layout = layout_;
    setup.users = user_.perturbed.get();
    setup.items = item_.perturbed.get();
    setup.train = &train_;
    setup.total_positives = total_positives_;
    setup.batch_size = plan_.batch_size;
    setup.seed = plan_.seed;
    setup.deadline_seconds = deadline_seconds;
    setup.order_purpose = Purpose::attack_start;
    setup.negative_purpose = Purpose::attack_negatives;
    game::PairwiseEngine engine(setup);
    if (plan_.method == AttackMethod::pgd) random_start();
    const std::int64_t passes = iterated() ? plan_.steps : 1;
    for (std::int64_t pass = 0; pass < passes; ++pass) {
      plan_.scope == adversary::Scope::batch ? batch_pass(engine) : data_pass(engine);
    }
  }

  // Every pass sees the same triples: epoch 0.
  void run_epoch(game::PairwiseEngine& engine) {
    engine.begin_epoch(0, 0);
    while (engine.next_step() < engine.steps()) engine.step(0);
    engine.end_epoch();
  }

  void data_pass(game::PairwiseEngine& engine) {
    for (Target* t : {&user_, &item_}) {
      for_rows(t->clean->rows(),
               [&](Index k) { std::fill_n(t->gradient->record(k), t->clean->shape().width(), 0.0F); });
    }
    engine.use_sink([this](table::Table& table, Index row, const float* gradient) {
      table::add_row(target(table).gradient->record(row), gradient, table.shape().width());
    });
    run_epoch(engine);
    const auto s = settings(iterated() ? plan_.step_size : plan_.epsilon);
    const double squares = squares_of_directions(s);
    for (Target* t : {&user_, &item_}) {
      if (t->tapped) for_rows(t->clean->rows(), [&](Index k) { move(*t, k, t->gradient->record(k), s, squares); });
    }
    project_all();
    for (Target* t : {&user_, &item_}) for_rows(t->clean->rows(), [&](Index k) { t->place(k); });
  }

  // The gradient of one-step methods is that of the clean model; only iterated ones look at rows that this pass has
  // moved.
  void batch_pass(game::PairwiseEngine& engine) {
    const auto s = settings(iterated() ? plan_.step_size : plan_.epsilon);
    engine.use_sink([&](table::Table& table, Index row, const float* gradient) {
      Target& t = target(table);
      if (!t.tapped) return;
      move(t, row, gradient, s, 0.0);
      project_row(t, row);
      if (iterated()) t.place(row);
    });
    run_epoch(engine);
  }

  Target& target(const table::Table& perturbed) { return &perturbed == user_.perturbed.get() ? user_ : item_; }

  // delta = step (one-step methods) or delta + step.
  void move(Target& t, Index k, const float* gradient, const adversary::PerturbationSettings& s, double squares) const {
    float* delta = t.delta->record(k);
    if (!iterated()) {
      adversary::direction(s, gradient, key(t, k), t.dim(), t.width(), delta);
      adversary::scale_to_ball(s, squares, t.width(), delta);
      return;
    }
    std::vector<float> step(static_cast<std::size_t>(t.width()));
    adversary::direction(s, gradient, key(t, k), t.dim(), t.width(), step.data());
    adversary::scale_to_ball(s, squares, t.width(), step.data());
    table::add_row(delta, step.data(), t.width());
  }

  void shrink(float* delta, int width, double norm) const {
    if (norm <= plan_.epsilon) return;
    const auto factor = static_cast<float>(plan_.epsilon / norm);
    for (int c = 0; c < width; ++c) delta[c] *= factor;
  }

  void project_row(Target& t, Index k) const {
    if (!iterated()) return;
    float* delta = t.delta->record(k);
    if (plan_.ball == Ball::row_l2) shrink(delta, t.width(), std::sqrt(adversary::squared_norm(delta, t.width())));
    const auto limit = static_cast<float>(plan_.epsilon);
    if (plan_.ball == Ball::linf)
      std::transform(delta, delta + t.width(), delta, [&](float x) { return std::clamp(x, -limit, limit); });
  }

  void project_all() {
    if (!iterated()) return;
    double norm = 0;
    if (plan_.ball == Ball::global_l2) {
      norm =
          std::sqrt(total([](Target& t, Index k) { return adversary::squared_norm(t.delta->record(k), t.width()); }));
    }
    for (Target* t : {&user_, &item_}) {
      if (!t->tapped) continue;
      for_rows(t->clean->rows(), [&](Index k) {
        project_row(*t, k);
        if (plan_.ball == Ball::global_l2) shrink(t->delta->record(k), t->width(), norm);
      });
    }
  }

  // linf: uniform in the box; L2: a random direction, times epsilon U^(1/d) (d: all entries for the global ball).
  void random_start() {
    const RandomStream stream(plan_.seed, Purpose::attack_start);
    auto s = settings(plan_.epsilon);
    s.method = Method::random;
    const double squares = squares_of_directions(s);
    const double entries = static_cast<double>((user_.tapped ? user_.clean->total_rows() * user_.dim() : 0) +
                                               (item_.tapped ? item_.clean->total_rows() * item_.dim() : 0));
    for (Target* t : {&user_, &item_}) {
      if (!t->tapped) continue;
      for_rows(t->clean->rows(), [&](Index k) {
        float* delta = t->delta->record(k);
        const auto row = static_cast<std::uint64_t>(t->clean->first_row() + k);
        const auto uniform = [&](std::uint32_t c) {
          return unit(word64(stream.block(static_cast<std::uint32_t>(row),
                                          static_cast<std::uint32_t>(row >> 32) | (t->number << 24), c, 1),
                             0));
        };
        if (plan_.ball == Ball::linf) {
          for (int c = 0; c < t->dim(); ++c)
            delta[c] = static_cast<float>(plan_.epsilon * (2 * uniform(static_cast<std::uint32_t>(c)) - 1));
          return;
        }
        adversary::direction(s, nullptr, key(*t, k), t->dim(), t->width(), delta);
        adversary::scale_to_ball(s, squares, t->width(), delta);
        const bool global = plan_.ball == Ball::global_l2;
        const double u = global ? unit(word64(stream.block(0, 0, 0, 2), 0)) : uniform(0);
        const auto factor = static_cast<float>(std::pow(u, 1.0 / (global ? entries : t->dim())));
        for (int c = 0; c < t->width(); ++c) delta[c] *= factor;
      });
    }
    for (Target* t : {&user_, &item_}) for_rows(t->clean->rows(), [&](Index k) { t->place(k); });
  }

  const comm::Communicator& communicator_;
  ShardLayout layout_;
  AttackPlan plan_;
  const data::UserLists& train_;
  std::int64_t total_positives_;
  Target user_;
  Target item_;
};

}  // namespace

AttackMethod attack_method_of(const std::string& name) {
  constexpr const char* names[] = {"random", "fgm", "fgsm", "bim", "pgd"};
  for (int k = 0; k < 5; ++k) {
    if (name == names[k]) return static_cast<AttackMethod>(k);
  }
  throw UserError("unknown attack method " + name + ": there are random, fgm, fgsm, bim and pgd");
}

FactorModel perturbed_model(const comm::Communicator& communicator, const ShardLayout& layout, const FactorModel& model,
                            const data::UserLists& train, std::int64_t total_positives, const AttackPlan& plan) {
  if (plan.scope == adversary::Scope::batch && plan.ball == Ball::global_l2) {
    throw UserError("a global ball spans all rows, so it needs --scope data; scope batch takes row_l2 and linf");
  }
  return Attack(communicator, layout, model, train, total_positives, plan).run();
}

}  // namespace spar::systems
