#include "spar/systems/attack.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "attack_engine.hpp"
#include "attack_taps.hpp"

#include "spar/base/error.hpp"
#include "spar/base/lanes.hpp"
#include "spar/base/random.hpp"
#include "spar/base/threads.hpp"
#include "spar/table/contributions.hpp"

namespace spar::systems {

namespace {

using adversary::Ball;
using adversary::Method;

constexpr Index rows_per_task = 1024;

void for_rows(Index rows, const std::function<void(Index)>& body) {
  parallel_for(static_cast<int>((rows + rows_per_task - 1) / rows_per_task), [&](int task) {
    for (Index k = task * rows_per_task; k < std::min(rows, (task + 1) * rows_per_task); ++k) body(k);
  });
}

// One table under attack: its rows, those of the perturbed model, and rows of numbers of its tapped columns.
struct Target {
  Target(const ReplacedTable& table, const ShardLayout& layout, int rank, bool is_iterated)
      : tap(table.tap),
        clean(table.tap.table),
        perturbed(table.own),
        work(tap.is_replicated ? Partition{clean->rows(), layout.shards} : clean->partition()),
        delta(zeros(layout, rank)) {
    if (is_iterated) gradient = zeros(layout, rank);
  }

  int width() const { return padded(clean->shape().dim); }
  int dim() const { return clean->shape().dim; }

  // perturbed = clean + delta, the bias as it is.
  void place(Index k) {
    float* row = perturbed->record(k);
    std::memcpy(row, clean->record(k), static_cast<std::size_t>(width()) * sizeof(float));
    table::add_row(row, delta->record(k), width());
  }

  Tap tap;
  const table::Table* clean;
  table::Table* perturbed;
  Partition work;  // of its rows over the shards, for sums
  std::unique_ptr<table::Table> delta;
  std::unique_ptr<table::Table> gradient;  // of iterated attacks; others make delta of it where it lies

 private:
  std::unique_ptr<table::Table> zeros(const ShardLayout& layout, int rank) const {
    const optim::OptimizerSettings none{.rule = optim::Rule::sgd};
    const table::RowShape shape{dim(), false, 0};
    const bool whole = tap.is_replicated;
    return std::make_unique<table::Table>(tap.name, clean->total_rows(), whole ? ShardLayout{1, 1} : layout,
                                          whole ? 0 : rank, shape, none);
  }
};

class Attack {
 public:
  Attack(const comm::Communicator& communicator, const ShardLayout& layout, const FactorModel& model,
         const data::UserLists& train, std::int64_t total_positives, const AttackPlan& plan,
         const data::PostRows* posts)
      : communicator_(communicator),
        layout_(layout),
        plan_(plan),
        train_(train),
        posts_(posts),
        total_positives_(total_positives),
        moved_(model) {
    const auto& names = plan.taps.empty() ? trained_taps(model) : plan.taps;
    for (const ReplacedTable& table : replace_tables(moved_, layout, communicator.rank(), names))
      targets_.emplace_back(table, layout, communicator.rank(), iterated());
  }

  FactorModel run() {
    if (plan_.method == AttackMethod::random) {
      noise();
    } else if (plan_.epsilon > 0) {
      gradient_attack();
    }
    place_all();
    return std::move(moved_);
  }

 private:
  bool iterated() const { return plan_.method == AttackMethod::bim || plan_.method == AttackMethod::pgd; }

  void place_all() {
    for (Target& t : targets_) for_rows(t.clean->rows(), [&](Index k) { t.place(k); });
  }

  // The steepest direction of the ball, or what the one-step method says.
  adversary::PerturbationSettings settings(double size) const {
    const bool sign = plan_.method == AttackMethod::fgsm || (iterated() && plan_.ball == Ball::linf);
    const Method method = plan_.method == AttackMethod::random ? Method::random : sign ? Method::fgsm : Method::fgm;
    return {method, plan_.ball, size, plan_.norm_floor};
  }

  adversary::NoiseKey key(const Target& t, Index k) const {
    return {plan_.seed, t.tap.number, t.tap.first_noise_row + t.clean->first_row() + k, 0, 0};
  }

  // The sum of value(target, row) over all tapped rows of all ranks, along the shard tree.
  double total(const std::function<double(Target&, Index)>& value) {
    const int first = layout_.first_shard(communicator_.rank());
    std::vector<double> by_shard(static_cast<std::size_t>(layout_.shard_count(communicator_.rank())));
    for (Target& t : targets_) {
      parallel_for(static_cast<int>(by_shard.size()), [&](int s) {
        double sum = 0;
        for (Index row = t.work.begin(first + s); row < t.work.end(first + s); ++row)
          sum += value(t, row - t.clean->first_row());
        by_shard[static_cast<std::size_t>(s)] += sum;
      });
    }
    return comm::tree_sum(communicator_, layout_.shards, by_shard, 1).front();
  }

  double squares_of_directions(const adversary::PerturbationSettings& s) {
    if (s.ball != Ball::global_l2) return 0.0;
    return total([&](Target& t, Index k) {
      std::vector<float> row(static_cast<std::size_t>(t.width()));
      adversary::direction(s, gradient_of(t, k), key(t, k), t.dim(), t.width(), row.data());
      return adversary::squared_norm(row.data(), t.width());
    });
  }

  float* gradient_of(Target& t, Index k) const { return (iterated() ? t.gradient : t.delta)->record(k); }

  void noise() {
    const auto s = settings(plan_.epsilon);
    const double squares = squares_of_directions(s);
    for (Target& t : targets_) {
      for_rows(t.clean->rows(), [&](Index k) {
        adversary::direction(s, nullptr, key(t, k), t.dim(), t.width(), t.delta->record(k));
        adversary::scale_to_ball(s, squares, t.width(), t.delta->record(k));
      });
    }
  }

  void gradient_attack() {
    const auto engine = attack_engine(communicator_, layout_, moved_, train_, total_positives_, plan_, posts_);
    if (plan_.method == AttackMethod::pgd) random_start();
    const std::int64_t passes = iterated() ? plan_.steps : 1;
    for (std::int64_t pass = 0; pass < passes; ++pass) {
      plan_.scope == adversary::Scope::batch ? batch_pass(*engine) : data_pass(*engine);
    }
  }

  void use_sink(game::Engine& engine,
                const std::function<void(Target& target, Index row, const float* gradient)>& take) {
    engine.use_sink({.wants = [this](const table::Table& table) { return target(table) != nullptr; },
                     .row = [this, take](table::Table& table, Index row,
                                         const float* gradient) { take(*target(table), row, gradient); }});
  }

  Target* target(const table::Table& perturbed) {
    for (Target& t : targets_) {
      if (t.perturbed == &perturbed) return &t;
    }
    return nullptr;
  }

  void data_pass(game::Engine& engine) {
    for (Target& t : targets_)
      for_rows(t.clean->rows(), [&](Index k) { std::fill_n(gradient_of(t, k), t.width(), 0.0F); });
    use_sink(engine, [this](Target& t, Index row, const float* gradient) {
      table::add_row(gradient_of(t, row), gradient, t.width());
    });
    run_pass(engine);
    const auto s = settings(iterated() ? plan_.step_size : plan_.epsilon);
    const double squares = squares_of_directions(s);
    for (Target& t : targets_) for_rows(t.clean->rows(), [&](Index k) { move(t, k, gradient_of(t, k), s, squares); });
    project_all();
    place_all();
  }

  // The gradient of one-step methods is that of the clean model; only iterated ones look at rows that this pass has
  // moved.
  void batch_pass(game::Engine& engine) {
    const auto s = settings(iterated() ? plan_.step_size : plan_.epsilon);
    use_sink(engine, [this, s](Target& t, Index row, const float* gradient) {
      move(t, row, gradient, s, 0.0);
      project_row(t, row);
      if (iterated()) t.place(row);
    });
    run_pass(engine);
  }

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
    for (Target& t : targets_) {
      for_rows(t.clean->rows(), [&](Index k) {
        project_row(t, k);
        if (plan_.ball == Ball::global_l2) shrink(t.delta->record(k), t.width(), norm);
      });
    }
  }

  // linf: uniform in the box; L2: a random direction, times epsilon U^(1/d) (d: all entries for the global ball).
  void random_start() {
    const RandomStream stream(plan_.seed, Purpose::attack_start);
    auto s = settings(plan_.epsilon);
    s.method = Method::random;
    const double squares = squares_of_directions(s);
    double entries = 0;
    for (const Target& t : targets_) entries += static_cast<double>(t.clean->total_rows()) * t.dim();
    for (Target& t : targets_) {
      for_rows(t.clean->rows(), [&](Index k) {
        float* delta = t.delta->record(k);
        const auto row = static_cast<std::uint64_t>(key(t, k).row);
        const auto uniform = [&](std::uint32_t c) {
          return unit(word64(stream.block(static_cast<std::uint32_t>(row),
                                          static_cast<std::uint32_t>(row >> 32) | (t.tap.number << 24), c, 1),
                             0));
        };
        if (plan_.ball == Ball::linf) {
          for (int c = 0; c < t.dim(); ++c)
            delta[c] = static_cast<float>(plan_.epsilon * (2 * uniform(static_cast<std::uint32_t>(c)) - 1));
          return;
        }
        adversary::direction(s, nullptr, key(t, k), t.dim(), t.width(), delta);
        adversary::scale_to_ball(s, squares, t.width(), delta);
        const bool global = plan_.ball == Ball::global_l2;
        const double u = global ? unit(word64(stream.block(0, 0, 0, 2), 0)) : uniform(0);
        const auto factor = static_cast<float>(std::pow(u, 1.0 / (global ? entries : t.dim())));
        for (int c = 0; c < t.width(); ++c) delta[c] *= factor;
      });
    }
    place_all();
  }

  const comm::Communicator& communicator_;
  ShardLayout layout_;
  AttackPlan plan_;
  const data::UserLists& train_;
  const data::PostRows* posts_;
  std::int64_t total_positives_;
  FactorModel moved_;
  std::vector<Target> targets_;
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
                            const data::UserLists& train, std::int64_t total_positives, const AttackPlan& plan,
                            const data::PostRows* posts) {
  if (plan.scope == adversary::Scope::batch && plan.ball == Ball::global_l2) {
    throw UserError("a global ball spans all rows, so it needs --scope data; scope batch takes row_l2 and linf");
  }
  return Attack(communicator, layout, model, train, total_positives, plan, posts).run();
}

double attacked_loss(const comm::Communicator& communicator, const ShardLayout& layout, const FactorModel& model,
                     const data::UserLists& train, std::int64_t total_positives, const AttackPlan& plan,
                     const data::PostRows* posts) {
  FactorModel read = model;
  const auto engine = attack_engine(communicator, layout, read, train, total_positives, plan, posts);
  const auto taps = taps_of(model);
  engine->use_sink({.wants = [&](const table::Table& table) { return &table == taps.front().table; },
                    .row = [](table::Table&, Index, const float*) {}});
  run_pass(*engine);
  return comm::tree_sum(communicator, layout.shards, engine->losses(), 1).front();
}

}  // namespace spar::systems
