#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "spar/base/types.hpp"
#include "spar/data/side_data.hpp"
#include "spar/store/array_file.hpp"

/// Categorical attributes of users or items: gender, age bracket, brand. A row has the code of its category; code 0
/// means that its category is not known.
namespace spar::data {

/// Codes of the attribute `name` of rows [first_row, end_row), each below find_side_data(...).width; checksums are
/// verified. Both bounds are boundaries of row groups. Any rank may call it alone. UserError as read_features.
std::vector<std::uint32_t> read_attribute(const store::ArrayFile& file, Side side, const std::string& name,
                                          Index first_row, Index end_row);

/// The categories by code: numbers in their order where all are whole numbers, else texts in the order of their bytes;
/// the first, "", stands for missing. As long as the categories, not as the catalogue.
std::vector<std::string> read_attribute_values(const store::ArrayFile& file, Side side, const std::string& name);

}  // namespace spar::data
