#pragma once
#include <memory>
#include <string>

#include "support/scratch.hpp"

#include "spar/comm/communicator.hpp"

namespace spar::test {

/// Rank 0's scratch folder, known to all ranks; gone when every rank is done with it. Collective. The communicator must
/// outlive it.
class SharedFolder {
 public:
  explicit SharedFolder(const comm::Communicator& communicator) : communicator_(communicator) {
    if (communicator.is_root()) folder_ = std::make_unique<ScratchFolder>();
    path_ = communicator.broadcast(folder_ ? folder_->path() : std::string(), 0);
  }
  SharedFolder(const SharedFolder&) = delete;
  SharedFolder& operator=(const SharedFolder&) = delete;
  ~SharedFolder() { communicator_.barrier(); }

  const std::string& path() const { return path_; }
  std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  const comm::Communicator& communicator_;
  std::unique_ptr<ScratchFolder> folder_;
  std::string path_;
};

}  // namespace spar::test
