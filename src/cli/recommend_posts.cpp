#include "recommend_posts.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <unordered_map>

#include "input_lines.hpp"
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "spar/base/error.hpp"

namespace spar::cli {

namespace {

constexpr std::size_t posts_per_wave = 65536;
constexpr Index ids_per_block = 65536;

struct WantedPost {
  std::string user;
  std::string item;
  Index user_row = 0;
  Index item_row = 0;
};

std::vector<WantedPost> wanted_posts(const RecommendOptions& options, const std::string& system) {
  std::vector<std::string> users = options.users;
  if (!options.users_from.empty()) {
    for (std::string& id : input_lines(options.users_from)) users.push_back(std::move(id));
  }
  std::vector<WantedPost> posts;
  for (const std::string& user : users) {
    for (const std::string& item : options.items) posts.push_back({user, item});
  }
  if (!options.posts.empty()) {
    for (const std::string& line : input_lines(options.posts)) {
      const std::size_t tab = line.find('\t');
      if (tab == std::string::npos || tab == 0 || tab + 1 == line.size() ||
          line.find('\t', tab + 1) != std::string::npos)
        throw UserError(
            fmt::format("{}: the line \"{}\" is not a user and an item with a tab between", options.posts, line));
      posts.push_back({line.substr(0, tab), line.substr(tab + 1)});
    }
  }
  if (posts.empty())
    throw UserError(fmt::format(
        "{} ranks tags for a user's item: name users and items by --users and --items, or posts by --posts FILE",
        system));
  return posts;
}

class TagRecommender {
 public:
  TagRecommender(const comm::Communicator& communicator, const RecommendOptions& options, const systems::OpenRun& run)
      : communicator_(communicator), options_(options), run_(run) {}

  void run() {
    share_posts();
    find_rows("user", "/users/ids", *run_.model.users, &WantedPost::user, &WantedPost::user_row);
    find_rows("item", "/items/ids", *run_.model.items, &WantedPost::item, &WantedPost::item_row);
    for (std::size_t begin = 0; begin < posts_.size(); begin += posts_per_wave)
      print_wave(begin, std::min(posts_.size(), begin + posts_per_wave));
    std::fflush(stdout);
  }

 private:
  // Rank 0 reads them for all.
  void share_posts() {
    std::string text;
    comm::agree(communicator_, [&] {
      if (!communicator_.is_root()) return;
      for (const WantedPost& post : wanted_posts(options_, run_.recipe.system()))
        text += post.user + "\t" + post.item + "\n";
    });
    text = communicator_.broadcast(text, 0);
    for (std::size_t begin = 0; begin < text.size();) {
      const std::size_t tab = text.find('\t', begin);
      const std::size_t end = text.find('\n', tab);
      posts_.push_back({text.substr(begin, tab - begin), text.substr(tab + 1, end - tab - 1)});
      begin = end + 1;
    }
  }

  // Each rank looks among the ids of its own rows.
  void find_rows(const char* what, const char* array, const table::Table& table, std::string WantedPost::*id,
                 Index WantedPost::*row) {
    std::unordered_map<std::string, std::size_t> places;
    for (const WantedPost& post : posts_) places.emplace(post.*id, places.size());
    std::vector<std::int64_t> rows(places.size());  // plus 1; 0 where this rank does not have it
    comm::agree(communicator_, [&] {
      for (Index begin = 0; begin < table.rows(); begin += ids_per_block) {
        const auto ids =
            data::read_ids(*run_.file, array, table.first_row() + begin, std::min(ids_per_block, table.rows() - begin));
        for (std::size_t k = 0; k < ids.size(); ++k) {
          const auto place = places.find(ids[k]);
          if (place != places.end()) rows[place->second] = table.first_row() + begin + static_cast<Index>(k) + 1;
        }
      }
    });
    communicator_.sum(rows);
    for (WantedPost& post : posts_) {
      post.*row = rows[places.at(post.*id)] - 1;
      if (post.*row < 0) throw UserError(fmt::format("{} \"{}\" is not in {}", what, post.*id, run_.record.data_path));
    }
  }

  void print_wave(std::size_t begin, std::size_t end) {
    std::vector<std::size_t> order;  // places in the wave of the posts of this rank's users, by user
    const data::PostRows rows = own_posts(begin, end, order);
    evaluate::EvaluationLists lists;
    lists.targets = &rows.tags;
    lists.posts = &rows;
    const auto scoring = run_.model.scoring(communicator_, run_.layout.shards, lists);
    const auto best = evaluate::recommend(communicator_, scoring.scorer, lists, static_cast<int>(options_.top));
    std::vector<std::string> texts(end - begin);
    comm::agree(communicator_, [&] {
      for (std::size_t k = 0; k < order.size(); ++k) texts[order[k]] = format(posts_[begin + order[k]], best[k]);
    });
    print(texts);
  }

  data::PostRows own_posts(std::size_t begin, std::size_t end, std::vector<std::size_t>& order) const {
    const table::Table& users = *run_.model.users;
    for (std::size_t k = begin; k < end; ++k) {
      const Index user = posts_[k].user_row - users.first_row();
      if (user >= 0 && user < users.rows()) order.push_back(k - begin);
    }
    std::ranges::stable_sort(order, {}, [&](std::size_t k) { return posts_[begin + k].user_row; });
    data::PostRows rows;
    rows.first_user = users.first_row();
    rows.offsets.assign(static_cast<std::size_t>(users.rows()) + 1, 0);
    rows.tags.offsets.assign(order.size() + 1, 0);
    for (const std::size_t k : order) {
      const WantedPost& post = posts_[begin + k];
      rows.users.push_back(static_cast<std::uint32_t>(post.user_row));
      rows.items.push_back(static_cast<ItemId>(post.item_row));
      ++rows.offsets[static_cast<std::size_t>(post.user_row - rows.first_user) + 1];
    }
    std::partial_sum(rows.offsets.begin(), rows.offsets.end(), rows.offsets.begin());
    return rows;
  }

  // Every post has its text on one rank; rank 0 puts them into the order asked for. A text travels behind its place and
  // its length.
  void print(const std::vector<std::string>& texts) const {
    std::string packed;
    for (std::size_t k = 0; k < texts.size(); ++k) {
      if (!texts[k].empty()) packed += fmt::format("{} {}\n{}", k, texts[k].size(), texts[k]);
    }
    const auto parts = communicator_.gather(std::as_bytes(std::span(packed)), 0);
    if (!communicator_.is_root()) return;
    std::vector<std::string> all(texts.size());
    for (const auto& part : parts) {
      const std::string text(reinterpret_cast<const char*>(part.data()), part.size());
      for (std::size_t begin = 0; begin < text.size();) {
        char* after = nullptr;
        const std::size_t place = std::strtoull(&text[begin], &after, 10);
        const std::size_t size = std::strtoull(after, &after, 10);
        begin = static_cast<std::size_t>(after - text.data()) + 1;
        all[place] = text.substr(begin, size);
        begin += size;
      }
    }
    for (const std::string& text : all) fmt::print("{}", text);
  }

  std::string format(const WantedPost& post, const std::vector<evaluate::Recommendation>& best) {
    if (options_.format == "jsonl") {
      nlohmann::ordered_json tags = nlohmann::ordered_json::array();
      for (const auto& tag : best) tags.push_back({{"tag", tag_text(tag.item)}, {"score", tag.score}});
      return nlohmann::ordered_json{{"user", post.user}, {"item", post.item}, {"tags", tags}}.dump() + "\n";
    }
    std::string lines;
    int place = 0;
    for (const auto& tag : best)
      lines += fmt::format("{}\t{}\t{}\t{}\t{}\n", post.user, post.item, ++place, tag_text(tag.item), tag.score);
    return lines;
  }

  const std::string& tag_text(Index row) {
    const auto known = tags_.find(row);
    if (known != tags_.end()) return known->second;
    constexpr std::size_t most_cached = 1 << 20;
    if (tags_.size() >= most_cached) tags_.clear();
    return tags_.emplace(row, data::read_ids(*run_.file, "/tags/ids", row, 1).front()).first->second;
  }

  const comm::Communicator& communicator_;
  const RecommendOptions& options_;
  const systems::OpenRun& run_;
  std::vector<WantedPost> posts_;
  std::unordered_map<Index, std::string> tags_;
};

}  // namespace

void recommend_tags(const comm::Communicator& communicator, const RecommendOptions& options,
                    const systems::OpenRun& run) {
  TagRecommender(communicator, options, run).run();
}

}  // namespace spar::cli
