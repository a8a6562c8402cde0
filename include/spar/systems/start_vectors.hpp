#pragma once
#include <string>

#include "spar/store/array_file.hpp"
#include "spar/systems/factor_model.hpp"

namespace spar::systems {

/// Starts the tables from vectors trained elsewhere (model.init): a folder in the layout of `spar export` (user.npy,
/// user_ids.txt, item.npy, item_ids.txt, item_bias.npy where the model has a bias), matched by original ids, or a run
/// directory on the same data. Rows that the folder lacks keep their random start; their numbers are returned as a
/// sentence, empty if all were found. Collective. UserError: neither of the two; another dimension; files that do not
/// fit each other.
std::string load_start_vectors(const comm::Communicator& communicator, const std::string& folder,
                               const store::ArrayFile& dataset, const data::DatasetHeader& header, FactorModel& model);

}  // namespace spar::systems
