#include <fcntl.h>
#include <unistd.h>

#include "import_fixture.hpp"
#include <boost/test/unit_test.hpp>
#include <rapidcheck.h>

#include "data_tools/id_map.hpp"
#include "data_tools/radix_sort.hpp"
#include "spar/base/random.hpp"

using namespace spar;
using namespace spar::test;
using data_tools::ImportOptions;
using data_tools::SplitKind;

namespace {

/// `rows` rows of users and items of falling popularity, text ids among whole numbers, repeats included.
std::string random_rows(int rows) {
  const RandomStream stream(7, Purpose::synthetic);
  std::string text;
  for (int k = 0; k < rows; ++k) {
    const auto words = stream.block(static_cast<std::uint32_t>(k));
    const std::uint64_t user = bounded(word64(words, 0), 3000) * (words[0] % 7) / 7;
    const std::uint64_t item = bounded(word64(words, 1), 2000) * (words[2] % 5) / 5;
    text += (user % 3 == 0 ? "user-" : "") + std::to_string(user) + "\t" + std::to_string(item) +
            (item % 4 == 0 ? "x" : "") + "\t" + std::to_string(1 + words[3] % 5) + "\t" +
            std::to_string(words[1] % 1000) + "\n";
  }
  return text;
}

/// Standard input comes from a file for as long as it lives.
class StandardInput {
 public:
  explicit StandardInput(const std::string& path) : before_(::dup(0)) {
    const int file = ::open(path.c_str(), O_RDONLY);
    ::dup2(file, 0);
    ::close(file);
  }
  ~StandardInput() {
    ::dup2(before_, 0);
    ::close(before_);
  }

 private:
  int before_;
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(import_streams, ImportFixture)

BOOST_AUTO_TEST_CASE(the_bytes_do_not_depend_on_threads_or_memory) {
  ImportOptions options = this->options("delimited", write("rows.tsv", random_rows(150000)));
  options.rules.k_core = 5;
  options.rules.split = SplitKind::ratio;
  import(options);
  const std::string expected = store::read_text(target());
  for (const int threads : {1, 2, 3}) {
    for (const std::int64_t memory : {0, 4, -1}) {
      options.threads = threads;
      options.memory = memory;
      import(options);
      BOOST_CHECK(store::read_text(target()) == expected);
    }
  }
}

BOOST_AUTO_TEST_CASE(candidates_and_parts_do_not_depend_on_threads_either) {
  std::string train, test, negatives;
  for (int user = 0; user < 2000; ++user) {
    for (int k = 0; k < 3 + user % 11; ++k)
      train += std::to_string(user) + " " + std::to_string((user * 5 + k * 29) % 701) + "\n";
    test += std::to_string(user) + " " + std::to_string(701 + user % 50) + "\n";
    negatives += "(" + std::to_string(user) + "," + std::to_string(701 + user % 50) + ")";
    for (int k = 0; k < 20; ++k) negatives += "\t" + std::to_string((user * 3 + k * 37) % 760);
    negatives += "\n";
  }
  write("p.train", train);
  write("p.test", test);
  write("p.test.negative", negatives);
  ImportOptions options = this->options("pairs", file("p"));
  import(options);
  const std::string expected = store::read_text(target());
  options.threads = 2;
  options.memory = 0;
  const Contents contents = import(options);
  BOOST_CHECK(store::read_text(target()) == expected);
  BOOST_CHECK_EQUAL(contents.test().size() + static_cast<std::size_t>(report.dropped("test_in_train")), 2000U);
}

BOOST_AUTO_TEST_CASE(every_way_to_pass_the_text_gives_the_same_data) {
  const std::string text = random_rows(30000);
  const std::string plain = write("rows.tsv", text);
  import(options("delimited", plain));
  const std::string content = report.content;
  import(options("delimited", write_gz("rows.gz", text)));
  BOOST_CHECK_EQUAL(report.content, content);
  for (const std::string& from : {plain, file("rows.gz")}) {
    for (const int threads : {1, 2}) {
      const StandardInput input(from);
      ImportOptions options = this->options("delimited", "-");
      options.threads = threads;
      import(options);
      BOOST_CHECK_EQUAL(report.content, content);
    }
  }
  const std::size_t half = text.find('\n', text.size() / 2) + 1;
  write("parts/part-0", text.substr(0, half));
  write("parts/part-1", text.substr(half));
  import(options("delimited", file("parts")));
  BOOST_CHECK_EQUAL(report.content, content);
}

BOOST_AUTO_TEST_CASE(importing_twice_gives_equal_reports) {
  ImportOptions options = this->options("delimited", write("rows.tsv", random_rows(5000)));
  import(options);
  const std::string first = report.json();
  options.threads = 2;
  import(options);
  BOOST_CHECK_EQUAL(report.json(), first);
}

BOOST_AUTO_TEST_CASE(ids_are_numbered_by_first_appearance) {
  BOOST_CHECK(rc::check([] {
    const auto ids = *rc::gen::container<std::vector<std::string>>(
        rc::gen::nonEmpty(rc::gen::container<std::string>(rc::gen::elementOf(std::string("019ab-\xe9 ")))));
    std::string text;
    std::vector<data_tools::IdKey> keys;
    std::vector<std::string> order;
    std::vector<std::uint32_t> expected;
    for (const std::string& id : ids) {
      keys.push_back(data_tools::text_key(text.size(), id.size()));
      text += id;
      const auto found = std::find(order.begin(), order.end(), id);
      expected.push_back(static_cast<std::uint32_t>(found - order.begin()));
      if (found == order.end()) order.push_back(id);
    }
    data_tools::IdMap map("ids");
    std::vector<std::uint32_t> numbers;
    map.resolve(keys, text.data(), numbers);
    RC_ASSERT(numbers == expected);
    RC_ASSERT(map.size() == order.size());
  }));
}

BOOST_AUTO_TEST_CASE(many_ids_keep_their_numbers_as_the_tables_grow) {
  data_tools::IdMap map("ids");
  std::vector<data_tools::IdKey> keys;
  for (std::uint64_t k = 0; k < 100000; ++k) keys.push_back(k * 0x9e3779b97f4a7c15U % 1000000000000000000U);
  std::vector<std::uint32_t> first, again;
  map.resolve(keys, nullptr, first);
  map.resolve(keys, nullptr, again);
  BOOST_CHECK(first == again);
  BOOST_CHECK_EQUAL(map.size(), 100000U);
  for (std::uint32_t k = 0; k < 100000; k += 997) BOOST_CHECK_EQUAL(map.name(k), std::to_string(keys[k]));
}

BOOST_AUTO_TEST_CASE(sorting_by_bits_is_a_stable_sort) {
  BOOST_CHECK(rc::check([](const std::vector<std::uint64_t>& given) {
    const int low = *rc::gen::inRange(0, 40);
    const int high = *rc::gen::inRange(low, 65);
    const auto key = [&](std::uint64_t word) {
      return high == low
                 ? 0
                 : (word >> low) & (high - low == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << (high - low)) - 1);
    };
    std::vector<std::uint64_t> expected = given, words = given, scratch;
    std::stable_sort(expected.begin(), expected.end(),
                     [&](std::uint64_t a, std::uint64_t b) { return key(a) < key(b); });
    data_tools::radix_sort(words, scratch, low, high);
    RC_ASSERT(words == expected);
    std::vector<data_tools::WideWord> wide, more;
    for (const std::uint64_t word : given) wide.push_back(static_cast<data_tools::WideWord>(word) << 50 | 5);
    data_tools::radix_sort(wide, more, low + 50, high + 50);
    for (std::size_t k = 0; k < wide.size(); ++k) RC_ASSERT(static_cast<std::uint64_t>(wide[k] >> 50) == expected[k]);
  }));
}

BOOST_AUTO_TEST_SUITE_END()
