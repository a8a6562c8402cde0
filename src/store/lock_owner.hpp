#pragma once
#include <optional>
#include <string>

#include "spar/store/run_lock.hpp"

/// What stands in a run.lock, and which owners no longer count.
namespace spar::store {

std::string to_text(const LockOwner& owner);
std::optional<LockOwner> parse_owner(const std::string& text);
/// Nothing where the file is absent or does not hold a whole owner.
std::optional<LockOwner> read_owner(const std::string& path);

/// `owner` ran where `self` runs, and its process is gone.
bool is_dead(const LockOwner& owner, const LockOwner& self);
/// `owner` is the job of `self` before it was requeued.
bool is_earlier_start(const LockOwner& owner, const LockOwner& self);

}  // namespace spar::store
