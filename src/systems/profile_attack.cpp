#include "spar/systems/profile_attack.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "profile_margins.hpp"
#include "profile_sums.hpp"

#include "spar/base/error.hpp"
#include "spar/base/threads.hpp"

namespace spar::systems {

namespace {

constexpr Index users_per_wave = 4096;
constexpr std::size_t pairs_per_pass = 32;
constexpr std::size_t most_own_members = 4096;
constexpr std::size_t fewest_pulled_members = 8192;
constexpr std::size_t pulled_members = 65536;  // of all shards
constexpr std::int64_t rivals_per_place = 4;
constexpr int most_attempts = 4;
constexpr int member_tag = 1040;

struct Sums {
  double pairs = 0, hits = 0, attacked = 0, successes = 0, distortion = 0, relative = 0, changes = 0;
  static constexpr int count = 7;
};

class ProfileAttack {
 public:
  ProfileAttack(const comm::Communicator& communicator, const ShardLayout& layout, const FactorModel& model,
                const evaluate::EvaluationLists& lists, const FeatureAttackPlan& plan)
      : communicator_(communicator),
        layout_(layout),
        model_(model),
        lists_(lists),
        plan_(plan),
        users_(*model.users),
        first_shard_(layout.first_shard(communicator.rank())),
        scoring_(model.scoring(communicator, layout.shards, lists)),
        sums_(sum_profiles(communicator, layout.shards, model, lists)),
        margins_(communicator, layout, model, scoring_, sums_, *lists.masked.front(), plan, pairs_per_pass,
                 static_cast<std::size_t>((rivals_per_place + most_attempts) * plan.top + most_attempts)),
        members_(communicator, layout, *model.items,
                 std::max(fewest_pulled_members, pulled_members / static_cast<std::size_t>(layout.shards)), member_tag),
        pairs_(static_cast<std::size_t>(layout.shard_count(communicator.rank()))),
        counts_(pairs_.size()),
        workers_(static_cast<std::size_t>(threads())) {
    if (plan_.search.most_changes == 0) plan_.search.most_changes = most_profile_changes;
    SPAR_ASSERT(plan_.search.most_changes <= most_profile_changes);
    plan_.search.lowest = plan_.box ? plan_.box->first : 0.0;
    plan_.search.highest = plan_.box ? plan_.box->second : 1.0;
    SPAR_ASSERT(plan_.search.lowest == 0.0 && plan_.search.highest >= 1.0);
  }

  FeatureAttackResult run() {
    const data::UserLists& targets = *lists_.targets;
    Index most = 0;
    for (Index k = 0; k < users_.rows(); ++k) most = std::max(most, static_cast<Index>(targets.of(k).size()));
    const Index rounds = plan_.pushed >= 0 ? 1 : communicator_.max(most);
    for (Index wave = 0; wave < users_.total_rows(); wave += users_per_wave) {
      for (Index place = 0; place < rounds; ++place) {
        find_pairs(wave, static_cast<std::size_t>(place));
        find_slopes();
        find_members();
        for (int attempt = 0; attempt < most_attempts && communicator_.any(!all_pairs().empty()); ++attempt) {
          search();
          judge();
        }
      }
    }
    return result();
  }

 private:
  std::vector<ProfilePair*> all_pairs() {
    std::vector<ProfilePair*> all;
    for (auto& pairs : pairs_) {
      for (ProfilePair& pair : pairs) all.push_back(&pair);
    }
    return all;
  }

  bool is_masked(Index user, Index item) const {
    return std::any_of(lists_.masked.begin(), lists_.masked.end(), [&](const data::UserLists* part) {
      const auto items = part->of(user);
      return std::binary_search(items.begin(), items.end(), static_cast<ItemId>(item));
    });
  }

  // One item for each user of the wave, so that pairs in the order of shards are in that of recommend()'s lists.
  void find_pairs(Index wave, std::size_t place) {
    std::vector<std::uint8_t> chosen(static_cast<std::size_t>(users_.rows()));
    for (auto& pairs : pairs_) pairs.clear();
    for (Index k = 0; k < users_.rows(); ++k) {
      const Index row = users_.first_row() + k;
      const auto targets = lists_.targets->of(k);
      const bool asked = lists_.chosen_users == nullptr || (*lists_.chosen_users)[static_cast<std::size_t>(k)] != 0;
      if (!asked || row < wave || row >= wave + users_per_wave || place >= targets.size()) continue;
      const Index item = plan_.pushed >= 0 ? plan_.pushed : static_cast<Index>(targets[place]);
      if (is_masked(k, item)) continue;
      chosen[static_cast<std::size_t>(k)] = 1;
      const auto shard = static_cast<std::size_t>(users_.partition().part_of(row) - first_shard_);
      counts_[shard].pairs += 1;
      pairs_[shard].push_back({.user = k, .item = item});
    }
    if (plan_.goal == Goal::list) find_rivals(chosen);
  }

  void find_rivals(const std::vector<std::uint8_t>& chosen) {
    evaluate::EvaluationLists lists = lists_;
    lists.chosen_users = &chosen;
    const auto top = static_cast<std::size_t>(plan_.top);
    const auto best =
        evaluate::recommend(communicator_, scoring_.scorer, lists, static_cast<int>(rivals_per_place * plan_.top + 1));
    std::size_t next = 0;
    for (std::size_t shard = 0; shard < pairs_.size(); ++shard) {
      for (ProfilePair& pair : pairs_[shard]) {
        const auto& list = best[next++];
        const auto at = std::ranges::find(list, pair.item, &evaluate::Recommendation::item);
        const bool hit = at != list.end() && at - list.begin() < plan_.top;
        counts_[shard].hits += hit ? 1 : 0;
        for (const auto& other : list) {
          if (other.item != pair.item) pair.rivals.push_back(other.item);
        }
        pair.is_attacked = hit == (plan_.pushed < 0) && pair.rivals.size() >= top;
        counts_[shard].attacked += pair.is_attacked ? 1 : 0;
      }
      std::erase_if(pairs_[shard], [](const ProfilePair& pair) { return !pair.is_attacked; });
    }
  }

  // Calls work(shard, first pair, one behind the last, worker) for all pairs, with the rows that they want at hand.
  template <class Want, class Work>
  void in_passes(Want&& want, Work&& work) {
    std::vector<std::size_t> next(pairs_.size(), 0);
    const auto more = [&] {
      for (std::size_t s = 0; s < pairs_.size(); ++s) {
        if (next[s] < pairs_[s].size()) return true;
      }
      return false;
    };
    while (communicator_.any(more())) {
      std::vector<std::size_t> begin = next;
      margins_.begin();
      members_.begin();
      for (std::size_t s = 0; s < pairs_.size(); ++s) {
        while (next[s] < pairs_[s].size() && next[s] - begin[s] < pairs_per_pass && want(s, pairs_[s][next[s]]))
          ++next[s];
      }
      margins_.pull();
      members_.pull();
      parallel_for_worker(static_cast<int>(pairs_.size()), [&](int shard, int worker) {
        const auto s = static_cast<std::size_t>(shard);
        if (begin[s] < next[s]) work(s, begin[s], next[s], workers_[static_cast<std::size_t>(worker)]);
      });
      communicator_.barrier();
    }
  }

  const float* profile(const ProfilePair& pair) const { return sums_.user(pair.user); }

  // The gradient of every margin at the profile as it was; of labels also who is to be attacked.
  void find_slopes() {
    in_passes(
        [&](std::size_t s, ProfilePair& pair) {
          margins_.want(s, pair);
          return true;
        },
        [&](std::size_t s, std::size_t begin, std::size_t end, MarginRoom& room) {
          std::vector<ProfileMargin> all;
          for (std::size_t k = begin; k < end; ++k) all.push_back(margins_.open(s, pairs_[s][k]));
          room.require(all.size(), sums_.columns);
          std::vector<ProfileMargin*> running;
          for (std::size_t r = 0; r < all.size(); ++r) {
            running.push_back(&all[r]);
            std::copy_n(profile(*all[r].pair), sums_.columns, room.point(r));
          }
          const auto margins = margins_.evaluate(running, room);
          for (std::size_t r = 0; r < all.size(); ++r) {
            ProfilePair& pair = *all[r].pair;
            pair.slope.assign(room.gradient(r), room.gradient(r) + sums_.columns);
            if (plan_.goal == Goal::list) continue;
            const bool hit = (plan_.pushed < 0 ? margins[r] : -margins[r]) > 0.0;
            counts_[s].hits += hit ? 1 : 0;
            pair.is_attacked = hit == (plan_.pushed < 0);
            counts_[s].attacked += pair.is_attacked ? 1 : 0;
          }
        });
    for (auto& pairs : pairs_) std::erase_if(pairs, [](const ProfilePair& pair) { return !pair.is_attacked; });
  }

  // The items outside the profile whose entries lower the margin most: the best of an inner product with -slope.
  void find_members() {
    const Index stride = padded(sums_.columns);
    Buffer<float> queries(static_cast<std::size_t>(users_.rows() * stride));
    std::fill_n(queries.data(), static_cast<std::size_t>(users_.rows() * stride), 0.0F);
    std::vector<std::uint8_t> chosen(static_cast<std::size_t>(users_.rows()));
    data::UserLists attacked;
    attacked.first_user = users_.first_row();
    const auto pairs = all_pairs();
    std::size_t next = 0;
    for (Index k = 0; k < users_.rows(); ++k) {
      if (next < pairs.size() && pairs[next]->user == k) {
        chosen[static_cast<std::size_t>(k)] = 1;
        attacked.items.push_back(static_cast<ItemId>(pairs[next]->item));
        for (int c = 0; c < sums_.columns; ++c)
          queries.data()[k * stride + c] = -pairs[next]->slope[static_cast<std::size_t>(c)];
        ++next;
      }
      attacked.offsets.push_back(static_cast<std::int64_t>(attacked.items.size()));
    }
    evaluate::Scorer scorer = scoring_.scorer;
    scorer.pairs = nullptr;
    scorer.item_bias = nullptr;
    scorer.users = {queries.data(), users_.first_row(), users_.rows(), sums_.columns, stride};
    scorer.items = model_.items->vectors();
    evaluate::EvaluationLists lists;
    lists.masked = {lists_.masked.front(), &attacked};
    lists.chosen_users = &chosen;
    const auto best = evaluate::recommend(communicator_, scorer, lists, static_cast<int>(plan_.search.most_changes));
    for (std::size_t k = 0; k < pairs.size(); ++k) {
      for (const auto& member : best[k]) {
        if (member.score > 0.0F) pairs[k]->members.push_back(member.item);
      }
    }
  }

  std::span<const ItemId> own_members(const ProfilePair& pair) const {
    const auto own = lists_.masked.front()->of(pair.user);
    return own.first(std::min(own.size(), most_own_members));
  }

  void search() {
    in_passes(
        [&](std::size_t s, ProfilePair& pair) {
          if (!members_.has_room(s, own_members(pair).size() + pair.members.size())) return false;
          margins_.want(s, pair);
          pair.slots.clear();
          for (const ItemId own : own_members(pair)) pair.slots.push_back(members_.want(s, own));
          for (const Index other : pair.members) pair.slots.push_back(members_.want(s, other));
          return true;
        },
        [&](std::size_t s, std::size_t begin, std::size_t end, MarginRoom& room) {
          search_pairs(s, begin, end, room);
        });
  }

  // The rows of all entries that may be chosen, in the order of the items, and the search over them.
  struct Job {
    ProfileMargin margin;
    std::vector<const float*> rows;
    std::vector<float> start;
    std::vector<float> gradient;
    double scale = 1.0;
    std::optional<adversary::CarliniWagnerSearch> search;
  };

  Job open_job(std::size_t shard, ProfilePair& pair) {
    Job job{.margin = margins_.open(shard, pair), .rows = {}, .start = {}, .gradient = {}, .search = {}};
    const std::size_t own = own_members(pair).size();
    for (std::size_t j = 0; j < pair.slots.size(); ++j) {
      job.rows.push_back(members_.row(shard, pair.slots[j]));
      job.start.push_back(j < own ? 1.0F : 0.0F);
    }
    job.gradient.resize(job.rows.size());
    job.scale = static_cast<double>(
        model_.network->profile_scale(static_cast<std::int64_t>(lists_.masked.front()->of(pair.user).size())));
    job.search.emplace(plan_.search, job.start);
    return job;
  }

  // The sum over the changed profile.
  void sum_point(const Job& job, float* to) const {
    const float* clean = profile(*job.margin.pair);
    std::vector<double> sum(static_cast<std::size_t>(sums_.columns), 0.0);
    const auto point = job.search->point();
    for (std::size_t j = 0; j < job.rows.size(); ++j) {
      const double change = static_cast<double>(point[j]) - static_cast<double>(job.start[j]);
      if (change == 0.0) continue;
      for (std::size_t c = 0; c < sum.size(); ++c) sum[c] += change * static_cast<double>(job.rows[j][c]);
    }
    for (std::size_t c = 0; c < sum.size(); ++c)
      to[c] = static_cast<float>(static_cast<double>(clean[c]) + job.scale * sum[c]);
  }

  void search_pairs(std::size_t shard, std::size_t begin, std::size_t end, MarginRoom& room) {
    std::vector<Job> jobs;
    for (std::size_t k = begin; k < end; ++k) jobs.push_back(open_job(shard, pairs_[shard][k]));
    std::vector<Job*> running;
    for (Job& job : jobs) running.push_back(&job);
    room.require(jobs.size(), sums_.columns);
    while (!running.empty()) {
      std::vector<ProfileMargin*> open;
      for (std::size_t r = 0; r < running.size(); ++r) {
        sum_point(*running[r], room.point(r));
        open.push_back(&running[r]->margin);
      }
      const auto margins = margins_.evaluate(open, room);
      for (std::size_t r = 0; r < running.size(); ++r) tell(*running[r], margins[r], room.point(r), room.gradient(r));
      std::erase_if(running, [](const Job* job) { return job->search->is_done(); });
    }
  }

  void tell(Job& job, double margin, const float* point, const float* slope) const {
    for (std::size_t j = 0; j < job.rows.size(); ++j) {
      double product = 0.0;
      for (int c = 0; c < sums_.columns; ++c)
        product += static_cast<double>(job.rows[j][c]) * static_cast<double>(slope[c]);
      job.gradient[j] = static_cast<float>(job.scale * product);
    }
    ProfilePair& pair = *job.margin.pair;
    const double before = pair.reached ? pair.distortion : std::numeric_limits<double>::infinity();
    job.search->tell(margin, job.gradient);
    if (!job.search->has_reached() || job.search->distortion() >= before) return;
    pair.reached = true;
    pair.distortion = job.search->distortion();
    pair.changes = job.search->changes();
    pair.found.assign(point, point + sums_.columns);
  }

  // Counts what was found and holds in the ranking of all candidates; what does not meets more rivals.
  void judge() {
    for (auto& pairs : pairs_) std::erase_if(pairs, [](const ProfilePair& pair) { return !pair.reached; });
    std::vector<std::vector<evaluate::Recommendation>> best;
    if (plan_.goal == Goal::list) best = lists_after();
    std::size_t next = 0;
    for (std::size_t s = 0; s < pairs_.size(); ++s) {
      for (ProfilePair& pair : pairs_[s]) {
        if (plan_.goal == Goal::list) {
          const auto& list = best[next++];
          const bool hit = std::ranges::find(list, pair.item, &evaluate::Recommendation::item) != list.end();
          pair.is_attacked = hit == (plan_.pushed < 0);
          for (const auto& other : list) {
            if (std::ranges::find(pair.rivals, other.item) == pair.rivals.end()) pair.rivals.push_back(other.item);
          }
        } else {
          pair.is_attacked = false;
        }
        if (!pair.is_attacked) count_success(s, pair);
        pair.reached = false;
      }
      std::erase_if(pairs_[s], [](const ProfilePair& pair) { return !pair.is_attacked; });
    }
  }

  std::vector<std::vector<evaluate::Recommendation>> lists_after() {
    evaluate::Scorer scorer = scoring_.scorer;
    const auto floats = static_cast<std::size_t>(scorer.users.rows * scorer.users.stride);
    Buffer<float> changed(floats);
    std::copy_n(scorer.users.data, floats, changed.data());
    std::vector<std::uint8_t> chosen(static_cast<std::size_t>(users_.rows()));
    for (const ProfilePair* pair : all_pairs()) {
      chosen[static_cast<std::size_t>(pair->user)] = 1;
      model_.network->represent_user(*model_.dense, pair->found.data(),
                                     changed.data() + pair->user * scorer.users.stride);
    }
    scorer.users.data = changed.data();
    evaluate::EvaluationLists lists = lists_;
    lists.chosen_users = &chosen;
    return evaluate::recommend(communicator_, scorer, lists, static_cast<int>(plan_.top));
  }

  void count_success(std::size_t shard, const ProfilePair& pair) {
    Sums& sums = counts_[shard];
    sums.successes += 1;
    sums.distortion += pair.distortion;
    sums.changes += static_cast<double>(pair.changes);
    const auto entries = static_cast<double>(lists_.masked.front()->of(pair.user).size());
    sums.relative += entries > 0.0 ? pair.distortion / std::sqrt(entries) : 0.0;
  }

  FeatureAttackResult result() {
    std::vector<double> numbers;
    for (const Sums& s : counts_) {
      const double row[] = {s.pairs, s.hits, s.attacked, s.successes, s.distortion, s.relative, s.changes};
      numbers.insert(numbers.end(), std::begin(row), std::end(row));
    }
    const auto total = comm::tree_sum(communicator_, layout_.shards, numbers, Sums::count);
    return {.pairs = std::llround(total[0]),
            .hits = std::llround(total[1]),
            .attacked = std::llround(total[2]),
            .successes = std::llround(total[3]),
            .distortion = total[4] / total[3],
            .relative = total[5] / total[3],
            .changes = total[6] / total[3]};
  }

  const comm::Communicator& communicator_;
  ShardLayout layout_;
  const FactorModel& model_;
  const evaluate::EvaluationLists& lists_;
  FeatureAttackPlan plan_;
  const table::Table& users_;
  int first_shard_;
  Scoring scoring_;
  ProfileSums sums_;
  ProfileMargins margins_;
  GatheredRows members_;
  std::vector<std::vector<ProfilePair>> pairs_;  // by local shard: those still to be won
  std::vector<Sums> counts_;                     // by local shard
  std::vector<MarginRoom> workers_;
};

}  // namespace

FeatureAttackResult attack_profiles(const comm::Communicator& communicator, const ShardLayout& layout,
                                    const FactorModel& model, const evaluate::EvaluationLists& lists,
                                    const FeatureAttackPlan& plan) {
  SPAR_ASSERT(model.network && model.network->profiled() != nullptr && plan.tap == profile_tap);
  return ProfileAttack(communicator, layout, model, lists, plan).run();
}

}  // namespace spar::systems
