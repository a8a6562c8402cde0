#include <csignal>
#include <fstream>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/scratch.hpp"
#include "support/sentence.hpp"
#include <boost/test/unit_test.hpp>

#include "spar/store/array_file.hpp"
#include "spar/store/durable.hpp"

using namespace spar;
using namespace spar::store;
using spar::test::ScratchFolder;
using spar::test::sentence_of;

namespace {

/// Files of this process end at `bytes` while it lives: what a full disk does, without one.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    handler_ = std::signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_{};
  void (*handler_)(int);
};

std::vector<ArraySpec> one_megabyte() {
  ArraySpec array;
  array.path = "/values";
  array.type = ElementType::f32;
  array.rows = 1 << 18;
  array.segment_rows = {0, array.rows};
  return {array};
}

}  // namespace

BOOST_AUTO_TEST_SUITE(durable)

BOOST_AUTO_TEST_CASE(a_text_is_written_whole_and_replaces_the_older_one) {
  const ScratchFolder folder;
  write_durably(folder.file("a.json"), "old");
  write_durably(folder.file("a.json"), std::string(300000, 'x'));
  BOOST_TEST(read_text(folder.file("a.json")) == std::string(300000, 'x'));
  BOOST_TEST(folder.names() == std::vector<std::string>{"a.json"}, boost::test_tools::per_element());
  write_durably(folder.file("empty"), "");
  BOOST_TEST(read_text(folder.file("empty")).empty());
}

BOOST_AUTO_TEST_CASE(nonces_differ) {
  BOOST_TEST(make_nonce().size() == 16U);
  BOOST_TEST(make_nonce() != make_nonce());
}

BOOST_AUTO_TEST_CASE(directories_are_made_with_their_parents) {
  const ScratchFolder folder;
  make_directories(folder.file("a/b/c"));
  make_directories(folder.file("a/b/c"));
  write_durably(folder.file("a/b/c/d"), "x");
  BOOST_TEST(sentence_of(ExitCode::usage, [&] { make_directories(folder.file("a/b/c/d/e")); }) ==
             "cannot create the directory " + folder.file("a/b/c/d/e") + ": not a directory");
}

BOOST_AUTO_TEST_CASE(a_path_on_which_nobody_could_write_is_the_users_to_change) {
  const ScratchFolder folder;
  const std::string path = folder.file("absent/a.h5");
  BOOST_TEST(sentence_of(ExitCode::usage, [&] { write_durably(path, "x"); }) ==
             "cannot write " + path + ": no such file or directory");
  BOOST_TEST(sentence_of(ExitCode::usage, [&] { ArrayFileWriter::create(path, one_megabyte(), {}, make_nonce()); }) ==
             "cannot write " + path + ": no such file or directory");
  BOOST_TEST(sentence_of(ExitCode::usage, [&] { read_text(path); }) ==
             "cannot read " + path + ": no such file or directory");
  BOOST_TEST(sentence_of(ExitCode::usage, [&] { read_text(folder.path()); }) ==
             "cannot read " + folder.path() + ": is a directory");
}

BOOST_AUTO_TEST_CASE(a_full_disk_shows_when_the_file_is_created_and_leaves_nothing) {
  const ScratchFolder folder;
  const FileSizeLimit limit(100000);
  const std::string sentence = sentence_of(
      ExitCode::environment, [&] { ArrayFileWriter::create(folder.file("a.h5"), one_megabyte(), {}, make_nonce()); });
  BOOST_TEST(sentence == "cannot reserve 1.19 MB for " + folder.file("a.h5") + ": file too large");
  BOOST_TEST(sentence_of(ExitCode::environment, [&] { write_durably(folder.file("b"), std::string(200000, 'x')); }) ==
             "cannot write " + folder.file("b") + ": file too large");
  BOOST_TEST(folder.names().empty());
}

BOOST_AUTO_TEST_CASE(a_writer_killed_before_commit_leaves_the_older_file_untouched) {
  const ScratchFolder folder;
  std::ofstream(folder.file("a.h5")) << "older";
  const pid_t child = fork();
  if (child == 0) {
    ArrayFileWriter writer = ArrayFileWriter::create(folder.file("a.h5"), one_megabyte(), {}, "0123456789abcdef");
    const std::vector<float> values(1 << 18, 1.0F);
    writer.write_segment("/values", 0, values.data());
    writer.flush();
    raise(SIGKILL);
  }
  int status = 0;
  waitpid(child, &status, 0);
  BOOST_TEST(WIFSIGNALED(status));
  BOOST_TEST(read_text(folder.file("a.h5")) == "older");
  BOOST_TEST(folder.names() == (std::vector<std::string>{"a.h5", "a.h5.partial-0123456789abcdef"}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_SUITE_END()
