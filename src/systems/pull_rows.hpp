#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "spar/table/row_exchange.hpp"

namespace spar::systems {

/// Pulls the rows that the shards of this rank want in a wave, for who only reads them: `rows` of each is a list of
/// distinct rows. Collective; all ranks have read what they pulled (a barrier) before any pulls the next wave, since
/// rows of a node are read where their owners would put those.
template <class Shards, class RowsOf>
void pull_rows(table::RowExchange& exchange, const Shards& shards, RowsOf&& rows_of, std::int64_t wave) {
  std::vector<std::span<const Index>> wanted;
  for (const auto& shard : shards) wanted.emplace_back(rows_of(shard));
  exchange.request(0, wanted, 0, wave);
  exchange.serve(0, wave);
  exchange.send_rows(0, wave);
  exchange.receive_rows(0, wave);
}

}  // namespace spar::systems
