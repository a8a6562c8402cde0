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

// A launch of `ranks` children; one child is started without mpirun.
pid_t spawn_children(const std::string& folder, int ranks) {
  std::vector<std::string> arguments = {std::filesystem::read_symlink("/proc/self/exe").string(),
                                        "--run_test=checkpoint_child/save_until_killed", "--log_level=nothing",
                                        "--report_level=no"};
  if (ranks > 1) {
    const std::vector<std::string> launcher = {"mpirun", "-q", "-n", std::to_string(ranks)};
    arguments.insert(arguments.begin(), launcher.begin(), launcher.end());
  }
  std::vector<std::string> variables = child_environment(folder);
  const auto pointers = [](std::vector<std::string>& texts) {
    std::vector<char*> result;
    for (std::string& text : texts) result.push_back(text.data());
    result.push_back(nullptr);
    return result;
  };
  pid_t child = 0;
  BOOST_CHECK_EQUAL(posix_spawnp(&child, arguments[0].c_str(), nullptr, nullptr, pointers(arguments).data(),
                                 pointers(variables).data()),
                    0);
  return child;
}

// Kills all ranks at the same moment, as a node that fails does; mpirun then ends by itself.
void kill_children(const std::string& folder, int ranks, pid_t launched) {
  for (int rank = 0; rank < ranks; ++rank) {
    std::ifstream file(folder + "/process-" + std::to_string(rank));
    pid_t process = 0;
    file >> process;
    BOOST_CHECK_GT(process, 0);
    if (process > 0) kill(process, SIGKILL);
  }
  int status = 0;
  waitpid(launched, &status, 0);
  BOOST_CHECK(!WIFEXITED(status) || WEXITSTATUS(status) != 0);
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

// Runs in the children only: they save one checkpoint after the other, keep two, and say after each that it is there.
BOOST_AUTO_TEST_CASE(save_until_killed, *boost::unit_test::disabled()) {
  const Communicator world = Communicator::world();
  const char* told = std::getenv("SPAR_TEST_FOLDER");
  if (told == nullptr) return;
  const std::string folder = told;
  std::ofstream(folder + "/process-" + std::to_string(world.rank())) << getpid();
  const std::string nonce = world.broadcast("child-" + std::to_string(getpid()), 0);
  Tables tables(shape, shards, world.size(), world.rank());
  std::ofstream finished(folder + "/finished", std::ios::app);
  world.barrier();
  for (int version = finished_version(folder) + 1; version < 10'000; ++version) {
    tables.fill(version);
    save_checkpoint(world, shards, folder + "/checkpoints", nonce, info_of(name_of(version)), tables.rows(),
                    pending_of(tables), always, part_bytes);
    if (!world.is_root()) continue;
    finished << version << std::endl;
    sweep_checkpoints(folder + "/checkpoints", 2, {}, nonce, always);
  }
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(checkpoint_kills)

namespace {

void kill_in_rounds(int ranks, int rounds, int least_interrupted) {
  const ScratchFolder folder;
  const std::string checkpoints = folder.file("checkpoints");
  std::mt19937 random(1);
  int interrupted = 0;
  for (int round = 0; round < rounds; ++round) {
    const int before = finished_version(folder.path());
    const pid_t launched = spawn_children(folder.path(), ranks);
    wait_for_version(folder.path(), before + 1);
    std::this_thread::sleep_for(std::chrono::milliseconds(random() % 150));
    kill_children(folder.path(), ranks, launched);

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
  BOOST_TEST_MESSAGE(interrupted << " of " << rounds << " kills met a save or a deletion");
  BOOST_CHECK_GE(interrupted, least_interrupted);
}

// One rank launches children of its own.
bool launches_children() {
  const bool alone = Communicator::world().size() == 1;
  if (!alone) BOOST_TEST_MESSAGE("skipped: run by one rank");
  return alone;
}

}  // namespace

BOOST_AUTO_TEST_CASE(one_rank_killed_at_any_moment_leaves_its_last_checkpoint_sound) {
  if (launches_children()) kill_in_rounds(1, 12, 3);
}

BOOST_AUTO_TEST_CASE(three_ranks_killed_at_any_moment_leave_their_last_checkpoint_sound) {
  if (launches_children()) kill_in_rounds(3, 5, 1);
}

BOOST_AUTO_TEST_SUITE_END()
