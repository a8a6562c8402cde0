#include "spar/catalogue/score.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

namespace spar::catalogue {

namespace {

constexpr int columns = panel_items / lanes;

// Keeps a broadcast value in a register: otherwise it is read again as a memory operand of each multiplication, and
// loads become the bottleneck.
inline void keep_in_register([[maybe_unused]] Lanes& x) {
#if defined(__AVX512F__)
  asm("" : "+v"(x));
#elif defined(__AVX__)
  asm("" : "+x"(x));
#endif
}

template <int users>
using Accumulators = std::array<std::array<Lanes, columns>, static_cast<std::size_t>(users)>;

template <std::size_t... u>
inline void multiply_add(const float* const* rows, int k, const float* line, Accumulators<sizeof...(u)>& sums,
                         std::index_sequence<u...>) {
  const std::array<Lanes, columns> item = {load(line), load(line + lanes), load(line + 2 * lanes)};
  const auto one_user = [&](const float* row, std::array<Lanes, columns>& sum) {
    Lanes value = broadcast(row[k]);
    keep_in_register(value);
    sum[0] = fused(value, item[0], sum[0]);
    sum[1] = fused(value, item[1], sum[1]);
    sum[2] = fused(value, item[2], sum[2]);
  };
  (one_user(rows[u], std::get<u>(sums)), ...);
}

// One panel of items for a few users. `poison` becomes NaN where a score is not finite: x * 0 is 0 for every finite x.
template <bool biased, std::size_t... u>
inline void score_panel(const float* const* user_rows, const float* panel, int dim, float* scores, Index stride,
                        std::array<Lanes, columns>& poison, std::index_sequence<u...> all) {
  const float* const rows[] = {user_rows[u]...};
  Accumulators<sizeof...(u)> sums{};
  const float* line = panel;
  for (int k = 0; k < dim; ++k, line += panel_items) multiply_add(rows, k, line, sums, all);
  const std::array<Lanes, columns> bias = {load(line), load(line + lanes), load(line + 2 * lanes)};
  std::array<Lanes, columns> here{};
  const auto finish_column = [&](float* to, const Lanes& sum, std::size_t c) {
    const Lanes score = biased ? sum + bias[c] : sum;
    here[c] = fused(score, Lanes{}, here[c]);
    store(to + static_cast<Index>(c) * lanes, score);
  };
  const auto finish = [&](float* to, const std::array<Lanes, columns>& sum) {
    finish_column(to, sum[0], 0);
    finish_column(to, sum[1], 1);
    finish_column(to, sum[2], 2);
  };
  (finish(scores + static_cast<Index>(u) * stride, std::get<u>(sums)), ...);
  poison = {poison[0] + here[0], poison[1] + here[1], poison[2] + here[2]};
}

using Poison = std::array<Lanes, columns>;
using Kernel = void (*)(const float* const*, const float*, int, float*, Index, Poison&);

template <bool biased, int users>
void kernel(const float* const* rows, const float* panel, int dim, float* scores, Index stride, Poison& poison) {
  score_panel<biased>(rows, panel, dim, scores, stride, poison, std::make_index_sequence<users>{});
}

// Kernels for 1 .. kernel_users users.
template <bool biased, int... users>
constexpr std::array<Kernel, sizeof...(users)> make_kernels(std::integer_sequence<int, users...>) {
  return {&kernel<biased, users + 1>...};
}
constexpr std::array<std::array<Kernel, kernel_users>, 2> kernels = {
    make_kernels<false>(std::make_integer_sequence<int, kernel_users>{}),
    make_kernels<true>(std::make_integer_sequence<int, kernel_users>{})};

bool is_poisoned(const Poison& poison) {
  for (const Lanes& p : poison) {
    for (int k = 0; k < lanes; ++k) {
      if (p[k] != 0) return true;
    }
  }
  return false;
}

}  // namespace

void ItemPanels::pack(const table::RowBlock& rows, Index first, Index count, const BiasColumn& bias) {
  first_item_ = rows.first_row + first;
  items_ = count;
  dim_ = rows.dim;
  has_bias_ = bias.data != nullptr;
  values_.require(static_cast<std::size_t>(panels()) * panel_size());
  for (int p = 0; p < panels(); ++p) {
    float* const panel = values_.data() + static_cast<std::size_t>(p) * panel_size();
    const Index begin = static_cast<Index>(p) * panel_items;
    const auto width = static_cast<int>(std::min<Index>(panel_items, count - begin));
    if (width < panel_items) std::fill_n(panel, panel_size(), 0.0F);
    for (int j = 0; j < width; ++j) {
      const float* const row = rows.row(first + begin + j);
      for (int k = 0; k < dim_; ++k) panel[k * panel_items + j] = row[k];
      panel[dim_ * panel_items + j] = has_bias_ ? bias.data[(first + begin + j) * bias.stride] : 0.0F;
    }
  }
}

void ItemPanels::assign(Index first_item, Index items, int dim, bool has_bias, const float* values) {
  first_item_ = first_item;
  items_ = items;
  dim_ = dim;
  has_bias_ = has_bias;
  values_.require(static_cast<std::size_t>(panels()) * panel_size());
  std::copy_n(values, static_cast<std::size_t>(panels()) * panel_size(), values_.data());
}

float score_pair(const float* user, const float* item, int dim) {
  float sum = 0.0F;
  for (int k = 0; k < dim; ++k) sum = std::fma(user[k], item[k], sum);
  return sum;
}

bool score_panels(const float* const* user_rows, int users, const ItemPanels& items, int first_panel, int panels,
                  float* scores, Index stride) {
  const auto& kernel_of = kernels[items.has_bias() ? 1 : 0];
  Poison poison{};
  for (int p = 0; p < panels; ++p) {
    const float* const panel = items.panel(first_panel + p);
    float* const to = scores + static_cast<Index>(p) * panel_items;
    for (int u = 0; u < users; u += kernel_users) {
      const int together = std::min(kernel_users, users - u);
      kernel_of[static_cast<std::size_t>(together - 1)](user_rows + u, panel, items.dim(), to + u * stride, stride,
                                                        poison);
    }
  }
  return !is_poisoned(poison);
}

}  // namespace spar::catalogue
