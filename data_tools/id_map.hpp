#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data_tools/chunk.hpp"
#include "spar/base/memory.hpp"
#include "spar/base/types.hpp"

/// Numbers the ids of one kind (users or items) in the order of their first appearance. The only memory of the importer
/// that grows with the data: 8 bytes and 27 to 53 more in the hash table for a whole number, and the bytes of a text.
namespace spar::data_tools {

inline constexpr std::uint32_t no_number = 0xffffffffU;

class IdMap {
 public:
  /// `what` ("users") is for sentences.
  explicit IdMap(std::string what);

  /// The numbers of `keys`, new ones given to ids not met before. UserError beyond 2^32 - 2 ids.
  void resolve(std::span<const IdKey> keys, const char* text, std::vector<std::uint32_t>& numbers);
  /// The number of one id, a new one where it was not met before; blanks around it are part of it.
  std::uint32_t number(std::string_view id);
  /// The number of one id, no_number where it was not met. Any number of threads. Ids that add() appended are not
  /// found.
  std::uint32_t find(std::string_view id) const;
  /// Appends one id, known to be new; for ids that come from a data set.
  void add(std::string_view id);

  struct Span {
    std::uint64_t least = 0, most = 0;
  };
  /// The least and the greatest id where all are whole numbers (without leading zeros); nothing else.
  std::optional<Span> whole_numbers() const;

  std::uint32_t size() const { return static_cast<std::uint32_t>(names_.size()); }
  /// The id as it is stored: valid UTF-8.
  std::string name(std::uint32_t number) const;
  /// Bytes of the longest name, at least 1.
  std::size_t longest_name() const;
  /// One 64-bit hash (XXH3) of each stored name; 8 bytes an id.
  std::vector<std::uint64_t> hashes() const;

 private:
  /// Open addressing with linear steps. key: the whole number itself, or the hash of a text.
  struct Slot {
    std::uint64_t key;
    std::uint32_t number_plus_one;  ///< 0: free
  };
  struct Table {
    Buffer<Slot> slots;
    int shift = 64;  ///< the home of a key: mixed key >> shift
    std::size_t used = 0;
    std::size_t home(std::uint64_t key) const { return static_cast<std::size_t>((key * 0x9e3779b97f4a7c15U) >> shift); }
    void grow();
    void make_room(std::size_t more) {
      while ((used + more) * 5 > slots.size() * 3) grow();
    }
  };

  std::uint64_t prepare(IdKey key, const char* text) const;  ///< the hash; begins to fetch its slot
  void fetch_name(std::uint64_t hash) const;  ///< the next two things that number_of will look at, one after the other
  void fetch_text(std::uint64_t hash) const;
  std::size_t place_of(IdKey key, std::uint64_t hash, const char* text) const;  ///< its slot, or the free one for it
  std::uint32_t number_of(IdKey key, std::uint64_t hash, const char* text);
  std::uint32_t append(std::uint64_t name);
  std::uint64_t store(std::string_view text);
  std::string_view stored_text(std::uint64_t name) const;

  std::string what_;
  Table numbers_;
  Table texts_;
  LargeVector<std::uint64_t> names_;  ///< whole numbers, or text_mark | place in arena_
  LargeVector<char> arena_;           ///< texts, each behind its length in one byte
};

}  // namespace spar::data_tools
