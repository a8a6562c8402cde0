#pragma once
#include <cstdint>
#include <string>

#include "spar/base/types.hpp"
#include "spar/comm/communicator.hpp"

/// The synthetic catalogue: interactions with planted structure, for tries, tests and scaling runs of any size.
///
/// Users come by falling activity, items by falling popularity, both along power laws. Users and items have a few
/// hidden factors. A user meets items by their popularity and keeps one with the probability sigmoid(affinity * (x -
/// 0.7)), x = user factors . item factors / sqrt(factors), until as many distinct items are kept as the user's activity
/// says. So the logarithm of the preference is popularity plus a function of an inner product: what factor models
/// learn.
namespace spar::data_tools {

struct SynthOptions {
  std::string to;    ///< the file to write
  std::string name;  ///< of the data set; empty: the file's name without ending
  Index users = 2000;
  Index items = 1000;
  Index interactions = 60000;  ///< of all parts together; exactly as many are written
  std::uint64_t seed = 1;
  int factors = 4;                      ///< hidden factors, 1 .. 64; fewer are easier to learn
  double affinity = 6.0;                ///< 0: popularity alone
  double popularity_exponent = 0.8;     ///< item at place p is met in proportion to (p + items^0.3)^-exponent
  double activity_exponent = 0.7;       ///< user at place p has about 3 + c (p + sqrt(users))^-exponent interactions
  std::string split = "leave-one-out";  ///< leave-one-out, ratio or none
  double test_share = 0.2;              ///< of a user's interactions, for split = ratio
  double validation_share = 0.1;
};

/// Writes the data set. Collective: every rank calls it with the same options and writes the users it would hold in a
/// training. The bytes do not depend on ranks and threads. Memory: a few row groups per thread, plus one number for
/// each item where a user takes more than a sixteenth of them. Ids are "u<p>" and "i<p>", p = the place in the order of
/// planted activity or popularity. Returns what rank 0
/// should tell: files of killed programs that were removed. UserError for options or targets that cannot be.
std::vector<std::string> synth(const comm::Communicator& communicator, const SynthOptions& options);

}  // namespace spar::data_tools
