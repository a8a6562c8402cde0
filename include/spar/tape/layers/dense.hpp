#pragma once
#include <string>
#include <vector>

#include "spar/tape/bag.hpp"
#include "spar/tape/elementwise.hpp"
#include "spar/tape/layers/parameters.hpp"
#include "spar/tape/normalise.hpp"

namespace spar::tape::layers {

/// activation(x W + b). Parameters NAME.weights (in x out) and NAME.bias (1 x out); the tap NAME.weights.
class Dense {
 public:
  Dense(Declarations& to, const std::string& name, int in, int out, Activation activation = Activation::none,
        Start weights = {}, Start bias = zeros, double slope = 0.2);
  template <class T>
  Var apply(const Context<T>& context, Var x) const;

 private:
  int weights_;
  int bias_;
  Activation activation_;
  double slope_;
  std::string tap_;
};

struct MlpSettings {
  Activation activation = Activation::relu;       ///< of the hidden layers
  Activation last_activation = Activation::none;  ///< of the last
  double slope = 0.2;
  double keep = 1.0;                    ///< dropout on every hidden layer
  bool drop_before_activation = false;  ///< where dropout stands (AAE: before)
  Start weights = {};
  Start bias = zeros;
};

/// Dense layers NAME.0, NAME.1, ... of the given widths, the input's first. Taps: PREFIXhidden.1, PREFIXhidden.2, ...
/// after the activation and dropout of each hidden layer, and the weights of each layer.
class Mlp {
 public:
  Mlp(Declarations& to, const std::string& name, const std::vector<int>& widths, const MlpSettings& settings = {},
      const std::string& tap_prefix = "");
  template <class T>
  Var apply(const Context<T>& context, Var x) const;

 private:
  struct Hidden {
    std::string tap;
    std::uint32_t place;
  };
  std::vector<Dense> layers_;
  std::vector<Hidden> hidden_;
  MlpSettings settings_;
};

/// activation(bag of table rows + b): the first layer of an auto-encoder over profiles. Parameter NAME.bias; the rows
/// are the caller's (a sharded table). Taps: NAME.rows on the distinct rows, hidden.1 (with PREFIX) on the result.
class BagEncoder {
 public:
  BagEncoder(Declarations& to, const std::string& name, int width, Activation activation, Start bias = zeros,
             const std::string& tap_prefix = "");
  /// rows: distinct rows x width; weights: one a slot, or none.
  template <class T>
  Var apply(const Context<T>& context, Var rows, const Bags& bags, std::span<const T> weights = {}) const;

 private:
  int bias_;
  Activation activation_;
  std::string rows_tap_;
  std::string hidden_tap_;
};

/// t * H(x) + (1 - t) * x with t = sigmoid(x Wt + bt), H(x) = activation(x W + b) (Srivastava, Greff and Schmidhuber
/// 2015). `carry` is the start of bt: negative numbers let x through.
class Highway {
 public:
  Highway(Declarations& to, const std::string& name, int width, Activation activation, double carry = -1.0);
  template <class T>
  Var apply(const Context<T>& context, Var x) const;

 private:
  Dense change_;
  Dense gate_;
};

/// layer_norm with parameters NAME.gain and NAME.offset.
class LayerNorm {
 public:
  LayerNorm(Declarations& to, const std::string& name, int width, double epsilon = 1e-8);
  template <class T>
  Var apply(const Context<T>& context, Var x) const;

 private:
  int gain_;
  int offset_;
  double epsilon_;
};

/// Batch norm with parameters NAME.gain, NAME.offset and states NAME.mean, NAME.variance (running). In training it
/// takes two segments: sums() ends one at a cut, normalise() begins the next.
class BatchNorm {
 public:
  BatchNorm(Declarations& to, const std::string& name, int width, double epsilon = 1e-5, double momentum = 0.9,
            Start gain = ones);
  /// The cut of this batch's sums over all shards; training only.
  template <class T>
  Var sums(const Context<T>& context, Var x) const;
  /// With the closed cut in training; with the running moments at evaluation, where `sums` does not count.
  template <class T>
  Var normalise(const Context<T>& context, Var x, Var sums) const;
  /// Moves the running moments; once a training step, with the sums of the clean pass.
  template <class T>
  void update(const Context<T>& context, Var sums) const;

 private:
  template <class T>
  RunningMoments<T> running(const Context<T>& context) const {
    return {context.state(mean_), context.state(variance_)};
  }
  int gain_;
  int offset_;
  int mean_;
  int variance_;
  double epsilon_;
  double momentum_;
};

}  // namespace spar::tape::layers
