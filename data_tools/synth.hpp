#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "spar/base/types.hpp"
#include "spar/comm/communicator.hpp"

/// The synthetic catalogue: interactions with planted structure, for tries, tests and scaling runs of any size.
///
/// Users come by falling activity, items by falling popularity, both along power laws. Users and items have a few
/// hidden factors. A user meets items by their popularity and keeps one with the probability sigmoid(affinity * (x -
/// 0.7)), x = user factors . item factors / sqrt(factors), until as many distinct items are kept as the user's activity
/// says. So the logarithm of the preference is popularity plus a function of an inner product: what factor models
/// learn.
///
/// Side data on request; u and z are the factors of a user and an item, F their number, n(...) independent standard
/// normal numbers, Phi their distribution:
///   features "planted" of an item   f = M z + 0.3 n,  M: width x F of N(0, 1/F), the same for all items, so f tells of
///                                   taste, and of items without interactions, too
///   cold items                      an item is cold with the probability cold_items; interactions with it are in the
///                                   test part, besides those of the split among the others
///   attribute of a user             category 1 + floor(C Phi(s w.u sqrt(F) + sqrt(1 - s^2) n)), w a unit vector that
///                                   belongs to the attribute: C classes of equal chance, of which taste tells nothing
///                                   (s = 0) or everything (s = 1)
///   graph "friends"                 a user meets others along the popularity law over their places and keeps one with
///                                   the probability sigmoid(affinity * (cos(u, u') - 0.7)), until `friends` are found,
///                                   on average, or 200 times as many met; directed
///   tags                            an interaction is a post with probability 1/2; each of its 1 to 3 draws is, with
///                                   probability 0.7, one of 8 tags that belong to the item, else one of 4 that belong
///                                   to the user; those lie along the popularity law over the tags. A random post of a
///                                   user with two or more is tested, another one of those with three or more validates
namespace spar::data_tools {

/// A private attribute that is correlated with taste.
struct PlantedAttribute {
  std::string name;
  Index categories = 2;  ///< 2 .. 1,000
  double strength = 1;   ///< 0 .. 1
};

/// "gender:2:0.8". UserError saying what would be right.
PlantedAttribute parse_planted_attribute(const std::string& text);

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
  Index feature_width = 0;                   ///< 0: no features; at most 65,536
  double cold_items = 0;                     ///< share, 0 .. 0.9
  std::vector<PlantedAttribute> attributes;  ///< of users
  Index tags = 0;                            ///< 0: none
  double friends = 0;                        ///< friends a user, on average; 0: no graph
};

/// Writes the data set. Collective: every rank calls it with the same options and writes the users it would hold in a
/// training. The bytes do not depend on ranks and threads. Memory: a few row groups per thread, plus one number for
/// each item where a user takes more than a sixteenth of them. With cold items or tags all users are drawn twice, once
/// to be counted. Ids are "u<p>" and "i<p>", p = the place in the order of planted activity or popularity. Returns what
/// rank 0 should tell: files of killed programs that were removed. UserError for options or targets that cannot be.
std::vector<std::string> synth(const comm::Communicator& communicator, const SynthOptions& options);

}  // namespace spar::data_tools
