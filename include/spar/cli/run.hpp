#pragma once
#include "spar/cli/options.hpp"
#include "spar/comm/communicator.hpp"

/// What the verbs do, after their options are parsed. Every rank calls with the same options; results go to stdout on
/// rank 0, progress to stderr. The result is the exit code, the same on every rank; failures are exceptions of
/// base/error.hpp, agreed by comm::agree where only some ranks see them.
namespace spar::cli {

int run_train(const comm::Communicator& communicator, const TrainOptions& options);
int run_evaluate(const comm::Communicator& communicator, const EvaluateOptions& options);
int run_attack(const comm::Communicator& communicator, const AttackOptions& options);
int run_probe(const comm::Communicator& communicator, const ProbeOptions& options);
int run_recommend(const comm::Communicator& communicator, const RecommendOptions& options);
int run_export(const comm::Communicator& communicator, const ExportOptions& options);
int run_plan(const comm::Communicator& communicator, const PlanOptions& options);

}  // namespace spar::cli
