#pragma once
#include <cstddef>
#include <string>
#include <vector>

#include "spar/base/memory.hpp"
#include "spar/base/paced_prefetch.hpp"

/// Reverse-mode differentiation over row-major matrices. One tape serves one shard and step; it is reset, never
/// rebuilt, and in the steady state allocates nothing. Tapes of float train; the same operations in double are what the
/// finite-difference checks run.
namespace spar::tape {

/// A view of rows x columns numbers; `stride` numbers from row to row, or rows that lie anywhere: row r at places[r],
/// whole lines. A row has room up to padded(columns), and operations read and write whole lines: what stands in the
/// padding of a value is arbitrary and never counts (pairwise_ranking alone wants zeros there), the padding of a
/// gradient is zero after backward().
template <class T>
struct Matrix {
  T* data = nullptr;
  int rows = 0;
  int columns = 0;
  int stride = 0;
  T* const* places = nullptr;  ///< nullptr: data + r * stride

  T* row(int r) const { return places != nullptr ? places[r] : data + static_cast<std::ptrdiff_t>(r) * stride; }
  T& at(int r, int c) const { return row(r)[c]; }
};

/// Scratch memory that is given out line by line and taken back all at once.
class Arena {
 public:
  /// Uninitialised room for `count` numbers, on a cache line.
  template <class T>
  T* take(std::size_t count) {
    return static_cast<T*>(take_bytes(count * sizeof(T)));
  }
  void reset();

  /// What was taken after mark() is given back by release(mark): for scratch inside an operation.
  struct Mark {
    std::size_t block;
    std::size_t used;
  };
  Mark mark() const { return {block_, used_}; }
  void release(Mark mark) {
    block_ = mark.block;
    used_ = mark.used;
  }

 private:
  void* take_bytes(std::size_t bytes);
  std::vector<Buffer<std::byte>> blocks_;
  std::size_t block_ = 0;
  std::size_t used_ = 0;
};

/// A value on the tape.
struct Var {
  int id = -1;
};

template <class T>
class Tape {
 public:
  /// Adds to the gradients of an operation's inputs, given that of its result.
  using Backward = void (*)(Tape& tape, Var result, const void* memory);

  /// Forgets all values, keeps the memory.
  void reset();

  /// A matrix without gradient.
  Var constant(Matrix<T> value);
  /// A matrix whose gradient is wanted: backward() leaves the sum in `gradient` (same shape; what it held before is
  /// lost).
  Var parameter(Matrix<T> value, Matrix<T> gradient);
  /// The same, but backward() adds to what `gradient` holds.
  Var added_parameter(Matrix<T> value, Matrix<T> gradient);
  /// The result of an operation: uninitialised rows x columns, padded to whole lines. `memory` (from arena()) is passed
  /// to `function`; `wanted`: whether any input needs a gradient.
  Var result(int rows, int columns, bool wanted, Backward function, const void* memory);

  const Matrix<T>& value(Var v) const { return nodes_[static_cast<std::size_t>(v.id)].value; }
  bool needs_gradient(Var v) const { return nodes_[static_cast<std::size_t>(v.id)].needs_gradient; }
  /// The gradient of a value after backward(); zeros where the loss does not depend on it.
  const Matrix<T>& gradient(Var v);

  /// For backward functions: the gradient of v, and whether the caller must assign every element (nothing has been
  /// added yet) instead of adding.
  Matrix<T> gradient_to_fill(Var v, bool& assign);
  /// The same for functions that only add: zeroed at the first call.
  Matrix<T> gradient_to_add(Var v);

  /// Differentiates `seed` times the 1 x 1 value `loss`. Once after each set of values. Cuts count as if this tape were
  /// the only shard.
  void backward(Var loss, T seed = T{1});

  /// A cut is a value that is the sum over the tapes of all shards of what each of them has, so the
  /// forward pass ends a segment there: the caller takes open_cut() of every shard's tape, sums in a fixed order, and
  /// gives the sum to close_cut() of each before the next segment uses it. All shards make the same cuts in the same
  /// order. The result of cut() holds NaN until it is closed; one cut may be open at a time.
  Var cut(Var x);
  bool has_open_cut() const { return open_cut_ >= 0; }
  /// This shard's contribution to the open cut.
  const Matrix<T>& open_cut() const;
  void close_cut(const Matrix<T>& sum);

  /// Backward with cuts: begin_backward() once, then backward_to_cut() until it returns false. Where it returns true it
  /// stands at a cut: the caller takes cut_gradient() of every shard's tape (zeros where the shard's loss does not
  /// depend on the sum), sums in a fixed order, and gives the sum to set_cut_gradient() of each. A tape whose loss is
  /// a constant (a shard without samples) begins with begin_backward() without a loss.
  void begin_backward(Var loss, T seed = T{1});
  void begin_backward();
  bool backward_to_cut();
  const Matrix<T>& cut_gradient();
  void set_cut_gradient(const Matrix<T>& sum);

  Arena& arena() { return arena_; }

  /// Rows that the caller will need after this tape's work; operations over many rows ask for them as they go. Empty
  /// after reset().
  PacedPrefetch& early() { return early_; }

  /// A tap is a named place where a perturbation may be added. perturb() sets what is added at `name` until the next
  /// reset (a constant: nothing flows into it); tap() gives x plus that, or x itself.
  void perturb(const std::string& name, Matrix<T> delta);
  Var tap(const std::string& name, Var x);

 private:
  struct Node {
    Matrix<T> value;
    Matrix<T> gradient;
    bool needs_gradient = false;
    bool untouched = true;  // no gradient has been added yet
    Backward backward = nullptr;
    const void* memory = nullptr;
  };
  struct Perturbation {
    std::string name;
    Matrix<T> delta;
  };
  Node& node(Var v) { return nodes_[static_cast<std::size_t>(v.id)]; }
  void fill_zero(Node& n);
  static void pass_cut_gradient(Tape& tape, Var result, const void* memory);

  Arena arena_;
  std::vector<Node> nodes_;
  std::vector<Perturbation> perturbations_;
  PacedPrefetch early_;
  int open_cut_ = -1;  // the node that waits for its sum
  int reached_ = -1;   // backward has yet to do the nodes up to this one
  bool at_cut_ = false;
};

extern template class Tape<float>;
extern template class Tape<double>;

}  // namespace spar::tape
