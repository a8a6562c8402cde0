#pragma once
#include <string>

#include "spar/base/settings.hpp"
#include "spar/game/autoencoder.hpp"

/// Collaborative denoising auto-encoders (Wu, DuBois, Zheng and Ester, WSDM 2016): one hidden layer of sigmoids over
/// the sum of the input rows of a corrupted profile and the user's own row, and the cross entropy of a logit an item,
/// summed over users.
namespace spar::systems {

game::Autoencoder cdae_of(const Recipe& recipe);
/// The settings of cdae, which are also those of acae's first stage, with their defaults.
SystemSettings cdae_settings(const std::string& system);

}  // namespace spar::systems
