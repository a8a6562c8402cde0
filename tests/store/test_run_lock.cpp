#include <chrono>
#include <csignal>
#include <ctime>
#include <fcntl.h>
#include <fstream>
#include <string>
#include <sys/stat.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include "src/store/lock_file.hpp"
#include "support/scratch.hpp"
#include "support/sentence.hpp"
#include <boost/test/unit_test.hpp>

#include "spar/store/durable.hpp"

using namespace spar;
using namespace spar::store;
using namespace spar::test;

namespace {

// Runs `body` in a child; its result is the child's exit code.
pid_t in_child(const std::function<int()>& body) {
  const pid_t child = fork();
  if (child != 0) return child;
  int code = 99;
  try {
    code = body();
  } catch (...) {
  }
  _exit(code);
}

int exit_code(pid_t child) {
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int try_to_take(const std::string& directory) {
  try {
    LockFile file(directory, {});
    file.take(this_process());
    return 0;
  } catch (const Error& error) {
    return static_cast<int>(error.code());
  }
}

// A child that takes the lock and lives until killed; returns when it has it.
pid_t living_owner(const std::string& directory) {
  const pid_t child = in_child([&] {
    LockFile file(directory, {});
    file.take(this_process());
    for (;;) pause();
    return 0;
  });
  for (int turn = 0; turn < 500 && !read_lock(directory); ++turn)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  return child;
}

void write_lock(const std::string& directory, const LockOwner& owner) {
  std::ofstream(directory + "/run.lock") << to_text(owner);
}

// Somebody on another machine, of whose process nothing can be known here.
LockOwner stranger() {
  LockOwner owner = this_process();
  owner.host = "n17";
  owner.machine = "another";
  owner.process = 4242;
  owner.since = "2026-11-22 10:00:00";
  return owner;
}

void age(const std::string& path, int seconds) {
  const std::time_t then = std::time(nullptr) - seconds;
  const timespec times[2] = {{then, 0}, {then, 0}};
  utimensat(AT_FDCWD, path.c_str(), times, 0);
}

using Names = std::vector<std::string>;

}  // namespace

BOOST_AUTO_TEST_SUITE(run_lock)

BOOST_AUTO_TEST_CASE(a_lock_is_taken_once_and_given_back) {
  const ScratchFolder folder;
  const LockOwner self = this_process();
  LockFile file(folder.path(), {});
  file.take(self);
  BOOST_CHECK(file.carries(self.nonce));
  BOOST_CHECK(!file.taken_from());
  BOOST_CHECK_EQUAL(exit_code(in_child([&] { return try_to_take(folder.path()); })), 2);
  file.remove_if("another nonce");
  BOOST_CHECK(file.carries(self.nonce));
  file.remove_if(self.nonce);
  BOOST_CHECK(folder.names().empty());
  BOOST_CHECK_EQUAL(exit_code(in_child([&] { return try_to_take(folder.path()); })), 0);
}

BOOST_AUTO_TEST_CASE(the_second_job_learns_who_runs_there_and_since_when) {
  const ScratchFolder folder;
  LockOwner other = stranger();
  write_lock(folder.path(), other);
  const auto refusal = [&] {
    return without(sentence_of(ExitCode::usage, [&] { LockFile(folder.path(), {}).take(this_process()); }),
                   folder.path());
  };
  BOOST_CHECK_EQUAL(
      refusal(),
      " is in use by process 4242 on host n17 since 2026-11-22 10:00:00: wait until it ends, or choose another --run");
  other.job = "77";
  write_lock(folder.path(), other);
  BOOST_CHECK_EQUAL(refusal(),
                    " is in use by process 4242 on host n17 (job 77) since 2026-11-22 10:00:00: wait until it ends, or "
                    "choose another --run");
  std::ofstream(folder.file("run.lock")) << "{";
  BOOST_CHECK_EQUAL(refusal(),
                    " is in use: its run.lock is not readable, but somebody touched it within the last 300 s; wait "
                    "until that run ends, or choose another --run");
  BOOST_CHECK(folder.names() == Names{"run.lock"});
}

BOOST_AUTO_TEST_CASE(a_living_owner_keeps_the_lock_and_a_killed_one_loses_it) {
  const ScratchFolder folder;
  const pid_t owner = living_owner(folder.path());
  BOOST_CHECK_EQUAL(try_to_take(folder.path()), 2);
  kill(owner, SIGKILL);
  siginfo_t ended{};
  waitid(P_PID, static_cast<id_t>(owner), &ended, WEXITED | WNOWAIT);  // dead, and its parent has not asked yet
  LockFile file(folder.path(), {});
  file.take(this_process());
  BOOST_CHECK(file.taken_from() && file.taken_from()->process == owner);
  waitpid(owner, nullptr, 0);
  BOOST_CHECK(folder.names() == Names{"run.lock"});
}

BOOST_AUTO_TEST_CASE(a_process_number_used_again_is_not_the_owner) {
  const ScratchFolder folder;
  LockOwner owner = this_process();
  owner.process_start -= 1;
  write_lock(folder.path(), owner);
  BOOST_CHECK_EQUAL(try_to_take(folder.path()), 0);
}

BOOST_AUTO_TEST_CASE(an_earlier_start_of_the_same_job_gives_way) {
  const ScratchFolder folder;
  LockOwner earlier = stranger();
  earlier.job = "77";
  LockOwner self = this_process();
  self.job = "77";
  write_lock(folder.path(), earlier);
  BOOST_CHECK(
      !sentence_of(ExitCode::usage, [&] { LockFile(folder.path(), {}).take(self); }).empty());  // the same start twice
  self.restarts = 1;
  LockFile(folder.path(), {}).take(self);
  BOOST_CHECK_EQUAL(read_lock(folder.path())->nonce, self.nonce);
  LockOwner other_job = this_process();
  other_job.job = "78";
  other_job.restarts = 5;
  LockOwner newer = stranger();
  newer.job = "77";
  write_lock(folder.path(), newer);
  BOOST_CHECK(!sentence_of(ExitCode::usage, [&] { LockFile(folder.path(), {}).take(other_job); }).empty());
}

BOOST_AUTO_TEST_CASE(a_lock_untouched_for_five_minutes_is_taken_over) {
  const ScratchFolder folder;
  for (const bool readable : {true, false}) {
    if (readable) {
      write_lock(folder.path(), stranger());
    } else {
      std::ofstream(folder.file("run.lock")) << "{";
    }
    age(folder.file("run.lock"), 290);
    BOOST_CHECK_EQUAL(exit_code(in_child([&] { return try_to_take(folder.path()); })), 2);
    age(folder.file("run.lock"), 310);
    BOOST_CHECK_EQUAL(exit_code(in_child([&] { return try_to_take(folder.path()); })), 0);
    BOOST_CHECK(folder.names() == Names{"run.lock"});
  }
}

BOOST_AUTO_TEST_CASE(touching_keeps_a_lock_young) {
  const ScratchFolder folder;
  write_lock(folder.path(), stranger());
  age(folder.file("run.lock"), 310);
  LockFile(folder.path(), {}).touch();
  BOOST_CHECK_EQUAL(try_to_take(folder.path()), 2);
}

BOOST_AUTO_TEST_CASE(of_many_that_come_at_once_one_gets_the_lock) {
  for (int round = 0; round < 8; ++round) {
    const ScratchFolder folder;
    if (round % 2 == 1) {  // the lock of a dead owner lies there
      write_lock(folder.path(), stranger());
      age(folder.file("run.lock"), 1000);
    }
    int gate[2];
    BOOST_REQUIRE_EQUAL(pipe(gate), 0);
    std::vector<pid_t> children;
    for (int k = 0; k < 8; ++k) {
      children.push_back(in_child([&] {
        close(gate[1]);
        char byte = 0;
        if (read(gate[0], &byte, 1) < 0) return 98;  // all start when the gate closes
        if (const int code = try_to_take(folder.path()); code != 0) return code;
        std::this_thread::sleep_for(std::chrono::milliseconds(400));  // a living owner, as long as others try
        return 0;
      }));
    }
    close(gate[0]);
    close(gate[1]);
    int winners = 0;
    for (const pid_t child : children) {
      const int code = exit_code(child);
      winners += code == 0;
      BOOST_CHECK(code == 0 || code == 2);
    }
    BOOST_CHECK_EQUAL(winners, 1);
    BOOST_CHECK(folder.names() == Names{"run.lock"});
  }
}

BOOST_AUTO_TEST_CASE(a_right_of_succession_that_nobody_used_does_not_block_for_ever) {
  const ScratchFolder folder;
  const LockOwner gone = stranger();
  write_lock(folder.path(), gone);
  age(folder.file("run.lock"), 1000);
  std::ofstream(folder.file("run.lock.takeover-" + gone.nonce)) << "killed";
  age(folder.file("run.lock.takeover-" + gone.nonce), 1000);
  BOOST_CHECK_EQUAL(try_to_take(folder.path()), 0);
  BOOST_CHECK(folder.names() == Names{"run.lock"});
}

BOOST_AUTO_TEST_CASE(a_directory_that_is_not_there_is_said) {
  const ScratchFolder folder;
  const std::string sentence =
      sentence_of(ExitCode::usage, [&] { LockFile(folder.file("absent"), {}).take(this_process()); });
  BOOST_CHECK_EQUAL(without(sentence, folder.path()), "cannot write /absent/run.lock: no such file or directory");
}

BOOST_AUTO_TEST_SUITE_END()
