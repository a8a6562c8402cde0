#pragma once
#include <cmath>
#include <functional>
#include <vector>

#include "toy_autoencoder.hpp"

#include "spar/game/catalogue_engine.hpp"
#include "spar/tape/noise.hpp"

/// The auto-encoders' objective as it is written on paper, in double precision and without shards.
namespace spar::test {

/// One matrix of parameters, rows of `columns` numbers.
struct Weights {
  int columns = 0;
  std::vector<double> x;

  double& at(Index r, int c) {
    return x[static_cast<std::size_t>(r) * static_cast<std::size_t>(columns) + static_cast<std::size_t>(c)];
  }
  double at(Index r, int c) const {
    return x[static_cast<std::size_t>(r) * static_cast<std::size_t>(columns) + static_cast<std::size_t>(c)];
  }
};

class SlowAutoencoder {
 public:
  /// Takes the parameters of a game that one rank plays alone.
  explicit SlowAutoencoder(AutoencoderGame& game) : s_(game.settings) {
    encoder = read(game.encoder, 0);
    decoder = read(game.decoder, 1);
    users = read(game.users, 0);
    for (int k = 0; k < game.dense.count(); ++k) dense.push_back(read(game.dense.table(k), 0));
    for (Index u = 0; u < s_.data.users; ++u) {
      const auto list = game.lists.of(u);
      profiles_.emplace_back(list.begin(), list.end());
    }
  }

  double x(Index user, Index item) const { return s_.ratings ? static_cast<double>(rating_of(user, item)) : 1.0; }

  /// The hidden row that the wide output layer reads; `divergence` receives the KL term. Noise of epoch 0, step 0.
  std::vector<double> hidden(Index u, bool training, double* divergence = nullptr) const {
    const game::Autoencoder& m = s_.model;
    std::vector<double> a(static_cast<std::size_t>(m.input_width()));
    double squares = 0;
    for (const ItemId i : profiles_[static_cast<std::size_t>(u)]) {
      squares += x(u, i) * x(u, i);
      for (int c = 0; c < m.input_width(); ++c) a[static_cast<std::size_t>(c)] += x(u, i) * encoder.at(i, c);
    }
    for (double& value : a) value *= m.normalise && squares > 0.0 ? 1.0 / std::sqrt(squares) : 1.0;
    for (std::size_t c = 0; c < a.size(); ++c) {
      if (m.user_nodes) a[c] += users.at(u, static_cast<int>(c));
      a[c] = activated(a[c] + dense[0].at(0, static_cast<int>(c)));
    }
    std::size_t next = 1;
    const auto layer = [&](bool active) {
      const Weights& w = dense[next];
      std::vector<double> y(static_cast<std::size_t>(w.columns));
      for (std::size_t c = 0; c < y.size(); ++c) {
        y[c] = dense[next + 1].at(0, static_cast<int>(c));
        for (std::size_t k = 0; k < a.size(); ++k) y[c] += a[k] * w.at(static_cast<Index>(k), static_cast<int>(c));
        if (active) y[c] = activated(y[c]);
      }
      next += 2;
      a = y;
    };
    for (std::size_t k = 1; k < m.encoder.size(); ++k) layer(true);
    if (m.code > 0) {
      layer(false);
      if (m.gaussian) a = draw(u, a, training, divergence);
    }
    for (std::size_t k = 0; k < m.decoder.size(); ++k) layer(true);
    return a;
  }

  double logit(const std::vector<double>& h, Index item) const {
    double l = decoder.at(item, decoder.columns - 1);
    for (std::size_t c = 0; c < h.size(); ++c) l += h[c] * decoder.at(item, static_cast<int>(c));
    return l;
  }

  /// The sum over the users with interactions of loss and `beta` KL.
  double loss(double beta) const {
    double total = 0;
    for (Index u = 0; u < s_.data.users; ++u) {
      const auto& profile = profiles_[static_cast<std::size_t>(u)];
      if (profile.empty()) continue;
      double divergence = 0;
      const auto h = hidden(u, true, &divergence);
      std::vector<double> target(static_cast<std::size_t>(s_.data.items), 0.0);
      for (const ItemId i : profile) target[i] = x(u, i);
      double n = 0, exponentials = 0;
      for (Index i = 0; i < s_.data.items; ++i) {
        const double t = target[static_cast<std::size_t>(i)], l = logit(h, i);
        if (s_.model.cells == game::LossCells::observed && t == 0.0) continue;
        if (s_.model.loss == catalogue::OutputLoss::bce)
          total += std::log1p(std::exp(-std::abs(l))) + std::max(l, 0.0) - t * l;
        if (s_.model.loss == catalogue::OutputLoss::square) total += (t - l) * (t - l);
        if (s_.model.loss == catalogue::OutputLoss::multinomial) total -= t * l;
        n += t;
        exponentials += std::exp(l);
      }
      if (s_.model.loss == catalogue::OutputLoss::multinomial) total += n * std::log(exponentials);
      total += beta * divergence;
    }
    return total;
  }

  Weights encoder;  ///< items x H
  Weights decoder;  ///< items x (H' + 1), the bias last
  Weights users;
  std::vector<Weights> dense;

 private:
  static Weights read(const table::Table& t, int biases) {
    Weights w{t.shape().dim + biases, {}};
    for (Index r = 0; r < t.rows(); ++r) {
      for (int c = 0; c < t.shape().dim; ++c) w.x.push_back(static_cast<double>(t.record(r)[c]));
      if (biases > 0) w.x.push_back(static_cast<double>(t.record(r)[t.shape().bias_offset()]));
    }
    return w;
  }

  double activated(double v) const {
    return s_.model.activation == tape::Activation::tanh ? std::tanh(v) : 1.0 / (1.0 + std::exp(-v));
  }

  std::vector<double> draw(Index u, const std::vector<double>& code, bool training, double* divergence) const {
    const auto k = static_cast<std::size_t>(s_.model.code);
    std::vector<double> noise(static_cast<std::size_t>(padded(s_.model.code)));
    tape::fill_normal<double>({s_.seed, Purpose::dropout, 0, 0, 1}, {std::span(&u, 1), 1},
                              {noise.data(), 1, s_.model.code, padded(s_.model.code)});
    std::vector<double> z(k);
    for (std::size_t c = 0; c < k; ++c) {
      const double mean = code[c], log_variance = code[k + c];
      if (divergence != nullptr) *divergence += 0.5 * (std::exp(log_variance) + mean * mean - 1.0 - log_variance);
      z[c] = mean + (training ? s_.model.code_noise * noise[c] * std::exp(0.5 * log_variance) : 0.0);
    }
    return z;
  }

  AutoencoderSettings s_;
  std::vector<std::vector<ItemId>> profiles_;
};

/// The derivative of f with respect to x, by central differences.
inline double slope(double& x, const std::function<double()>& f) {
  const double h = 1e-5, before = x;
  x = before + h;
  const double above = f();
  x = before - h;
  const double below = f();
  x = before;
  return (above - below) / (2.0 * h);
}

}  // namespace spar::test
