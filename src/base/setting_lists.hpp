#pragma once
#include <vector>

#include "spar/base/settings.hpp"

/// Parts of the table of settings that stand in files of their own.
namespace spar {

std::vector<Setting> feature_settings();
std::vector<Setting> penalty_settings();

}  // namespace spar
