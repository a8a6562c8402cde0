#include "spar/evaluate/probe.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <memory>

#include <fmt/format.h>

#include "spar/base/error.hpp"
#include "spar/base/lanes.hpp"
#include "spar/base/random.hpp"
#include "spar/base/threads.hpp"
#include "spar/table/dense_parameters.hpp"
#include "spar/table/dense_sums.hpp"
#include "spar/tape/layers/dense.hpp"
#include "spar/tape/losses.hpp"
#include "spar/tape/operations.hpp"

namespace spar::evaluate {

namespace {

constexpr int sums_tag = 16;
constexpr int hidden_units = 64;
constexpr int patience = 20;            // passes without gain
constexpr std::uint64_t held_back = 5;  // one of so many learning users only says when to stop
constexpr std::int64_t users_per_fold = 10;
constexpr int lines = 16;
// AUC counts users by their log-odds, rounded to this many leading bits of the float: a sign, 8 of the exponent, 11 of
// the mantissa.
constexpr int score_bits = 20;

enum class Part : std::uint8_t { learns, stops, judged };

// The users of one shard that take part, their columns standardised.
struct ShardUsers {
  std::vector<Index> rows;  // local
  std::vector<std::int32_t> classes;
  std::vector<std::uint64_t> keys;
  Buffer<float> vectors;
};

// Confusions and histograms of one kind of classifier, as counts.
struct Tally {
  std::vector<std::int64_t> plain;     // [true * values + said]
  std::vector<std::int64_t> balanced;  // the same
  double auc = 0.0;
  int folds_with_auc = 0;
};

constexpr optim::OptimizerSettings adam{
    .rule = optim::Rule::adam, .learning_rate = 0.02F, .beta1 = 0.9F, .beta2 = 0.999F, .epsilon = 1e-8F};

void copy(const table::DenseParameters& from, table::DenseParameters& to) {
  for (int k = 0; k < from.count(); ++k) {
    for (Index r = 0; r < from.shape(k).rows; ++r)
      std::copy_n(from.table(k).record(r), padded(from.shape(k).columns), to.table(k).record(r));
  }
}

double ratio(std::int64_t part, std::int64_t of) {
  return of == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(of);
}

// Larger for larger numbers, of floats that are not NaN.
std::uint32_t ordered_bits(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  return (bits & 0x80000000U) != 0 ? ~bits : bits | 0x80000000U;
}

class Probe {
 public:
  Probe(const comm::Communicator& communicator, const ShardLayout& layout, Index total_users,
        const table::RowBlock& vectors, const std::vector<std::int32_t>& classes, int values,
        const ProbeOptions& options)
      : communicator_(communicator),
        layout_(layout),
        users_{total_users, layout.shards},
        vectors_(vectors),
        values_(values),
        options_(options) {
    list_users(classes);
    standardise();
  }

  ProbeResult run();

 private:
  void list_users(const std::vector<std::int32_t>& classes);
  void standardise();
  void make_classifier(int fold, int hidden);
  std::vector<std::int64_t> deal(int fold);
  void run_fold(int fold, int hidden, Tally& tally);
  Part part_of(std::uint64_t key, int fold) const;
  void judge(const std::vector<std::int64_t>& known, Tally& tally);
  double pass();
  static double auc(const std::vector<std::int64_t>& histogram);
  void put_parameters(tape::Tape<float>& tape, std::vector<tape::Var>& vars, float* gradients) const;
  tape::Var logits(tape::Tape<float>& tape, const std::vector<tape::Var>& parameters, std::size_t shard) const;
  ProbeScore score(const std::string& name, const Tally& tally) const;

  const comm::Communicator& communicator_;
  ShardLayout layout_;
  Partition users_;
  table::RowBlock vectors_;
  int values_;
  ProbeOptions options_;
  std::vector<ShardUsers> shards_;  // of this rank
  std::vector<std::int64_t> counts_;
  std::int64_t total_ = 0;

  // Of the classifier that learns now.
  std::unique_ptr<tape::layers::Mlp> classifier_;
  std::unique_ptr<table::DenseParameters> parameters_;
  std::unique_ptr<table::DenseParameters> best_;
  std::vector<std::vector<Part>> parts_;  // by shard and user
  std::int64_t learning_ = 0;
  std::int64_t stopping_ = 0;
  std::unique_ptr<table::DenseSums> sums_;
};

void Probe::list_users(const std::vector<std::int32_t>& classes) {
  const RandomStream stream(options_.seed, Purpose::split);
  const int first = layout_.first_shard(communicator_.rank());
  shards_.resize(static_cast<std::size_t>(layout_.shard_count(communicator_.rank())));
  counts_.assign(static_cast<std::size_t>(values_), 0);
  for (std::size_t s = 0; s < shards_.size(); ++s) {
    const int shard = first + static_cast<int>(s);
    for (Index row = users_.begin(shard); row < users_.end(shard); ++row) {
      const Index local = row - vectors_.first_row;
      const std::int32_t value = classes[static_cast<std::size_t>(local)];
      if (value < 0) continue;
      const auto block = stream.block(static_cast<std::uint32_t>(row), static_cast<std::uint32_t>(row >> 32));
      shards_[s].rows.push_back(local);
      shards_[s].classes.push_back(value);
      shards_[s].keys.push_back(word64(block, 0));
      ++counts_[static_cast<std::size_t>(value)];
    }
  }
  communicator_.sum(counts_);
  for (const std::int64_t n : counts_) total_ += n;
}

// Columns that are the same for all users become 0.
void Probe::standardise() {
  const auto dim = static_cast<std::size_t>(vectors_.dim);
  const auto moments = [&](const std::vector<double>& mean) {
    std::vector<double> sums(shards_.size() * dim);
    for (std::size_t s = 0; s < shards_.size(); ++s) {
      for (const Index row : shards_[s].rows) {
        for (std::size_t c = 0; c < dim; ++c) {
          const double x = static_cast<double>(vectors_.row(row)[c]) - (mean.empty() ? 0.0 : mean[c]);
          sums[s * dim + c] += mean.empty() ? x : x * x;
        }
      }
    }
    auto total = comm::tree_sum(communicator_, layout_.shards, sums, vectors_.dim);
    for (double& x : total) x /= static_cast<double>(std::max<std::int64_t>(1, total_));
    return total;
  };
  const auto mean = moments({});
  const auto variance = moments(mean);
  const auto stride = static_cast<std::size_t>(padded(vectors_.dim));
  for (ShardUsers& shard : shards_) {
    shard.vectors = Buffer<float>(shard.rows.size() * stride);
    for (std::size_t k = 0; k < shard.rows.size(); ++k) {
      float* out = shard.vectors.data() + k * stride;
      std::fill_n(out, stride, 0.0F);
      for (std::size_t c = 0; c < dim; ++c) {
        if (variance[c] > 0.0)
          out[c] = static_cast<float>((static_cast<double>(vectors_.row(shard.rows[k])[c]) - mean[c]) /
                                      std::sqrt(variance[c]));
      }
    }
  }
}

Part Probe::part_of(std::uint64_t key, int fold) const {
  const auto folds = static_cast<std::uint64_t>(options_.folds);
  if (key % folds == static_cast<std::uint64_t>(fold)) return Part::judged;
  return key / folds % held_back == 0 ? Part::stops : Part::learns;
}

void Probe::put_parameters(tape::Tape<float>& tape, std::vector<tape::Var>& vars, float* gradients) const {
  vars.clear();
  for (int k = 0; k < parameters_->count(); ++k) {
    const table::DenseShape& shape = parameters_->shape(k);
    const tape::Matrix<float> value{parameters_->table(k).record(0), shape.rows, shape.columns,
                                    static_cast<int>(parameters_->stride(k)), nullptr};
    if (gradients == nullptr) {
      vars.push_back(tape.constant(value));
      continue;
    }
    vars.push_back(tape.parameter(
        value, {gradients + parameters_->offset(k), shape.rows, shape.columns, padded(shape.columns), nullptr}));
  }
}

tape::Var Probe::logits(tape::Tape<float>& tape, const std::vector<tape::Var>& parameters, std::size_t shard) const {
  const ShardUsers& users = shards_[shard];
  const tape::Matrix<float> vectors{const_cast<float*>(users.vectors.data()), static_cast<int>(users.rows.size()),
                                    vectors_.dim, padded(vectors_.dim), nullptr};
  return classifier_->apply(tape::layers::Context<float>{.tape = tape, .parameters = parameters},
                            tape.constant(vectors));
}

// One pass over all users: the mean loss of those that say when to stop, before the step that the pass makes.
double Probe::pass() {
  const std::size_t floats = parameters_->gradient_floats();
  std::vector<double> losses(shards_.size());
  parallel_for(static_cast<int>(shards_.size()), [&](int k) {
    const auto s = static_cast<std::size_t>(k);
    const ShardUsers& users = shards_[s];
    float* gradients = sums_->room(k);
    std::fill_n(gradients, floats, 0.0F);
    if (users.rows.empty()) return sums_->finish(k);
    tape::Tape<float> tape;
    std::vector<tape::Var> parameters;
    put_parameters(tape, parameters, gradients);
    const tape::Var each = tape::cross_entropy(tape, logits(tape, parameters, s), std::span(users.classes));
    const int rows = static_cast<int>(users.rows.size());
    auto* weights = tape.arena().take<float>(users.rows.size() * lines);
    for (int r = 0; r < rows; ++r) {
      const Part part = parts_[s][static_cast<std::size_t>(r)];
      weights[r * lines] = part == Part::learns ? 1.0F / static_cast<float>(learning_) : 0.0F;
      if (part == Part::stops) losses[s] += static_cast<double>(tape.value(each).at(r, 0));
    }
    const tape::Matrix<float> column{weights, rows, 1, lines, nullptr};
    tape.backward(tape::sum(tape, tape::multiply(tape, each, tape.constant(column))));
    sums_->finish(k);
  });
  return comm::tree_sum(communicator_, layout_.shards, losses, 1).front() / static_cast<double>(stopping_);
}

void Probe::make_classifier(int fold, int hidden) {
  std::vector<int> widths{vectors_.dim, values_};
  if (hidden > 0) widths.insert(widths.begin() + 1, hidden);
  tape::layers::Declarations declarations;
  classifier_ = std::make_unique<tape::layers::Mlp>(declarations, fmt::format("probe.{}", fold), widths);
  std::vector<table::DenseShape> shapes;
  for (const auto& parameter : declarations.all())
    shapes.push_back({parameter.name, parameter.rows, parameter.columns, "constant", 0.0});
  for (auto* parameters : {&parameters_, &best_})
    *parameters = std::make_unique<table::DenseParameters>(shapes, layout_, communicator_.rank(), adam);
  for (int k = 0; k < parameters_->count(); ++k) {
    const table::DenseShape& shape = parameters_->shape(k);
    tape::layers::fill_start(declarations.all()[static_cast<std::size_t>(k)], options_.seed,
                             {parameters_->table(k).record(0), shape.rows, shape.columns,
                              static_cast<int>(parameters_->stride(k)), nullptr});
  }
  sums_ = std::make_unique<table::DenseSums>(communicator_, layout_, parameters_->gradient_floats(),
                                             table::DenseSumsOptions{.tag = sums_tag});
}

// Says what part each user takes; how many users of each value the classifier may know of.
std::vector<std::int64_t> Probe::deal(int fold) {
  std::vector<std::int64_t> known(static_cast<std::size_t>(values_));
  std::int64_t counts[] = {0, 0};  // that teach, that say when to stop
  parts_.clear();
  for (const ShardUsers& shard : shards_) {
    auto& parts = parts_.emplace_back();
    for (std::size_t k = 0; k < shard.rows.size(); ++k) {
      parts.push_back(part_of(shard.keys[k], fold));
      if (parts.back() == Part::judged) continue;
      ++known[static_cast<std::size_t>(shard.classes[k])];
      ++counts[parts.back() == Part::stops ? 1 : 0];
    }
  }
  communicator_.sum(known);
  communicator_.sum(counts);
  learning_ = std::max<std::int64_t>(1, counts[0]);
  stopping_ = std::max<std::int64_t>(1, counts[1]);
  return known;
}

void Probe::run_fold(int fold, int hidden, Tally& tally) {
  make_classifier(fold, hidden);
  const std::vector<std::int64_t> known = deal(fold);
  optim::Updater updater(adam);
  double least = std::numeric_limits<double>::infinity();
  for (int at = 0, since = 0; at <= options_.most_passes && since <= patience; ++at, ++since) {
    const double loss = pass();
    if (loss < least) {
      least = loss;
      since = 0;
      copy(*parameters_, *best_);
    }
    sums_->send();
    const float* gradient = sums_->receive(at);
    updater.begin_step(at + 1);
    parameters_->update(updater, gradient);
  }
  copy(*best_, *parameters_);
  judge(known, tally);
}

// `known`: how many users of each value the classifier knows of.
void Probe::judge(const std::vector<std::int64_t>& known, Tally& tally) {
  const auto values = static_cast<std::size_t>(values_);
  std::vector<std::int64_t> plain(values * values);
  std::vector<std::int64_t> balanced(values * values);
  std::vector<std::int64_t> histogram(values_ == 2 ? std::size_t{2} << score_bits : 0);
  tape::Tape<float> tape;
  std::vector<tape::Var> parameters;
  for (std::size_t s = 0; s < shards_.size(); ++s) {
    if (shards_[s].rows.empty()) continue;
    tape.reset();
    put_parameters(tape, parameters, nullptr);
    const tape::Matrix<float> z = tape.value(logits(tape, parameters, s));
    for (int r = 0; r < z.rows; ++r) {
      if (parts_[s][static_cast<std::size_t>(r)] != Part::judged) continue;
      std::size_t said = 0;
      std::size_t grown = 0;
      double most = -std::numeric_limits<double>::infinity();
      for (std::size_t c = 0; c < values; ++c) {
        if (z.row(r)[c] > z.row(r)[said]) said = c;
        if (known[c] == 0) continue;
        const double growth = static_cast<double>(z.row(r)[c]) - std::log(static_cast<double>(known[c]));
        if (growth > most) {
          most = growth;
          grown = c;
        }
      }
      const auto truth = static_cast<std::size_t>(shards_[s].classes[static_cast<std::size_t>(r)]);
      ++plain[truth * values + said];
      ++balanced[truth * values + grown];
      if (values_ == 2)
        ++histogram[(truth << score_bits) + (ordered_bits(z.row(r)[1] - z.row(r)[0]) >> (32 - score_bits))];
    }
  }
  communicator_.sum(plain);
  communicator_.sum(balanced);
  for (std::size_t k = 0; k < plain.size(); ++k) {
    tally.plain[k] += plain[k];
    tally.balanced[k] += balanced[k];
  }
  if (values_ != 2) return;
  communicator_.sum(histogram);
  const double area = auc(histogram);
  if (std::isnan(area)) return;
  tally.auc += area;
  ++tally.folds_with_auc;
}

// Mann and Whitney 1947: the share of pairs in which the user of the second value has the larger log-odds, equal ones
// counting half.
double Probe::auc(const std::vector<std::int64_t>& histogram) {
  const std::size_t bins = std::size_t{1} << score_bits;
  double first = 0.0;
  double second = 0.0;
  double pairs = 0.0;
  for (std::size_t b = 0; b < bins; ++b) {
    const auto of_first = static_cast<double>(histogram[b]);
    const auto of_second = static_cast<double>(histogram[bins + b]);
    pairs += of_second * (first + 0.5 * of_first);
    first += of_first;
    second += of_second;
  }
  return pairs / (first * second);
}

ProbeScore Probe::score(const std::string& name, const Tally& tally) const {
  const auto values = static_cast<std::size_t>(values_);
  ProbeScore score;
  score.classifier = name;
  std::int64_t right = 0;
  int present = 0;
  for (std::size_t c = 0; c < values; ++c) {
    right += tally.plain[c * values + c];
    if (counts_[c] == 0) continue;
    ++present;
    const std::int64_t hits = tally.balanced[c * values + c];
    std::int64_t said = 0;
    for (std::size_t t = 0; t < values; ++t) said += tally.balanced[t * values + c];
    score.balanced_accuracy += ratio(hits, counts_[c]);
    score.macro_f1 += ratio(2 * hits, counts_[c] + said);
  }
  score.accuracy = ratio(right, total_);
  score.balanced_accuracy /= present;
  score.macro_f1 /= present;
  if (tally.folds_with_auc > 0) score.auc = tally.auc / tally.folds_with_auc;
  return score;
}

ProbeResult Probe::run() {
  if (std::count_if(counts_.begin(), counts_.end(), [](std::int64_t n) { return n > 0; }) < 2)
    throw UserError(
        "the users that take part have fewer than two values of the attribute: there is nothing to tell apart");
  if (total_ < users_per_fold * options_.folds)
    throw UserError(fmt::format("{} users have a value of the attribute: {} folds need at least {}", total_,
                                options_.folds, users_per_fold * options_.folds));
  ProbeResult result;
  result.users = total_;
  result.value_counts = counts_;
  result.majority = ratio(*std::max_element(counts_.begin(), counts_.end()), total_);
  for (const int hidden : {0, hidden_units}) {
    Tally tally;
    tally.plain.resize(static_cast<std::size_t>(values_) * static_cast<std::size_t>(values_));
    tally.balanced.resize(tally.plain.size());
    for (int fold = 0; fold < options_.folds; ++fold) run_fold(fold, hidden, tally);
    result.scores.push_back(score(hidden == 0 ? "linear" : "hidden", tally));
  }
  return result;
}

}  // namespace

ProbeResult probe(const comm::Communicator& communicator, const ShardLayout& layout, Index total_users,
                  const table::RowBlock& vectors, const std::vector<std::int32_t>& classes, int values,
                  const ProbeOptions& options) {
  SPAR_ASSERT(options.folds >= 2 && classes.size() == static_cast<std::size_t>(vectors.rows));
  return Probe(communicator, layout, total_users, vectors, classes, values, options).run();
}

}  // namespace spar::evaluate
