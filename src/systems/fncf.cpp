#include "fncf.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "spar/base/error.hpp"
#include "spar/tape/bag.hpp"
#include "spar/tape/linear.hpp"
#include "spar/tape/losses.hpp"
#include "spar/tape/operations.hpp"
#include "spar/tape/shape.hpp"

namespace spar::systems {

namespace {

using tape::Var;

template <class T>
tape::Matrix<T> room(tape::Tape<T>& tape, int rows, int columns) {
  const int stride = padded(columns);
  return {tape.arena().template take<T>(static_cast<std::size_t>(rows) * static_cast<std::size_t>(stride)), rows,
          columns, stride, nullptr};
}

/// The upper triangle R of a Gram matrix G = R' R, so that z R of standard normal z has the covariance G. A column that
/// others give already (a pivot that rounding leaves at 0 or below) has no noise of its own.
template <class T>
tape::Matrix<T> cholesky(tape::Tape<T>& tape, const tape::Matrix<T>& gram) {
  const int n = gram.rows;
  const tape::Matrix<T> root = room(tape, n, n);
  for (int i = 0; i < n; ++i) {
    std::fill_n(root.row(i), root.stride, T{});
    T pivot = gram.at(i, i);
    for (int k = 0; k < i; ++k) pivot -= root.at(k, i) * root.at(k, i);
    if (!(pivot > static_cast<T>(1e-7) * gram.at(i, i))) continue;
    root.at(i, i) = std::sqrt(pivot);
    for (int j = i + 1; j < n; ++j) {
      T rest = gram.at(i, j);
      for (int k = 0; k < i; ++k) rest -= root.at(k, i) * root.at(k, j);
      root.at(i, j) = rest / root.at(i, i);
    }
  }
  return root;
}

}  // namespace

template <class T>
Var add_profile_noise(const tape::layers::Context<T>& context, Var sums, const tape::Matrix<T>& gram, double deviation,
                      std::uint32_t place) {
  tape::Tape<T>& tape = context.tape;
  const tape::Matrix<T> normal = room(tape, tape.value(sums).rows, tape.value(sums).columns);
  tape::fill_normal(context.noise.at(place), tape::SampleRows{context.samples, 1}, normal);
  const Var noise = tape::matmul(tape, tape.constant(normal), tape.constant(cholesky(tape, gram)));
  return tape::add(tape, sums, tape::scale(tape, noise, static_cast<T>(deviation)));
}

template Var add_profile_noise(const tape::layers::Context<float>&, Var, const tape::Matrix<float>&, double,
                               std::uint32_t);
template Var add_profile_noise(const tape::layers::Context<double>&, Var, const tape::Matrix<double>&, double,
                               std::uint32_t);

FncfModel::FncfModel(const FncfSettings& settings)
    : settings_(settings), scorer_(settings.dim, settings.layers, settings.negatives), student_(declare_tower("")) {
  SPAR_ASSERT(settings.layers.front() == 2 * settings.dim);
  first_noise_ = declarations_.noise_place();
  for (std::size_t k = 0; k < settings.layers.size(); ++k) declarations_.noise_place();
  if (settings.has_teacher) teacher_ = declare_tower("teacher.");
}

// In the order and with the starts of NcfModel.
FncfModel::Tower FncfModel::declare_tower(const std::string& prefix) {
  Tower tower;
  for (std::size_t k = 0; k + 1 < settings_.layers.size(); ++k)
    tower.layers.emplace_back(declarations_, fmt::format("{}mlp.{}", prefix, k), settings_.layers[k],
                              settings_.layers[k + 1], tape::Activation::relu);
  const int joint = settings_.dim + settings_.layers.back();
  tower.output.emplace(declarations_, prefix + "output", joint, 1, tape::Activation::none,
                       tape::layers::Start{tape::layers::Law::uniform, std::sqrt(3.0 / joint)});
  return tower;
}

std::vector<game::Gram> FncfModel::grams() const {
  if (!settings_.has_teacher || settings_.input_noise == 0.0) return {};
  return {{1, settings_.dim}, {0, settings_.dim}};
}

float FncfModel::profile_scale(std::int64_t count) const {
  return static_cast<float>(std::pow(static_cast<double>(std::max<std::int64_t>(1, count)), -settings_.power));
}

std::unique_ptr<game::BatchSource> FncfModel::source(const data::UserLists& lists, Index first_user, Index users,
                                                     int shard, Index total_items, std::uint64_t seed) const {
  return std::make_unique<game::PointSource>(lists, first_user, users, shard, total_items, seed, settings_.negatives);
}

std::vector<std::string> FncfModel::taps() const {
  std::vector<std::string> taps{"user_profile", "item_profile"};
  for (int k = 1; k <= hint_layers(); ++k) taps.push_back(fmt::format("hidden.{}", k));
  return taps;
}

// What the sums of the examples are multiplied by: examples x 1.
template <class T>
Var FncfModel::scales(const game::Pass<T>& pass, std::size_t role) const {
  const game::BagLists& bags = pass.batch.bags[role];
  const auto& slots = pass.batch.slots[role];
  const tape::Matrix<T> column = room(pass.tape(), static_cast<int>(slots.size()), 1);
  for (std::size_t k = 0; k < slots.size(); ++k) {
    const auto bag = static_cast<std::size_t>(slots[k]);
    column.at(static_cast<int>(k), 0) = static_cast<T>(profile_scale(bags.offsets[bag + 1] - bags.offsets[bag]));
  }
  return pass.tape().constant(column);
}

// Sums, not yet scaled, with the noise of training where it has some.
template <class T>
Var FncfModel::noisy(const game::Pass<T>& pass, std::size_t role, Var sums) const {
  if (grams().empty() || !pass.context.training) return sums;
  return add_profile_noise(pass.context, sums, pass.grams[role], settings_.input_noise,
                           first_noise_ + static_cast<std::uint32_t>(role));
}

// e_u or e_i of the examples: examples x dim.
template <class T>
Var FncfModel::side(const game::Pass<T>& pass, std::size_t role, bool teacher) const {
  tape::Tape<T>& tape = pass.tape();
  const game::BagLists& bags = pass.batch.bags[role];
  const std::size_t table = 1 - role;
  Var rows = pass.tables[table];
  if (teacher) rows = tape.constant(tape.value(rows));
  rows = tape::slice_columns(tape, rows, teacher ? settings_.dim : 0, settings_.dim);
  Var sums =
      tape::gather(tape, tape::embedding_bag(tape, rows, {bags.offsets, bags.slots}, {}), pass.batch.slots[role]);
  if (!teacher) sums = noisy(pass, role, sums);
  return tape::multiply_column(tape, sums, scales(pass, role));
}

template <class T>
FncfModel::Values FncfModel::apply(const tape::layers::Context<T>& context, const Tower& tower, Var users, Var items,
                                   double noise) const {
  tape::Tape<T>& tape = context.tape;
  Values values;
  const Var both[] = {users, items};
  Var h = tape::concat_columns<T>(tape, both);
  for (std::size_t k = 0; k < tower.layers.size(); ++k) {
    if (k > 0 && noise != 0.0) {
      const tape::Matrix<T> normal = room(tape, tape.value(h).rows, tape.value(h).columns);
      const auto place = first_noise_ + 1 + static_cast<std::uint32_t>(k);
      tape::fill_normal(context.noise.at(place), tape::SampleRows{context.samples, 1}, normal);
      h = tape::add(tape, h, tape::scale(tape, tape.constant(normal), static_cast<T>(noise)));
    }
    h = tower.layers[k].apply(context, h);
    if (&tower == &student_) h = tape.tap(fmt::format("hidden.{}", k + 1), h);
    values.hidden.push_back(h);
  }
  const Var joint[] = {tape::multiply(tape, users, items), h};
  values.logits = tower.output->apply(context, tape::concat_columns<T>(tape, joint));
  return values;
}

// The teacher's values at the clean profiles: constants, so that nothing of the teacher ever moves.
template <class T>
FncfModel::Values FncfModel::teach(const game::Pass<T>& pass) const {
  tape::Tape<T>& tape = pass.tape();
  std::vector<Var> constants;
  for (const Var parameter : pass.context.parameters) constants.push_back(tape.constant(tape.value(parameter)));
  const tape::layers::Context<T> context{tape, constants};
  return apply(context, teacher_, side(pass, 0, true), side(pass, 1, true), 0.0);
}

template <class T>
Var FncfModel::build(const game::Pass<T>& pass) const {
  tape::Tape<T>& tape = pass.tape();
  const bool taught = settings_.has_teacher;
  const double noise = taught && pass.context.training ? settings_.hidden_noise : 0.0;
  const Var users = tape.tap("user_profile", side(pass, 0, false));
  const Var items = tape.tap("item_profile", side(pass, 1, false));
  const Values own = apply(pass.context, student_, users, items, noise);
  const auto distance = [&](const Values& from, int layer) {
    const auto at = static_cast<std::size_t>(layer);
    return tape::squared_norm(tape, tape::subtract(tape, own.hidden[at], from.hidden[at]));
  };
  const auto labelled = [&] { return tape::sum(tape, tape::bce_with_logits(tape, own.logits, pass.labels())); };
  const double a = settings_.soft_weight;
  const double b = settings_.hint_weight;
  const bool hints = taught && pass.moment.epoch < hint_layers() * settings_.hint_epochs;
  if (!hints && (!taught || (a == 0.0 && b == 0.0))) return labelled();
  const Values teacher = teach(pass);
  if (hints) return distance(teacher, static_cast<int>(pass.moment.epoch / settings_.hint_epochs));
  Var loss;
  const auto put = [&](double weight, Var term) {
    const Var weighted = tape::scale(tape, term, static_cast<T>(weight));
    loss = loss.id < 0 ? weighted : tape::add(tape, loss, weighted);
  };
  if (a < 1.0) put(1.0 - a, labelled());
  if (a > 0.0) {
    const auto cooled = static_cast<T>(1.0 / settings_.temperature);
    const Var soft = tape::sigmoid(tape, tape::scale(tape, teacher.logits, cooled));
    const Var losses = tape::bce_with_logits(tape, tape::scale(tape, own.logits, cooled), tape.value(soft));
    put(a * settings_.temperature * settings_.temperature, tape::sum(tape, losses));
  }
  for (int layer = 0; b > 0.0 && layer < hint_layers(); ++layer) put(b, distance(teacher, layer));
  return loss;
}

template Var FncfModel::build(const game::Pass<float>&) const;
template Var FncfModel::build(const game::Pass<double>&) const;

Var FncfModel::profile_scores(const game::Pass<float>& pass) const {
  tape::Tape<float>& tape = pass.tape();
  const bool noise = pass.context.training;
  const auto side_of = [&](std::size_t role) {
    const Var scaled = tape::slice_columns(tape, pass.rows(role, role), 0, settings_.dim);
    if (!noise || grams().empty()) return scaled;
    const tape::Matrix<float> zero = room(tape, tape.value(scaled).rows, settings_.dim);
    for (int r = 0; r < zero.rows; ++r) std::fill_n(zero.row(r), zero.stride, 0.0F);
    const Var sum = noisy(pass, role, tape.constant(zero));
    return tape::add(tape, scaled, tape::multiply_column(tape, sum, scales(pass, role)));
  };
  return apply(pass.context, student_, side_of(0), side_of(1), noise ? settings_.hidden_noise : 0.0).logits;
}

// The vectors of the product and of the perceptron's input are the same one.
void FncfModel::represent_user(const table::DenseParameters& dense, const float* row, float* out) const {
  std::vector<float> both(row, row + settings_.dim);
  both.insert(both.end(), row, row + settings_.dim);
  scorer_.represent_user(dense, both.data(), out);
}

void FncfModel::represent_item(const table::DenseParameters& dense, const float* row, float* out) const {
  std::vector<float> both(row, row + settings_.dim);
  both.insert(both.end(), row, row + settings_.dim);
  scorer_.represent_item(dense, both.data(), out);
}

SystemInfo declare_fncf() {
  SystemInfo info;
  info.name = "fncf";
  info.family = "attack and defence, accuracy";
  info.sentence = "Neural collaborative filtering over profiles; with a teacher's run: hints, soft labels and noise";
  info.inputs = {"interactions"};
  info.score = "weights . [user * item; perceptron(user, item)], both from profiles";
  info.bibtex = R"(@article{du2019fncf,
  author    = {Yali Du and Meng Fang and Jinfeng Yi and Chang Xu and Jun Cheng and Dacheng Tao},
  title     = {Enhancing the Robustness of Neural Collaborative Filtering Systems Under Malicious Attacks},
  journal   = {{IEEE} Transactions on Multimedia},
  volume    = {21},
  number    = {3},
  pages     = {555--565},
  year      = {2019}
}
)";
  const std::string own = "own choice";
  info.settings = {.system = info.name,
                   .takes = {"model.init_law", "model.init_std", "network.layers", "noise.*", "optimizer.*",
                             "profile.*", "sampling.negatives", "sampling.power", "sampling.dislike_share",
                             "sampling.own_items", "sampling.per_positive", "teacher.*", "train.*"},
                   .defaults = {{"model.init_law", std::string("normal"), own},
                                {"model.init_std", 0.01, own},
                                {"network.layers", std::vector<std::int64_t>{64, 64, 32, 16}, own},
                                {"optimizer.name", std::string("lazy_adam"), "NCF code has dense Adam"},
                                {"optimizer.learning_rate", 0.001, "NCF code"},
                                {"sampling.per_positive", std::int64_t{4}, "NCF code"},
                                {"train.epochs", std::int64_t{30}, own},
                                {"train.batch_size", std::int64_t{512}, own}}};
  info.network = [](const Recipe& recipe) -> std::unique_ptr<game::NeuralModel> {
    FncfSettings settings;
    settings.layers = perceptron_layers(recipe);
    settings.dim = settings.layers.front() / 2;
    settings.negatives = static_cast<int>(recipe.integer("sampling.per_positive"));
    settings.power = recipe.real("profile.power");
    settings.has_teacher = !recipe.text("teacher.run").empty();
    settings.input_noise = recipe.real("noise.input");
    settings.hidden_noise = recipe.real("noise.hidden");
    settings.temperature = recipe.real("teacher.temperature");
    settings.soft_weight = recipe.real("teacher.soft_weight");
    settings.hint_weight = recipe.real("teacher.hint_weight");
    settings.hint_epochs = recipe.integer("teacher.hint_epochs");
    return std::make_unique<FncfModel>(settings);
  };
  return info;
}

}  // namespace spar::systems
