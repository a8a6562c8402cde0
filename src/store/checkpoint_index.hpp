#pragma once
#include <string>

#include "spar/store/checkpoint.hpp"

namespace spar::store {

/// The bytes of index.h5: a file of virtual datasets that shows each field of each table as one matrix over the part
/// files beside it. Rows of a missing part read as NaN.
std::string index_image(const CheckpointManifest& manifest);

}  // namespace spar::store
