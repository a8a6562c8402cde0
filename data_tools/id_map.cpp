#include "data_tools/id_map.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include <fmt/format.h>

#include "data_tools/numbers.hpp"
#include "spar/base/error.hpp"
#include "spar/store/array_file.hpp"

namespace spar::data_tools {

namespace {
constexpr int first_bits = 12;
constexpr std::size_t ahead = 32;  ///< keys whose slots are fetched before they are needed
constexpr std::size_t most_ids = 4294967294U;
}  // namespace

IdMap::IdMap(std::string what) : what_(std::move(what)) {
  numbers_.grow();
  texts_.grow();
}

void IdMap::Table::grow() {
  Buffer<Slot> old = std::move(slots);
  const int bits = old.size() == 0 ? first_bits : 64 - shift + 1;
  shift = 64 - bits;
  slots = Buffer<Slot>(std::size_t{1} << bits);
  for (const Slot& slot : old) {
    if (slot.number_plus_one == 0) continue;
    std::size_t at = home(slot.key);
    while (slots[at].number_plus_one != 0) at = (at + 1) & (slots.size() - 1);
    slots[at] = slot;
  }
}

std::string_view IdMap::stored_text(std::uint64_t name) const {
  const char* at = arena_.data() + (name & ~text_mark);
  return {at + 1, static_cast<unsigned char>(*at)};
}

std::uint64_t IdMap::store(std::string_view text) {
  const std::uint64_t name = text_mark | arena_.size();
  arena_.push_back(static_cast<char>(text.size()));
  arena_.insert(arena_.end(), text.begin(), text.end());
  return name;
}

std::uint32_t IdMap::append(std::uint64_t name) {
  if (names_.size() >= most_ids)
    throw UserError(fmt::format("the input has more than {} {}, the most that a data set holds", most_ids, what_));
  names_.push_back(name);
  return static_cast<std::uint32_t>(names_.size());
}

std::size_t IdMap::place_of(IdKey key, std::uint64_t hash, const char* text) const {
  const bool by_text = is_text(key);
  const Table& table = by_text ? texts_ : numbers_;
  const std::size_t mask = table.slots.size() - 1;
  std::size_t at = table.home(hash);
  for (; table.slots[at].number_plus_one != 0; at = (at + 1) & mask) {
    const Slot& slot = table.slots[at];
    if (slot.key == hash && (!by_text || stored_text(names_[slot.number_plus_one - 1]) == key_text(key, text))) break;
  }
  return at;
}

std::uint32_t IdMap::number_of(IdKey key, std::uint64_t hash, const char* text) {
  Table& table = is_text(key) ? texts_ : numbers_;
  Slot& slot = table.slots[place_of(key, hash, text)];
  if (slot.number_plus_one != 0) return slot.number_plus_one - 1;
  slot = {hash, append(is_text(key) ? store(key_text(key, text)) : key)};
  ++table.used;
  return slot.number_plus_one - 1;
}

std::uint64_t IdMap::prepare(IdKey key, const char* text) const {
  if (!is_text(key)) {
    __builtin_prefetch(&numbers_.slots[numbers_.home(key)]);
    return key;
  }
  const std::string_view id = key_text(key, text);
  const std::uint64_t hash = spar::store::checksum(id.data(), id.size());
  __builtin_prefetch(&texts_.slots[texts_.home(hash)]);
  return hash;
}

void IdMap::fetch_name(std::uint64_t hash) const {
  const Slot& slot = texts_.slots[texts_.home(hash)];
  if (slot.number_plus_one != 0) __builtin_prefetch(&names_[slot.number_plus_one - 1]);
}

void IdMap::fetch_text(std::uint64_t hash) const {
  const Slot& slot = texts_.slots[texts_.home(hash)];
  if (slot.number_plus_one != 0) __builtin_prefetch(arena_.data() + (names_[slot.number_plus_one - 1] & ~text_mark));
}

void IdMap::resolve(std::span<const IdKey> keys, const char* text, std::vector<std::uint32_t>& numbers) {
  numbers.resize(keys.size());
  std::array<std::uint64_t, ahead> hashes;  // of the keys k .. k + ahead - 1, at k % ahead
  const std::size_t count = keys.size();
  numbers_.make_room(ahead);
  texts_.make_room(ahead);
  for (std::size_t k = 0; k < std::min(ahead, count); ++k) hashes[k] = prepare(keys[k], text);
  IdKey last = ~IdKey{0};
  std::uint32_t last_number = 0;
  for (std::size_t k = 0; k < count; ++k) {
    if (k % ahead == 0) {
      numbers_.make_room(ahead);
      texts_.make_room(ahead);
    }
    const std::uint64_t hash = hashes[k % ahead];
    if (k + ahead < count) hashes[k % ahead] = prepare(keys[k + ahead], text);
    if (k + ahead / 2 < count && is_text(keys[k + ahead / 2])) fetch_name(hashes[(k + ahead / 2) % ahead]);
    if (k + ahead / 4 < count && is_text(keys[k + ahead / 4])) fetch_text(hashes[(k + ahead / 4) % ahead]);
    if (keys[k] != last) last_number = number_of(keys[k], hash, text);
    last = keys[k];
    numbers[k] = last_number;
  }
}

namespace {

/// A key whose text, if it is one, begins at `id` itself.
IdKey key_of(std::string_view id) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(id.data(), id.data() + id.size(), value);
  const bool whole =
      error == std::errc() && end == id.data() + id.size() && id.size() <= 18 && (id[0] != '0' || id.size() == 1);
  return whole ? value : text_key(0, id.size());
}

}  // namespace

std::uint32_t IdMap::number(std::string_view id) {
  SPAR_ASSERT(!id.empty() && id.size() <= longest_id);
  numbers_.make_room(1);
  texts_.make_room(1);
  const IdKey key = key_of(id);
  return number_of(key, prepare(key, id.data()), id.data());
}

std::uint32_t IdMap::find(std::string_view id) const {
  if (id.empty() || id.size() > longest_id) return no_number;
  const IdKey key = key_of(id);
  const Table& table = is_text(key) ? texts_ : numbers_;
  return table.slots[place_of(key, prepare(key, id.data()), id.data())].number_plus_one - 1;
}

std::optional<IdMap::Span> IdMap::whole_numbers() const {
  if (names_.empty()) return std::nullopt;
  Span span{names_[0], names_[0]};
  for (const std::uint64_t name : names_) {
    if (is_text(name)) return std::nullopt;
    span.least = std::min(span.least, name);
    span.most = std::max(span.most, name);
  }
  return span;
}

void IdMap::add(std::string_view id) {
  if (id.empty() || id.size() > longest_id)
    throw UserError(fmt::format("an id of {} bytes among the {}; 1 to {} are allowed", id.size(), what_, longest_id));
  const IdKey key = key_of(id);
  append(is_text(key) ? store(id) : key);
}

std::string IdMap::name(std::uint32_t number) const {
  const std::uint64_t name = names_[number];
  if (is_text(name)) return valid_utf8(stored_text(name));
  char digits[20];
  return {digits, std::to_chars(digits, digits + sizeof digits, name).ptr};
}

std::size_t IdMap::longest_name() const {
  std::size_t longest = 1;
  std::uint64_t largest = 0;
  for (const std::uint64_t name : names_) {
    if (!is_text(name)) {
      largest = std::max(largest, name);
    } else if (stored_text(name).size() * 2 > longest) {
      longest = std::max(longest, valid_utf8(stored_text(name)).size());
    }
  }
  return std::max(longest, std::to_string(largest).size());
}

std::vector<std::uint64_t> IdMap::hashes() const {
  std::vector<std::uint64_t> result(names_.size());
  for (std::uint32_t k = 0; k < size(); ++k) {
    const std::string id = name(k);
    result[k] = spar::store::checksum(id.data(), id.size());
  }
  return result;
}

}  // namespace spar::data_tools
