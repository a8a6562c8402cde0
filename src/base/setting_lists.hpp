#pragma once
#include <vector>

#include "spar/base/settings.hpp"

/// Parts of the table of settings that stand in files of their own.
namespace spar {

/// Of layers (network_settings.cpp), and of sequences.
std::vector<Setting> network_settings();
std::vector<Setting> sequence_settings();
std::vector<Setting> feature_settings();
std::vector<Setting> autoencoder_settings();
std::vector<Setting> penalty_settings();
std::vector<Setting> privacy_settings();
std::vector<Setting> train_settings();
std::vector<Setting> distillation_settings();
std::vector<Setting> sampling_settings();
std::vector<Setting> decorrelation_settings();

}  // namespace spar
