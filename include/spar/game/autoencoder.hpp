#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "spar/base/schedule.hpp"
#include "spar/catalogue/wide_output.hpp"
#include "spar/table/dense_parameters.hpp"
#include "spar/table/table.hpp"
#include "spar/tape/elementwise.hpp"
#include "spar/tape/noise.hpp"
#include "spar/tape/tape.hpp"

/// Auto-encoders of users' profiles, declared by their widths and losses: Mult-VAE and Mult-DAE (Liang et al., WWW
/// 2018), CDAE (Wu et al., WSDM 2016), AutoRec (Sedhain et al., WWW 2015 companion).
namespace spar::game {

/// Which cells of the users x items matrix a step's loss counts.
enum class LossCells {
  all,
  observed,  ///< the users' own (bce, square)
  sampled,   ///< and drawn ones with target 0: for each user (bce, square), or for the batch (multinomial)
};

struct Autoencoder {
  std::vector<int> encoder{200};  ///< hidden widths; the first is that of the items' input vectors
  int code = 0;                   ///< width of a code without activation between encoder and decoder; 0: none
  bool gaussian = false;          ///< the code is drawn from N(mu, s^2); its layer gives mu and log s^2
  double code_noise = 1.0;        ///< deviation of the standard normal noise that a training step draws it with
  std::vector<int> decoder{};     ///< hidden widths behind the code
  tape::Activation activation = tape::Activation::tanh;  ///< of every hidden layer
  bool user_nodes = false;                               ///< a row a user beside the input layer (CDAE)

  bool reads_ratings = false;  ///< x_ui are the ratings, and the outputs predict them; else x_ui = 1
  bool normalise = false;      ///< the input is x_u / |x_u|_2
  double keep = 1.0;           ///< share of the inputs that the corruption keeps, scaled by 1 / keep
  catalogue::OutputLoss loss = catalogue::OutputLoss::multinomial;
  LossCells cells = LossCells::all;
  double negatives = 5.0;       ///< draws for each unit of n_u = sum_i x_ui (LossCells::sampled; bce, square)
  std::int64_t samples = 0;     ///< draws of a step for all its users (LossCells::sampled; multinomial)
  double sample_power = 0.0;    ///< their law is that of this power of the items' interactions; 0: uniform
  bool mean_over_users = true;  ///< the objective is the mean over the batch's users, else their sum
  Schedule beta{0.2};           ///< weight of the KL term
  double l2 = 0.0;  ///< adds l2 * |x|^2 for every dense weight matrix and every row of items and users that the step
                    ///< moves; no bias

  /// Whether the softmax is over drawn items (catalogue/sampled_output.hpp).
  bool samples_softmax() const { return loss == catalogue::OutputLoss::multinomial && cells == LossCells::sampled; }
  int input_width() const { return encoder.front(); }
  /// Width of the items' output vectors.
  int output_width() const;
};

/// The replicated parameters in the order of the layers: "encoder.0.bias", "encoder.1.weights", "encoder.1.bias", ...,
/// "code.weights", "code.bias", "decoder.0.weights", ... Weights start uniform within +-sqrt(6 / (in + out)), biases
/// truncated normal with deviation 0.001.
std::vector<table::DenseShape> dense_shapes(const Autoencoder& model);
/// The deviation of the uniform law that starts the items' rows of width `width` likewise.
double item_deviation(Index items, int width);

/// The parameters of an auto-encoder on this rank.
struct AutoencoderTables {
  table::Table* encoder = nullptr;  ///< items x input_width, no bias
  table::Table* decoder = nullptr;  ///< items x output_width, with bias
  table::Table* users = nullptr;    ///< users x input_width; nullptr without user nodes
  table::DenseParameters* dense = nullptr;
};

/// What the layers between the two wide ones leave on a tape.
struct InnerLayers {
  tape::Var input;       ///< users x input_width, the sums of the wide input layer
  tape::Var hidden;      ///< users x output_width, the input of the wide output layer
  tape::Var divergence;  ///< users x 1, KL of the Gaussian code from N(0, 1); id -1 without one
};

/// Whether a pass trains: then the code is drawn with noise of `noise` for `samples`, and parameters have gradients.
struct InnerPass {
  bool training = false;
  tape::NoiseKey noise{};
  std::span<const Index> samples{};  ///< the global users of the rows
  float* gradients = nullptr;        ///< of all dense parameters (DenseParameters::offset), added to
};

/// Puts the inner layers on the tape. `input` (a parameter with `input_gradient`, or a constant where that is empty)
/// may have arbitrary padding. A row of `hidden` is a function of its input row alone.
InnerLayers put_inner_layers(tape::Tape<float>& tape, const Autoencoder& model, const table::DenseParameters& dense,
                             tape::Matrix<float> input, tape::Matrix<float> input_gradient, const InnerPass& pass);

}  // namespace spar::game
