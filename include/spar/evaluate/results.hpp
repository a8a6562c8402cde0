#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "spar/comm/communicator.hpp"
#include "spar/evaluate/evaluator.hpp"
#include "spar/evaluate/statistics.hpp"

/// What an evaluation leaves behind: result files under a run, tables for people, one JSON object for programs
/// (docs/formats-run.md, "Results").
namespace spar::evaluate {

/// One evaluated run and how it was judged.
struct RunResult {
  std::string run;  ///< its directory, as the user wrote it
  std::string system;
  std::string data;     ///< the data set's name
  std::string content;  ///< the data set's content checksum
  std::string group;    ///< equal for runs that differ in the seed only
  std::int64_t seed = 0;
  std::string split;       ///< test | validation
  std::string checkpoint;  ///< best | last
  std::int64_t epoch = 0;
  std::string selected_by;  ///< "ndcg@100"; empty where the checkpoint was not selected
  std::string selected_on;  ///< validation | test
  std::string protocol;     ///< full | sampled | reranked@N
  std::string retriever{};  ///< the run whose N best items of each user were re-ranked; empty: no such protocol
  std::string ties;         ///< by_id | pessimistic | optimistic | mean
  bool cold_items = true;
  std::int64_t sampled_users = 0;  ///< at most so many users judged, a fixed sample; 0: all
  std::string judged = "users";    ///< users | posts: what has the values that means are taken of
  EvaluationResult values;

  std::string label() const;  ///< the last part of the directory's name
  std::string statement()
      const;  ///< "test, 943 users (0 skipped), full ranking, best checkpoint by validation ndcg@100"
  std::string file_name()
      const;  ///< "evaluate-test-best.json"; "-sampled", "-reranked-N" and "-N-users" where it is not the usual
};

/// The difference of two runs, metric by metric, tested over the users of both.
struct RunDifference {
  std::size_t first = 0;  ///< places in the list of runs
  std::size_t second = 0;
  std::vector<MeanTest> tests;  ///< by column
};

/// Why two runs cannot be tested against each other ("they were trained on different data"), or an empty text.
std::string obstacle_to_comparison(const RunResult& first, const RunResult& second);

/// Runs that differ in the seed only: places in the list of runs, in order.
std::vector<std::vector<std::size_t>> groups_of(const std::vector<RunResult>& runs);

/// The object of one run: system, split, users, metrics {"ndcg@10": 0.1}, standard_errors and the rest; `indent` < 0:
/// on one line.
std::string run_json(const RunResult& run, int indent);
/// The object of several runs: {"runs": [...], "differences": [...], "groups": [...]}; groups only if asked for.
std::string comparison_json(const std::vector<RunResult>& runs, const std::vector<RunDifference>& differences,
                            bool grouped);

/// Tables for people, ending in a line break. Columns are metrics, or rows where there are too many.
std::string run_table(const std::vector<RunResult>& runs, const std::vector<RunDifference>& differences);
std::string group_table(const std::vector<RunResult>& runs);

/// Writes DIR/<file_name()> durably; makes DIR. One rank calls it. Returns the path.
std::string save_result(const std::string& directory, const RunResult& run);

/// Writes the values of every evaluated user as tab-separated lines, users in ascending order of rows by their original
/// ids, a title line first: the same bytes on any launch. Rank 0 writes, one bounded piece at a time. `ids(first,
/// count)` gives original ids of users, `item_id(row)` that of the item of a post, which is a second column where posts
/// have the values. Collective; EnvironmentError on all ranks where the file cannot be written.
void save_user_values(const comm::Communicator& communicator, const std::string& path, const EvaluationResult& result,
                      const std::function<std::vector<std::string>(Index first, Index count)>& ids,
                      const std::function<std::string(Index row)>& item_id = {});

}  // namespace spar::evaluate
