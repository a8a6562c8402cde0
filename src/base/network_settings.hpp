#pragma once
#include <vector>

#include "spar/base/settings.hpp"

namespace spar {

/// The settings of attention, dropout and sequences; shown behind those of the model.
std::vector<Setting> network_settings();

}  // namespace spar
