#pragma once
#include <string>

#include "spar/systems/run_directory.hpp"

namespace spar::cli {

/// UserError where the run's data set has nothing to find in `split` ("test" or "validation"), interactions or posts;
/// it says what brings some. Any rank may call it alone.
void check_split(const systems::OpenRun& run, const std::string& split);

}  // namespace spar::cli
