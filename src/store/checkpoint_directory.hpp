#pragma once
#include <string>
#include <vector>

/// Names and moves of checkpoint directories. NAME.partial-NONCE is being written or deleted; NAME.replaced-NONCE is
/// the older checkpoint of that name while a newer one takes its place (it counts as NAME until NAME is there).
namespace spar::store {

std::string temporary_name(const std::string& checkpoint_path, const std::string& nonce);

/// A directory that is or may be a checkpoint.
struct Candidate {
  std::string name;       ///< of the checkpoint
  std::string directory;  ///< its directory's own name
  bool replaced() const { return directory != name; }
};
/// The candidates under a directory: largest name first, one for each name. Nothing where the directory is absent;
/// EnvironmentError where it cannot be read.
std::vector<Candidate> candidates(const std::string& checkpoints_dir);
/// Leftovers of saves and deletions that are not of `nonce`, and of replacements that were completed.
std::vector<std::string> leftovers(const std::string& checkpoints_dir, const std::string& nonce);

/// Gives a complete checkpoint its name, durably; one of the same name is deleted after that.
void put_in_place(const std::string& temporary, const std::string& checkpoint_path, const std::string& nonce);

/// Deletes a directory; first it stops being a checkpoint, so that a kill leaves none without rows.
void delete_checkpoint(const std::string& path, const std::string& nonce);
/// Deletes a temporary directory. What cannot be deleted stays for the next sweep.
void remove_tree(const std::string& path) noexcept;

/// Why a save or a deletion ends: run.lock carries another nonce.
std::string lost_directory(const std::string& path);

}  // namespace spar::store
