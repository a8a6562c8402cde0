#include <nlohmann/json.hpp>

#include "spar/base/error.hpp"
#include "spar/game/trainer.hpp"

namespace spar::game {

std::string TrainingProgress::json() const {
  nlohmann::ordered_json best_of_stages = nlohmann::ordered_json::array();
  for (const Best& b : best)
    best_of_stages.push_back({{"epoch", b.epoch}, {"value", b.value}, {"checkpoint", b.checkpoint}});
  return nlohmann::ordered_json{{"epoch", epoch},
                                {"step", step},
                                {"stage", stage},
                                {"stage_over", stage_over},
                                {"optimizer_steps", optimizer_steps},
                                {"without_gain", without_gain},
                                {"best", best_of_stages},
                                {"losses", losses},
                                {"perturbed_losses", perturbed_losses},
                                {"examples", examples},
                                {"log_length", log_length},
                                {"starts", starts},
                                {"finished", finished}}
      .dump();
}

TrainingProgress TrainingProgress::parse(const std::string& json) {
  try {
    const auto j = nlohmann::json::parse(json);
    TrainingProgress p;
    j.at("epoch").get_to(p.epoch);
    j.at("step").get_to(p.step);
    j.at("stage").get_to(p.stage);
    j.at("stage_over").get_to(p.stage_over);
    j.at("optimizer_steps").get_to(p.optimizer_steps);
    j.at("without_gain").get_to(p.without_gain);
    for (const auto& b : j.at("best")) p.best.push_back({b.at("epoch"), b.at("value"), b.at("checkpoint")});
    j.at("losses").get_to(p.losses);
    j.at("perturbed_losses").get_to(p.perturbed_losses);
    j.at("examples").get_to(p.examples);
    j.at("log_length").get_to(p.log_length);
    j.at("starts").get_to(p.starts);
    j.at("finished").get_to(p.finished);
    return p;
  } catch (const nlohmann::json::exception&) {
    throw UserError(
        "the progress that this checkpoint records cannot be read: it was written by another program, or its manifest "
        "was edited");
  }
}

}  // namespace spar::game
