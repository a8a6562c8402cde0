#pragma once
#include "spar/base/sharding.hpp"
#include "spar/comm/communicator.hpp"
#include "spar/data/interactions.hpp"

namespace spar::data {

/// The same interactions by item: the users of each of this rank's items, ascending, as lists of "users" that are
/// items. `by_user` are the lists of the rank's users; `items` cuts the items into shards. Collective. Moves 8 bytes an
/// interaction, in bounded pieces; holds 12 bytes for each interaction of the rank's items while it works, 4 after.
UserLists transpose(const comm::Communicator& communicator, const UserLists& by_user, const Partition& items);

}  // namespace spar::data
