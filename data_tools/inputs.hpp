#pragma once
#include <memory>
#include <string>
#include <vector>

#include "data_tools/import.hpp"
#include "data_tools/row_layout.hpp"
#include "data_tools/text_source.hpp"

/// From a format and paths to texts, each with its part and its layout.
namespace spar::data_tools {

/// Which part the rows of a text belong to. The values are used as indices; the first three are those of data::Part.
enum class InputPart { train, validation, test, negatives };
const char* input_part_name(InputPart part);

struct Input {
  std::string path;
  InputPart part = InputPart::train;
  enum class Form { rows, lists, negatives } form = Form::rows;
  RowLayout layout;                    ///< of rows
  std::int64_t skip_lines = 0;         ///< of lists
  std::unique_ptr<TextSource> source;  ///< opened already (pipes), else null
  std::string describe() const;
};

/// Finds the files that the options name and looks at the head of each: train first, then validation, test, negatives.
/// UserError: unknown format (the known ones are listed), missing files (what was looked for), what find_layout says.
std::vector<Input> find_inputs(const ImportOptions& options);

}  // namespace spar::data_tools
