#include <algorithm>
#include <fstream>

#include "data/sample_side.hpp"
#include "support/scratch.hpp"
#include "support/sentence.hpp"
#include <boost/test/unit_test.hpp>
#include <nlohmann/json.hpp>

#include "data_tools/histogram.hpp"
#include "data_tools/inspect.hpp"
#include "spar/store/durable.hpp"

using namespace spar;
using namespace spar::data_tools;
using spar::test::SampleDataset;
using spar::test::SampleSide;
using spar::test::ScratchFolder;
using spar::test::sentence_of;

namespace {

/// Three users, four items; item 3 is in validation and test only.
SampleDataset by_hand() {
  SampleDataset sample = SampleDataset::random(3, 4, 1, true);
  sample.lists[0] = {{0, 1, 2}, {1}, {}};
  sample.lists[1] = {{3}, {}, {}};
  sample.lists[2] = {{}, {0, 3}, {1}};
  sample.negatives = {{}, {2}, {2, 3}};
  return sample;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(inspecting)

BOOST_AUTO_TEST_CASE(counts_of_a_data_set_made_by_hand) {
  const ScratchFolder folder;
  by_hand().write(folder.file("d.h5"));
  const std::string line = inspect(folder.file("d.h5"), true);
  BOOST_TEST(line.find('\n') == line.size() - 1);
  const nlohmann::json object = nlohmann::json::parse(line);
  BOOST_TEST(object["kind"] == "dataset");
  BOOST_TEST(object["users"] == 3);
  BOOST_TEST(object["items"] == 4);
  BOOST_TEST(object["train"] == 4);
  BOOST_TEST(object["validation"] == 1);
  BOOST_TEST(object["test"] == 3);
  BOOST_TEST(object["negatives"] == 3);
  BOOST_TEST(object["ratings"] == true);
  BOOST_TEST(object["users_with_train"] == 2);
  BOOST_TEST(object["users_with_test"] == 2);
  BOOST_TEST(object["test_items_unseen_in_train"] == 1);
  BOOST_TEST(object["validation_items_unseen_in_train"] == 1);
  BOOST_TEST(object["density"].get<double>() == 8.0 / 12.0);
  BOOST_TEST(object["item_activity"]["min"] == 0);
  BOOST_TEST(object["item_activity"]["max"] == 2);
  BOOST_TEST(object["checksums_verified"] == 16 * 1024);
}

BOOST_AUTO_TEST_CASE(people_see_counts_and_bars) {
  const ScratchFolder folder;
  by_hand().write(folder.file("d.h5"));
  const std::string text = inspect(folder.file("d.h5"), false);
  BOOST_TEST(text.find(folder.file("d.h5") + ": data set \"sample\", 3 users, 4 items, density 66.7%\n") == 0U, text);
  BOOST_TEST(
      text.find("\ntest        3 interactions of 2 users, 1 with an item that train never has\n") != std::string::npos,
      text);
  BOOST_TEST(
      text.find("\nwith        ratings, times, 3 fixed candidates for a sampled protocol\n") != std::string::npos,
      text);
  BOOST_TEST(text.find("all 16,384 checksums match\n") != std::string::npos, text);
  BOOST_TEST(text.find("              2-3  ########################################  1 users\n") != std::string::npos,
             text);
}

BOOST_AUTO_TEST_CASE(side_data_are_listed_with_coverage_and_values) {
  const ScratchFolder folder;
  SampleSide::random(10, 11).write(folder.file("d.h5"));
  const nlohmann::json side = nlohmann::json::parse(inspect(folder.file("d.h5"), true))["side"];
  BOOST_REQUIRE(side.size() == 5U);
  BOOST_TEST(side[0]["kind"] == "features");
  BOOST_TEST(side[0]["name"] == "image");
  BOOST_TEST(side[0]["width"] == 3);
  BOOST_TEST(side[0]["covered"] == 9);
  BOOST_TEST(side[1]["values"].dump() ==
             R"([{"count":3,"value":""},{"count":3,"value":"F"},{"count":2,"value":"M"},{"count":2,"value":"é"}])");
  BOOST_TEST(side[1]["covered"] == 7);
  BOOST_TEST(side[2]["entries"] == 14);
  BOOST_TEST(side[2]["covered"] == 7);
  BOOST_TEST(side[3]["side"] == "users");
  BOOST_TEST(side[4]["timed"] == true);
  BOOST_TEST(side[4]["posts"].size() == 3U);
  const std::string text = inspect(folder.file("d.h5"), false);
  const std::string gender = "\nside        attribute \"gender\": 3 categories; 7 of 10 users (70%), content ";
  BOOST_TEST(text.find(gender) != std::string::npos, text);
  BOOST_TEST(text.find("\n            F: 3, M: 2, é: 2\n") != std::string::npos, text);
  BOOST_TEST(nlohmann::json::parse((by_hand().write(folder.file("e.h5")), inspect(folder.file("e.h5"), true)))["side"]
                 .empty());
}

BOOST_AUTO_TEST_CASE(no_flipped_bit_changes_what_is_said) {
  const ScratchFolder folder;
  const std::string path = folder.file("d.h5");
  by_hand().write(path);
  const std::string sound = store::read_text(path);
  const std::string said = inspect(path, true);
  int refused = 0;
  // An odd step takes every offset within the eight bytes of a number.
  for (std::size_t place = 0; place < sound.size(); place += std::max<std::size_t>(1, sound.size() / 211 | 1)) {
    std::string spoiled = sound;
    spoiled[place] = static_cast<char>(spoiled[place] ^ 4);
    std::ofstream(path, std::ios::binary) << spoiled;
    try {
      BOOST_TEST(inspect(path, true) == said, "byte " << place);
    } catch (const UserError& error) {
      ++refused;
    }
  }
  BOOST_TEST(refused > 150);
}

BOOST_AUTO_TEST_CASE(a_path_that_holds_nothing_known_is_told) {
  const ScratchFolder folder;
  BOOST_TEST(sentence_of(ExitCode::usage, [&] { inspect(folder.path(), false); }) ==
             folder.path() +
                 " is neither a run directory nor a checkpoint, and spar inspect knows no other directories");
  BOOST_TEST(sentence_of(ExitCode::usage, [&] { inspect(folder.file("absent.h5"), false); }) ==
             "cannot read " + folder.file("absent.h5") + ": no such file or directory");
}

BOOST_AUTO_TEST_CASE(bins_double) {
  LogHistogram histogram;
  for (const std::int64_t count : {0, 1, 2, 3, 4, 40}) histogram.add(count);
  const std::vector<LogHistogram::Bin> bins = histogram.bins();
  BOOST_REQUIRE(bins.size() == 7U);
  BOOST_TEST(bins[2].first == 2);
  BOOST_TEST(bins[2].last == 3);
  BOOST_TEST(bins[2].entities == 2);
  BOOST_TEST(bins[4].entities == 0);
  BOOST_TEST(bins[6].first == 32);
  BOOST_TEST(histogram.mean() == 50.0 / 6.0);
  BOOST_TEST(LogHistogram().bins().empty());
}

BOOST_AUTO_TEST_CASE(thousands_are_parted) {
  BOOST_TEST(with_commas(0) == "0");
  BOOST_TEST(with_commas(999) == "999");
  BOOST_TEST(with_commas(1000) == "1,000");
  BOOST_TEST(with_commas(-123456) == "-123,456");
  BOOST_TEST(with_commas(1234567890) == "1,234,567,890");
}

BOOST_AUTO_TEST_SUITE_END()
