#pragma once
#include "spar/tape/tape.hpp"

/// Operations on images. B images of height H, width W and C channels are a (B H W) x C matrix: a row is a pixel, image
/// by image, line by line. So a channel is a column, and batch norm and biases by channel are those of columns.
namespace spar::tape {

struct ImageSize {
  int height = 0;
  int width = 0;

  int pixels() const { return height * width; }
};

enum class Padding {
  symmetric,  ///< `padding` zeros on every side: out = floor((n + 2 p - k) / s) + 1
  same,       ///< TensorFlow's: out = ceil(n / s), the odd zero of what is missing at the end
};

struct Kernel {
  int size = 3;  ///< height and width
  int stride = 1;
  Padding padding = Padding::symmetric;
  int amount = 0;  ///< zeros on every side; symmetric only

  /// The size that conv2d gives.
  ImageSize convolved(ImageSize in) const;
  /// The size that conv_transpose2d gives: (n - 1) s - 2 p + k, or n s with `same`.
  ImageSize widened(ImageSize in) const;
};

/// Correlation with a k x k kernel. x: (B H W) x C; weights: (k k C) x D, row (i k + j) C + c being line i, column j,
/// channel c of the kernel -> (B H' W') x D.
template <class T>
Var conv2d(Tape<T>& tape, Var x, Var weights, ImageSize size, const Kernel& kernel);

/// The adjoint of conv2d in its input: x: (B H W) x D; weights as conv2d would have them to go the other way, (k k C) x
/// D -> (B H' W') x C with H' = (H - 1) s - 2 p + k (H s with `same`), so <conv2d(y), x> = <y, conv_transpose2d(x)>.
template <class T>
Var conv_transpose2d(Tape<T>& tape, Var x, Var weights, ImageSize size, const Kernel& kernel);

/// The largest of each k x k window (no padding; what does not fill a window is left out). The gradient goes to the
/// first of equals. (B H W) x C -> (B H' W') x C.
template <class T>
Var max_pool2d(Tape<T>& tape, Var x, ImageSize size, int window, int stride);

/// Sub-pixels (Shi et al., CVPR 2016, in TensorFlow's order): (B H W) x (r r C) -> (B rH rW) x C; the channel (i r + j)
/// C + c of a pixel becomes channel c of the sub-pixel in line i, column j.
template <class T>
Var depth_to_space(Tape<T>& tape, Var x, ImageSize size, int factor);

/// Every pixel `factor` times in both directions. (B H W) x C -> (B fH fW) x C.
template <class T>
Var nearest_resize(Tape<T>& tape, Var x, ImageSize size, int factor);

}  // namespace spar::tape
