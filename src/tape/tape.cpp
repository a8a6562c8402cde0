#include "spar/tape/tape.hpp"

#include <algorithm>
#include <limits>

#include "spar/base/error.hpp"
#include "spar/tape/operations.hpp"

namespace spar::tape {

namespace {
constexpr std::size_t smallest_block = std::size_t{1} << 18;
}

void* Arena::take_bytes(std::size_t bytes) {
  bytes = (bytes + line_bytes - 1) / line_bytes * line_bytes;
  while (block_ < blocks_.size() && used_ + bytes > blocks_[block_].size()) {
    ++block_;
    used_ = 0;
  }
  if (block_ == blocks_.size()) blocks_.emplace_back(std::max(bytes, smallest_block));
  void* memory = blocks_[block_].data() + used_;
  used_ += bytes;
  return memory;
}

void Arena::reset() {
  // Many small blocks become one, so that the steady state walks no list.
  if (blocks_.size() > 1) {
    std::size_t total = 0;
    for (const auto& block : blocks_) total += block.size();
    blocks_.clear();
    blocks_.emplace_back(total);
  }
  block_ = 0;
  used_ = 0;
}

template <class T>
void Tape<T>::reset() {
  nodes_.clear();
  perturbations_.clear();
  early_.clear();
  arena_.reset();
  open_cut_ = -1;
  reached_ = -1;
  at_cut_ = false;
}

template <class T>
Var Tape<T>::constant(Matrix<T> value) {
  nodes_.push_back({value, {}, false, true, nullptr, nullptr});
  return {static_cast<int>(nodes_.size()) - 1};
}

template <class T>
Var Tape<T>::parameter(Matrix<T> value, Matrix<T> gradient) {
  SPAR_ASSERT(value.rows == gradient.rows && value.columns == gradient.columns);
  nodes_.push_back({value, gradient, true, true, nullptr, nullptr});
  return {static_cast<int>(nodes_.size()) - 1};
}

template <class T>
Var Tape<T>::added_parameter(Matrix<T> value, Matrix<T> gradient) {
  const Var v = parameter(value, gradient);
  node(v).untouched = false;
  return v;
}

template <class T>
Var Tape<T>::result(int rows, int columns, bool wanted, Backward function, const void* memory) {
  const int stride = padded(columns);
  const auto size = static_cast<std::size_t>(rows) * static_cast<std::size_t>(stride);
  Node n;
  n.value = {arena_.take<T>(size), rows, columns, stride};
  if (wanted) n.gradient = {arena_.take<T>(size), rows, columns, stride};
  n.needs_gradient = wanted;
  n.backward = function;
  n.memory = memory;
  nodes_.push_back(n);
  return {static_cast<int>(nodes_.size()) - 1};
}

template <class T>
void Tape<T>::fill_zero(Node& n) {
  for (int r = 0; r < n.gradient.rows; ++r) std::fill_n(n.gradient.row(r), n.gradient.stride, T{});
  n.untouched = false;
}

template <class T>
const Matrix<T>& Tape<T>::gradient(Var v) {
  Node& n = node(v);
  SPAR_ASSERT(n.needs_gradient);
  if (n.untouched) fill_zero(n);
  return n.gradient;
}

template <class T>
Matrix<T> Tape<T>::gradient_to_fill(Var v, bool& assign) {
  Node& n = node(v);
  assign = n.untouched;
  n.untouched = false;
  return n.gradient;
}

template <class T>
Matrix<T> Tape<T>::gradient_to_add(Var v) {
  Node& n = node(v);
  if (n.untouched) fill_zero(n);
  return n.gradient;
}

template <class T>
void Tape<T>::backward(Var loss, T seed) {
  begin_backward(loss, seed);
  while (backward_to_cut()) set_cut_gradient(cut_gradient());
}

template <class T>
void Tape<T>::begin_backward(Var loss, T seed) {
  SPAR_ASSERT(value(loss).rows == 1 && value(loss).columns == 1 && needs_gradient(loss));
  gradient_to_add(loss).at(0, 0) += seed;
  begin_backward();
}

template <class T>
void Tape<T>::begin_backward() {
  SPAR_ASSERT(open_cut_ < 0);
  reached_ = static_cast<int>(nodes_.size()) - 1;
  at_cut_ = false;
}

template <class T>
bool Tape<T>::backward_to_cut() {
  SPAR_ASSERT(!at_cut_);
  for (; reached_ >= 0; --reached_) {
    Node& n = nodes_[static_cast<std::size_t>(reached_)];
    if (n.backward == nullptr || !n.needs_gradient) continue;
    if (n.backward == &pass_cut_gradient) return at_cut_ = true;
    if (!n.untouched) n.backward(*this, {reached_}, n.memory);
  }
  for (Node& n : nodes_) {
    if (n.backward == nullptr && n.needs_gradient && n.untouched) fill_zero(n);
  }
  return false;
}

template <class T>
const Matrix<T>& Tape<T>::cut_gradient() {
  SPAR_ASSERT(at_cut_);
  return gradient({reached_});
}

template <class T>
void Tape<T>::set_cut_gradient(const Matrix<T>& sum) {
  SPAR_ASSERT(at_cut_);
  const Node n = nodes_[static_cast<std::size_t>(reached_)];
  SPAR_ASSERT(sum.rows == n.gradient.rows && sum.columns == n.gradient.columns);
  for (int r = 0; r < sum.rows; ++r) {
    if (sum.row(r) != n.gradient.row(r)) std::copy_n(sum.row(r), sum.columns, n.gradient.row(r));
  }
  n.backward(*this, {reached_}, n.memory);
  at_cut_ = false;
  --reached_;
}

template <class T>
void Tape<T>::pass_cut_gradient(Tape& tape, Var result, const void* memory) {
  const Var x = *static_cast<const Var*>(memory);
  const Matrix<T> sum = tape.gradient(result);
  const Matrix<T> to = tape.gradient_to_add(x);
  for (int r = 0; r < sum.rows; ++r) {
    for (int c = 0; c < sum.columns; ++c) to.row(r)[c] += sum.row(r)[c];
  }
}

template <class T>
Var Tape<T>::cut(Var x) {
  SPAR_ASSERT(open_cut_ < 0);
  Var* memory = arena_.take<Var>(1);
  *memory = x;
  const Matrix<T> local = value(x);
  const Var out = result(local.rows, local.columns, needs_gradient(x), &pass_cut_gradient, memory);
  const Matrix<T> y = value(out);
  for (int r = 0; r < y.rows; ++r) std::fill_n(y.row(r), y.columns, std::numeric_limits<T>::quiet_NaN());
  open_cut_ = out.id;
  return out;
}

template <class T>
const Matrix<T>& Tape<T>::open_cut() const {
  SPAR_ASSERT(open_cut_ >= 0);
  return value(*static_cast<const Var*>(nodes_[static_cast<std::size_t>(open_cut_)].memory));
}

template <class T>
void Tape<T>::close_cut(const Matrix<T>& sum) {
  SPAR_ASSERT(open_cut_ >= 0);
  const Matrix<T> to = value({open_cut_});
  SPAR_ASSERT(sum.rows == to.rows && sum.columns == to.columns);
  for (int r = 0; r < to.rows; ++r) std::copy_n(sum.row(r), to.columns, to.row(r));
  open_cut_ = -1;
}

template <class T>
void Tape<T>::perturb(const std::string& name, Matrix<T> delta) {
  perturbations_.push_back({name, delta});
}

template <class T>
Var Tape<T>::tap(const std::string& name, Var x) {
  for (const auto& p : perturbations_) {
    if (p.name == name) return add(*this, x, constant(p.delta));
  }
  return x;
}

template class Tape<float>;
template class Tape<double>;

}  // namespace spar::tape
