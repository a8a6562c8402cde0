#include "spar/tape/bag.hpp"

#include "support.hpp"

namespace spar::tape {

namespace {

using namespace detail;

template <class T>
struct Bagged {
  Var table;
  Var weights;  // id -1: `fixed`, or 1 where that is null
  const std::int64_t* offsets;
  const std::int32_t* slots;
  const T* fixed;

  T weight(const Tape<T>& tape, std::int64_t j) const {
    if (weights.id >= 0) return tape.value(weights).row(static_cast<int>(j))[0];
    return fixed != nullptr ? fixed[j] : T{1};
  }
};

template <class T>
void bag_backward(Tape<T>& tape, Var result, const void* memory) {
  const auto m = *static_cast<const Bagged<T>*>(memory);
  const Matrix<T> upstream = tape.gradient(result);
  const Matrix<T> table = tape.value(m.table);
  const bool to_weights = m.weights.id >= 0 && tape.needs_gradient(m.weights);
  if (to_weights) {
    const Matrix<T> to = tape.gradient_to_add(m.weights);
    for (int b = 0; b < upstream.rows; ++b) {
      const T* g = upstream.row(b);
      for (std::int64_t j = m.offsets[b]; j < m.offsets[b + 1]; ++j) {
        to.row(static_cast<int>(j))[0] += sum_columns<T>(
            table.columns, [g, e = table.row(m.slots[j])](int c) { return load_lanes(g + c) * load_lanes(e + c); });
      }
    }
  }
  if (!tape.needs_gradient(m.table)) return;
  const Matrix<T> to = tape.gradient_to_add(m.table);
  for (int b = 0; b < upstream.rows; ++b) {
    const T* from = upstream.row(b);
    for (std::int64_t j = m.offsets[b]; j < m.offsets[b + 1]; ++j) {
      const T w = m.weight(tape, j);
      T* g = to.row(m.slots[j]);
      for (int c = 0; c < to.columns; c += lanes)
        store_lanes<T>(g + c, load_lanes(g + c) + first_lanes<T>(w * load_lanes(from + c), to.columns - c));
    }
  }
}

template <class T>
Var put_bag(Tape<T>& tape, const char* name, const Bags& bags, const Bagged<T>& memory, std::size_t weights) {
  const Matrix<T> table = tape.value(memory.table);
  const auto count = bags.slots.size();
  const bool fits = !bags.offsets.empty() && bags.offsets.front() == 0 &&
                    bags.offsets.back() == static_cast<std::int64_t>(count) && (weights == 0 || weights == count);
  require_with(fits, name, table, "{} slots, {} offsets and {} weights", count, bags.offsets.size(), weights);
  for (std::size_t b = 1; b < bags.offsets.size(); ++b)
    require_with(bags.offsets[b - 1] <= bags.offsets[b], name, table, "offsets that fall");
  for (const std::int32_t slot : bags.slots) require_with(slot >= 0 && slot < table.rows, name, table, "slot {}", slot);
  const bool wanted =
      tape.needs_gradient(memory.table) || (memory.weights.id >= 0 && tape.needs_gradient(memory.weights));
  const Var out = tape.result(static_cast<int>(bags.offsets.size()) - 1, table.columns, wanted, &bag_backward<T>,
                              keep(tape, memory));
  fill_lanes(tape.value(out), [&](int b) {
    return [&, b](int c) -> Lanes<T> {
      Lanes<T> total{};
      for (std::int64_t j = memory.offsets[b]; j < memory.offsets[b + 1]; ++j)
        total += memory.weight(tape, j) * load_lanes(table.row(memory.slots[j]) + c);
      return total;
    };
  });
  return out;
}

}  // namespace

template <class T>
Var embedding_bag(Tape<T>& tape, Var table, const Bags& bags, std::span<const T> weights) {
  const T* fixed = weights.empty() ? nullptr : weights.data();
  return put_bag<T>(tape, "embedding_bag", bags, {table, {}, bags.offsets.data(), bags.slots.data(), fixed},
                    weights.size());
}

template <class T>
Var weighted_bag(Tape<T>& tape, Var table, Var weights, const Bags& bags) {
  const Matrix<T> w = tape.value(weights);
  require_with(w.columns == 1 && static_cast<std::size_t>(w.rows) == bags.slots.size(), "weighted_bag", w, "{} slots",
               bags.slots.size());
  return put_bag<T>(tape, "weighted_bag", bags, {table, weights, bags.offsets.data(), bags.slots.data(), nullptr}, 0);
}

#define SPAR_TAPE_BAG(T)                                                      \
  template Var embedding_bag(Tape<T>&, Var, const Bags&, std::span<const T>); \
  template Var weighted_bag(Tape<T>&, Var, Var, const Bags&);
SPAR_TAPE_BAG(float)
SPAR_TAPE_BAG(double)
#undef SPAR_TAPE_BAG

}  // namespace spar::tape
