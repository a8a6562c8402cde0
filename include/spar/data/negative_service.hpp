#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "spar/comm/communicator.hpp"
#include "spar/data/popularity.hpp"
#include "spar/data/triple_sampler.hpp"

namespace spar::data {

/// Draws the negatives of samplers whose law lies with the owners of items, some steps ahead: the user's shard sends
/// the owner of a shard of items 64 random bits, gets an item back, and asks again for what its user has. Gives what
/// the sampler would draw if it held the whole law, so nothing depends on the launch or on how many steps are drawn at
/// once. Moves 12 bytes there and 4 back for each attempt. Rounds double the attempts of the places that are left, so
/// their number is the logarithm of what the unluckiest place needs.
class NegativeService {
 public:
  /// The samplers of this rank's shards, whose law is that of `popularity`; all must outlive the service.
  NegativeService(const comm::Communicator& communicator, const Popularity& popularity,
                  std::vector<TripleSampler*> samplers);

  /// To be called after the samplers' begin_epoch(): what was drawn is of another epoch.
  void begin_epoch();
  /// Before any sampler is asked for `step` of `steps`, which rise within an epoch. Collective; sends nothing where the
  /// step was drawn with an earlier one.
  void prepare(std::int64_t step, std::int64_t steps);

  /// The most draws that a rank holds when all ranks together have `places` in a step, as `spar plan` counts them.
  static std::int64_t most_draws(std::int64_t places);

 private:
  struct Open;
  struct Question;
  struct Shard;

  void lay_out(std::int64_t step, std::int64_t end, std::int64_t steps);
  std::size_t rank_of(const Question& question) const;
  void ask();
  std::int64_t take_answers();

  const comm::Communicator* communicator_;
  const Popularity* popularity_;
  std::vector<TripleSampler*> samplers_;
  std::vector<std::shared_ptr<Shard>> shards_;
  std::vector<std::vector<std::byte>> outgoing_;
  std::vector<std::vector<std::byte>> answers_;
  std::int64_t first_ = 0;
  std::int64_t end_ = 0;
  std::uint32_t first_attempt_ = 0;  // of the round
  std::uint32_t attempts_ = 1;       // at each open place
};

}  // namespace spar::data
