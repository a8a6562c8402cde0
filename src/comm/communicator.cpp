#include "spar/comm/communicator.hpp"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "handle.hpp"
#include <climits>
#include <fmt/format.h>

#include "spar/base/error.hpp"
#include "spar/base/shard_tree.hpp"
#include "spar/base/sharding.hpp"

namespace spar::comm {

namespace {

constexpr int tag_cold = 1;
constexpr int tag_shift = 2;
// MPI counts are ints; longer messages go in pieces of this size.
constexpr std::size_t piece_bytes = std::size_t{1} << 30;

int piece(std::size_t remaining) {
  return static_cast<int>(std::min(remaining, piece_bytes));
}

}  // namespace

void check(int code, const char* call) {
  if (code == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING];
  int length = 0;
  MPI_Error_string(code, text, &length);
  throw EnvironmentError(fmt::format("{} failed: {}", call, std::string(text, static_cast<std::size_t>(length))));
}

Communicator::Handle::~Handle() {
  int finalized = 0;
  MPI_Finalized(&finalized);
  if (comm != MPI_COMM_NULL && finalized == 0) MPI_Comm_free(&comm);
}

Communicator::Communicator(std::unique_ptr<Handle> handle) : handle_(std::move(handle)) {
  check(MPI_Comm_rank(handle_->comm, &rank_), "MPI_Comm_rank");
  check(MPI_Comm_size(handle_->comm, &size_), "MPI_Comm_size");
}
Communicator::Communicator(Communicator&&) noexcept = default;
Communicator& Communicator::operator=(Communicator&&) noexcept = default;
Communicator::~Communicator() = default;

Communicator Communicator::world() {
  auto handle = std::make_unique<Handle>();
  check(MPI_Comm_dup(MPI_COMM_WORLD, &handle->comm), "MPI_Comm_dup");
  return Communicator(std::move(handle));
}

Communicator Communicator::alone() {
  auto handle = std::make_unique<Handle>();
  check(MPI_Comm_dup(MPI_COMM_SELF, &handle->comm), "MPI_Comm_dup");
  return Communicator(std::move(handle));
}

void Communicator::barrier() const {
  check(MPI_Barrier(handle_->comm), "MPI_Barrier");
}

void Communicator::broadcast(std::span<std::byte> bytes, int root) const {
  for (std::size_t done = 0; done < bytes.size();) {
    const int count = piece(bytes.size() - done);
    check(MPI_Bcast(bytes.data() + done, count, MPI_BYTE, root, handle_->comm), "MPI_Bcast");
    done += static_cast<std::size_t>(count);
  }
}

std::string Communicator::broadcast(const std::string& text, int root) const {
  std::int64_t size = static_cast<std::int64_t>(text.size());
  check(MPI_Bcast(&size, 1, MPI_INT64_T, root, handle_->comm), "MPI_Bcast");
  std::string result = rank_ == root ? text : std::string(static_cast<std::size_t>(size), '\0');
  broadcast(std::as_writable_bytes(std::span(result)), root);
  return result;
}

std::vector<std::int64_t> Communicator::allgather(std::int64_t value) const {
  std::vector<std::int64_t> values(static_cast<std::size_t>(size_));
  check(MPI_Allgather(&value, 1, MPI_INT64_T, values.data(), 1, MPI_INT64_T, handle_->comm), "MPI_Allgather");
  return values;
}

std::vector<double> Communicator::allgather(double value) const {
  std::vector<double> values(static_cast<std::size_t>(size_));
  check(MPI_Allgather(&value, 1, MPI_DOUBLE, values.data(), 1, MPI_DOUBLE, handle_->comm), "MPI_Allgather");
  return values;
}

std::vector<std::string> Communicator::allgather(const std::string& text) const {
  const auto bytes = allgather(std::as_bytes(std::span(text)));
  std::vector<std::string> texts;
  texts.reserve(bytes.size());
  for (const auto& b : bytes) texts.emplace_back(reinterpret_cast<const char*>(b.data()), b.size());
  return texts;
}

std::vector<std::vector<std::byte>> Communicator::allgather(std::span<const std::byte> bytes) const {
  const auto sizes = allgather(static_cast<std::int64_t>(bytes.size()));
  std::vector<std::vector<std::byte>> all(static_cast<std::size_t>(size_));
  for (int r = 0; r < size_; ++r) {
    auto& part = all[static_cast<std::size_t>(r)];
    if (r == rank_) {
      part.assign(bytes.begin(), bytes.end());
    } else {
      part.resize(static_cast<std::size_t>(sizes[static_cast<std::size_t>(r)]));
    }
    broadcast(std::span(part), r);
  }
  return all;
}

std::vector<std::vector<std::byte>> Communicator::gather(std::span<const std::byte> bytes, int root) const {
  std::vector<std::vector<std::byte>> all;
  if (rank_ != root) {
    send(bytes, root);
    return all;
  }
  all.resize(static_cast<std::size_t>(size_));
  for (int r = 0; r < size_; ++r) {
    auto& part = all[static_cast<std::size_t>(r)];
    if (r == root) {
      part.assign(bytes.begin(), bytes.end());
    } else {
      part = receive(r);
    }
  }
  return all;
}

std::int64_t Communicator::sum(std::int64_t value) const {
  sum(std::span(&value, 1));
  return value;
}

void Communicator::sum(std::span<std::int64_t> values) const {
  for (std::size_t done = 0; done < values.size();) {
    const int count = piece(values.size() - done);
    check(MPI_Allreduce(MPI_IN_PLACE, values.data() + done, count, MPI_INT64_T, MPI_SUM, handle_->comm),
          "MPI_Allreduce");
    done += static_cast<std::size_t>(count);
  }
}

std::int64_t Communicator::max(std::int64_t value) const {
  check(MPI_Allreduce(MPI_IN_PLACE, &value, 1, MPI_INT64_T, MPI_MAX, handle_->comm), "MPI_Allreduce");
  return value;
}

double Communicator::max(double value) const {
  check(MPI_Allreduce(MPI_IN_PLACE, &value, 1, MPI_DOUBLE, MPI_MAX, handle_->comm), "MPI_Allreduce");
  return value;
}

std::vector<std::vector<std::byte>> Communicator::exchange(const std::vector<std::vector<std::byte>>& outgoing) const {
  SPAR_ASSERT(static_cast<int>(outgoing.size()) == size_);
  std::vector<std::vector<std::byte>> incoming(static_cast<std::size_t>(size_));
  incoming[static_cast<std::size_t>(rank_)] = outgoing[static_cast<std::size_t>(rank_)];
  // Round k pairs every rank with the one k places on, so no rank is ever a hot spot.
  for (int k = 1; k < size_; ++k) {
    const int to = (rank_ + k) % size_;
    const int from = (rank_ - k + size_) % size_;
    shift(outgoing[static_cast<std::size_t>(to)], to, incoming[static_cast<std::size_t>(from)], from);
  }
  return incoming;
}

void Communicator::shift(std::span<const std::byte> bytes, int to, std::vector<std::byte>& received, int from) const {
  if (to == rank_ && from == rank_) {
    received.assign(bytes.begin(), bytes.end());
    return;
  }
  std::int64_t out = static_cast<std::int64_t>(bytes.size());
  std::int64_t in = 0;
  check(MPI_Sendrecv(&out, 1, MPI_INT64_T, to, tag_shift, &in, 1, MPI_INT64_T, from, tag_shift, handle_->comm,
                     MPI_STATUS_IGNORE),
        "MPI_Sendrecv");
  received.resize(static_cast<std::size_t>(in));
  std::vector<MPI_Request> requests;
  for (std::size_t done = 0; done < received.size(); done += piece_bytes) {
    check(MPI_Irecv(received.data() + done, piece(received.size() - done), MPI_BYTE, from, tag_shift, handle_->comm,
                    &requests.emplace_back()),
          "MPI_Irecv");
  }
  for (std::size_t done = 0; done < bytes.size(); done += piece_bytes) {
    check(MPI_Isend(bytes.data() + done, piece(bytes.size() - done), MPI_BYTE, to, tag_shift, handle_->comm,
                    &requests.emplace_back()),
          "MPI_Isend");
  }
  check(MPI_Waitall(static_cast<int>(requests.size()), requests.data(), MPI_STATUSES_IGNORE), "MPI_Waitall");
}

void Communicator::send(std::span<const std::byte> bytes, int to) const {
  const std::int64_t size = static_cast<std::int64_t>(bytes.size());
  check(MPI_Send(&size, 1, MPI_INT64_T, to, tag_cold, handle_->comm), "MPI_Send");
  for (std::size_t done = 0; done < bytes.size(); done += piece_bytes) {
    check(MPI_Send(bytes.data() + done, piece(bytes.size() - done), MPI_BYTE, to, tag_cold, handle_->comm), "MPI_Send");
  }
}

std::vector<std::byte> Communicator::receive(int from) const {
  std::int64_t size = 0;
  check(MPI_Recv(&size, 1, MPI_INT64_T, from, tag_cold, handle_->comm, MPI_STATUS_IGNORE), "MPI_Recv");
  std::vector<std::byte> bytes(static_cast<std::size_t>(size));
  for (std::size_t done = 0; done < bytes.size(); done += piece_bytes) {
    check(MPI_Recv(bytes.data() + done, piece(bytes.size() - done), MPI_BYTE, from, tag_cold, handle_->comm,
                   MPI_STATUS_IGNORE),
          "MPI_Recv");
  }
  return bytes;
}

void agree(const Communicator& communicator, const std::function<void()>& action) {
  int code = 0;
  std::string sentence;
  try {
    action();
  } catch (const Error& error) {
    code = static_cast<int>(error.code());
    sentence = error.what();
  } catch (const std::bad_alloc&) {
    code = static_cast<int>(ExitCode::environment);
    sentence = fmt::format("rank {} has no memory left: use more ranks, or see spar plan", communicator.rank());
  }
  const auto codes = communicator.allgather(static_cast<std::int64_t>(code));
  const auto failed = std::find_if(codes.begin(), codes.end(), [](std::int64_t c) { return c != 0; });
  if (failed == codes.end()) return;
  const std::string agreed = communicator.broadcast(sentence, static_cast<int>(failed - codes.begin()));
  throw AgreedError(static_cast<ExitCode>(*failed), agreed);
}

std::vector<double> tree_sum(const Communicator& communicator, int shards, std::span<const double> values, int width) {
  const ShardLayout layout{shards, communicator.size()};
  SPAR_ASSERT(static_cast<int>(values.size()) == layout.shard_count(communicator.rank()) * width);
  const auto parts = communicator.allgather(std::as_bytes(values));
  std::vector<double> all;
  all.reserve(static_cast<std::size_t>(shards) * static_cast<std::size_t>(width));
  for (const auto& part : parts) {
    const std::size_t count = part.size() / sizeof(double);
    const std::size_t begin = all.size();
    all.resize(begin + count);
    if (count > 0) std::memcpy(all.data() + begin, part.data(), part.size());
  }
  const auto w = static_cast<std::size_t>(width);
  tree_reduce(
      shards, [](int k) { return k; },
      [&](int left, int right) {
        for (std::size_t c = 0; c < w; ++c)
          all[static_cast<std::size_t>(left) * w + c] += all[static_cast<std::size_t>(right) * w + c];
      });
  all.resize(w);
  return all;
}

}  // namespace spar::comm
