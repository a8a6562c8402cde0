#include <cmath>
#include <vector>

#include "src/systems/mf.hpp"
#include "support/gradient_check.hpp"
#include <boost/test/unit_test.hpp>

#include "spar/catalogue/lanes.hpp"

namespace {

using namespace spar;

constexpr int dim = 5;

}  // namespace

BOOST_AUTO_TEST_SUITE(mf)

// What ranks the items of a user is the logit that was trained, but for what is the same for all of them.
BOOST_AUTO_TEST_CASE(scores_differ_from_item_to_item_as_the_trained_logits_do) {
  const systems::MfModel model({.dim = dim, .l2 = 0.0, .negatives = 1});
  test::Grid<float> user(1, model.user_columns(), 0.7, 1);
  test::Grid<float> items(3, model.item_columns(), 0.7, 2);
  test::Grid<float> bias(1, 1, 0.7, 3);
  const table::DenseParameters none({}, {1, 1}, 0, {.rule = optim::Rule::sgd});
  const auto logit = [&](int item) {
    const game::NeuralBatch batch{.rows = {{0}, {0, 1, 2}},
                                  .slots = {{0}, {item}},
                                  .labels = {0},
                                  .samples = {0},
                                  .examples = 1,
                                  .length = 0,
                                  .valid = {}};
    tape::Tape<float> tape;
    const std::vector<tape::Var> tables{tape.constant(user.view()), tape.constant(items.view())};
    const std::vector<tape::Var> dense{tape.constant(bias.view())};
    const game::Pass<float> pass{{tape, dense}, batch, tables};
    return std::log(std::expm1(static_cast<double>(tape.value(model.build(pass)).at(0, 0))));  // of softplus(z)
  };
  const auto score = [&](int item) {
    std::vector<float> u(static_cast<std::size_t>(model.score_columns()));
    std::vector<float> v(u.size());
    model.represent_user(none, user.row(0), u.data());
    model.represent_item(none, items.row(item), v.data());
    return static_cast<double>(catalogue::score_pair(u.data(), v.data(), model.score_columns()));
  };
  for (const int item : {1, 2}) BOOST_TEST(std::abs((logit(item) - logit(0)) - (score(item) - score(0))) < 1e-5);
}

BOOST_AUTO_TEST_SUITE_END()
