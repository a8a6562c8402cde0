#include <fstream>
#include <sys/wait.h>
#include <unistd.h>

#include "support/scratch.hpp"
#include <boost/test/unit_test.hpp>

#include "spar/data/partial_file.hpp"
#include "spar/store/durable.hpp"

using namespace spar;
using namespace spar::data;
using spar::test::ScratchFolder;

namespace {

/// The mark of a process that has ended.
std::string mark_of_the_dead() {
  int ends[2];
  BOOST_REQUIRE(::pipe(ends) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const std::string mark = partial_mark();
    const bool told = ::write(ends[1], mark.data(), mark.size()) == static_cast<ssize_t>(mark.size());
    ::_exit(told ? 0 : 1);
  }
  std::string mark(16, '\0');
  BOOST_REQUIRE(::read(ends[0], mark.data(), mark.size()) == 16);
  ::close(ends[0]);
  ::close(ends[1]);
  int status = 0;
  BOOST_REQUIRE(::waitpid(child, &status, 0) == child && status == 0);
  return mark;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(partial_files)

BOOST_AUTO_TEST_CASE(a_mark_is_16_digits_and_tells_processes_apart) {
  BOOST_TEST(partial_mark().size() == 16U);
  BOOST_TEST(partial_mark().find_first_not_of("0123456789abcdef") == std::string::npos);
  BOOST_TEST(partial_mark() == partial_mark());
  BOOST_TEST(mark_of_the_dead() != partial_mark());
}

BOOST_AUTO_TEST_CASE(only_what_a_dead_process_left_beside_the_same_target_goes) {
  const ScratchFolder folder;
  const std::string target = folder.file("d.h5");
  const std::string dead = mark_of_the_dead();
  const std::string other_machine = (dead[0] == '0' ? "1" : "0") + dead.substr(1);
  const std::vector<std::string> staying = {"d.h5",
                                            "d.h5.partial-" + partial_mark(),
                                            "d.h5.partial-" + other_machine,
                                            "d.h5.partial-" + dead + "0",
                                            "d.h5.partial-nothexadecimals0",
                                            "other.h5.partial-" + dead};
  for (const std::string& name : staying) std::ofstream(folder.file(name)) << "x";
  std::ofstream(folder.file("d.h5.partial-" + dead)) << std::string(12345, 'x');
  const std::vector<AbandonedFile> removed = remove_abandoned(target);
  BOOST_REQUIRE(removed.size() == 1U);
  BOOST_TEST(removed[0].path == target + ".partial-" + dead);
  BOOST_TEST(removal_note(removed[0]) ==
             "removed " + removed[0].path + " (0.0123 MB), which a killed program had left");
  std::vector<std::string> expected = staying;
  std::sort(expected.begin(), expected.end());
  BOOST_TEST(folder.names() == expected, boost::test_tools::per_element());
  BOOST_TEST(remove_abandoned(target).empty());
}

BOOST_AUTO_TEST_CASE(a_folder_that_is_not_there_holds_nothing) {
  BOOST_TEST(remove_abandoned("/proc/absent/d.h5").empty());
}

BOOST_AUTO_TEST_SUITE_END()
