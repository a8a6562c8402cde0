#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "data_tools/side_options.hpp"
#include "spar/base/types.hpp"

/// Data sets from the outside world (docs/importing.md): text in, one HDF5 file of data/dataset_file.hpp out. One
/// process, several threads; the text is never in memory, only the ids are. The bytes of the result depend on the
/// input, the options and the seed, never on threads or on time.
namespace spar::data_tools {

/// How the test part is made.
///   automatic             given where the input has a test part, else leave_one_out
///   none                  no test part
///   given                 the test part of the input (or, for split_dataset, of the file)
///   leave_one_out         the last interaction of each user by time (ties: the later in the input); a random one where
///   there are no times random_leave_one_out  a random interaction of each user ratio                 floor(share * n)
///   random interactions of each user, at least one where n >= 2 temporal              everything from one moment on,
///   the same for all users
///   random                each interaction by itself, with the probability share
///   held_out_users        a share of the interactions of whole users that training does not know (HeldOutUsers)
/// Leave-one-out and ratio never take a user's only interaction.
enum class SplitKind {
  automatic,
  none,
  given,
  leave_one_out,
  random_leave_one_out,
  ratio,
  temporal,
  random,
  held_out_users
};

/// "leave-one-out" and so on; UserError listing the names for any other. `option` is named in the sentence ("--split").
SplitKind parse_split_kind(const std::string& option, const std::string& word);
const char* split_kind_name(SplitKind kind);

/// Users that training does not know (strong generalisation: Liang et al., WWW 2018). Of each, a share of the
/// interactions, at random, is told when he is evaluated (fold-in); the others, at least one of two, are to be found.
struct HeldOutUsers {
  std::int64_t validation = 0;
  std::int64_t test = 0;
  double fold_in = 0.8;      ///< in (0, 1)
  bool drop_unseen = false;  ///< items that no training user has are dropped, before the interactions are parted
};

/// What becomes of the interactions once they are read. Filters come first, in this order: rating thresholds, one pass
/// of minimum counts, k-core; then the test part is taken, then the validation part from what remains of training.
struct SplitRules {
  SplitKind split = SplitKind::automatic;
  SplitKind validation = SplitKind::automatic;  ///< automatic: given where the input has one; else as the split (given,
                                                ///< none: leave_one_out)
  double test_ratio = 0.2;                      ///< of ratio, random and temporal, in (0, 1)
  double validation_ratio = 0.1;                ///< of the same; of what remains of training
  std::optional<std::int64_t>
      test_from;  ///< temporal: the first time that belongs to the test part, in place of test_ratio
  std::optional<std::int64_t> validation_from;  ///< the same for validation
  std::optional<HeldOutUsers> held_out;         ///< makes both parts; split and validation must be automatic
  std::optional<double> min_rating;             ///< interactions rated lower are dropped, in every part
  /// Import: what is rated lower is kept as a dislike of its user (data/dislikes.hpp) and is no interaction; at most
  /// min_rating. Those that the input has in a part that is not trained on are dropped.
  std::optional<double> dislikes_below;
  int min_user = 0;  ///< users and items with fewer interactions (all parts together) are dropped, counted once
  int min_item = 0;
  int k_core = 0;      ///< the same for both, repeated until nothing is dropped
  int candidates = 0;  ///< drawn for each user of the test part, for the sampled protocol (candidates.hpp); 0: none
  std::uint64_t seed =
      1;  ///< of the random draws; a draw depends on the seed and the two ids only, not on the input's order
};

struct ImportOptions {
  std::string format;              ///< one of import_formats()
  std::vector<std::string> paths;  ///< files, folders, a prefix (pairs) or "-" for standard input
  std::string to;                  ///< the file to write
  std::string test;                ///< a given test part in the same format
  std::string validation;          ///< a given validation part in the same format
  std::string negatives;           ///< pairs: candidate lists for the test part
  std::string separator;  ///< delimited: any text; "\t" and the words tab, comma, semicolon, blanks are understood;
                          ///< empty: detected
  std::string
      columns;  ///< delimited, recbole: see docs/importing.md; empty: from the header or user,item,rating,time by place
  std::optional<bool> header;  ///< delimited: whether a first line of names stands there; unset: detected
  bool ordered = false;        ///< the order of the input is the order of time; positions are stored as times
  std::string name;            ///< of the data set; empty: the name of `to` without its ending
  int threads = 0;             ///< 0: the processors of this process
  std::int64_t memory = -1;    ///< MiB of intermediate records of each stage kept in memory; -1: 512, at most 1/16
  SplitRules rules;
  SideOptions side;
};

struct SplitOptions {
  std::string from;  ///< a data set
  std::string to;
  std::string name;  ///< empty: the name of `to` without its ending
  int threads = 0;
  std::int64_t memory = -1;
  /// automatic split: the file's test part stays. automatic validation: as for import, but "given" where neither split
  /// nor validation is asked for.
  SplitRules rules;
};

/// The names of the formats, in the order of the documentation.
const std::vector<std::string>& import_formats();

/// What was kept and what was dropped, and why.
struct ImportReport {
  struct Input {
    std::string path;
    std::string part;       ///< "train", "validation", "test" or "negatives"
    std::string layout;     ///< how it was read: "tab, columns user 1, item 2, rating 3"
    std::int64_t rows = 0;  ///< interactions read (list forms: items)
    std::int64_t empty_lines = 0;
    std::int64_t empty_lists = 0;  ///< lines with a user and nothing else
  };
  struct Drop {
    std::string reason;  ///< a stable word: "repeats.train", "test_in_train", "min_rating", "min_count", "k_core", ...
    std::string sentence;  ///< the same for people
    std::int64_t count = 0;
  };

  /// One set of side data (data/side_data.hpp).
  struct SideData {
    std::string title;  ///< item features "image"
    std::string kind, side, name;
    std::string path;             ///< of the file it came from
    std::string layout;           ///< how that was read, where there is a choice
    Index width = 0;              ///< as data::SideDescription::width
    Index rows = 0, covered = 0;  ///< of the side; of them those that have some
    std::int64_t entries = 0;     ///< values, words, edges or assignments
    std::int64_t lines = 0;       ///< of the file
    std::int64_t unknown = 0;     ///< lines dropped, since the data set lacks their user, item or neighbour
    std::int64_t repeated = 0;    ///< edges or assignments dropped, since they stand there already
    std::int64_t loops = 0;       ///< edges dropped, since they lead from a user to itself
  };

  std::string from;  ///< format or source file
  std::string to;
  std::string name;
  std::string split;    ///< one phrase, as stored in the file
  std::string content;  ///< checksum of the written data set
  std::vector<Input> inputs;
  std::vector<Drop> drops;  ///< only those with a count
  std::vector<SideData> side;
  std::vector<std::string> notes;
  std::int64_t rows_read = 0;
  Index users = 0, items = 0;
  std::int64_t train = 0, validation = 0, test = 0, negatives = 0;
  std::int64_t dislikes = 0;            ///< kept beside the interactions
  std::int64_t liked_and_disliked = 0;  ///< repeated pairs with ratings of both kinds; the one that is kept decides
  bool has_ratings = false, has_times = false;
  std::int64_t users_without_train = 0;  ///< with a validation or test interaction only
  std::int64_t users_without_test = 0;
  std::int64_t fold_in = 0;  ///< interactions of users held out of training that evaluation may know
  std::int64_t held_out_validation = 0, held_out_test = 0;  ///< such users
  std::int64_t items_only_in_test = 0;                      ///< test items with no training or validation interaction
  double seconds = 0;                                       ///< not part of json(), which is the same for equal inputs

  std::int64_t dropped(const std::string& reason) const;  ///< 0 where the reason does not occur
  std::string text() const;                               ///< lines for a terminal, with a final newline
  std::string json() const;                               ///< one object
};

/// Reads, filters, splits and writes. Errors are UserError (input: file, line, column; nothing left after filters) or
/// EnvironmentError (target); the target is complete or untouched, and nothing else is left behind.
ImportReport import_dataset(const ImportOptions& options);

/// Another split of the same interactions. Rows stay where they are unless a filter drops users or items.
ImportReport split_dataset(const SplitOptions& options);

}  // namespace spar::data_tools
