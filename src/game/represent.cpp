#include "spar/game/represent.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "spar/base/error.hpp"
#include "spar/base/lanes.hpp"
#include "spar/base/threads.hpp"
#include "spar/catalogue/shard_sums.hpp"
#include "spar/catalogue/wide_input.hpp"
#include "spar/table/contributions.hpp"

namespace spar::game {

namespace {

using tape::Matrix;

constexpr int chunk_users = 64;

/// Profiles of one round, those of all ranks.
struct Round {
  catalogue::RowsByShard rows;
  std::vector<std::int64_t> offsets{0};
  std::vector<ItemId> items;
  std::vector<float> values;
};

template <class T>
void append(std::vector<std::byte>& to, std::span<const T> values) {
  const auto bytes = std::as_bytes(values);
  to.insert(to.end(), bytes.begin(), bytes.end());
}

template <class T>
void take(const std::vector<std::byte>& from, std::size_t& at, std::size_t count, std::vector<T>& to) {
  const std::size_t begin = to.size();
  to.resize(begin + count);
  if (count > 0) std::memcpy(to.data() + begin, from.data() + at, count * sizeof(T));
  at += count * sizeof(T);
}

// Users, length of each, items, values.
Round share_profiles(const comm::Communicator& communicator, const ShardLayout& layout, const Profiles& profiles,
                     int first, int end, bool has_values) {
  std::vector<std::uint32_t> head{static_cast<std::uint32_t>(end - first)};
  const auto offset = [&](int k) { return static_cast<std::size_t>(profiles.offsets[static_cast<std::size_t>(k)]); };
  for (int k = first; k < end; ++k) head.push_back(static_cast<std::uint32_t>(offset(k + 1) - offset(k)));
  std::vector<std::byte> message;
  append<std::uint32_t>(message, head);
  append(message, profiles.items.subspan(offset(first), offset(end) - offset(first)));
  if (has_values) append(message, profiles.values.subspan(offset(first), offset(end) - offset(first)));
  Round round;
  round.rows.begin.assign(1, 0);
  const auto parts = communicator.allgather(std::as_bytes(std::span(message)));
  for (int r = 0; r < layout.ranks; ++r) {
    const auto& part = parts[static_cast<std::size_t>(r)];
    std::size_t at = 0;
    std::vector<std::uint32_t> users, lengths;
    take(part, at, 1, users);
    take(part, at, users.front(), lengths);
    const std::int64_t before = round.offsets.back();
    for (const std::uint32_t length : lengths) round.offsets.push_back(round.offsets.back() + length);
    const auto count = static_cast<std::size_t>(round.offsets.back() - before);
    take(part, at, count, round.items);
    if (has_values) take(part, at, count, round.values);
    // Homes are ranks here: all rows of a rank stand with its first shard.
    for (int s = 0; s < layout.shard_count(r); ++s) {
      const int before_shard = round.rows.rows();
      round.rows.begin.push_back(before_shard + (s == 0 ? static_cast<int>(users.front()) : 0));
    }
  }
  return round;
}

catalogue::SliceBatch slice_of(const Round& round, const catalogue::SliceRows& rows) {
  catalogue::SliceBatch batch;
  for (std::size_t u = 0; u + 1 < round.offsets.size(); ++u) {
    const auto list = std::span(round.items)
                          .subspan(static_cast<std::size_t>(round.offsets[u]),
                                   static_cast<std::size_t>(round.offsets[u + 1] - round.offsets[u]));
    auto at = static_cast<std::size_t>(std::lower_bound(list.begin(), list.end(), static_cast<ItemId>(rows.first)) -
                                       list.begin());
    for (; at < list.size() && list[at] < static_cast<ItemId>(rows.first + rows.rows); ++at) {
      batch.items.push_back(static_cast<std::int32_t>(list[at] - rows.first));
      batch.inputs.push_back(round.values.empty() ? 1.0F
                                                  : round.values[static_cast<std::size_t>(round.offsets[u]) + at]);
    }
    batch.offsets.push_back(static_cast<std::int32_t>(batch.items.size()));
  }
  return batch;
}

float inverse_norm(const Profiles& profiles, int user) {
  double squares = 0;
  const auto end = static_cast<std::size_t>(profiles.offsets[static_cast<std::size_t>(user) + 1]);
  for (auto k = static_cast<std::size_t>(profiles.offsets[static_cast<std::size_t>(user)]); k < end; ++k) {
    const double x = profiles.values.empty() ? 1.0 : static_cast<double>(profiles.values[k]);
    squares += x * x;
  }
  return squares > 0.0 ? static_cast<float>(1.0 / std::sqrt(squares)) : 0.0F;
}

}  // namespace

std::vector<float> represent(const comm::Communicator& communicator, const ShardLayout& layout,
                             const Autoencoder& model, const AutoencoderTables& tables, const Profiles& profiles,
                             int block_users) {
  const int width = padded(model.input_width());
  const int out = padded(model.output_width());
  const int users = profiles.users();
  std::vector<float> hidden(static_cast<std::size_t>(users) * static_cast<std::size_t>(out));
  const std::int64_t rounds = communicator.max(static_cast<std::int64_t>((users + block_users - 1) / block_users));
  const bool has_values = communicator.any(!profiles.values.empty());
  SPAR_ASSERT(!has_values || profiles.values.size() == profiles.items.size());
  catalogue::ShardSums sums(communicator, layout);
  std::vector<tape::Tape<float>> tapes(static_cast<std::size_t>(threads()));
  Buffer<float> inputs;
  for (std::int64_t n = 0; n < rounds; ++n) {
    const int first = static_cast<int>(std::min<std::int64_t>(users, n * block_users));
    const int end = std::min(users, first + block_users);
    const Round round = share_profiles(communicator, layout, profiles, first, end, has_values);
    sums.add_up(static_cast<std::size_t>(round.rows.rows()) * static_cast<std::size_t>(width),
                [&](int k, int, float* room) {
                  const auto rows = catalogue::slice_rows(*tables.encoder, layout.first_shard(communicator.rank()) + k);
                  catalogue::input_forward(rows, slice_of(round, rows), room);
                });
    inputs.require(static_cast<std::size_t>(end - first) * static_cast<std::size_t>(width));
    sums.to_homes(round.rows, width, inputs.data());
    parallel_for_worker((end - first + chunk_users - 1) / chunk_users, [&](int chunk, int worker) {
      const int begin = chunk * chunk_users;
      const int count = std::min(chunk_users, end - first - begin);
      const Matrix<float> input{inputs.data() + static_cast<std::ptrdiff_t>(begin) * width, count, model.input_width(),
                                width};
      for (int r = 0; r < count; ++r) {
        const int user = first + begin + r;
        if (model.normalise) {
          const Lanes<float> factor = all_lanes(inverse_norm(profiles, user));
          for (int c = 0; c < width; c += lanes)
            store_lanes<float>(input.row(r) + c, factor * load_lanes(input.row(r) + c));
        }
        const Index node = profiles.nodes.empty() ? -1 : profiles.nodes[static_cast<std::size_t>(user)];
        if (model.user_nodes && node >= 0) table::add_row(input.row(r), tables.users->record(node), width);
      }
      tape::Tape<float>& tape = tapes[static_cast<std::size_t>(worker)];
      tape.reset();
      const InnerLayers layers = put_inner_layers(tape, model, *tables.dense, input, {}, {});
      const Matrix<float> value = tape.value(layers.hidden);
      for (int r = 0; r < count; ++r)
        std::copy_n(value.row(r), value.columns, hidden.data() + static_cast<std::ptrdiff_t>(first + begin + r) * out);
    });
  }
  return hidden;
}

}  // namespace spar::game
