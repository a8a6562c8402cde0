#pragma once
#include <cstddef>
#include <exception>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "checkpoint_plan.hpp"
#include "part_writer.hpp"

#include "spar/base/memory.hpp"

namespace spar::store {

/// What one rank does in a save: it writes the parts that begin with its shards and sends its rows of the others to
/// their writers.
class RankSaver {
 public:
  using Written = std::vector<std::pair<int, CheckpointManifest::Part>>;

  /// All arguments outlive the saver. `may_go_on` is asked between blocks, on rank 0.
  RankSaver(const comm::Communicator& communicator, const CheckpointManifest& manifest, const std::string& directory,
            const std::string& nonce, const std::vector<TableRows>& tables, const std::vector<PendingRows>& pending,
            const std::function<bool()>& may_go_on);

  /// The parts that this rank wrote. A rank that fails still takes what others send it, so that nobody waits for ever;
  /// it throws at the end.
  Written run();

 private:
  RowRange rows_of(std::size_t table, int rank, int part) const;
  /// Calls action(rows) for the blocks in which a rank's rows of a table within a part travel.
  void for_blocks(std::size_t table, int rank, int part, const std::function<void(const RowRange&)>& action) const;
  std::span<const float> pack(std::size_t table, const RowRange& rows);
  PartPending pending_of(std::size_t k, int part) const;
  std::vector<PartPending> gather_pending(const PartDuty& duty) const;
  void send(const PartDuty& duty);
  std::optional<CheckpointManifest::Part> write(const PartDuty& duty);
  void add(PartWriter& file, std::size_t table, const RowRange& rows, std::span<const float> block) const;
  /// Does nothing after the first failure, which it keeps.
  void attempt(const std::function<void()>& action);

  const comm::Communicator& communicator_;
  const CheckpointManifest& manifest_;
  const std::string& directory_;
  const std::string& nonce_;
  const std::vector<TableRows>& tables_;
  const std::vector<PendingRows>& pending_;
  const std::function<bool()>& may_go_on_;
  ShardLayout layout_;
  Buffer<float> block_;
  std::exception_ptr failure_;
};

}  // namespace spar::store
