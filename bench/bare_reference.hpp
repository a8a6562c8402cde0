#pragma once

/// The bare kernel against the same steps written plainly: fast and wrong would be no yardstick.
namespace spar::bench {

/// Makes three steps of the bare kernel and of a plain loop in double on the same random triples, with many repeated
/// rows, and returns the largest difference between any two values of the tables.
double bare_difference(bool adversarial);

}  // namespace spar::bench
