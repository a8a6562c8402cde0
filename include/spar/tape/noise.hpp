#pragma once
#include <cstdint>
#include <span>

#include "spar/base/random.hpp"
#include "spar/base/types.hpp"
#include "spar/tape/tape.hpp"

/// Noise that belongs to samples: a number is a function of (key, global sample, position in the sample, column) alone,
/// never of the shard, the row or the order of calls, so a second pass with the same key meets the same noise.
namespace spar::tape {

/// What a field of noise is for. `place` tells the layers of a model apart.
struct NoiseKey {
  std::uint64_t seed = 0;
  Purpose purpose = Purpose::dropout;
  std::uint32_t epoch = 0;
  std::uint32_t step = 0;
  std::uint32_t place = 0;

  RandomStream stream() const;
  /// The same key for another layer.
  NoiseKey at(std::uint32_t other_place) const {
    NoiseKey key = *this;
    key.place = other_place;
    return key;
  }
};

/// The samples that rows belong to: row r is position r % length of samples[r / length]. Spans must outlive the tape's
/// use.
struct SampleRows {
  std::span<const Index> samples;  ///< global indices
  int length = 1;                  ///< rows of one sample (the steps of a sequence)
};

/// Inverted dropout: x / keep with probability keep, else 0 (Srivastava et al., JMLR 2014). keep 1: x itself. n x m,
/// with n = samples * length.
template <class T>
Var dropout(Tape<T>& tape, Var x, T keep, const NoiseKey& key, const SampleRows& rows);

/// Writes standard normal numbers, uniform ones in (0, 1), or Gumbel ones (-log(-log u)) to `to`.
template <class T>
void fill_normal(const NoiseKey& key, const SampleRows& rows, const Matrix<T>& to);
template <class T>
void fill_uniform(const NoiseKey& key, const SampleRows& rows, const Matrix<T>& to);
template <class T>
void fill_gumbel(const NoiseKey& key, const SampleRows& rows, const Matrix<T>& to);

}  // namespace spar::tape
