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
  void add(const Drops& other) {
    for (std::size_t k = 0; k < part_count; ++k) repeats[k] += other.repeats[k];
    validation_in_train += other.validation_in_train;
    test_in_train += other.test_in_train;
    test_in_validation += other.test_in_validation;
    min_rating += other.min_rating;
  }
};

/// Memory of one worker.
struct Scratch {
  std::vector<char> bytes;
  std::vector<std::uint32_t> users, items;
  std::vector<float> ratings;
  std::vector<std::int64_t> times;
  std::vector<std::uint64_t> words, more_words;
  std::vector<WideWord> wide_words, more_wide_words;
  Block block;
  Drops drops;
};

struct Cleaner {
  const Records& records;
  const CleaningRules& rules;
  Collection& collection;

  void clean_bucket(std::size_t bucket, Scratch& scratch) const;
  /// Places [0, ends[0]) of the bucket's records are training rows, [ends[0], ends[1]) validation, the rest test.
  std::array<std::size_t, part_count> load(std::size_t bucket, Scratch& scratch) const;
  template <class Word>
  void sort_and_keep(std::size_t bucket, const std::array<std::size_t, part_count>& ends, std::vector<Word>& words,
                     std::vector<Word>& more, Scratch& scratch) const;
  template <class Word>
  void keep_pair(const std::array<std::size_t, part_count>& ends, const Word* begin, const Word* end, Word place_mask,
                 Scratch& scratch) const;
};

std::array<std::size_t, part_count> Cleaner::load(std::size_t bucket, Scratch& scratch) const {
  scratch.bytes.clear();
  std::array<std::size_t, part_count> ends{};
  const Schema& schema = records.schema;
  for (std::size_t part = 0; part < part_count; ++part) {
    if (records.parts[part]) records.parts[part]->load(bucket, scratch.bytes);
    ends[part] = scratch.bytes.size() / schema.record_bytes();
  }
  const std::size_t count = ends[2];
  if (count > std::numeric_limits<std::uint32_t>::max())
    throw UserError("more than 2^32 interactions fall into one bucket of users");
  scratch.users.resize(count);
  scratch.items.resize(count);
  scratch.ratings.resize(schema.ratings ? count : 0);
  scratch.times.resize(schema.times ? count : 0);
  const char* at = scratch.bytes.data();
  for (std::size_t k = 0; k < count; ++k) {
    std::memcpy(&scratch.users[k], at, 4);
    std::memcpy(&scratch.items[k], at + 4, 4);
    at += 8;
    if (schema.ratings) {
      std::memcpy(&scratch.ratings[k], at, 4);
      at += 4;
    }
    if (schema.times) {
      std::memcpy(&scratch.times[k], at, 8);
      at += 8;
    }
  }
  return ends;
}

/// [begin, end): all records of one pair, by place. Appends what is kept to the block.
template <class Word>
void Cleaner::keep_pair(const std::array<std::size_t, part_count>& ends, const Word* begin, const Word* end,
                        Word place_mask, Scratch& scratch) const {
  constexpr std::size_t none = std::numeric_limits<std::size_t>::max();
  std::array<std::size_t, part_count> kept{none, none, none};
  for (const Word* word = begin; word != end; ++word) {
    const auto place = static_cast<std::size_t>(*word & place_mask);
    std::size_t part = place < ends[0] ? 0 : place < ends[1] ? 1 : 2;
    if ((part == 1 && rules.merge_validation) || (part == 2 && rules.merge_test)) part = 0;
    std::size_t& best = kept[part];
    if (best == none) {
      best = place;
      continue;
    }
    ++scratch.drops.repeats[part];
    if (records.schema.ratings && (!records.schema.times || scratch.times[place] >= scratch.times[best])) best = place;
  }
  scratch.drops.validation_in_train += kept[0] != none && kept[1] != none ? 1 : 0;
  scratch.drops.test_in_train += kept[0] != none && kept[2] != none ? 1 : 0;
  scratch.drops.test_in_validation += kept[0] == none && kept[1] != none && kept[2] != none ? 1 : 0;
  const std::size_t part = kept[0] != none ? 0 : kept[1] != none ? 1 : 2;
  const std::size_t place = kept[part];
  if (rules.min_rating && static_cast<double>(scratch.ratings[place]) < *rules.min_rating) {
    ++scratch.drops.min_rating;
    return;
  }
  Block& block = scratch.block;
  block.items.push_back(scratch.items[place]);
  block.order.push_back(static_cast<std::uint32_t>(place));
  block.parts.push_back(static_cast<std::uint8_t>(part));
  if (records.schema.ratings) block.ratings.push_back(scratch.ratings[place]);
  if (records.schema.times) block.times.push_back(scratch.times[place]);
}

template <class Word>
void Cleaner::sort_and_keep(std::size_t bucket, const std::array<std::size_t, part_count>& ends,
                            std::vector<Word>& words, std::vector<Word>& more, Scratch& scratch) const {
  const std::size_t count = ends[2];
  const int place_bits = bits_of(count);
  const int item_bits = bits_of(records.items.size());
  const int user_bits = bits_of(records.users.size() / records.buckets);
  words.resize(count);
  for (std::size_t k = 0; k < count; ++k) {
    words[k] = (((Word{scratch.users[k]} << item_bits) | scratch.items[k]) << place_bits) | k;
  }
  radix_sort(words, more, place_bits, place_bits + item_bits + user_bits);

  const Word place_mask = (Word{1} << place_bits) - 1;
  Block& block = scratch.block;
  block.clear();
  for (std::size_t begin = 0; begin < count;) {
    const auto user = static_cast<std::uint32_t>(words[begin] >> (place_bits + item_bits));
    while (begin < count && static_cast<std::uint32_t>(words[begin] >> (place_bits + item_bits)) == user) {
      std::size_t end = begin + 1;
      while (end < count && words[end] >> place_bits == words[begin] >> place_bits) ++end;
      keep_pair(ends, words.data() + begin, words.data() + end, place_mask, scratch);
      begin = end;
    }
    if (block.items.size() == block.begins.back()) continue;
    block.users.push_back(static_cast<std::uint32_t>(user * records.buckets + bucket));
    block.begins.push_back(block.items.size());
  }
}

void Cleaner::clean_bucket(std::size_t bucket, Scratch& scratch) const {
  const std::array<std::size_t, part_count> ends = load(bucket, scratch);
  const int bits = bits_of(ends[2]) + bits_of(records.items.size()) + bits_of(records.users.size() / records.buckets);
  if (bits <= 64) {
    sort_and_keep(bucket, ends, scratch.words, scratch.more_words, scratch);
  } else {
    sort_and_keep(bucket, ends, scratch.wide_words, scratch.more_wide_words, scratch);
  }
  const Block& block = scratch.block;
  for (std::size_t k = 0; k < block.users.size(); ++k) {
    collection.user_counts[block.users[k]] = static_cast<std::int64_t>(block.begins[k + 1] - block.begins[k]);
  }
  for (const std::uint32_t item : block.items) add_shared(collection.item_counts[item], 1);
  collection.blocks->save(bucket, block);
}

/// A line of the candidate file that is wrong; the first in the file is reported.
struct ListError {
  std::int64_t line = std::numeric_limits<std::int64_t>::max();
  std::string what;
};

/// Checks that each candidate list of a bucket belongs to a test row. `scratch` holds the bucket's interactions.
ListError check_candidates(const Records& records, std::size_t bucket, std::size_t first_test, const Scratch& scratch) {
  ListError error;
  std::vector<std::uint64_t> test_pairs;
  for (std::size_t k = first_test; k < scratch.users.size(); ++k) {
    test_pairs.push_back((std::uint64_t{scratch.users[k]} << 32) | scratch.items[k]);
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
}

}  // namespace

Collection clean(Records records, const CleaningRules& rules, const std::string& target, ImportReport& report) {
  Collection collection;
  collection.schema = records.schema;
  collection.given_validation = records.parts[1] != nullptr;
  collection.given_test = records.parts[2] != nullptr;
  collection.items_with_rows = records.items_with_rows;
  collection.user_counts.resize(records.users.size());
  collection.item_counts.resize(records.items.size());
  collection.blocks = std::make_unique<BlockStore>(target, records.buckets);

  const Cleaner cleaner{records, rules, collection};
  std::vector<Scratch> scratches(static_cast<std::size_t>(threads()));
  std::vector<ListError> errors(records.buckets);
  parallel_for_worker(static_cast<int>(records.buckets), [&](int k, int worker) {
    const auto bucket = static_cast<std::size_t>(k);
    Scratch& scratch = scratches[static_cast<std::size_t>(worker)];
    cleaner.clean_bucket(bucket, scratch);
    if (!records.parts[3]) return;
    const std::size_t before_test = (records.parts[0] ? records.parts[0]->bytes(bucket) : 0) +
                                    (records.parts[1] ? records.parts[1]->bytes(bucket) : 0);
    errors[bucket] = check_candidates(records, bucket, before_test / records.schema.record_bytes(), scratch);
  });
  const auto first = std::min_element(errors.begin(), errors.end(),
                                      [](const ListError& a, const ListError& b) { return a.line < b.line; });
  if (first != errors.end() && !first->what.empty()) {
    throw UserError(fmt::format("{}, line {}: {}, so this list belongs to nothing", rules.negatives_path, first->line,
                                first->what));
  }
  Drops drops;
  for (const Scratch& scratch : scratches) drops.add(scratch.drops);
  report_drops(drops, rules, records.schema.ratings, report);
  if (records.parts[3]) {
    collection.candidates =
        std::make_unique<CandidateStore>(std::move(records.file), std::move(records.parts[3]), true);
  }
  collection.users = std::move(records.users);
  collection.items = std::move(records.items);
  return collection;
}

}  // namespace spar::data_tools
