#include "spar/tape/multiply.hpp"

#include "product.hpp"

namespace spar::tape {

template <class T>
void multiply(Arena& arena, const Matrix<T>& c, const Matrix<T>& a, Side a_side, const Matrix<T>& b, Side b_side,
              bool add) {
  detail::product<T>(arena, c, {a, a_side == Side::transposed}, {b, b_side == Side::transposed}, add);
}

template void multiply(Arena&, const Matrix<float>&, const Matrix<float>&, Side, const Matrix<float>&, Side, bool);
template void multiply(Arena&, const Matrix<double>&, const Matrix<double>&, Side, const Matrix<double>&, Side, bool);

}  // namespace spar::tape
