#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>
#include <fmt/format.h>

#include "spar/base/error.hpp"
#include "spar/systems/dislikes.hpp"
#include "spar/systems/factor_model.hpp"
#include "spar/systems/system.hpp"

namespace {

std::string fault(const std::string& system, const std::vector<std::string>& overrides) {
  try {
    spar::systems::plan_of(spar::systems::load_recipe(system, overrides));
  } catch (const spar::UserError& error) {
    return error.what();
  }
  return "accepted";
}

}  // namespace

BOOST_AUTO_TEST_SUITE(laws)

BOOST_AUTO_TEST_CASE(a_law_of_negatives_that_a_system_does_not_draw_gets_one_sentence) {
  const std::string behind = " is for models of users and items: ";
  BOOST_TEST(fault("cdae", {"sampling.negatives=popularity"}) ==
             "sampling.negatives = \"popularity\"" + behind + "cdae draws its negatives uniformly");
  BOOST_TEST(fault("cdae", {"sampling.own_items=true"}) ==
             "sampling.own_items = true" + behind + "cdae draws its negatives uniformly");
  BOOST_TEST(fault("gru4rec", {"sampling.candidates=4"}) ==
             "sampling.candidates = 4" + behind + "gru4rec draws its negatives uniformly");
  BOOST_TEST(fault("pitf", {"sampling.negatives=popularity"}) ==
             "sampling.negatives = \"popularity\"" + behind + "pitf draws its negatives uniformly");
  BOOST_TEST(fault("sasrec", {"sampling.negatives=dislikes"}) ==
             "sampling.negatives = \"dislikes\"" + behind + "sasrec draws its negatives uniformly");
  for (const char* system : {"bpr-mf", "apr", "mf", "gmf", "mlp", "neumf", "vbpr", "amr", "pat", "pitf", "atf"})
    BOOST_TEST(fault(system, {"sampling.candidates=4"}) == "accepted", system);
  for (const char* system : {"bpr-mf", "apr", "mf", "gmf", "mlp", "neumf", "vbpr", "amr", "pat", "fncf"})
    BOOST_TEST(fault(system, {"sampling.own_items=true"}) == "accepted", system);
  for (const char* system : {"bpr-mf", "apr", "mf", "gmf", "mlp", "neumf", "vbpr", "amr", "pat", "fncf"}) {
    BOOST_TEST(fault(system, {"sampling.negatives=dislikes", "sampling.dislike_share=0.25"}) == "accepted", system);
    BOOST_TEST(fault(system, {"sampling.negatives=popularity", "sampling.power=0.5"}) == "accepted", system);
  }
}

BOOST_AUTO_TEST_CASE(a_share_of_dislikes_lies_between_0_and_1_and_goes_with_the_law_that_has_it) {
  BOOST_TEST(fault("bpr-mf", {"sampling.negatives=dislikes", "sampling.dislike_share=1.5"}) ==
             "--set: sampling.dislike_share = 1.5 is out of range: it must be 0 to 1");
  BOOST_TEST(fault("bpr-mf", {"sampling.dislike_share=0.5"}) ==
             "--set: sampling.dislike_share has no effect with sampling.negatives = "
             "\"uniform\", only with dislikes");
}

BOOST_AUTO_TEST_CASE(a_law_of_dislikes_asks_for_data_that_keep_some) {
  spar::data::DatasetHeader header;
  header.path = "d.h5";
  const auto check = [&](const std::string& system) -> std::string {
    try {
      spar::systems::check_data(spar::systems::load_recipe(system, {"sampling.negatives=dislikes"}), header);
    } catch (const spar::UserError& error) {
      return error.what();
    }
    return "accepted";
  };
  BOOST_TEST(check("neumf") ==
             "sampling.negatives = \"dislikes\", but d.h5 keeps no dislikes: spar import with --dislikes-below 3, for "
             "instance, keeps what users rate lower");
  // What never fits comes first.
  BOOST_TEST(
      check("gru4rec") ==
      "sampling.negatives = \"dislikes\" is for models of users and items: gru4rec draws its negatives uniformly");
  header.dislikes = 1;
  BOOST_TEST(check("neumf") == "accepted");
}

BOOST_AUTO_TEST_CASE(what_the_engine_of_factor_models_leaves_out_names_what_it_goes_with) {
  BOOST_TEST(fault("bpr-mf", {"sampling.candidates=4", "parallel.pipeline=1"}) ==
             "sampling.candidates = 4 of bpr-mf goes with parallel.pipeline = 0 only");
  BOOST_TEST(fault("bpr-mf", {"optimizer.clip_norm=2", "objective.l2_form=batch_mean"}) ==
             "optimizer.clip_norm = 2.0 of bpr-mf goes with objective.l2_form = \"occurrence\", \"distinct\" or "
             "\"table\" only");
  BOOST_TEST(fault("apr", {"objective.l2_form=table", "adversary.scope=sample"}) ==
             "objective.l2_form = \"table\" of apr goes with adversary.scope = \"shard\" or \"batch\" only");
  BOOST_TEST(fault("apr", {"sampling.candidates=4", "adversary.ball=global_l2"}) ==
             "sampling.candidates = 4 of apr goes with adversary.ball = \"row_l2\" or \"linf\" in scope batch only");
  BOOST_TEST(fault("apr", {"sampling.candidates=4", "optimizer.clip_norm=1", "objective.l2_form=distinct"}) ==
             "accepted");
  BOOST_TEST(fault("apr", {"objective.l2_form=batch_mean", "parallel.pipeline=1"}) == "accepted");
}

BOOST_AUTO_TEST_CASE(a_penalty_that_a_network_does_not_know_gets_one_sentence) {
  BOOST_TEST(fault("mf", {"objective.l2_form=batch_mean"}) ==
             "objective.l2_form = \"batch_mean\" is the penalty of APR's code, for bpr-mf and apr as they train by "
             "default: mf takes occurrence, distinct and table here");
  for (const char* system : {"mf", "pat", "pitf", "atf"})
    BOOST_TEST(fault(system, {"objective.l2_form=table"}) == "accepted", system);
}

BOOST_AUTO_TEST_CASE(decorrelation_is_for_systems_that_learn_vectors_of_users_and_items) {
  const std::vector<std::string> asked{"objective.decorrelation=5"};
  for (const char* system : {"bpr-mf", "apr", "mf", "gmf", "mlp", "neumf", "pat"})
    BOOST_TEST(fault(system, asked) == "accepted", system);
  for (const char* system : {"mult-vae", "sasrec", "fncf", "pitf", "vbpr"})
    BOOST_TEST(fault(system, asked) ==
                   fmt::format("--set: objective.decorrelation is no setting of {}, only of bpr-mf, mf, apr, gmf, mlp, "
                               "neumf, pat",
                               system),
               system);
  BOOST_TEST(fault("bpr-mf", {"objective.decorrelation=5", "parallel.pipeline=1"}) ==
             "objective.decorrelation = 5.0 of bpr-mf goes with parallel.pipeline = 0 only");
  BOOST_TEST(fault("apr", {"objective.decorrelation=5", "adversary.scope=sample"}) ==
             "objective.decorrelation = 5.0 of apr goes with adversary.scope = \"shard\" or \"batch\" only");
  BOOST_TEST(fault("bpr-mf", {"objective.decorrelation=0", "parallel.pipeline=1"}) == "accepted");
}

BOOST_AUTO_TEST_CASE(mf_published_draws_its_negatives_as_its_source_does) {
  const spar::Recipe recipe = spar::systems::load_recipe("mf-published", {});
  BOOST_TEST(recipe.flag("sampling.own_items"));
  BOOST_TEST(recipe.text("sampling.negatives") == "uniform");
  BOOST_TEST(recipe.integer("sampling.candidates") == 1);
}

BOOST_AUTO_TEST_SUITE_END()
