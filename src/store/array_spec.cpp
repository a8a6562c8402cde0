#include <utility>

#include "spar/base/error.hpp"
#include "spar/store/array_file.hpp"

namespace spar::store {

std::size_t element_bytes(ElementType type, std::size_t text_size) {
  switch (type) {
    case ElementType::i32:
    case ElementType::u32:
    case ElementType::f32:
      return 4;
    case ElementType::i64:
    case ElementType::u64:
    case ElementType::f64:
      return 8;
    case ElementType::text:
      SPAR_ASSERT(text_size > 0);
      return text_size;
  }
  SPAR_ASSERT(false);
}

std::vector<Index> group_boundaries(Index rows) {
  const Partition groups{rows, row_groups};
  std::vector<Index> boundaries(row_groups + 1);
  for (int g = 0; g <= row_groups; ++g) boundaries[static_cast<std::size_t>(g)] = groups.begin(g);
  return boundaries;
}

namespace {

Attribute named(std::string group, std::string name, Attribute::Kind kind) {
  Attribute attribute;
  attribute.group = std::move(group);
  attribute.name = std::move(name);
  attribute.kind = kind;
  return attribute;
}

}  // namespace

Attribute Attribute::of(std::string group, std::string name, std::string value) {
  Attribute attribute = named(std::move(group), std::move(name), Kind::text);
  attribute.text = std::move(value);
  return attribute;
}

Attribute Attribute::of(std::string group, std::string name, std::int64_t value) {
  Attribute attribute = named(std::move(group), std::move(name), Kind::integer);
  attribute.integer = value;
  return attribute;
}

Attribute Attribute::of(std::string group, std::string name, double value) {
  Attribute attribute = named(std::move(group), std::move(name), Kind::real);
  attribute.real = value;
  return attribute;
}

}  // namespace spar::store
