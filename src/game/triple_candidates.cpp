#include "spar/base/error.hpp"
#include "spar/game/neural_batch.hpp"

namespace spar::game {

void TripleCandidates::draw(const data::TripleSampler& sampler, std::int64_t step, std::int64_t steps,
                            const data::MicroBatch& triples, std::vector<Index>& rows, NeuralBatch& batch) {
  Contest& contest = batch.contest;
  contest.each = sampler.candidates();
  if (contest.each == 1) return;
  contest.role = batch.slots.size() - 1;
  contest.query_roles = contest.role - 1;
  const std::int64_t places = sampler.places(step, steps) / contest.each;
  const auto most = static_cast<std::size_t>(places * (1 + contest.each));
  if (most > most_) {
    finder_ = data::SlotFinder(most);
    most_ = most;
  }
  finder_.clear();
  bool fresh = false;
  for (const Index item : triples.items) finder_.find(static_cast<std::uint32_t>(item), fresh);
  std::int64_t place = 0;
  for (std::int32_t t = 0; t < triples.triples(); ++t, ++place) {
    const auto at = static_cast<std::size_t>(t);
    while (sampler.lacks_negatives(sampler.first_user() + sampler.positive_at(step, steps, place).user)) ++place;
    contest.examples.push_back(t);
    contest.slots.push_back(triples.negative[at]);
    const Index user = triples.users[static_cast<std::size_t>(triples.user[at])];
    for (int c = 1; c < contest.each; ++c) {
      ItemId item = 0;
      const bool drawn = sampler.draw_negative(user, step, static_cast<std::uint32_t>(c * places + place), item);
      SPAR_ASSERT(drawn);
      contest.slots.push_back(finder_.find(item, fresh));
      if (fresh) rows.push_back(static_cast<Index>(item));
    }
  }
}

}  // namespace spar::game
