#pragma once
#include <cstdint>
#include <string>
#include <vector>

/// Data sets that are being written, and those that a killed program left behind (docs/formats.md). The 16 digits after
/// ".partial-" say whose they are, so that the next program with the same target can tell the two apart without a file
/// beside them.
namespace spar::data {

/// The mark of files that this process writes: where it runs (a hash, 6 digits), its number and when it started.
std::string partial_mark();

/// For as long as it lives, Ctrl-C, SIGTERM and SIGHUP remove the file before they end the program. One at a time in a
/// process; signals that the program or its caller handles or ignores are left alone.
class RemovedBySignals {
 public:
  explicit RemovedBySignals(const std::string& path);
  ~RemovedBySignals();
  RemovedBySignals(const RemovedBySignals&) = delete;
  RemovedBySignals& operator=(const RemovedBySignals&) = delete;

 private:
  bool active_ = false;
};

struct AbandonedFile {
  std::string path;
  std::int64_t bytes = 0;
};

/// Deletes `target`.partial-* whose process ran on this machine and is gone; says which. Files of other machines, of
/// running processes and of older versions of spar stay. One process calls it, before it writes `target`.
std::vector<AbandonedFile> remove_abandoned(const std::string& target);

/// "removed d.h5.partial-0123456789abcdef (12 MB), which a killed program had left".
std::string removal_note(const AbandonedFile& file);

}  // namespace spar::data
