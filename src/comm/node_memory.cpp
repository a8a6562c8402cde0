#include "spar/comm/node_memory.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <fcntl.h>
#include <random>
#include <string>
#include <sys/mman.h>
#include <unistd.h>

#include "handle.hpp"
#include <fmt/format.h>

namespace spar::comm {

namespace {

// The first line of every block says whose it is: a process id may mean another process where ranks live in containers.
struct Seal {
  std::int64_t job;
  std::int64_t rank;
};

std::int64_t nonce() {
  std::random_device device;
  return static_cast<std::int64_t>((static_cast<std::uint64_t>(device()) << 32) | device());
}

// Linux 6.1; older C libraries do not name it.
constexpr int collapse_advice = 25;

// Huge pages need a mapping that starts at a multiple of their size.
std::byte* map(int descriptor, std::size_t bytes) {
  if (bytes < huge_page_bytes) {
    void* at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    return at == MAP_FAILED ? nullptr : static_cast<std::byte*>(at);
  }
  void* reserved = mmap(nullptr, bytes + huge_page_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (reserved == MAP_FAILED) return nullptr;
  auto* begin = static_cast<std::byte*>(reserved);
  const std::size_t before = huge_page_bytes - reinterpret_cast<std::uintptr_t>(begin) % huge_page_bytes;
  void* at = mmap(begin + before, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, descriptor, 0);
  munmap(begin, before);
  if (before < huge_page_bytes) munmap(begin + before + bytes, huge_page_bytes - before);
  if (at == MAP_FAILED) munmap(begin + before, bytes);
  return at == MAP_FAILED ? nullptr : static_cast<std::byte*>(at);
}

bool touched(std::byte* extent) {
  std::array<unsigned char, huge_page_bytes / 4096> resident{};
  return mincore(extent, huge_page_bytes, resident.data()) == 0 &&
         std::ranges::any_of(resident, [](unsigned char page) { return (page & 1U) != 0; });
}

// The ranks of `communicator` on this node.
std::vector<int> ranks_of_node(const Communicator& communicator, MPI_Comm comm) {
  MPI_Comm node = MPI_COMM_NULL;
  check(MPI_Comm_split_type(comm, MPI_COMM_TYPE_SHARED, communicator.rank(), MPI_INFO_NULL, &node),
        "MPI_Comm_split_type");
  int size = 0;
  MPI_Comm_size(node, &size);
  std::vector<int> ranks(static_cast<std::size_t>(size));
  const int own = communicator.rank();
  const int code = MPI_Allgather(&own, 1, MPI_INT, ranks.data(), 1, MPI_INT, node);
  MPI_Comm_free(&node);
  check(code, "MPI_Allgather");
  return ranks;
}

}  // namespace

NodeMemory::NodeMemory(const Communicator& communicator, std::size_t bytes, bool share)
    : rank_(communicator.rank()), blocks_(static_cast<std::size_t>(communicator.size())) {
  if (!share || communicator.size() == 1) return;
  const std::vector<int> node = ranks_of_node(communicator, communicator.handle_->comm);
  bytes += line_bytes;
  if (bytes >= huge_page_bytes) bytes = (bytes + huge_page_bytes - 1) / huge_page_bytes * huge_page_bytes;
  int descriptor = node.size() > 1 ? memfd_create("spar", MFD_CLOEXEC) : -1;
  if (descriptor >= 0 && ftruncate(descriptor, static_cast<off_t>(bytes)) != 0) {
    close(descriptor);
    descriptor = -1;
  }
  open_peers(communicator, node, descriptor, bytes);
  if (descriptor >= 0) close(descriptor);
}

// Every rank writes its seal, then opens its peers' blocks through /proc; a node shares where all of its ranks have
// found all seals.
void NodeMemory::open_peers(const Communicator& communicator, const std::vector<int>& node, int descriptor,
                            std::size_t bytes) {
  const auto processes = communicator.allgather(static_cast<std::int64_t>(getpid()));
  const auto descriptors = communicator.allgather(static_cast<std::int64_t>(descriptor));
  const auto sizes = communicator.allgather(static_cast<std::int64_t>(bytes));
  const std::int64_t job = communicator.allgather(communicator.is_root() ? nonce() : 0).front();
  Block& own = blocks_[static_cast<std::size_t>(rank_)];
  if (descriptor >= 0) own = {map(descriptor, bytes), bytes};
  if (own.mapping != nullptr) *reinterpret_cast<Seal*>(own.mapping) = {job, rank_};
  communicator.barrier();
  bool complete = own.mapping != nullptr;
  for (const int r : node) {
    const auto at = static_cast<std::size_t>(r);
    if (r == rank_ || !complete) continue;
    const std::string path = fmt::format("/proc/{}/fd/{}", processes[at], descriptors[at]);
    const int peer = descriptors[at] < 0 ? -1 : open(path.c_str(), O_RDWR | O_CLOEXEC);
    const auto size = static_cast<std::size_t>(sizes[at]);
    // A file that is shorter than it should be is somebody else's, and reading behind its end would be fatal.
    if (peer >= 0 && lseek(peer, 0, SEEK_END) == static_cast<off_t>(size)) blocks_[at] = {map(peer, size), size};
    if (peer >= 0) close(peer);
    const auto* seal = reinterpret_cast<const Seal*>(blocks_[at].mapping);
    complete = seal != nullptr && seal->job == job && seal->rank == r;
  }
  const auto all = communicator.allgather(static_cast<std::int64_t>(complete ? 1 : 0));
  for (const int r : node) complete = complete && all[static_cast<std::size_t>(r)] == 1;
  if (!complete) forget();
}

void NodeMemory::use_huge_pages() {
  const Block& own = blocks_[static_cast<std::size_t>(rank_)];
  if (own.mapping == nullptr || own.size < huge_page_bytes) return;
  for (std::size_t at = 0; at < own.size; at += huge_page_bytes)
    if (touched(own.mapping + at)) madvise(own.mapping + at, huge_page_bytes, collapse_advice);
}

void NodeMemory::forget() {
  for (Block& block : blocks_) {
    if (block.mapping != nullptr) munmap(block.mapping, block.size);
    block = {};
  }
}

NodeMemory::~NodeMemory() {
  forget();
}

}  // namespace spar::comm
