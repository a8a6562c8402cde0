#include <filesystem>
#include <fstream>
#include <set>
#include <string>

#include <boost/test/unit_test.hpp>

#include "spar/base/error.hpp"
#include "spar/systems/factor_model.hpp"
#include "spar/systems/system.hpp"

namespace {

std::string refusal(const std::string& recipe, const std::vector<std::string>& overrides = {}) {
  try {
    spar::systems::load_recipe(recipe, overrides);
  } catch (const spar::UserError& error) {
    return error.what();
  }
  return "accepted";
}

}  // namespace

BOOST_AUTO_TEST_SUITE(system_table)

BOOST_AUTO_TEST_CASE(every_system_says_what_it_is_needs_and_scores) {
  std::set<std::string> names;
  for (const auto& info : spar::systems::all_systems()) {
    BOOST_TEST_CONTEXT(info.name) {
      BOOST_TEST(names.insert(info.name).second);
      BOOST_TEST(!info.family.empty());
      BOOST_TEST(info.sentence.size() > 20U);
      BOOST_TEST(!info.inputs.empty());
      BOOST_TEST(!info.score.empty());
      BOOST_TEST(info.settings.system == info.name);
      BOOST_TEST((spar::systems::find_system(info.name) == &info));
    }
  }
  BOOST_TEST(
      (names == std::set<std::string>{"popularity", "bpr-mf",  "mf",     "apr",     "gmf",      "mlp",      "neumf",
                                      "vbpr",       "amr",     "sasrec", "gru4rec", "mult-vae", "mult-dae", "cdae",
                                      "acae",       "autorec", "pitf",   "atf",     "pat",      "fncf"}));
  BOOST_TEST((spar::systems::find_system("magic") == nullptr));
}

BOOST_AUTO_TEST_CASE(own_defaults_are_settings_that_the_system_takes_allowed_and_with_an_origin) {
  for (const auto& info : spar::systems::all_systems()) {
    std::set<std::string> keys;
    for (const auto& own : info.settings.defaults) {
      BOOST_TEST_CONTEXT(info.name << " " << own.key) {
        const spar::Setting* setting = spar::find_setting(own.key);
        BOOST_TEST_REQUIRE((setting != nullptr));
        BOOST_TEST(keys.insert(own.key).second);
        BOOST_TEST(info.settings.understands(*setting));
        BOOST_TEST(!spar::setting_fault(*setting, own.value).has_value());
        BOOST_TEST(!own.origin.empty());
      }
    }
    for (const std::string& taken : info.settings.takes) {
      bool known = spar::find_setting(taken) != nullptr;
      for (const auto& setting : spar::all_settings())
        known = known || (taken.ends_with(".*") && setting.key.starts_with(taken.substr(0, taken.size() - 1)));
      BOOST_TEST(known, taken << " is neither a setting nor a table");
    }
  }
}

BOOST_AUTO_TEST_CASE(a_bare_system_name_is_its_ready_recipe) {
  for (const std::string& name : spar::systems::system_names()) {
    const spar::Recipe recipe = spar::systems::load_recipe(name, {});
    BOOST_TEST(recipe.system() == name);
    BOOST_TEST(recipe.name() == name);
  }
  BOOST_TEST(spar::systems::load_recipe("apr", {"train.epochs=2", "game.pretrain_epochs=1"}).integer("train.epochs") ==
             2);
}

BOOST_AUTO_TEST_CASE(apr_has_the_defaults_that_its_users_are_shown) {
  const spar::Recipe recipe = spar::systems::load_recipe("apr", {});
  BOOST_TEST(recipe.integer("model.dim") == 64);
  BOOST_TEST(recipe.integer("game.pretrain_epochs") == 100);
  BOOST_TEST(recipe.text("game.start_from") == "best");
  BOOST_TEST(recipe.text("adversary.method") == "fgm");
  BOOST_TEST(recipe.text("adversary.ball") == "row_l2");
  BOOST_TEST(recipe.real("adversary.epsilon") == 0.5);
  BOOST_TEST(recipe.real("adversary.weight") == 1.0);
  BOOST_TEST(recipe.text("adversary.scope") == "batch");
  BOOST_TEST(recipe.text("optimizer.name") == "adagrad");
  BOOST_TEST(recipe.real("optimizer.learning_rate") == 0.05);
  BOOST_TEST(recipe.real("optimizer.initial_accumulator") == 0.1);
  BOOST_TEST(recipe.integer("train.epochs") == 200);
  BOOST_TEST(recipe.integer("train.batch_size") == 512);
  BOOST_TEST(recipe.integer("train.seed") == 1);
  BOOST_TEST((recipe.integers("evaluate.cutoffs") == std::vector<std::int64_t>{10, 50, 100}));
  BOOST_TEST(recipe.text("evaluate.select_by") == "ndcg@100");
  BOOST_TEST(recipe.text("evaluate.select_on") == "validation");
  BOOST_TEST(recipe.integer("evaluate.validation_users") == 20000);
  BOOST_TEST(recipe.integer("evaluate.patience") == 10);
  BOOST_TEST(recipe.real("checkpoint.every_minutes") == 10.0);
  BOOST_TEST(recipe.integer("checkpoint.keep") == 2);
  BOOST_TEST(recipe.is_auto("parallel.shards"));
  BOOST_TEST(recipe.text("parallel.exchange") == "pull");
}

BOOST_AUTO_TEST_CASE(apr_published_is_the_published_run) {
  const spar::Recipe recipe = spar::systems::load_recipe("apr-published", {});
  BOOST_TEST(recipe.name() == "apr-published");
  BOOST_TEST(recipe.integer("game.pretrain_epochs") == 1000);
  BOOST_TEST(recipe.integer("train.epochs") == 2000);
  BOOST_TEST(recipe.text("evaluate.select_on") == "test");
  BOOST_TEST(recipe.text("evaluate.select_by") == "ndcg@100");
  BOOST_TEST(recipe.text("evaluate.ties") == "pessimistic");
  BOOST_TEST(recipe.integer("evaluate.patience") == 0);
  BOOST_TEST(recipe.integer("evaluate.validation_users") == 0);
}

BOOST_AUTO_TEST_CASE(amr_published_keeps_what_amr_has_from_the_code_of_its_authors) {
  const spar::Recipe recipe = spar::systems::load_recipe("amr-published", {});
  BOOST_TEST(recipe.name() == "amr-published");
  for (const auto& own : spar::systems::find_system("amr")->settings.defaults)
    BOOST_TEST((recipe.value(own.key) == own.value), own.key);
  BOOST_TEST(recipe.integer("train.epochs") - recipe.integer("game.pretrain_epochs") == 2000);
  BOOST_TEST(recipe.text("evaluate.protocol") == "sampled");
  BOOST_TEST(recipe.text("evaluate.ties") == "pessimistic");
  BOOST_TEST(recipe.integer("evaluate.every_epochs") == 50);
}

BOOST_AUTO_TEST_CASE(auto_encoders_have_their_published_form_and_mirror_the_layers_that_are_asked_for) {
  const auto declared = [](const std::string& system, const std::vector<std::string>& overrides = {}) {
    return *spar::systems::autoencoder_of(spar::systems::load_recipe(system, overrides));
  };
  using Widths = std::vector<int>;
  const auto vae = declared("mult-vae");
  BOOST_TEST((vae.encoder == Widths{600} && vae.code == 200 && vae.gaussian && vae.decoder == Widths{600}));
  BOOST_TEST((vae.normalise && vae.keep == 0.5 && vae.l2 == 0.0 && vae.mean_over_users));
  // As the published code has it: a pace of 200,000 steps to 1, held at 0.2.
  for (const std::int64_t step : {0, 1, 777, 20000, 39999, 40000, 100000})
    BOOST_TEST(vae.beta.at({.epoch = 0, .step = step, .steps = 1 << 20}) ==
               0.2 * std::min(1.0, static_cast<double>(step) / 40000.0));
  const auto deep = declared("mult-vae", {"network.layers=[40, 30, 20]"});
  BOOST_TEST((deep.encoder == Widths{40, 30} && deep.code == 20 && deep.decoder == Widths{30, 40}));
  const auto dae = declared("mult-dae");
  BOOST_TEST((dae.encoder == Widths{200} && dae.code == 0 && dae.decoder.empty() && dae.output_width() == 200));
  BOOST_TEST(dae.l2 == 2e-5);
  BOOST_TEST((vae.cells == spar::game::LossCells::all && dae.cells == spar::game::LossCells::all));
  const auto drawn = declared("mult-vae", {"autoencoder.cells=sampled", "autoencoder.samples=77",
                                           "autoencoder.sample_power=0.75", "optimizer.name=lazy_adam"});
  BOOST_TEST((drawn.samples_softmax() && drawn.samples == 77 && drawn.sample_power == 0.75));
  const auto cdae = declared("cdae");
  BOOST_TEST((cdae.encoder == Widths{50} && cdae.user_nodes && !cdae.normalise && !cdae.mean_over_users));
  BOOST_TEST((cdae.cells == spar::game::LossCells::sampled && cdae.negatives == 5.0));
  BOOST_TEST((declared("acae", {"autoencoder.cells=all"}).cells == spar::game::LossCells::all));
  const auto autorec = declared("autorec");
  BOOST_TEST((autorec.encoder == Widths{500} && autorec.decoder.empty() && autorec.keep == 1.0 && !autorec.normalise));
  BOOST_TEST((autorec.reads_ratings && autorec.loss == spar::catalogue::OutputLoss::square));
  BOOST_TEST((autorec.cells == spar::game::LossCells::observed && !autorec.mean_over_users));
  BOOST_TEST(!spar::systems::autoencoder_of(spar::systems::load_recipe("apr", {})).has_value());
  const spar::Recipe recipe = spar::systems::load_recipe("mult-vae", {});
  BOOST_TEST(recipe.text("optimizer.name") == "adam");
  BOOST_TEST(recipe.real("optimizer.learning_rate") == 0.001);
  BOOST_TEST(recipe.integer("train.batch_size") == 500);
}

BOOST_AUTO_TEST_CASE(what_does_not_fit_an_auto_encoder_gets_one_sentence) {
  const auto fault = [](const std::string& system, const std::vector<std::string>& overrides) -> std::string {
    try {
      spar::systems::plan_of(spar::systems::load_recipe(system, overrides));
    } catch (const spar::UserError& error) {
      return error.what();
    }
    return "accepted";
  };
  BOOST_TEST(fault("mult-vae", {"network.layers=[200]"}) ==
             "network.layers = [200] names the code only: mult-vae needs at least one layer before it, as in [600, "
             "200]");
  const std::string sampled = "autoencoder.cells=sampled";
  for (const std::string system : {"mult-vae", "mult-dae"}) {
    BOOST_TEST(fault(system, {sampled}) ==
               "optimizer.name = \"adam\" moves the rows of all items in every step, which autoencoder.cells = "
               "\"sampled\" is there to avoid: take lazy_adam, adagrad or sgd");
    BOOST_TEST(fault(system, {sampled, "optimizer.name=lazy_adam"}) == "accepted");
    BOOST_TEST(fault(system, {"autoencoder.samples=500"}) ==
               "--set: autoencoder.samples has no effect with autoencoder.cells = \"all\", only "
               "with sampled");
  }
  BOOST_TEST(fault("cdae", {"autoencoder.samples=500"}) ==
             "--set: autoencoder.samples is no setting of cdae, only of mult-vae, mult-dae");
  BOOST_TEST(fault("autorec", {sampled}) ==
             "--set: autoencoder.cells is no setting of autorec, only of mult-vae, mult-dae, "
             "cdae, acae");
  BOOST_TEST(fault("acae", {"adversary.scope=shard"}) ==
             "adversary.scope = \"shard\" is for users' and items' vectors: the weights that acae perturbs belong to "
             "the whole batch, so it takes batch");
  BOOST_TEST(fault("cdae", {"parallel.pipeline=1"}) == "parallel.pipeline = 1 is for factor models: cdae takes 0");
  BOOST_TEST(fault("acae", {}) == "accepted");
}

BOOST_AUTO_TEST_CASE(a_plan_knows_whether_the_metric_that_chooses_an_epoch_is_an_error) {
  const auto plan = [](const std::string& system, const std::vector<std::string>& overrides) {
    return spar::systems::plan_of(spar::systems::load_recipe(system, overrides));
  };
  BOOST_TEST(plan("autorec", {}).lower_is_better);
  BOOST_TEST(plan("autorec", {"evaluate.select_by=mae"}).lower_is_better);
  BOOST_TEST(!plan("autorec", {"evaluate.select_by=ndcg@10"}).lower_is_better);
  BOOST_TEST(!plan("mult-vae", {}).lower_is_better);
}

BOOST_AUTO_TEST_CASE(acae_begins_as_cdae_and_perturbs_both_wide_layers) {
  const auto plan = spar::systems::plan_of(spar::systems::load_recipe("acae", {}));
  BOOST_TEST_REQUIRE(plan.stages.size() == 2U);
  BOOST_TEST(plan.stages[0].name == "cdae");
  BOOST_TEST(!plan.stages[0].adversary.has_value());
  BOOST_TEST(plan.stages[1].name == "acae");
  BOOST_TEST_REQUIRE(plan.stages[1].adversary.has_value());
  BOOST_TEST((plan.stages[1].adversary->taps == std::vector<std::string>{"encoder.weights", "decoder.weights"}));
}

BOOST_AUTO_TEST_CASE(every_ready_recipe_prints_and_reads_back_with_and_without_comments) {
  const auto folder = std::filesystem::temp_directory_path() / "spar-test-recipes";
  std::filesystem::create_directories(folder);
  for (const auto& ready : spar::systems::ready_recipes()) {
    const spar::Recipe recipe = spar::systems::load_recipe(ready.name, {});
    for (const bool comments : {false, true}) {
      const std::string path = (folder / (ready.name + ".toml")).string();
      std::ofstream(path) << recipe.toml(comments);
      const spar::Recipe again = spar::systems::load_recipe(path, {});
      BOOST_TEST(again.toml() == recipe.toml());
      BOOST_TEST(again.identity() == recipe.identity());
      BOOST_TEST(again.name() == ready.name);
    }
  }
  std::filesystem::remove_all(folder);
}

BOOST_AUTO_TEST_CASE(what_is_no_recipe_is_refused_with_a_proposal) {
  BOOST_TEST(refusal("arp") == "there is no recipe arp: did you mean apr?");
  BOOST_TEST(refusal("apr-publishd") == "there is no recipe apr-publishd: did you mean apr-published?");
  BOOST_TEST(
      refusal("my-own.toml") ==
      "there is no recipe my-own.toml: give a TOML file, or one of popularity, bpr-mf, mf, apr, gmf, mlp, neumf, "
      "vbpr, amr, sasrec, gru4rec, mult-vae, mult-dae, cdae, acae, autorec, pitf, atf, pat, fncf, amr-published, "
      "apr-published, mf-published");
  BOOST_TEST(refusal("/") == "/ is a directory: RECIPE is a TOML file or the name of a ready recipe");
  BOOST_TEST(refusal("apr", {"adversary.epsilom=1"}) ==
             "--set: unknown setting adversary.epsilom: did you mean adversary.epsilon?");
  BOOST_TEST(refusal("bpr-mf", {"adversary.epsilon=1"}) ==
             "--set: adversary.epsilon is no setting of bpr-mf, only of apr, amr, acae, atf");
  BOOST_TEST(refusal("popularity", {"model.dim=8"}) ==
             "--set: model.dim is no setting of popularity, only of bpr-mf, mf, apr, gmf, neumf, vbpr, amr, sasrec, "
             "gru4rec, cdae, acae, autorec, pitf, atf, pat");
}

BOOST_AUTO_TEST_SUITE_END()
