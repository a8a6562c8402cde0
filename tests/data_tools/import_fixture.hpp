#pragma once
#include <array>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "support/scratch.hpp"
#include "support/sentence.hpp"
#include <zlib.h>

#include "data_tools/import.hpp"
#include "spar/data/interactions.hpp"
#include "spar/store/durable.hpp"

namespace spar::test {

using Pairs = std::set<std::pair<std::string, std::string>>;

/// A data set with original ids in place of rows.
struct Contents {
  data::DatasetHeader header;
  std::vector<std::string> users, items;
  std::array<Pairs, 4> pairs;  ///< (user, item) by part
  std::map<std::pair<std::string, std::string>, float> ratings;
  std::map<std::pair<std::string, std::string>, std::int64_t> times;
  std::map<std::string, std::vector<std::string>> candidates;

  const Pairs& train() const { return pairs[0]; }
  const Pairs& validation() const { return pairs[1]; }
  const Pairs& test() const { return pairs[2]; }
  const Pairs& fold_in() const { return pairs[3]; }
  Pairs all() const {
    Pairs result;
    for (const Pairs& part : pairs) result.insert(part.begin(), part.end());
    return result;
  }
  /// The part (0, 1, 2, 3) of a pair, -1 where it is in none.
  int part_of(const std::string& user, const std::string& item) const {
    for (int part = 0; part < 4; ++part) {
      if (pairs[static_cast<std::size_t>(part)].contains({user, item})) return part;
    }
    return -1;
  }
};

inline Contents read_contents(const std::string& path) {
  const store::ArrayFile file = data::open_dataset(path);
  Contents contents;
  contents.header = data::read_header(file);
  contents.users = data::read_ids(file, "/users/ids", 0, contents.header.users);
  contents.items = data::read_ids(file, "/items/ids", 0, contents.header.items);
  const auto user_name = [&](Index row) { return contents.users[static_cast<std::size_t>(row)]; };
  for (const data::Part part : data::parts_of(contents.header.holds_out_users)) {
    const data::UserLists lists = data::read_lists(file, part, 0, contents.header.users);
    const std::vector<float> ratings = data::read_ratings(file, part, 0, contents.header.users);
    const std::vector<std::int64_t> times = data::read_times(file, part, 0, contents.header.users);
    std::size_t at = 0;
    for (Index user = 0; user < lists.users(); ++user) {
      for (const ItemId item : lists.of(user)) {
        const std::pair pair(user_name(user), contents.items[item]);
        contents.pairs[static_cast<std::size_t>(part)].insert(pair);
        if (!ratings.empty()) contents.ratings[pair] = ratings[at];
        if (!times.empty()) contents.times[pair] = times[at];
        ++at;
      }
    }
  }
  if (!contents.header.has_negatives) return contents;
  const data::UserLists lists = data::read_negatives(file, 0, contents.header.users);
  for (Index user = 0; user < lists.users(); ++user) {
    for (const ItemId item : lists.of(user)) contents.candidates[user_name(user)].push_back(contents.items[item]);
  }
  return contents;
}

/// A folder with inputs and a target.
class ImportFixture {
 public:
  std::string file(const std::string& name) const { return folder_.file(name); }
  std::string target() const { return folder_.file("target.h5"); }

  std::string write(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories(std::filesystem::path(file(name)).parent_path());
    std::ofstream(file(name), std::ios::binary) << text;
    return file(name);
  }
  std::string write_gz(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories(std::filesystem::path(file(name)).parent_path());
    const gzFile gz = gzopen(file(name).c_str(), "wb");
    gzwrite(gz, text.data(), static_cast<unsigned>(text.size()));
    gzclose(gz);
    return file(name);
  }

  data_tools::ImportOptions options(const std::string& format, const std::string& path) const {
    data_tools::ImportOptions options;
    options.format = format;
    options.paths = {path};
    options.to = target();
    options.threads = 1;
    return options;
  }
  /// Everything in the training part, so that what was read shows.
  data_tools::ImportOptions unsplit(const std::string& format, const std::string& path) const {
    data_tools::ImportOptions whole = options(format, path);
    whole.rules.split = whole.rules.validation = data_tools::SplitKind::none;
    return whole;
  }

  Contents import(const data_tools::ImportOptions& options) {
    report = data_tools::import_dataset(options);
    return read_contents(options.to);
  }
  /// Imports `text` as delimited text without a split.
  Contents import_text(const std::string& text) { return import(unsplit("delimited", write("input.txt", text))); }

  /// The sentence of a failing import, without the folder's path. Also checks that nothing is left behind.
  std::string failure(const data_tools::ImportOptions& options, ExitCode code = ExitCode::usage) const {
    const std::vector<std::string> before = folder_.names();
    const std::string sentence = sentence_of(code, [&] { data_tools::import_dataset(options); });
    const std::vector<std::string> after = folder_.names();
    BOOST_TEST(before == after, boost::test_tools::per_element());
    return without(sentence, folder_.path() + "/");
  }
  std::string failure_of_text(const std::string& text) const {
    return failure(unsplit("delimited", write("input.txt", text)));
  }

  data_tools::ImportReport report;

 private:
  ScratchFolder folder_;
};

}  // namespace spar::test
