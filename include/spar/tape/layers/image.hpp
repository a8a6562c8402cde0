#pragma once
#include <string>
#include <vector>

#include "spar/tape/convolution.hpp"
#include "spar/tape/layers/dense.hpp"

namespace spar::tape::layers {

/// One stage of a stack of convolutions.
struct ConvStage {
  int channels = 0;  ///< that it gives
  Kernel kernel;
  bool transposed = false;
  bool batch_norm = false;  ///< then without bias, which the batch's mean would undo
  Activation activation = Activation::relu;
  double slope = 0.2;
};

/// Convolutions one after the other, each with a bias or a batch norm and an activation; images as in convolution.hpp.
/// Stage k has the parameters NAME.k.weights ((k k in) x out; of a transposed one (k k out) x in) and NAME.k.bias, or
/// the batch norm NAME.k.norm. Taps: NAME.k.weights, and PREFIXhidden.1, ... after each stage but the last.
class ConvStack {
 public:
  ConvStack(Declarations& to, const std::string& name, ImageSize size, int channels, std::vector<ConvStage> stages,
            Start weights = {Law::normal, 0.02}, const std::string& tap_prefix = "");

  int stages() const { return static_cast<int>(built_.size()); }
  ImageSize size_after(int stage) const { return built_[static_cast<std::size_t>(stage)].after; }
  /// Whether the stage takes two segments in training: convolve(), the cut of sums(), then finish().
  bool cuts(int stage) const { return built_[static_cast<std::size_t>(stage)].settings.batch_norm; }

  template <class T>
  Var convolve(const Context<T>& context, int stage, Var x) const;
  template <class T>
  Var sums(const Context<T>& context, int stage, Var convolved) const;
  /// `sums` counts where the stage cuts and in training.
  template <class T>
  Var finish(const Context<T>& context, int stage, Var convolved, Var sums) const;
  /// Moves the running moments of the stage's batch norm.
  template <class T>
  void update(const Context<T>& context, int stage, Var sums) const;
  /// All stages in one segment: for stacks without batch norm, and at evaluation.
  template <class T>
  Var apply(const Context<T>& context, Var x) const;

 private:
  struct Built {
    ConvStage settings;
    ImageSize before;
    ImageSize after;
    int weights;
    int bias;  // or the place in norms_
    std::string weights_tap;
    std::string hidden_tap;  // empty: the last
  };
  const Built& stage_at(int stage) const { return built_[static_cast<std::size_t>(stage)]; }
  const BatchNorm& norm_of(int stage) const { return norms_[static_cast<std::size_t>(stage_at(stage).bias)]; }

  std::vector<Built> built_;
  std::vector<BatchNorm> norms_;
};

/// A key-value memory (Miller et al., EMNLP 2016; Wang et al., KDD 2018): parameters NAME.keys (slots x width) and the
/// dense layers NAME.erase and NAME.add. What the slots hold belongs to the caller: state in event order, or a
/// parameter.
class KeyValueMemory {
 public:
  enum class Similarity { product, distance };  ///< <u, K_i>, or -|u - K_i|

  KeyValueMemory(Declarations& to, const std::string& name, int slots, int width, Similarity similarity);
  /// B x width -> B x slots, by softmax.
  template <class T>
  Var weigh(const Context<T>& context, Var queries) const;
  /// The weighted sum of the values: B x slots, slots x d -> B x d.
  template <class T>
  Var read(const Context<T>& context, Var weights, Var values) const;
  /// The values after B writes in the order of their rows: erases sigmoid(v We + be), adds tanh(v Wa + ba).
  template <class T>
  Var write(const Context<T>& context, Var weights, Var values, Var written) const;

 private:
  int keys_;
  Dense erase_;
  Dense add_;
  Similarity similarity_;
};

}  // namespace spar::tape::layers
