#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "spar/comm/communicator.hpp"
#include "spar/systems/run_directory.hpp"

/// The first stage of "retrieve, then re-rank": a run whose scores are inner products chooses each user's candidates.
namespace spar::cli {

class Retrieval {
 public:
  /// Opens `directory` with the rows dealt out as those of `ranked`, whose model orders the candidates; collective.
  /// UserError: another data set, no inner products, or one of them ranks no items for users.
  Retrieval(const comm::Communicator& communicator, const std::string& directory, const std::string& checkpoint,
            const systems::OpenRun& ranked);

  /// What it scores for the users that `chosen` marks (nullptr: all), when `split` is judged; collective. Must not
  /// outlive this object.
  systems::Scoring scoring(const std::string& split, const std::vector<std::uint8_t>* chosen) const;

 private:
  const comm::Communicator* communicator_;
  systems::OpenRun run_;
  systems::RunLists lists_;
};

}  // namespace spar::cli
