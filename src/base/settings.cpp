#include "spar/base/settings.hpp"

#include <algorithm>
#include <bit>

#include "setting_lists.hpp"

/// The table of settings. Someone who adds one adds a block here or in one of setting_lists.hpp, in the place where a
/// recipe should show it, and nothing else.
namespace spar {

namespace {

using Integers = std::vector<std::int64_t>;
using Texts = std::vector<std::string>;
constexpr SettingRole free_role = SettingRole::free;

const Texts& metric_names() {
  static const Texts names{"hr",  "ndcg",        "precision", "recall", "recall_min", "f1",
                           "map", "map_per_hit", "mrr",       "auc",    "rmse",       "mae"};
  return names;
}

bool power_of_two(const SettingValue& value) {
  const std::int64_t* number = std::get_if<std::int64_t>(&value);
  return number == nullptr || std::has_single_bit(static_cast<std::uint64_t>(*number));
}

bool below_one(const SettingValue& value) {
  return std::get<double>(value) < 1;
}

bool metric_with_cutoff(const SettingValue& value) {
  const std::string& text = std::get<std::string>(value);
  const std::size_t at = text.find('@');
  const std::string metric = text.substr(0, at);
  if (metric == "auc" || metric == "rmse" || metric == "mae") return at == std::string::npos;
  if (std::find(metric_names().begin(), metric_names().end(), metric) == metric_names().end() ||
      at == std::string::npos)
    return false;
  const std::string cutoff = text.substr(at + 1);
  return !cutoff.empty() && cutoff.size() <= 6 && cutoff.front() != '0' &&
         cutoff.find_first_not_of("0123456789") == std::string::npos;
}

std::vector<Setting> model_settings() {
  return {
      {.key = "model.dim",
       .kind = SettingKind::integer,
       .fallback = std::int64_t{64},
       .minimum = 1,
       .maximum = 4096,
       .sentence = "Width of the user and item vectors",
       .origin = "own choice"},
      {.key = "model.item_bias",
       .kind = SettingKind::flag,
       .fallback = false,
       .sentence = "Whether items have a bias, added to their scores",
       .origin = "own choice"},
      {.key = "model.init",
       .kind = SettingKind::text,
       .fallback = std::string(),
       .sentence = "Export or run whose vectors the training starts from; empty: random",
       .origin = "own choice"},
      {.key = "model.init_law",
       .kind = SettingKind::text,
       .fallback = std::string("truncated_normal"),
       .choices = {"truncated_normal", "normal", "uniform"},
       .sentence = "Law of the random start (truncation at two deviations)",
       .origin = "own choice"},
      {.key = "model.init_std",
       .kind = SettingKind::real,
       .fallback = 0.01,
       .minimum = 0,
       .sentence = "Its standard deviation (of truncated_normal: before the cut)",
       .origin = "own choice"},
      {.key = "network.layers",
       .kind = SettingKind::integers,
       .fallback = Integers{64, 32, 16, 8},
       .minimum = 1,
       .maximum = 65536,
       .sentence =
           "Widths of the layers, the input's first; of auto-encoders: from the items' rows to the code, then back",
       .origin = "own choice"},
  };
}

std::vector<Setting> game_settings() {
  return {
      {.key = "game.pretrain_epochs",
       .kind = SettingKind::integer,
       .fallback = std::int64_t{100},
       .minimum = 0,
       .sentence = "Epochs before the adversary starts, inside train.epochs",
       .origin = "own choice"},
      {.key = "game.start_from",
       .kind = SettingKind::text,
       .fallback = std::string("best"),
       .choices = {"best", "last"},
       .sentence = "Epoch of the pre-training that the adversary starts from",
       .origin = "own choice"},
      {.key = "game.patience",
       .kind = SettingKind::integer,
       .fallback = std::int64_t{30},
       .minimum = 0,
       .sentence = "The adversarial stage begins with a dip: it waits evaluate.patience, and at least this",
       .origin = "own choice"},
      {.key = "adversary.method",
       .kind = SettingKind::text,
       .fallback = std::string("fgm"),
       .choices = {"fgm", "fgsm", "random"},
       .sentence = "Direction: the gradient, its sign, or noise",
       .origin = "own choice"},
      {.key = "adversary.ball",
       .kind = SettingKind::text,
       .fallback = std::string("row_l2"),
       .choices = {"row_l2", "global_l2", "linf"},
       .sentence = "What epsilon bounds: each row, all rows together, or every entry",
       .origin = "own choice"},
      {.key = "adversary.epsilon",
       .kind = SettingKind::real,
       .fallback = 0.5,
       .minimum = 0,
       .may_vary = true,
       .sentence = "Size of the perturbation",
       .origin = "own choice"},
      {.key = "adversary.weight",
       .kind = SettingKind::real,
       .fallback = 1.0,
       .minimum = 0,
       .may_vary = true,
       .sentence = "Weight of the perturbed loss beside the clean one (lambda)",
       .origin = "own choice"},
      {.key = "adversary.scope",
       .kind = SettingKind::text,
       .fallback = std::string("batch"),
       .choices = {"sample", "shard", "batch"},
       .sentence = "Whose loss the adversary raises; shard depends on parallel.shards",
       .origin = "own choice"},
      {.key = "adversary.norm_floor",
       .kind = SettingKind::real,
       .fallback = 1e-6,
       .minimum = 0,
       .exclusive_minimum = true,
       .sentence = "Gradient rows below this norm fade out instead of growing to epsilon",
       .origin = "own choice"},
  };
}

std::vector<Setting> update_settings() {
  return {
      {.key = "objective.l2",
       .kind = SettingKind::real,
       .fallback = 0.0,
       .minimum = 0,
       .sentence = "Weight of the squared row norms (of auto-encoders: and of the weights between the wide layers)",
       .origin = "own choice"},
      {.key = "objective.l2_form",
       .kind = SettingKind::text,
       .fallback = std::string("occurrence"),
       .choices = {"occurrence", "batch_mean", "distinct", "table"},
       .sentence = "What is penalised: occurrences, their mean, distinct rows, all rows",
       .origin = "own choice"},
      {.key = "optimizer.name",
       .kind = SettingKind::text,
       .fallback = std::string("adagrad"),
       .choices = {"sgd", "adagrad", "adam", "lazy_adam"},
       .sentence = "Update rule; lazy_adam moves only the rows of the step",
       .origin = "own choice"},
      {.key = "optimizer.learning_rate",
       .kind = SettingKind::real,
       .fallback = 0.05,
       .minimum = 0,
       .exclusive_minimum = true,
       .may_vary = true,
       .sentence = "Step size; losses are sums over the batch (mult-vae, mult-dae: means over its users)",
       .origin = "own choice"},
      {.key = "optimizer.initial_accumulator",
       .kind = SettingKind::real,
       .fallback = 0.1,
       .minimum = 0,
       .exclusive_minimum = true,
       .only_with = "optimizer.name",
       .only_values = {"adagrad"},
       .sentence = "Start of the sums of squared gradients",
       .origin = "TensorFlow's Adagrad"},
      {.key = "optimizer.beta1",
       .kind = SettingKind::real,
       .fallback = 0.9,
       .minimum = 0,
       .maximum = 1,
       .keeps = below_one,
       .rule = "from 0 to below 1",
       .only_with = "optimizer.name",
       .only_values = {"adam", "lazy_adam"},
       .sentence = "Decay of the mean of gradients",
       .origin = "Adam paper"},
      {.key = "optimizer.beta2",
       .kind = SettingKind::real,
       .fallback = 0.999,
       .minimum = 0,
       .maximum = 1,
       .keeps = below_one,
       .rule = "from 0 to below 1",
       .only_with = "optimizer.name",
       .only_values = {"adam", "lazy_adam"},
       .sentence = "Decay of the mean of squared gradients",
       .origin = "Adam paper"},
      {.key = "optimizer.epsilon",
       .kind = SettingKind::real,
       .fallback = 1e-8,
       .minimum = 0,
       .exclusive_minimum = true,
       .only_with = "optimizer.name",
       .only_values = {"adam", "lazy_adam"},
       .sentence = "Added to the root of the mean of squared gradients",
       .origin = "Adam paper"},
      {.key = "optimizer.clip_norm",
       .kind = SettingKind::real,
       .fallback = 0.0,
       .minimum = 0,
       .sentence = "Longest gradient of a step, over all rows and dense parameters; longer ones shrink to it; 0: any",
       .origin = "own choice"},
  };
}

std::vector<Setting> evaluate_settings() {
  return {
      {.key = "evaluate.cutoffs",
       .kind = SettingKind::integers,
       .fallback = Integers{10, 50, 100},
       .minimum = 1,
       .maximum = 100000,
       .role = free_role,
       .common = true,
       .sentence = "Lengths of the ranked lists that metrics look at",
       .origin = "own choice"},
      {.key = "evaluate.metrics",
       .kind = SettingKind::texts,
       .fallback = Texts{"hr", "ndcg", "precision", "recall", "map", "mrr"},
       .choices = metric_names(),
       .role = free_role,
       .common = true,
       .sentence = "Metrics that are computed",
       .origin = "own choice"},
      {.key = "evaluate.select_by",
       .kind = SettingKind::text,
       .fallback = std::string("ndcg@100"),
       .keeps = metric_with_cutoff,
       .rule = "a metric and a cut-off, such as ndcg@100, or one of auc, rmse, mae",
       .common = true,
       .sentence = "Metric that chooses the best epoch and ends a stage early",
       .origin = "own choice"},
      {.key = "evaluate.select_on",
       .kind = SettingKind::text,
       .fallback = std::string("validation"),
       .choices = {"validation", "test"},
       .common = true,
       .sentence = "Where it is measured; with test, every result says so",
       .origin = "own choice"},
      {.key = "evaluate.validation_users",
       .kind = SettingKind::integer,
       .fallback = std::int64_t{20000},
       .minimum = 0,
       .common = true,
       .sentence = "Users of a validation, a fixed sample where there are more; 0: all",
       .origin = "own choice"},
      {.key = "evaluate.every_epochs",
       .kind = SettingKind::integer,
       .fallback = std::int64_t{1},
       .minimum = 0,
       .common = true,
       .sentence = "Epochs between validations; 0: none, and no early stopping",
       .origin = "own choice"},
      {.key = "evaluate.patience",
       .kind = SettingKind::integer,
       .fallback = std::int64_t{10},
       .minimum = 0,
       .common = true,
       .sentence = "Validations without a gain that end a stage; 0: never",
       .origin = "own choice"},
      {.key = "evaluate.ties",
       .kind = SettingKind::text,
       .fallback = std::string("by_id"),
       .choices = {"by_id", "pessimistic", "optimistic", "mean"},
       .common = true,
       .sentence = "Equal scores: smaller row, others, or target first, or half each",
       .origin = "own choice"},
      {.key = "evaluate.protocol",
       .kind = SettingKind::text,
       .fallback = std::string("full"),
       .choices = {"full", "sampled"},
       .common = true,
       .sentence = "Candidates: all items, or the fixed negatives of the data set",
       .origin = "own choice"},
      {.key = "evaluate.cold_items",
       .kind = SettingKind::flag,
       .fallback = true,
       .common = true,
       .sentence = "Whether items without training interactions are candidates",
       .origin = "own choice"},
  };
}

std::vector<Setting> running_settings() {
  return {
      {.key = "checkpoint.every_minutes",
       .kind = SettingKind::real,
       .fallback = 10.0,
       .minimum = 0,
       .role = free_role,
       .common = true,
       .sentence = "Minutes from one checkpoint to the next; 0: off",
       .origin = "own choice"},
      {.key = "checkpoint.every_epochs",
       .kind = SettingKind::integer,
       .fallback = std::int64_t{0},
       .minimum = 0,
       .role = free_role,
       .common = true,
       .sentence = "Epochs from one checkpoint to the next; 0: off",
       .origin = "own choice"},
      {.key = "checkpoint.keep",
       .kind = SettingKind::integer,
       .fallback = std::int64_t{2},
       .minimum = 1,
       .maximum = 1000,
       .role = free_role,
       .common = true,
       .sentence = "Newest checkpoints that are kept, besides the best of each stage",
       .origin = "own choice"},
      {.key = "parallel.shards",
       .kind = SettingKind::integer,
       .fallback = std::string("auto"),
       .minimum = 1,
       .maximum = 1024,
       .may_be_auto = true,
       .keeps = power_of_two,
       .rule = "a power of two from 1 to 1024, or \"auto\"",
       .common = true,
       .sentence = "At least the workers you will ever use; part of the experiment",
       .origin = "own choice"},
      {.key = "parallel.exchange",
       .kind = SettingKind::text,
       .fallback = std::string("pull"),
       .choices = {"pull"},
       .common = true,
       .sentence = "What travels between ranks: the rows that a batch needs",
       .origin = "own choice"},
      {.key = "parallel.pipeline",
       .kind = SettingKind::integer,
       .fallback = std::int64_t{0},
       .minimum = 0,
       .maximum = 1,
       .common = true,
       .sentence = "1: a step does not wait for the push of the one before",
       .origin = "own choice"},
      {.key = "parallel.node_memory",
       .kind = SettingKind::flag,
       .fallback = true,
       .role = free_role,
       .common = true,
       .sentence = "Ranks of one node read each other's rows in place; false: all goes by message, same bits",
       .origin = "own choice"},
      {.key = "parallel.threads",
       .kind = SettingKind::integer,
       .fallback = std::int64_t{0},
       .minimum = 0,
       .maximum = 4096,
       .role = free_role,
       .common = true,
       .sentence = "Threads of a rank; 0: all processors that it may use",
       .origin = "own choice"},
      {.key = "parallel.deadline_seconds",
       .kind = SettingKind::real,
       .fallback = 300.0,
       .minimum = 0,
       .exclusive_minimum = true,
       .role = free_role,
       .common = true,
       .sentence = "Longest wait for another rank before the job is given up",
       .origin = "own choice"},
  };
}

std::vector<Setting> declare_all() {
  std::vector<Setting> settings;
  for (auto declare : {model_settings, network_settings, feature_settings, autoencoder_settings, sequence_settings,
                       penalty_settings, privacy_settings, distillation_settings, game_settings, decorrelation_settings,
                       update_settings, sampling_settings, train_settings, evaluate_settings, running_settings}) {
    for (Setting& setting : declare()) settings.push_back(std::move(setting));
  }
  return settings;
}

}  // namespace

const std::vector<Setting>& all_settings() {
  static const std::vector<Setting> settings = declare_all();
  return settings;
}

const Setting* find_setting(std::string_view key) {
  for (const Setting& setting : all_settings()) {
    if (setting.key == key) return &setting;
  }
  return nullptr;
}

}  // namespace spar
