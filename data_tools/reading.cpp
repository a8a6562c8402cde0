#include "data_tools/reading.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <filesystem>
#include <functional>
#include <mutex>

#include <fmt/format.h>
#include <tbb/parallel_pipeline.h>
#include <tbb/task_arena.h>

#include "data_tools/parsers.hpp"
#include "spar/base/error.hpp"
#include "spar/base/threads.hpp"

namespace spar::data_tools {

namespace {

constexpr std::size_t chunk_bytes = std::size_t{256} << 10;
constexpr std::size_t buffer_bytes = std::size_t{16} << 10;

/// Buckets such that one holds about 1 MiB of text, so that it is sorted in the cache. The result does not depend on
/// it.
std::size_t bucket_count(const std::vector<Input>& inputs) {
  std::uintmax_t bytes = 0;
  for (const Input& input : inputs) {
    std::error_code error;
    const bool pipe = input.source != nullptr;
    const std::uintmax_t size = pipe ? std::uintmax_t{1} << 32 : std::filesystem::file_size(input.path, error);
    if (!error) bytes += input.path.ends_with(".gz") ? 5 * size : size;
  }
  return std::clamp<std::size_t>(std::bit_ceil(static_cast<std::size_t>(bytes >> 20)), 16, 2048);
}

/// Chunks in use again and again, so that their memory is touched for the first time only once.
class ChunkPool {
 public:
  std::unique_ptr<Chunk> take() {
    const std::scoped_lock lock(mutex_);
    if (free_.empty()) return std::make_unique<Chunk>();
    std::unique_ptr<Chunk> chunk = std::move(free_.back());
    free_.pop_back();
    return chunk;
  }
  void give_back(std::unique_ptr<Chunk> chunk) {
    const std::scoped_lock lock(mutex_);
    free_.push_back(std::move(chunk));
  }

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<Chunk>> free_;
};

void parse(const Input& input, Chunk& chunk) {
  switch (input.form) {
    case Input::Form::rows:
      return parse_rows(input.layout, chunk);
    case Input::Form::lists:
      return parse_lists(input.skip_lines, chunk);
    case Input::Form::negatives:
      return parse_negatives(chunk);
  }
}

/// The stages of one input after parsing. number_users() and store() see the chunks in order; each is called by one
/// thread at a time.
class InputStages {
 public:
  InputStages(const Input& input, std::string name, Records& records, ImportReport::Input& report,
              std::int64_t first_row, bool ordered)
      : input_(input),
        name_(std::move(name)),
        records_(records),
        report_(report),
        rows_(first_row),
        ordered_(ordered) {}

  void number_users(Chunk& chunk) {
    if (chunk.line_error) {
      const LineError& error = *chunk.line_error;
      const std::string column = error.column > 0 ? fmt::format(", column {}", error.column) : "";
      throw UserError(fmt::format("{}, line {}{}: {}", name_, lines_ + error.line + 1, column, error.what));
    }
    if (!chunk.broken.empty()) throw UserError(chunk.broken);
    if (input_.form == Input::Form::negatives) {
      for (std::int64_t& time : chunk.times) {
        report_.rows += (time & 1) == 0 ? 1 : 0;
        time += 2 * lines_;
      }
    } else {
      report_.rows += static_cast<std::int64_t>(chunk.users.size());
      if (ordered_) number_rows(chunk);
    }
    lines_ += chunk.lines;
    report_.empty_lines += chunk.empty_lines;
    report_.empty_lists += chunk.empty_lists;
    records_.users.resolve(chunk.users, chunk.text.data(), chunk.user_index);
  }

  void store(Chunk& chunk) {
    records_.items.resolve(chunk.items, chunk.text.data(), chunk.item_index);
    const Schema schema = input_.form == Input::Form::negatives ? negatives_schema : records_.schema;
    Buckets& buckets = *records_.parts[static_cast<std::size_t>(input_.part)];
    const std::size_t bytes = schema.record_bytes();
    const std::size_t mask = records_.buckets - 1;
    const int shift = std::countr_zero(records_.buckets);
    for (std::size_t k = 0; k < chunk.user_index.size(); ++k) {
      const std::uint32_t user = chunk.user_index[k];
      char* at = buckets.extend(user & mask, bytes);
      const std::uint32_t pair[2] = {static_cast<std::uint32_t>(user >> shift), chunk.item_index[k]};
      std::memcpy(at, pair, 8);
      at += 8;
      if (schema.ratings) {
        std::memcpy(at, &chunk.ratings[k], 4);
        at += 4;
      }
      if (schema.times) std::memcpy(at, &chunk.times[k], 8);
    }
  }

 private:
  void number_rows(Chunk& chunk) {
    chunk.times.resize(chunk.users.size());
    for (std::int64_t& time : chunk.times) time = rows_++;
  }

  const Input& input_;
  std::string name_;
  Records& records_;
  ImportReport::Input& report_;
  std::int64_t rows_;
  bool ordered_;
  std::int64_t lines_ = 0;
};

void run_serially(ChunkReader& reader, const Input& input, InputStages& stages) {
  Chunk chunk;
  while (reader.next(chunk)) {
    parse(input, chunk);
    stages.number_users(chunk);
    stages.store(chunk);
  }
}

void run_in_parallel(ChunkReader& reader, const Input& input, InputStages& stages) {
  using Item = std::shared_ptr<Chunk>;
  ChunkPool pool;
  const auto read = [&](tbb::flow_control& control) -> Item {
    std::unique_ptr<Chunk> chunk = pool.take();
    if (!reader.next(*chunk)) {
      control.stop();
      return nullptr;
    }
    return {chunk.release(), [&pool](Chunk* used) { pool.give_back(std::unique_ptr<Chunk>(used)); }};
  };
  const auto parsed = [&](const Item& chunk) -> Item {
    parse(input, *chunk);
    return chunk;
  };
  const auto numbered = [&](const Item& chunk) -> Item {
    stages.number_users(*chunk);
    return chunk;
  };
  tbb::task_arena arena(threads());
  arena.execute([&] {
    tbb::parallel_pipeline(static_cast<std::size_t>(3 * threads()),
                           tbb::make_filter<void, Item>(tbb::filter_mode::serial_in_order, read) &
                               tbb::make_filter<Item, Item>(tbb::filter_mode::parallel, parsed) &
                               tbb::make_filter<Item, Item>(tbb::filter_mode::serial_in_order, numbered) &
                               tbb::make_filter<Item, void>(tbb::filter_mode::serial_in_order,
                                                            [&](const Item& chunk) { stages.store(*chunk); }));
  });
}

}  // namespace

Schema common_schema(const std::vector<Input>& inputs, bool ordered, std::vector<std::string>& notes) {
  Schema schema{true, true};
  const Input* with_rating = nullptr;
  const Input* with_time = nullptr;
  for (const Input& input : inputs) {
    if (input.form == Input::Form::negatives) continue;
    const bool rows = input.form == Input::Form::rows;
    if (rows && input.layout.has_rating) with_rating = &input;
    if (rows && input.layout.has_time) with_time = &input;
    schema.ratings = schema.ratings && rows && input.layout.has_rating;
    schema.times = schema.times && rows && input.layout.has_time;
  }
  if (with_rating != nullptr && !schema.ratings)
    notes.push_back(fmt::format("ratings are not kept: {} has them, but not every input", with_rating->path));
  if (with_time != nullptr && !schema.times && !ordered) {
    notes.push_back(fmt::format("times are not kept: {} has them, but not every input", with_time->path));
  }
  if (ordered && with_time != nullptr) notes.push_back("the order of the input takes the place of its time column");
  if (ordered) schema.times = true;
  return schema;
}

Records read_inputs(std::vector<Input>& inputs, const Schema& schema, const SpillPlace& place, bool ordered,
                    ImportReport& report) {
  Records records;
  records.schema = schema;
  records.buckets = bucket_count(inputs);
  records.file = std::make_unique<SpillFile>(place);
  std::int64_t rows = 0;
  for (Input& input : inputs) {
    const bool negatives = input.form == Input::Form::negatives;
    auto& buckets = records.parts[static_cast<std::size_t>(input.part)];
    if (!buckets) buckets = std::make_unique<Buckets>(*records.file, records.buckets, buffer_bytes);
    if (!input.source) input.source = TextSource::open(input.path);
    ImportReport::Input entry{input.source->name(), input_part_name(input.part), input.describe(), 0, 0, 0};
    InputStages stages(input, input.source->name(), records, entry, rows, ordered);
    ChunkReader reader(*input.source, chunk_bytes);
    try {
      if (threads() == 1) {
        run_serially(reader, input, stages);
      } else {
        run_in_parallel(reader, input, stages);
      }
    } catch (const UserError&) {
      input.source->check_rest();
      throw;
    }
    input.source.reset();
    if (!negatives) {
      rows += entry.rows;
      records.users_with_rows = records.users.size();
      records.items_with_rows = records.items.size();
    }
    report.inputs.push_back(std::move(entry));
  }
  report.rows_read = rows;
  return records;
}

}  // namespace spar::data_tools
