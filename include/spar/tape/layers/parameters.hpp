#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "spar/tape/noise.hpp"
#include "spar/tape/tape.hpp"

/// Layers declare what they need and own no numbers: the caller keeps the dense parameters and the state, puts the
/// parameters on the tape and hands their Vars to the layer.
namespace spar::tape::layers {

/// The laws that parameters start from; `size` is the constant, the half-width or the standard deviation, and does not
/// count for the last three.
enum class Law {
  constant,
  uniform,           ///< within +-size
  normal,            ///< standard deviation size
  truncated_normal,  ///< the same, drawn again beyond two standard deviations
  xavier_uniform,    ///< within +-sqrt(6 / (rows + columns)) (Glorot and Bengio, AISTATS 2010)
  xavier_normal,     ///< standard deviation sqrt(2 / (rows + columns))
  fan_in_uniform,    ///< within +-1 / sqrt(rows)
};
struct Start {
  Law law = Law::xavier_uniform;
  double size = 0.0;
};
inline constexpr Start zeros{Law::constant, 0.0};
inline constexpr Start ones{Law::constant, 1.0};

/// One dense matrix: weights are in x out, biases 1 x out.
struct Parameter {
  std::string name;
  int rows = 0;
  int columns = 0;
  Start start;
};

/// What the layers of a model declare, in the order of their construction.
class Declarations {
 public:
  /// The place of a parameter among all(). Names are unique.
  int parameter(std::string name, int rows, int columns, Start start);
  /// The place of a matrix that no optimiser owns (running moments, memories) among states().
  int state(std::string name, int rows, int columns, Start start);
  /// A number of its own for a layer that draws noise.
  std::uint32_t noise_place() { return next_place_++; }

  const std::vector<Parameter>& all() const { return parameters_; }
  const std::vector<Parameter>& states() const { return states_; }

 private:
  std::vector<Parameter> parameters_;
  std::vector<Parameter> states_;
  std::uint32_t next_place_ = 0;
};

/// Writes the start of a parameter: a function of (seed, its name, row, column), whatever else is declared.
void fill_start(const Parameter& parameter, std::uint64_t seed, const Matrix<float>& to);

/// What a layer meets when it is applied: `parameters` and `states` in the order of the declarations.
template <class T>
struct Context {
  Tape<T>& tape;
  std::span<const Var> parameters;
  std::span<const Matrix<T>> states = {};
  bool training = false;                ///< dropout and batch statistics
  NoiseKey noise = {};                  ///< seed, epoch and step of this pass; both passes of a step have the same
  std::span<const Index> samples = {};  ///< the global sample of each row or sequence, for noise

  Var operator[](int place) const { return parameters[static_cast<std::size_t>(place)]; }
  const Matrix<T>& state(int place) const { return states[static_cast<std::size_t>(place)]; }
};

/// x with dropout in training, x itself at evaluation; `length` rows to a sample.
template <class T>
Var drop(const Context<T>& context, Var x, double keep, std::uint32_t place, int length = 1) {
  if (!context.training || keep >= 1.0) return x;
  return dropout(context.tape, x, static_cast<T>(keep), context.noise.at(place), SampleRows{context.samples, length});
}

}  // namespace spar::tape::layers
