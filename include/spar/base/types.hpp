#pragma once
#include <cstddef>
#include <cstdint>

namespace spar {

/// A global row of a table (a user, an item): dense, 0-based, given by the importer. Also counts of rows and
/// interactions.
using Index = std::int64_t;

/// An item in the long lists of interactions: half the bytes of an Index. Catalogues end at 2^32 - 1 rows; data sets
/// beyond are refused on import.
using ItemId = std::uint32_t;

}  // namespace spar
