#include <cmath>
#include <map>

#include "support/sentence.hpp"
#include "systems/toy_attack.hpp"
#include <boost/test/unit_test.hpp>

BOOST_AUTO_TEST_SUITE(attack)

BOOST_AUTO_TEST_CASE(epsilon_zero_leaves_every_bit) {
  const auto world = comm::Communicator::world();
  const Trained trained(world);
  const Rows clean = rows_of(world, trained.model);
  for (const AttackPlan& plan : all_plans(0.0)) {
    BOOST_TEST_CONTEXT(describe(plan)) BOOST_TEST((rows_of(world, trained.attacked(plan)) == clean));
  }
}

BOOST_AUTO_TEST_CASE(an_attack_has_the_bits_of_one_process_and_never_changes_the_model) {
  const auto world = comm::Communicator::world();
  const auto alone = comm::Communicator::alone();
  const Trained trained(world);
  const Trained reference(alone);
  const Rows clean = rows_of(world, trained.model);
  BOOST_TEST((clean == rows_of(alone, reference.model)));
  for (const AttackPlan& plan : all_plans(0.5)) {
    BOOST_TEST_CONTEXT(describe(plan)) {
      const Rows expected = rows_of(alone, reference.attacked(plan));
      for (const int thread_count : {1, 2}) {
        set_threads(thread_count);
        BOOST_TEST((rows_of(world, trained.attacked(plan)) == expected));
      }
      set_threads(1);
      BOOST_TEST((rows_of(world, trained.model) == clean));
      BOOST_TEST((expected != clean));
    }
  }
}

BOOST_AUTO_TEST_CASE(perturbations_stay_in_their_ball_and_one_step_reaches_its_surface) {
  const auto world = comm::Communicator::world();
  const Trained trained(world);
  const Rows clean = rows_of(world, trained.model);
  for (const double epsilon : {0.1, 1.0}) {
    for (const AttackPlan& plan : all_plans(epsilon)) {
      BOOST_TEST_CONTEXT(describe(plan) << " epsilon " << epsilon) {
        const Rows moved = rows_of(world, trained.attacked(plan));
        auto all = deltas(moved.users, clean.users, user_record);
        const auto items = deltas(moved.items, clean.items, item_record);
        all.insert(all.end(), items.begin(), items.end());
        // What the rounding of row + delta may add: rows are a few units long.
        const double limit = epsilon * (1.0 + 1e-6) + 2e-6;
        double total = 0.0;
        double longest = 0.0;
        int at_surface = 0;
        for (const auto& row : all) {
          const double norm = plan.ball == Ball::linf ? largest(row) : std::sqrt(squares(row));
          longest = std::max(longest, norm);
          total += squares(row);
          at_surface += std::abs(norm - epsilon) < 4e-6 ? 1 : 0;
        }
        const bool one_step = plan.method != AttackMethod::bim && plan.method != AttackMethod::pgd;
        if (plan.ball == Ball::global_l2) {
          BOOST_TEST(std::sqrt(total) <= limit);
          if (one_step) BOOST_TEST(std::sqrt(total) >= epsilon - 1e-5);
        } else {
          BOOST_TEST(longest <= limit);
          if (one_step) BOOST_TEST(at_surface > 100);
        }
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(rows_that_the_loss_does_not_touch_keep_every_bit) {
  const auto world = comm::Communicator::world();
  const Trained trained(world);
  const Rows clean = rows_of(world, trained.model);
  for (const AttackPlan& plan : all_plans(0.5)) {
    // Noise and random starts go everywhere.
    if (plan.method == AttackMethod::random || plan.method == AttackMethod::pgd) continue;
    const Rows moved = rows_of(world, trained.attacked(plan));
    const auto changes = deltas(moved.users, clean.users, user_record);
    int touched = 0;
    for (Index u = 0; u < toy.users; ++u) {
      const bool zero = squares(changes[static_cast<std::size_t>(u)]) == 0.0;
      BOOST_TEST(zero == silent(u));
      touched += zero ? 0 : 1;
    }
    BOOST_TEST(touched > 80);
  }
}

BOOST_AUTO_TEST_CASE(only_tapped_tables_move_and_biases_never) {
  const auto world = comm::Communicator::world();
  const Trained trained(world);
  const Rows clean = rows_of(world, trained.model);
  for (AttackPlan plan : all_plans(0.5)) {
    plan.taps = {"user"};
    const Rows users_only = rows_of(world, trained.attacked(plan));
    BOOST_TEST((users_only.items == clean.items));
    BOOST_TEST((users_only.users != clean.users));
    plan.taps = {"item"};
    const Rows items_only = rows_of(world, trained.attacked(plan));
    BOOST_TEST((items_only.users == clean.users));
    BOOST_TEST((items_only.items != clean.items));
    std::int64_t different = 0;
    for (Index i = 0; i < toy.items; ++i) {
      for (int c = dim; c < item_record; ++c)
        different += items_only.items[static_cast<std::size_t>(i * item_record + c)] ==
                             clean.items[static_cast<std::size_t>(i * item_record + c)]
                         ? 0
                         : 1;
    }
    BOOST_TEST(different == 0);
  }
}

// One step over the whole training set, written out in float64 with the attack's own triples.
BOOST_AUTO_TEST_CASE(fast_gradients_are_those_of_a_slow_process_in_float64) {
  const auto world = comm::Communicator::world();
  const Trained trained(world);
  const Rows clean = rows_of(world, trained.model);
  const data::UserLists lists = toy.lists(0, toy.users);
  const AttackPlan fgm = plan_of(AttackMethod::fgm, Ball::row_l2);
  const std::int64_t steps = (toy.positives() + fgm.batch_size - 1) / fgm.batch_size;
  const Partition partition{toy.users, shards};
  using Gradient = std::map<Index, std::vector<double>>;
  // Summed over the whole set, and of the last batch that touched the row.
  Gradient user_total, item_total, user_last, item_last;
  for (std::int64_t step = 0; step < steps; ++step) {
    Gradient user_batch, item_batch;
    for (int shard = 0; shard < shards; ++shard) {
      data::TripleSampler sampler(lists, partition.begin(shard), partition.size(shard), shard, toy.items, fgm.seed,
                                  Purpose::attack_start, Purpose::attack_negatives);
      sampler.begin_epoch(0);
      data::MicroBatch batch;
      sampler.sample(step, steps, batch);
      for (int t = 0; t < batch.triples(); ++t) {
        const auto at = static_cast<std::size_t>(t);
        const Index user = batch.users[static_cast<std::size_t>(batch.user[at])];
        const Index positive = batch.items[static_cast<std::size_t>(batch.positive[at])];
        const Index negative = batch.items[static_cast<std::size_t>(batch.negative[at])];
        const float* u = clean.users.data() + user * user_record;
        const float* i = clean.items.data() + positive * item_record;
        const float* j = clean.items.data() + negative * item_record;
        double s = static_cast<double>(i[bias_column]) - static_cast<double>(j[bias_column]);
        for (int c = 0; c < dim; ++c)
          s += static_cast<double>(u[c]) * (static_cast<double>(i[c]) - static_cast<double>(j[c]));
        const double w = 1.0 / (1.0 + std::exp(s));
        for (const bool last : {false, true}) {
          auto& gu = (last ? user_batch : user_total).try_emplace(user, dim, 0.0).first->second;
          auto& gi = (last ? item_batch : item_total).try_emplace(positive, dim, 0.0).first->second;
          auto& gj = (last ? item_batch : item_total).try_emplace(negative, dim, 0.0).first->second;
          for (std::size_t c = 0; c < dim; ++c) {
            gu[c] -= w * (static_cast<double>(i[c]) - static_cast<double>(j[c]));
            gi[c] -= w * static_cast<double>(u[c]);
            gj[c] += w * static_cast<double>(u[c]);
          }
        }
      }
    }
    for (const auto& [row, g] : user_batch) user_last[row] = g;
    for (const auto& [row, g] : item_batch) item_last[row] = g;
  }
  const auto compare = [&](const AttackPlan& plan, const Gradient& users, const Gradient& items) {
    double all = 0.0;
    for (const auto* gradient : {&users, &items}) {
      for (const auto& [row, g] : *gradient) all += squares(g);
    }
    const Rows moved = rows_of(world, trained.attacked(plan));
    const auto check = [&](const Gradient& gradient, const std::vector<std::vector<double>>& got) {
      double worst = 0.0;
      for (const auto& [row, g] : gradient) {
        const double norm = std::sqrt(plan.ball == Ball::global_l2 ? all : squares(g));
        for (std::size_t c = 0; c < dim; ++c)
          worst = std::max(worst, std::abs(got[static_cast<std::size_t>(row)][c] -
                                           plan.epsilon * g[c] / std::max(norm, plan.norm_floor)));
      }
      BOOST_TEST(worst < 1e-5);
    };
    check(users, deltas(moved.users, clean.users, user_record));
    check(items, deltas(moved.items, clean.items, item_record));
  };
  compare(fgm, user_total, item_total);
  compare(plan_of(AttackMethod::fgm, Ball::global_l2), user_total, item_total);
  compare(plan_of(AttackMethod::fgm, Ball::row_l2, 0.5, Scope::batch), user_last, item_last);
}

// Attack checks, numbers 4 and 5.
BOOST_AUTO_TEST_CASE(the_adversary_raises_the_training_loss_more_than_noise_of_equal_size) {
  const auto world = comm::Communicator::world();
  const Trained trained(world);
  const double clean = training_loss(rows_of(world, trained.model));
  const auto loss = [&](const AttackPlan& plan) { return training_loss(rows_of(world, trained.attacked(plan))); };
  for (const double epsilon : {0.1, 0.5, 1.0}) {
    const double fgm = loss(plan_of(AttackMethod::fgm, Ball::row_l2, epsilon));
    const double fgsm = loss(plan_of(AttackMethod::fgsm, Ball::linf, epsilon));
    double noise = 0.0;
    constexpr int seeds = 20;
    for (int seed = 1; seed <= seeds; ++seed) {
      AttackPlan random = plan_of(AttackMethod::random, Ball::row_l2, epsilon);
      random.seed = static_cast<std::uint64_t>(seed);
      noise += loss(random) / seeds;
    }
    BOOST_TEST(fgm > clean);
    BOOST_TEST(fgm - clean > 3.0 * (noise - clean));
    // Sixteen and more columns of size epsilon are a longer step than one of length epsilon.
    BOOST_TEST(fgsm > fgm);
  }
}

// Attack checks, sections 5: on the triples that the attack climbs, many small steps in a ball reach at least what one
// large one does.
BOOST_AUTO_TEST_CASE(iterated_attacks_do_at_least_as_well_as_one_step) {
  const auto world = comm::Communicator::world();
  const Trained trained(world);
  const auto loss = [&](const AttackPlan& plan) {
    return systems::attacked_loss(world, trained.layout, trained.attacked(plan), trained.lists, toy.positives(), plan);
  };
  for (const Ball ball : balls) {
    for (const double epsilon : {0.1, 0.5, 1.0}) {
      BOOST_TEST_CONTEXT("ball " << static_cast<int>(ball) << ", epsilon " << epsilon) {
        const double one_step =
            loss(plan_of(ball == Ball::linf ? AttackMethod::fgsm : AttackMethod::fgm, ball, epsilon));
        AttackPlan bim = plan_of(AttackMethod::bim, ball, epsilon);
        bim.steps = 20;
        bim.step_size = epsilon / 5;
        BOOST_TEST(loss(bim) > 0.9999 * one_step);
        AttackPlan pgd = bim;
        pgd.method = AttackMethod::pgd;
        BOOST_TEST(loss(pgd) > 0.9999 * one_step);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(the_seed_decides_noise_starts_and_negatives) {
  const auto world = comm::Communicator::world();
  const Trained trained(world);
  for (const AttackMethod method : methods) {
    AttackPlan plan = plan_of(method, Ball::row_l2);
    const Rows first = rows_of(world, trained.attacked(plan));
    BOOST_TEST((rows_of(world, trained.attacked(plan)) == first));
    plan.seed = 2;
    BOOST_TEST((rows_of(world, trained.attacked(plan)) != first));
  }
}

BOOST_AUTO_TEST_CASE(what_cannot_be_attacked_is_said_in_one_sentence) {
  const auto world = comm::Communicator::world();
  const Trained trained(world);
  BOOST_TEST(test::sentence_of(ExitCode::usage, [&] {
               trained.attacked(plan_of(AttackMethod::fgm, Ball::global_l2, 0.5, Scope::batch));
             }) == "a global ball spans all rows, so it needs --scope data; scope batch takes row_l2 and linf");
  BOOST_TEST(test::sentence_of(ExitCode::usage, [] { systems::attack_method_of("pdg"); }) ==
             "unknown attack method pdg: there are random, fgm, fgsm, bim and pgd");
}

BOOST_AUTO_TEST_SUITE_END()
