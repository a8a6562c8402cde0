#pragma once
#include <cstdint>
#include <string>

#include "spar/base/types.hpp"

/// Update rules for rows of tables. Settings are apart from state; the state lies beside the values it belongs to.
namespace spar::optim {

enum class Rule { sgd, adagrad, adam, lazy_adam };

/// The rule of that name ("sgd", "adagrad", "adam", "lazy_adam"); the names are checked by the recipe.
Rule rule_of(const std::string& name);

struct OptimizerSettings {
  Rule rule = Rule::adagrad;
  float learning_rate = 0.05F;
  float initial_accumulator = 0.1F;  ///< Adagrad
  float beta1 = 0.9F;                ///< Adam
  float beta2 = 0.999F;
  float epsilon = 0.0F;  ///< Adagrad: added to the root; Adam: added to the root, after the bias correction
};

/// How many row-shaped blocks of state stand beside a row: 0 (SGD), 1 (Adagrad: sum of squares), 2 (Adam: first and
/// second moment), 3 (lazy Adam: also the row's own step count, in column 0 of the third block).
int state_blocks(Rule rule);
/// The name of state block k, for checkpoints: "accumulator", "first_moment", "second_moment", "steps".
const char* state_name(Rule rule, int block);

/// Sets the state beside one row to its start. `record` points to the values; blocks of `stride` floats follow.
void reset_state(const OptimizerSettings& settings, float* record, int stride);

/// Applies gradients to rows. One object serves all threads; update() touches one record only.
///   SGD      x -= lr g                                                     (moves 3 rows of memory: x twice, g once)
///   Adagrad  a += g^2; x -= lr g / (sqrt(a) + epsilon)   Duchi, Hazan and Singer, JMLR 2011  (5 rows: x and a twice, g
///   once) Adam     m, v with bias correction; x -= lr m^ / (sqrt(v^) + epsilon)  Kingma and Ba, ICLR 2015 (7 rows)
///            `adam` decays every row at every step (rows without gradient get update with g = 0); `lazy_adam` touches
///            rows with a gradient only and corrects the bias by the row's own count of steps.
class Updater {
 public:
  explicit Updater(const OptimizerSettings& settings) : settings_(settings) {}

  /// Must be called before the updates of each step (1-based count of steps since the state was reset).
  void begin_step(std::int64_t step);

  /// One row: `record` = values, then state blocks, `stride` floats each; `gradient` = `width` floats (a multiple of
  /// 16, <= stride).
  void update(float* record, const float* gradient, int width, int stride) const;
  /// Many rows: record(k) and gradient(k) of row k = 0 .. count-1, where gradient(k)(c) gives sixteen numbers from
  /// column c on. Include optim/rules.hpp.
  template <class Record, class Gradient>
  void update_rows(int count, int width, int stride, Record&& record, Gradient&& gradient) const;

  /// Whether rows without a gradient move, too (dense Adam).
  bool moves_all_rows() const { return settings_.rule == Rule::adam; }
  const OptimizerSettings& settings() const { return settings_; }

 private:
  OptimizerSettings settings_;
  float first_correction_ = 1.0F;   // 1 / (1 - beta1^t)
  float second_correction_ = 1.0F;  // 1 / (1 - beta2^t)
};

}  // namespace spar::optim
