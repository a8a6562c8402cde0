#pragma once
#include "data_tools/blocks.hpp"
#include "data_tools/import.hpp"
#include "data_tools/split_rule.hpp"

/// Strong generalisation (Liang, Krishnan, Hoffman and Jebara, WWW 2018): whole users are held out of training.
namespace spar::data_tools {

/// Chooses the held-out users among those that the filters left with two or more interactions: the ones with the
/// smallest numbers, test users first, where a user's number is the Philox block at the hash of its id; so the choice
/// depends on the seed and the ids only. Fills split.roles (1 byte a user). With HeldOutUsers::drop_unseen, items that
/// no training user has are dropped from the collection, as in dawenl/vae_cf, and the report says so. Nothing happens
/// where the split holds no users out. UserError: no user would be left to train on.
void hold_out_users(Collection& collection, ResolvedSplit& split, ImportReport& report);

}  // namespace spar::data_tools
