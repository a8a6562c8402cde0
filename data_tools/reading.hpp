#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "data_tools/id_map.hpp"
#include "data_tools/import.hpp"
#include "data_tools/inputs.hpp"
#include "data_tools/spill.hpp"

/// The first stage: texts become numbered records in buckets by user.
namespace spar::data_tools {

/// Which columns a record has.
struct Schema {
  bool ratings = false;
  bool times = false;
  std::size_t value_bytes() const { return 4 + (ratings ? 4U : 0U) + (times ? 8U : 0U); }  ///< without the user
  std::size_t record_bytes() const { return 4 + value_bytes(); }
};

/// What reading gives. User u is user u / buckets of bucket u % buckets. A record is u32 user within the bucket, u32
/// item, f32 rating and i64 time where the schema has them, packed; in input order within a bucket. Records of
/// negatives: user, item, i64 line of the file twice, plus one for the positive.
struct Records {
  IdMap users{"users"};
  IdMap items{"items"};
  Schema schema;
  std::uint32_t users_with_rows = 0;  ///< users and items beyond were met in the candidate lists only
  std::uint32_t items_with_rows = 0;
  std::unique_ptr<SpillFile> file;
  std::array<std::unique_ptr<Buckets>, 4> parts;  ///< by InputPart; null where there is no such input
  std::size_t buckets = 0;
};

inline constexpr Schema negatives_schema{false, true};

/// A column is kept where every interaction has it; `notes` tells of columns that are not. With `ordered`, places in
/// the input are the times.
Schema common_schema(const std::vector<Input>& inputs, bool ordered, std::vector<std::string>& notes);

/// Reads all inputs in parallel; ids are numbered by first appearance whatever the number of threads. Adds one entry an
/// input to report.inputs. UserError for the first line in the order of the inputs that cannot be read.
Records read_inputs(std::vector<Input>& inputs, const Schema& schema, const SpillPlace& place, bool ordered,
                    ImportReport& report);

}  // namespace spar::data_tools
