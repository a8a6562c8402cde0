#include "spar/game/neural_model.hpp"

#include <algorithm>

#include "spar/base/error.hpp"
#include "spar/game/post_source.hpp"
#include "spar/tape/operations.hpp"

namespace spar::game {

template <class T>
tape::Var Pass<T>::rows(std::size_t table, std::size_t role) const {
  return tape::gather(context.tape, tables[table], batch.slots[role]);
}

template <class T>
tape::Matrix<T> Pass<T>::labels() const {
  const int stride = padded(1);
  const std::size_t count = batch.labels.size();
  T* column = tape().arena().template take<T>(count * static_cast<std::size_t>(stride));
  for (std::size_t k = 0; k < count; ++k)
    column[k * static_cast<std::size_t>(stride)] = static_cast<T>(batch.labels[k]);
  return {column, static_cast<int>(count), 1, stride, nullptr};
}

template struct Pass<float>;
template struct Pass<double>;

tape::Var NeuralModel::pair_scores(const Pass<float>&) const {
  throw Bug("this model tells no scores of pairs");
}

tape::Var NeuralModel::inner_loss(const Pass<float>&) const {
  throw Bug("this model has no inner steps");
}

std::unique_ptr<BatchSource> NeuralModel::source(const data::UserLists& lists, Index first_user, Index users, int shard,
                                                 Index total_items, std::uint64_t seed) const {
  return std::make_unique<PairSource>(lists, first_user, users, shard, total_items, seed);
}

std::unique_ptr<BatchSource> NeuralModel::post_source(const data::PostRows& posts, Index first_user, Index users,
                                                      int shard, Index total_tags, std::uint64_t seed) const {
  return std::make_unique<PostSource>(posts, first_user, users, shard, total_tags, seed);
}

void NeuralModel::represent_user(const table::DenseParameters&, const float* row, float* out) const {
  std::copy_n(row, score_columns(), out);
}

void NeuralModel::represent_item(const table::DenseParameters&, const float* row, float* out) const {
  std::copy_n(row, score_columns(), out);
}

std::vector<Vectors> NeuralModel::vectors() const {
  std::vector<Vectors> all;
  if (user_columns() > 0) all.push_back({0, 0, user_columns() - zero_user_columns()});
  all.push_back({all.size(), 0, item_columns() - zero_item_columns()});
  return all;
}

table::DenseParameters make_dense(const NeuralModel& model, const ShardLayout& layout, int rank,
                                  const optim::OptimizerSettings& optimizer, std::uint64_t seed) {
  std::vector<tape::layers::Parameter> declared = model.declarations().all();
  const std::size_t trained = declared.size();
  declared.insert(declared.end(), model.declarations().states().begin(), model.declarations().states().end());
  std::vector<table::DenseShape> shapes;
  for (const auto& parameter : declared)
    shapes.push_back({parameter.name, parameter.rows, parameter.columns, "constant", 0.0, shapes.size() >= trained});
  table::DenseParameters dense(shapes, layout, rank, optimizer);
  for (int k = 0; k < dense.count(); ++k) {
    tape::layers::fill_start(declared[static_cast<std::size_t>(k)], seed,
                             {dense.table(k).record(0), dense.shape(k).rows, dense.shape(k).columns,
                              static_cast<int>(dense.stride(k)), nullptr});
  }
  return dense;
}

}  // namespace spar::game
