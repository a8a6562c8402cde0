#include <algorithm>
#include <cstdio>
#include <map>
#include <optional>
#include <unordered_map>

#include "input_lines.hpp"
#include "recommend_posts.hpp"
#include "retrieval.hpp"
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "spar/base/error.hpp"
#include "spar/base/threads.hpp"
#include "spar/cli/run.hpp"
#include "spar/systems/run_directory.hpp"

namespace spar::cli {

namespace {

constexpr Index users_per_wave = 65536;
constexpr Index ids_per_block = 65536;

std::vector<std::string> wanted_users(const RecommendOptions& options) {
  std::vector<std::string> users = options.users;
  if (options.users_from.empty()) return users;
  for (std::string& id : input_lines(options.users_from)) users.push_back(std::move(id));
  return users;
}

class Recommender {
 public:
  Recommender(const comm::Communicator& communicator, const RecommendOptions& options, systems::OpenRun run)
      : communicator_(communicator), options_(options), run_(std::move(run)) {
    if (!options.retrieve.empty()) retrieval_.emplace(communicator, options.retrieve, options.checkpoint, run_);
  }

  void run() {
    lists_ = systems::read_run_lists(communicator_, *run_.file, run_.header, run_.model, false, false);
    find_users();
    const Index first = run_.model.users->first_row();
    for (Index wave = 0; wave < run_.header.users; wave += users_per_wave) {
      std::vector<std::uint8_t> chosen(static_cast<std::size_t>(run_.model.users->rows()));
      bool any = false;
      for (Index k = 0; k < run_.model.users->rows(); ++k) {
        const bool in =
            first + k >= wave && first + k < wave + users_per_wave && wanted_[static_cast<std::size_t>(k)] != 0;
        chosen[static_cast<std::size_t>(k)] = in ? 1 : 0;
        any = any || in;
      }
      if (communicator_.any(any)) print_wave(chosen);
    }
    for (const std::string& id : order_) fmt::print("{}", texts_[id]);
    std::fflush(stdout);
  }

 private:
  // Marks this rank's users among those asked for; no list: all with training interactions, or folded in.
  void find_users() {
    std::vector<std::string> users;
    comm::agree(communicator_, [&] {
      if (communicator_.is_root()) users = wanted_users(options_);
    });
    std::string joined;
    for (const auto& id : users) joined += id + "\n";
    joined = communicator_.broadcast(joined, 0);
    users.clear();
    for (std::size_t begin = 0; begin < joined.size();) {
      const std::size_t end = joined.find('\n', begin);
      users.push_back(joined.substr(begin, end - begin));
      begin = end + 1;
    }
    const Index rows = run_.model.users->rows();
    wanted_.assign(static_cast<std::size_t>(rows), 0);
    const bool all = users.empty();
    std::unordered_map<std::string, std::int64_t> places;
    for (std::size_t k = 0; k < users.size(); ++k) places.emplace(users[k], static_cast<std::int64_t>(k));
    std::vector<std::int64_t> found(users.size());
    std::vector<std::int64_t> empty(users.size());
    comm::agree(communicator_, [&] {
      for (Index begin = 0; begin < rows; begin += ids_per_block) {
        const auto ids = data::read_ids(*run_.file, "/users/ids", run_.model.users->first_row() + begin,
                                        std::min(ids_per_block, rows - begin));
        for (std::size_t j = 0; j < ids.size(); ++j) {
          const auto k = begin + static_cast<Index>(j);
          const bool trained = lists_.has_profile(k);
          if (all) wanted_[static_cast<std::size_t>(k)] = trained ? 1 : 0;
          const auto place = places.find(ids[j]);
          if (place == places.end()) continue;
          wanted_[static_cast<std::size_t>(k)] = 1;
          found[static_cast<std::size_t>(place->second)] = 1;
          empty[static_cast<std::size_t>(place->second)] = trained ? 0 : 1;
        }
      }
    });
    communicator_.sum(found);
    communicator_.sum(empty);
    for (std::size_t k = 0; k < users.size(); ++k) {
      if (places[users[k]] != static_cast<std::int64_t>(k)) continue;
      if (found[k] == 0) throw UserError(fmt::format("user \"{}\" is not in {}", users[k], run_.record.data_path));
      if (empty[k] != 0)
        throw UserError(fmt::format("user \"{}\" has no training interactions; {} cannot score new users", users[k],
                                    run_.recipe.system()));
    }
    if (communicator_.is_root() && !all) order_ = users;
  }

  void print_wave(const std::vector<std::uint8_t>& chosen) {
    auto lists = lists_.evaluation("test", false);
    lists.chosen_users = &chosen;
    const auto scoring = run_.model.scoring(communicator_, run_.layout.shards, lists);
    const auto recommended = recommend(scoring.scorer, lists);
    std::string lines;
    comm::agree(communicator_, [&] { lines = format(chosen, recommended); });
    const auto bytes = communicator_.gather(std::as_bytes(std::span(lines)), 0);
    if (!communicator_.is_root()) return;
    for (const auto& part : bytes) {
      const std::string text(reinterpret_cast<const char*>(part.data()), part.size());
      if (order_.empty()) {
        fmt::print("{}", text);
      } else {
        keep_by_user(text);
      }
    }
  }

  std::vector<std::vector<evaluate::Recommendation>> recommend(const evaluate::Scorer& scorer,
                                                               evaluate::EvaluationLists lists) const {
    const auto top = static_cast<int>(options_.top);
    if (!retrieval_) return evaluate::recommend(communicator_, scorer, lists, top);
    const systems::Scoring retrieving = retrieval_->scoring("test", lists.chosen_users);
    lists.retriever = &retrieving.scorer;
    return evaluate::recommend_reranked(communicator_, run_.layout.shards, scorer, lists,
                                        static_cast<int>(options_.candidates), top);
  }

  // Users asked for by name are answered in the order asked.
  void keep_by_user(const std::string& text) {
    for (std::size_t begin = 0; begin < text.size();) {
      const std::size_t end = text.find('\n', begin) + 1;
      const std::string line = text.substr(begin, end - begin);
      const std::string id = options_.format == "jsonl" ? nlohmann::json::parse(line).at("user").get<std::string>()
                                                        : line.substr(0, line.find('\t'));
      texts_[id] += line;
      begin = end;
    }
  }

  std::string format(const std::vector<std::uint8_t>& chosen,
                     const std::vector<std::vector<evaluate::Recommendation>>& recommended) {
    std::string lines;
    std::size_t next = 0;
    for (std::size_t k = 0; k < chosen.size(); ++k) {
      if (chosen[k] == 0) continue;
      const std::string user =
          data::read_ids(*run_.file, "/users/ids", run_.model.users->first_row() + static_cast<Index>(k), 1).front();
      const auto& list = recommended[next++];
      if (options_.format == "jsonl") {
        nlohmann::ordered_json items = nlohmann::ordered_json::array();
        for (const auto& r : list) items.push_back({{"item", item_id(r.item)}, {"score", r.score}});
        lines += nlohmann::ordered_json{{"user", user}, {"items", items}}.dump() + "\n";
      } else {
        int place = 0;
        for (const auto& r : list) lines += fmt::format("{}\t{}\t{}\t{}\n", user, ++place, item_id(r.item), r.score);
      }
    }
    return lines;
  }

  const std::string& item_id(Index row) {
    const auto known = item_ids_.find(row);
    if (known != item_ids_.end()) return known->second;
    // Popular items come again and again: rows lie by falling popularity within groups, so a small cache holds most.
    constexpr std::size_t most_cached = 1 << 20;
    if (item_ids_.size() >= most_cached) item_ids_.clear();
    return item_ids_.emplace(row, data::read_ids(*run_.file, "/items/ids", row, 1).front()).first->second;
  }

  const comm::Communicator& communicator_;
  const RecommendOptions& options_;
  systems::OpenRun run_;
  systems::RunLists lists_;
  std::optional<Retrieval> retrieval_;
  std::vector<std::uint8_t> wanted_;
  std::vector<std::string> order_;
  std::unordered_map<std::string, std::string> texts_;
  std::unordered_map<Index, std::string> item_ids_;
};

}  // namespace

int run_recommend(const comm::Communicator& communicator, const RecommendOptions& options) {
  set_threads(options.threads > 0 ? options.threads : available_processors());
  if (options.top < 1) throw UserError("--top takes a number from 1 on");
  systems::OpenRun run = systems::open_run(communicator, options.run, options.checkpoint);
  if (!options.retrieve.empty() && options.candidates < options.top)
    throw UserError(fmt::format("--candidates {} cannot fill lists of --top {}: retrieve at least as many",
                                options.candidates, options.top));
  if (run.model.learns_from_posts()) {
    if (!options.retrieve.empty()) throw UserError("--retrieve finds items for users, not tags for posts");
    recommend_tags(communicator, options, run);
  } else if (!options.items.empty() || !options.posts.empty()) {
    throw UserError(fmt::format("--items and --posts name what tags are ranked for; {} ranks items for users",
                                run.recipe.system()));
  } else {
    Recommender(communicator, options, std::move(run)).run();
  }
  return static_cast<int>(ExitCode::done);
}

}  // namespace spar::cli
