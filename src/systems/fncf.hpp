#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ncf.hpp"

#include "spar/game/neural_model.hpp"
#include "spar/systems/system.hpp"

/// Feature-based neural collaborative filtering, and its defence by distillation (Du, Fang, Yi, Xu, Cheng and Tao, IEEE
/// Transactions on Multimedia 2019). Both sides are known by their profiles:
///   e_u = n_u^-power sum of a_i over the user's training items,  e_i = n_i^-power sum of c_u over the item's users,
///   z = w . [e_u * e_i; h_L] + b,  h_0 = [e_u; e_i],  h_l = relu(h_l-1 W_l + b_l).
/// A teacher is trained with labels alone. A student of the same form meets noise on its profiles and on the inputs of
/// its upper layers, and learns, the teacher being clean and never moved,
///   first, layer by layer from the bottom:  sum |h_l - t_l|^2   over the layers 1 .. l and what is below them,
///   then  (1 - a) CE(y, z) + a T^2 CE(sigmoid(z_t / T), z / T) + b sum_l |h_l - t_l|^2.
/// What the paper leaves open (widths, weights, deviations) is the project's own choice.
namespace spar::systems {

struct FncfSettings {
  int dim = 32;                         ///< of e_u and e_i
  std::vector<int> layers{64, 32, 16};  ///< of the perceptron, its input (2 dim) first
  int negatives = 4;
  double power = 0.5;
  bool has_teacher = false;
  double input_noise = 0.0;
  double hidden_noise = 0.0;
  double temperature = 2.0;
  double soft_weight = 0.0;  ///< a
  double hint_weight = 0.0;  ///< b
  std::int64_t hint_epochs = 0;
};

/// Sums over profiles (samples x dim) as if every entry of the profiles, present or not, had noise of this deviation.
/// It comes to the sum as A' n, whose covariance is deviation^2 A' A, `gram` being A' A of the whole table: so a draw
/// of dim numbers takes the place of one as long as the catalogue. A constant to the tape.
template <class T>
tape::Var add_profile_noise(const tape::layers::Context<T>& context, tape::Var sums, const tape::Matrix<T>& gram,
                            double deviation, std::uint32_t place);

class FncfModel final : public game::NeuralModelOf<FncfModel>, public game::ProfiledModel {
 public:
  explicit FncfModel(const FncfSettings& settings);

  /// Rows c_u of users and a_i of items; the teacher's stand behind the student's.
  int user_columns() const override { return settings_.has_teacher ? 2 * settings_.dim : settings_.dim; }
  int item_columns() const override { return user_columns(); }
  /// Of the student's columns of both tables, where its profiles are noisy.
  std::vector<game::Gram> grams() const override;
  bool reads_profiles() const override { return true; }
  float profile_scale(std::int64_t count) const override;
  std::unique_ptr<game::BatchSource> source(const data::UserLists& lists, Index first_user, Index users, int shard,
                                            Index total_items, std::uint64_t seed) const override;
  /// "user_profile" and "item_profile": e_u and e_i of the examples, examples x dim. Of an entry of the user's profile,
  /// present or not, dL/dx_i = profile_scale(n_u) a_i . dL/de_u, since e_u is linear in x. "hidden.1" ...
  std::vector<std::string> taps() const override;
  template <class T>
  tape::Var build(const game::Pass<T>& pass) const;

  const game::ProfiledModel* profiled() const override { return this; }
  tape::Var profile_scores(const game::Pass<float>& pass) const override;
  bool is_noisy() const override {
    return settings_.has_teacher && (settings_.input_noise != 0.0 || settings_.hidden_noise != 0.0);
  }
  int score_columns() const override { return scorer_.score_columns(); }
  void represent_user(const table::DenseParameters& dense, const float* row, float* out) const override;
  void represent_item(const table::DenseParameters& dense, const float* row, float* out) const override;
  std::unique_ptr<catalogue::PairFunction> pair_function(const table::DenseParameters& dense) const override {
    return scorer_.pair_function(dense);
  }

 private:
  struct Tower {
    std::vector<tape::layers::Dense> layers;
    std::optional<tape::layers::Dense> output;
  };
  struct Values {
    std::vector<tape::Var> hidden;
    tape::Var logits;
  };
  Tower declare_tower(const std::string& prefix);
  int hint_layers() const { return static_cast<int>(settings_.layers.size()) - 1; }
  template <class T>
  tape::Var scales(const game::Pass<T>& pass, std::size_t role) const;
  template <class T>
  tape::Var noisy(const game::Pass<T>& pass, std::size_t role, tape::Var sums) const;
  template <class T>
  tape::Var side(const game::Pass<T>& pass, std::size_t role, bool teacher) const;
  template <class T>
  Values apply(const tape::layers::Context<T>& context, const Tower& tower, tape::Var users, tape::Var items,
               double noise) const;
  template <class T>
  Values teach(const game::Pass<T>& pass) const;

  FncfSettings settings_;
  NcfModel scorer_;  // of the student: its dense parameters stand at the same places
  Tower student_;
  Tower teacher_;
  std::uint32_t first_noise_ = 0;  // user, item, then the layers above the first
};

}  // namespace spar::systems
