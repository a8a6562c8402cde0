#pragma once
#include "data_tools/chunk.hpp"
#include "data_tools/row_layout.hpp"

/// From the bytes of a chunk to ids and numbers. Each function fills the chunk's rows, or stops at the first bad line
/// with chunk.line_error. No state besides the chunk: chunks are read in parallel.
namespace spar::data_tools {

/// One interaction a line. In the first chunk, layout.skip_lines lines are passed over.
void parse_rows(const RowLayout& layout, Chunk& chunk);

/// `user item item ...` a line, whole numbers between blanks.
void parse_lists(std::int64_t skip_lines, Chunk& chunk);

/// Candidate lists, `(user,item) candidate candidate ...` or `user candidate ...` a line. For each line, chunk.times is
/// 2 * line + 1 for the positive (where there is one) and 2 * line for the candidates; lines count from the chunk's
/// start.
void parse_negatives(Chunk& chunk);

/// Passes over a byte order mark and `lines` lines of the first chunk; the place of what follows.
std::size_t skip_head(Chunk& chunk, std::int64_t lines);

}  // namespace spar::data_tools
