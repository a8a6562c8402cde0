#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <random>
#include <spawn.h>
#include <string>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include "store/checkpoint_case.hpp"
#include <boost/test/unit_test.hpp>

extern char** environ;

using namespace spar;
using namespace spar::store;
using namespace spar::test;
using comm::Communicator;

namespace {

const std::function<bool()> always = [] { return true; };
const Shape shape{100'003, 20'011, 12};
constexpr int shards = 16;
constexpr std::int64_t part_bytes = 2'000'000;  // 8 parts

std::string name_of(int version) {
  std::string digits = std::to_string(version);
  return "epoch-" + std::string(6 - digits.size(), '0') + digits;
}

// A child is this program again, told by its environment what to do; it must not believe that it is a rank of the
// parent's launch.
std::vector<std::string> child_environment(const std::string& folder) {
  std::vector<std::string> variables;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string text = *variable;
    const bool of_launch =
        text.rfind("PMIX_", 0) == 0 || text.rfind("OMPI_COMM_", 0) == 0 || text.rfind("OMPI_MCA_orte", 0) == 0 ||
        text.rfind("OMPI_MCA_ess", 0) == 0 || text.rfind("OMPI_MCA_pmix", 0) == 0 ||
        text.rfind("OMPI_MCA_initial", 0) == 0 || text.rfind("OMPI_UNIVERSE", 0) == 0 ||
        text.rfind("OMPI_APP", 0) == 0 || text.rfind("OMPI_FILE", 0) == 0 || text.rfind("OMPI_COMMAND", 0) == 0 ||
        text.rfind("OMPI_ARGV", 0) == 0 || text.rfind("OMPI_NUM_APP", 0) == 0 || text.rfind("OMPI_FIRST_RANKS", 0) == 0;
    if (!of_launch) variables.push_back(text);
  }
  variables.push_back("SPAR_TEST_FOLDER=" + folder);
  return variables;
}

pid_t spawn_child(const std::string& folder) {
  std::string program = std::filesystem::read_symlink("/proc/self/exe").string();
  std::string test = "--run_test=checkpoint_child/save_until_killed";
  std::vector<std::string> variables = child_environment(folder);
  std::vector<char*> environment;
  for (std::string& variable : variables) environment.push_back(variable.data());
  environment.push_back(nullptr);
  char* arguments[] = {program.data(), test.data(), nullptr};
  pid_t child = 0;
  BOOST_CHECK_EQUAL(posix_spawn(&child, program.c_str(), nullptr, nullptr, arguments, environment.data()), 0);
  return child;
}

// The last version whose save had returned.
int finished_version(const std::string& folder) {
  std::ifstream file(folder + "/finished");
  int version = 0;
  for (int next = 0; file >> next;) version = next;
  return version;
}

void wait_for_version(const std::string& folder, int version) {
  for (int turn = 0; turn < 3000 && finished_version(folder) < version; ++turn)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  BOOST_CHECK_GE(finished_version(folder), version);
}

// The rows of a checkpoint are those of the version in its name.
Index wrong_rows(const CheckpointManifest& manifest) {
  Tables tables(shape, shards, 1, 0);
  load_checkpoint(Communicator::alone(), manifest, tables.rows(), nullptr);
  return tables.wrong(std::stoi(manifest.info.name.substr(6)));
}

bool has_leftovers(const std::string& directory) {
  for (const auto& entry : std::filesystem::directory_iterator(directory))
    if (entry.path().filename().string().find(".partial-") != std::string::npos) return true;
  return false;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(checkpoint_child)

// Runs in the child only: saves one checkpoint after the other, keeps two, and says after each that it is there.
BOOST_AUTO_TEST_CASE(save_until_killed, *boost::unit_test::disabled()) {
  const Communicator alone = Communicator::alone();
  const char* told = std::getenv("SPAR_TEST_FOLDER");
  if (told == nullptr) return;
  const std::string folder = told;
  const std::string nonce = "child-" + std::to_string(getpid());
  Tables tables(shape, shards, 1, 0);
  std::ofstream finished(folder + "/finished", std::ios::app);
  for (int version = finished_version(folder) + 1; version < 10'000; ++version) {
    tables.fill(version);
    save_checkpoint(alone, shards, folder + "/checkpoints", nonce, info_of(name_of(version)), tables.rows(),
                    pending_of(tables), always, part_bytes);
    finished << version << std::endl;
    sweep_checkpoints(folder + "/checkpoints", 2, {}, nonce, always);
  }
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(checkpoint_kills)

BOOST_AUTO_TEST_CASE(killed_at_any_moment_the_last_checkpoint_is_sound) {
  const Communicator world = Communicator::world();
  if (world.size() > 1) {
    BOOST_TEST_MESSAGE("skipped: one rank kills children of its own");
    return;
  }
  const ScratchFolder folder;
  const std::string checkpoints = folder.file("checkpoints");
  std::mt19937 random(1);
  int interrupted = 0;
  for (int round = 0; round < 12; ++round) {
    const int before = finished_version(folder.path());
    const pid_t child = spawn_child(folder.path());
    wait_for_version(folder.path(), before + 1);
    std::this_thread::sleep_for(std::chrono::milliseconds(random() % 150));
    kill(child, SIGKILL);
    int status = 0;
    waitpid(child, &status, 0);
    BOOST_CHECK(WIFSIGNALED(status));

    interrupted += has_leftovers(checkpoints);
    std::vector<std::string> damaged;
    const auto sound = list_checkpoints(checkpoints, &damaged);
    BOOST_CHECK(damaged.empty());
    BOOST_REQUIRE(!sound.empty());
    BOOST_CHECK_GE(std::stoi(sound[0].info.name.substr(6)), finished_version(folder.path()));
    for (const auto& manifest : sound) BOOST_CHECK_EQUAL(wrong_rows(manifest), 0);

    sweep_checkpoints(checkpoints, 2, {}, "the-next-run", always);
    BOOST_CHECK(!has_leftovers(checkpoints));
    BOOST_CHECK_EQUAL(list_checkpoints(checkpoints).size(), std::min<std::size_t>(2, sound.size()));
  }
  BOOST_TEST_MESSAGE(interrupted << " of 12 kills met a save or a deletion");
  BOOST_CHECK_GE(interrupted, 3);
}

BOOST_AUTO_TEST_SUITE_END()
