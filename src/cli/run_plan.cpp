#include "spar/systems/run_plan.hpp"

#include <cmath>
#include <cstdio>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "spar/base/error.hpp"
#include "spar/base/progress.hpp"
#include "spar/cli/run.hpp"
#include "spar/systems/item_features.hpp"
#include "spar/systems/posts.hpp"
#include "spar/systems/private_attributes.hpp"
#include "spar/systems/system.hpp"

namespace spar::cli {

namespace {

double gigabytes(std::int64_t bytes) {
  return static_cast<double>(bytes) * 1e-9;
}

std::string about(double seconds) {
  if (seconds < 1) return "below 1 s";
  return seconds < 120 ? fmt::format("about {:.0f} s", seconds) : fmt::format("about {:.0f} min", seconds / 60);
}

void print_text(const systems::RunPlan& plan, const data::DatasetHeader& data, const Recipe& recipe) {
  fmt::print("{} on {}: {} users, {} items, {} pairs; {} shards", recipe.name(), data.name, with_commas(data.users),
             with_commas(data.items), with_commas(data.counts[0]), plan.shards);
  if (plan.batch_size > 0) fmt::print(", batch {}", with_commas(plan.batch_size));
  fmt::print(
      "\na rank: tables+state {:.2f}, pairs {:.2f}, buffers {:.2f}, evaluation {:.2f}, program {:.2f} = {:.2f} GB\n",
      gigabytes(plan.tables), gigabytes(plan.pairs), gigabytes(plan.buffers), gigabytes(plan.evaluation),
      gigabytes(plan.program), gigabytes(plan.bytes_per_rank()));
  if (plan.ranks > 1)
    fmt::print("wire: at most {:.2f} MB a step and rank\n", static_cast<double>(plan.sent_per_step) * 1e-6);
  fmt::print("disk: {:.2f} GB a checkpoint, {:.2f} GB kept ({} checkpoints)\n", gigabytes(plan.checkpoint),
             gigabytes(plan.checkpoint * plan.checkpoints_kept), plan.checkpoints_kept);
  fmt::print("validation: {}; all users {}\n", about(plan.validation_seconds), about(plan.full_evaluation_seconds));
  // Slurm's limit kills at once, so a quarter more than planned, in whole hundreds of megabytes.
  const double megabytes =
      std::ceil(1.25 * static_cast<double>(plan.bytes_per_rank()) * 1e-6 / plan.threads / 100) * 100;
  fmt::print("#SBATCH --ntasks={} --cpus-per-task={} --mem-per-cpu={:.0f}M\n", plan.ranks, plan.threads, megabytes);
}

void print_json(const systems::RunPlan& plan) {
  const nlohmann::ordered_json j{{"ranks", plan.ranks},
                                 {"threads", plan.threads},
                                 {"shards", plan.shards},
                                 {"batch_size", plan.batch_size},
                                 {"bytes_per_rank", plan.bytes_per_rank()},
                                 {"bytes",
                                  {{"tables", plan.tables},
                                   {"pairs", plan.pairs},
                                   {"buffers", plan.buffers},
                                   {"evaluation", plan.evaluation},
                                   {"program", plan.program}}},
                                 {"sent_per_step", plan.sent_per_step},
                                 {"checkpoint_bytes", plan.checkpoint},
                                 {"checkpoints_kept", plan.checkpoints_kept},
                                 {"validation_seconds", plan.validation_seconds},
                                 {"full_evaluation_seconds", plan.full_evaluation_seconds}};
  fmt::print("{}\n", j.dump(2));
}

}  // namespace

int run_plan(const comm::Communicator& communicator, const PlanOptions& options) {
  comm::agree(communicator, [&] {
    Recipe recipe = systems::load_recipe(options.recipe, options.set);
    const store::ArrayFile file = data::open_dataset(options.data);
    const data::DatasetHeader header = data::read_header(file);
    systems::resolve_features(recipe, file);
    systems::resolve_attributes(recipe, file);
    systems::require_posts(recipe, header);
    if (options.ranks < 1 || options.threads < 1) throw UserError("--ranks and --threads take numbers from 1 on");
    const systems::RunPlan plan =
        systems::plan_run(recipe, header, static_cast<int>(options.ranks), static_cast<int>(options.threads));
    if (!communicator.is_root()) return;
    options.json ? print_json(plan) : print_text(plan, header, recipe);
    std::fflush(stdout);
  });
  return static_cast<int>(ExitCode::done);
}

}  // namespace spar::cli
