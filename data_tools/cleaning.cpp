#include "data_tools/cleaning.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

#include <fmt/format.h>

#include "data_tools/numbers.hpp"
#include "data_tools/radix_sort.hpp"
#include "spar/base/error.hpp"
#include "spar/base/threads.hpp"

namespace spar::data_tools {

namespace {

constexpr std::size_t part_count = 3;

/// What was dropped, by part or by pair of parts.
struct Drops {
  std::array<std::int64_t, part_count> repeats{};
  std::int64_t validation_in_train = 0, test_in_train = 0, test_in_validation = 0;
  std::int64_t min_rating = 0;
  std::int64_t dislikes = 0, other_dislikes = 0;  ///< of training, which are kept; of other parts
  std::int64_t liked_and_disliked = 0;            ///< pairs
  float lowest_rating = std::numeric_limits<float>::infinity();
  void add(const Drops& other) {
    for (std::size_t k = 0; k < part_count; ++k) repeats[k] += other.repeats[k];
    validation_in_train += other.validation_in_train;
    test_in_train += other.test_in_train;
    test_in_validation += other.test_in_validation;
    min_rating += other.min_rating;
    dislikes += other.dislikes;
    other_dislikes += other.other_dislikes;
    liked_and_disliked += other.liked_and_disliked;
    lowest_rating = std::min(lowest_rating, other.lowest_rating);
  }
};

/// Memory of one worker.
struct Scratch {
  std::vector<char> bytes;  ///< the packed records of the bucket at hand
  std::array<std::size_t, part_count>
      ends{};  ///< records [0, ends[0]) are training rows, [ends[0], ends[1]) validation, the rest test
  std::vector<std::uint64_t> words, more_words;
  std::vector<WideWord> wide_words, more_wide_words;
  Block block;
  Block dislikes;
  Drops drops;
};

/// One packed record (Records).
class RecordView {
 public:
  RecordView(const Scratch& scratch, const Schema& schema, std::size_t place)
      : at_(scratch.bytes.data() + place * schema.record_bytes()), ratings_(schema.ratings) {}
  std::uint32_t user() const { return get<std::uint32_t>(0); }
  std::uint32_t item() const { return get<std::uint32_t>(4); }
  float rating() const { return get<float>(8); }
  std::int64_t time() const { return get<std::int64_t>(ratings_ ? 12 : 8); }

 private:
  template <class T>
  T get(std::size_t offset) const {
    T value;
    std::memcpy(&value, at_ + offset, sizeof value);
    return value;
  }
  const char* at_;
  bool ratings_;
};

struct Cleaner {
  const Records& records;
  const CleaningRules& rules;
  Collection& collection;

  void clean_bucket(std::size_t bucket, Scratch& scratch) const;
  void load(std::size_t bucket, Scratch& scratch) const;
  template <class Word>
  void sort_and_keep(std::size_t bucket, std::vector<Word>& words, std::vector<Word>& more, Scratch& scratch) const;
  template <class Word>
  std::size_t choose(const Word* begin, const Word* end, Word place_mask, std::uint8_t& part, Scratch& scratch) const;
  void keep(std::uint32_t item, std::size_t place, std::uint8_t part, Scratch& scratch) const;
  void keep_dislike(std::uint32_t item, const RecordView& record, std::uint8_t part, Scratch& scratch) const;
  template <class Word>
  bool liked_and_disliked(const Word* begin, const Word* end, Word place_mask, const Scratch& scratch) const;
  std::uint8_t part_of(std::size_t place, const Scratch& scratch) const {
    if (place < scratch.ends[0]) return 0;
    if (place < scratch.ends[1]) return rules.merge_validation ? 0 : 1;
    return rules.merge_test ? 0 : 2;
  }
};

void Cleaner::load(std::size_t bucket, Scratch& scratch) const {
  scratch.bytes.clear();
  for (std::size_t part = 0; part < part_count; ++part) {
    if (records.parts[part]) records.parts[part]->load(bucket, scratch.bytes);
    scratch.ends[part] = scratch.bytes.size() / records.schema.record_bytes();
  }
  if (scratch.ends[2] > std::numeric_limits<std::uint32_t>::max()) {
    throw UserError("more than 4294967295 interactions fall into one bucket of users");
  }
}

/// [begin, end): two or more records of one pair, by place. Which one is kept, and in which part.
template <class Word>
std::size_t Cleaner::choose(const Word* begin, const Word* end, Word place_mask, std::uint8_t& part,
                            Scratch& scratch) const {
  constexpr std::size_t none = std::numeric_limits<std::size_t>::max();
  const Schema& schema = records.schema;
  std::array<std::size_t, part_count> kept{none, none, none};
  for (const Word* word = begin; word != end; ++word) {
    const auto place = static_cast<std::size_t>(*word & place_mask);
    const std::uint8_t in = part_of(place, scratch);
    std::size_t& best = kept[in];
    if (best == none) {
      best = place;
      continue;
    }
    ++scratch.drops.repeats[in];
    const bool later =
        !schema.times || RecordView(scratch, schema, place).time() >= RecordView(scratch, schema, best).time();
    if (schema.ratings && later) best = place;
  }
  scratch.drops.validation_in_train += kept[0] != none && kept[1] != none ? 1 : 0;
  scratch.drops.test_in_train += kept[0] != none && kept[2] != none ? 1 : 0;
  scratch.drops.test_in_validation += kept[0] == none && kept[1] != none && kept[2] != none ? 1 : 0;
  part = kept[0] != none ? 0 : kept[1] != none ? 1 : 2;
  return kept[part];
}

/// Whether some of the records of one pair are ratings of an interaction, and some of a dislike.
template <class Word>
bool Cleaner::liked_and_disliked(const Word* begin, const Word* end, Word place_mask, const Scratch& scratch) const {
  const double disliked = *rules.dislikes_below;
  const double liked = rules.min_rating.value_or(disliked);
  const auto rating = [&](Word word) {
    const RecordView record(scratch, records.schema, static_cast<std::size_t>(word & place_mask));
    return static_cast<double>(record.rating());
  };
  return std::any_of(begin, end, [&](Word word) { return rating(word) < disliked; }) &&
         std::any_of(begin, end, [&](Word word) { return rating(word) >= liked; });
}

/// A dislike of another part is one that training must not know.
void Cleaner::keep_dislike(std::uint32_t item, const RecordView& record, std::uint8_t part, Scratch& scratch) const {
  ++(part == 0 ? scratch.drops.dislikes : scratch.drops.other_dislikes);
  if (part != 0) return;
  scratch.dislikes.items.push_back(item);
  if (records.schema.times) scratch.dislikes.times.push_back(record.time());
}

/// Appends one interaction to the block, unless it is rated too low.
void Cleaner::keep(std::uint32_t item, std::size_t place, std::uint8_t part, Scratch& scratch) const {
  const RecordView record(scratch, records.schema, place);
  if (rules.dislikes_below) {
    scratch.drops.lowest_rating = std::min(scratch.drops.lowest_rating, record.rating());
    if (static_cast<double>(record.rating()) < *rules.dislikes_below) return keep_dislike(item, record, part, scratch);
  }
  if (rules.min_rating && static_cast<double>(record.rating()) < *rules.min_rating) {
    ++scratch.drops.min_rating;
    return;
  }
  Block& block = scratch.block;
  block.items.push_back(item);
  block.order.push_back(static_cast<std::uint32_t>(place));
  block.parts.push_back(part);
  if (records.schema.ratings) block.ratings.push_back(record.rating());
  if (records.schema.times) block.times.push_back(record.time());
}

template <class Word>
void Cleaner::sort_and_keep(std::size_t bucket, std::vector<Word>& words, std::vector<Word>& more,
                            Scratch& scratch) const {
  const std::size_t count = scratch.ends[2];
  const int place_bits = bits_of(count);
  const int item_bits = bits_of(records.items.size());
  const int user_bits = bits_of(records.users.size() / records.buckets);
  words.resize(count);
  for (std::size_t k = 0; k < count; ++k) {
    const RecordView record(scratch, records.schema, k);
    words[k] = (((Word{record.user()} << item_bits) | record.item()) << place_bits) | k;
  }
  radix_sort(words, more, place_bits, place_bits + item_bits + user_bits);

  const Word place_mask = (Word{1} << place_bits) - 1;
  const Word item_mask = (Word{1} << item_bits) - 1;
  Block& block = scratch.block;
  block.clear();
  scratch.dislikes.clear();
  for (std::size_t begin = 0; begin < count;) {
    const Word user = words[begin] >> (place_bits + item_bits);
    while (begin < count && words[begin] >> (place_bits + item_bits) == user) {
      const Word pair = words[begin] >> place_bits;
      std::size_t end = begin + 1;
      while (end < count && words[end] >> place_bits == pair) ++end;
      auto place = static_cast<std::size_t>(words[begin] & place_mask);
      std::uint8_t part = part_of(place, scratch);
      if (end - begin > 1) {
        const Word* first = words.data() + begin;
        const Word* last = words.data() + end;
        place = choose(first, last, place_mask, part, scratch);
        if (rules.dislikes_below && liked_and_disliked(first, last, place_mask, scratch))
          ++scratch.drops.liked_and_disliked;
      }
      keep(static_cast<std::uint32_t>(pair & item_mask), place, part, scratch);
      begin = end;
    }
    for (Block* lists : {&block, &scratch.dislikes}) {
      if (lists->items.size() == lists->begins.back()) continue;
      lists->users.push_back(static_cast<std::uint32_t>(static_cast<std::size_t>(user) * records.buckets + bucket));
      lists->begins.push_back(lists->items.size());
    }
  }
}

void Cleaner::clean_bucket(std::size_t bucket, Scratch& scratch) const {
  load(bucket, scratch);
  const int bits =
      bits_of(scratch.ends[2]) + bits_of(records.items.size()) + bits_of(records.users.size() / records.buckets);
  if (bits <= 64) {
    sort_and_keep(bucket, scratch.words, scratch.more_words, scratch);
  } else {
    sort_and_keep(bucket, scratch.wide_words, scratch.more_wide_words, scratch);
  }
  const Block& block = scratch.block;
  for (std::size_t k = 0; k < block.users.size(); ++k) {
    collection.user_counts[block.users[k]] = static_cast<std::int64_t>(block.begins[k + 1] - block.begins[k]);
  }
  count_items(block.items, collection.item_counts);
  collection.blocks->save(bucket, block);
  if (collection.dislikes.blocks) collection.dislikes.blocks->save(bucket, scratch.dislikes);
}

/// A line of the candidate file that is wrong; the first in the file is reported.
struct ListError {
  std::int64_t line = std::numeric_limits<std::int64_t>::max();
  std::string what;
};

/// Checks that each candidate list of a bucket belongs to a test row. `scratch` holds the bucket's interactions.
ListError check_candidates(const Records& records, std::size_t bucket, const Scratch& scratch) {
  ListError error;
  std::vector<std::uint64_t> test_pairs;
  for (std::size_t k = scratch.ends[1]; k < scratch.ends[2]; ++k) {
    const RecordView record(scratch, records.schema, k);
    test_pairs.push_back((std::uint64_t{record.user()} << 32) | record.item());
  }
  std::sort(test_pairs.begin(), test_pairs.end());
  std::vector<char> bytes;
  records.parts[static_cast<std::size_t>(InputPart::negatives)]->load(bucket, bytes);
  const std::size_t record = negatives_schema.record_bytes();
  for (std::size_t at = 0; at < bytes.size(); at += record) {
    std::uint32_t pair[2];
    std::int64_t mark;
    std::memcpy(pair, &bytes[at], 8);
    std::memcpy(&mark, &bytes[at + 8], 8);
    const bool positive = (mark & 1) != 0;
    const std::uint64_t wanted = (std::uint64_t{pair[0]} << 32) | (positive ? pair[1] : 0);
    const auto found = std::lower_bound(test_pairs.begin(), test_pairs.end(), wanted);
    const bool sound = found != test_pairs.end() && (positive ? *found == wanted : *found >> 32 == pair[0]);
    if (!sound && (mark >> 1) + 1 < error.line) {
      const auto user = static_cast<std::uint32_t>(pair[0] * records.buckets + bucket);
      error.line = (mark >> 1) + 1;
      error.what = positive ? fmt::format("the test part has no row ({},{})", records.users.name(user),
                                          records.items.name(pair[1]))
                            : fmt::format("the test part has no row of user {}", records.users.name(user));
    }
  }
  return error;
}

void report_drops(const Drops& drops, const CleaningRules& rules, bool ratings, ImportReport& report) {
  const char* kept = ratings ? "the last rating is kept" : "the first occurrence is kept";
  const auto add = [&](const char* reason, const std::string& sentence, std::int64_t count) {
    if (count > 0) report.drops.push_back({reason, sentence, count});
  };
  add("repeats.train", fmt::format("repeated pairs in the training part: {}", kept), drops.repeats[0]);
  add("repeats.validation", fmt::format("repeated pairs in the validation part: {}", kept), drops.repeats[1]);
  add("repeats.test", fmt::format("repeated pairs in the test part: {}", kept), drops.repeats[2]);
  add("validation_in_train", "validation pairs that are also in the training part", drops.validation_in_train);
  add("test_in_train", "test pairs that are also in the training part", drops.test_in_train);
  add("test_in_validation", "test pairs that are also in the validation part", drops.test_in_validation);
  add("min_rating", fmt::format("rated below {}", rules.min_rating.value_or(0)), drops.min_rating);
  if (!rules.dislikes_below) return;
  add("dislikes.other_parts",
      fmt::format("dislikes, rated below {}, of the validation or test part, which training must not know",
                  *rules.dislikes_below),
      drops.other_dislikes);
  report.dislikes = drops.dislikes;
  report.liked_and_disliked = drops.liked_and_disliked;
}

void require_dislikes(const Drops& drops, const CleaningRules& rules, const ImportReport& report) {
  if (!rules.dislikes_below || report.rows_read == 0 || drops.dislikes > 0) return;
  if (drops.other_dislikes > 0)
    throw UserError(
        fmt::format("--dislikes-below {} finds no dislikes: only the validation or test part has lower ratings, which "
                    "training must not know",
                    *rules.dislikes_below));
  throw UserError(fmt::format("--dislikes-below {} finds no dislikes: the lowest rating is {}", *rules.dislikes_below,
                              drops.lowest_rating));
}

}  // namespace

Collection clean(Records records, const CleaningRules& rules, const SpillPlace& place, ImportReport& report) {
  Collection collection;
  collection.schema = records.schema;
  collection.given_validation = records.parts[1] != nullptr;
  collection.given_test = records.parts[2] != nullptr;
  collection.items_with_rows = records.items_with_rows;
  collection.user_counts.resize(records.users.size());
  collection.item_counts.resize(records.items.size());
  collection.blocks = std::make_unique<BlockStore>(place, records.buckets);
  if (rules.dislikes_below) {
    collection.dislikes.blocks = std::make_unique<BlockStore>(place, records.buckets);
    collection.dislikes.rule = fmt::format("rated below {}", *rules.dislikes_below);
  }

  const Cleaner cleaner{records, rules, collection};
  std::vector<Scratch> scratches(static_cast<std::size_t>(threads()));
  std::vector<ListError> errors(records.buckets);
  parallel_for_worker(static_cast<int>(records.buckets), [&](int k, int worker) {
    const auto bucket = static_cast<std::size_t>(k);
    Scratch& scratch = scratches[static_cast<std::size_t>(worker)];
    cleaner.clean_bucket(bucket, scratch);
    if (!records.parts[3]) return;
    errors[bucket] = check_candidates(records, bucket, scratch);
  });
  const auto first = std::min_element(errors.begin(), errors.end(),
                                      [](const ListError& a, const ListError& b) { return a.line < b.line; });
  if (first != errors.end() && !first->what.empty()) {
    throw UserError(fmt::format("{}, line {}: {}, so this list belongs to nothing", rules.negatives_path, first->line,
                                first->what));
  }
  Drops drops;
  for (const Scratch& scratch : scratches) drops.add(scratch.drops);
  require_dislikes(drops, rules, report);
  report_drops(drops, rules, records.schema.ratings, report);
  collection.dislikes.pairs = drops.dislikes;
  if (records.parts[3]) {
    collection.candidates =
        std::make_unique<CandidateStore>(std::move(records.file), std::move(records.parts[3]), true);
  }
  collection.users = std::move(records.users);
  collection.items = std::move(records.items);
  return collection;
}

}  // namespace spar::data_tools
