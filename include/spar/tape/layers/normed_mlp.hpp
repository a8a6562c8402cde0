#pragma once
#include <string>
#include <vector>

#include "spar/tape/layers/dense.hpp"

namespace spar::tape::layers {

/// A perceptron with batch norm (Ioffe and Szegedy, ICML 2015): activation(norm(x W)) for every layer, the last
/// included. The norm's offset takes the place of a bias. Parameters NAME.k.weights, NAME.k.norm.gain,
/// NAME.k.norm.offset, states NAME.k.norm.mean, NAME.k.norm.variance. Taps: those of Mlp.
///
/// In training layer k ends a segment of the pass at the cut of its sums, finish() begins the next (tape.hpp).
class NormedMlp {
 public:
  /// Of its norms: what is added to a variance.
  static constexpr double epsilon = 1e-5;

  /// `widths`: the input's first, then that of each layer.
  NormedMlp(Declarations& to, const std::string& name, const std::vector<int>& widths, Activation activation);

  int layers() const { return static_cast<int>(layers_.size()); }
  /// x W of layer k, rows x widths[k + 1].
  template <class T>
  Var product(const Context<T>& context, int k, Var x) const;
  /// The cut behind it: 3 x widths[k + 1]; training only.
  template <class T>
  Var sums(const Context<T>& context, int k, Var product) const;
  /// What layer k gives, from its product and, in training, its closed cut.
  template <class T>
  Var finish(const Context<T>& context, int k, Var product, Var sums) const;
  /// All layers with the running moments: evaluation only.
  template <class T>
  Var apply(const Context<T>& context, Var x) const;
  /// Moves the running moments of layer k by its closed cut; once a step on each rank, after the clean pass.
  template <class T>
  void update(const Context<T>& context, int k, Var sums) const;

 private:
  struct Layer {
    int weights;
    BatchNorm norm;
    std::string weights_tap;
    std::string hidden_tap;  // empty: the last layer
  };
  const Layer& layer(int k) const { return layers_[static_cast<std::size_t>(k)]; }

  std::vector<Layer> layers_;
  Activation activation_;
};

}  // namespace spar::tape::layers
