#include <cmath>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string>
#include <sys/resource.h>
#include <vector>

#include "support/scratch.hpp"
#include "support/sentence.hpp"
#include <boost/test/unit_test.hpp>
#include <nlohmann/json.hpp>

#include "spar/report/run_log.hpp"

using namespace spar;
using namespace spar::report;
using namespace spar::test;
using Json = nlohmann::json;

namespace {

std::vector<Json> lines_of(const std::string& path) {
  std::ifstream file(path);
  std::vector<Json> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(Json::parse(line));
  return lines;
}

std::vector<std::string> events(const std::string& path) {
  std::vector<std::string> result;
  for (const Json& line : lines_of(path)) {
    std::string event = line.at("event");
    if (line.contains("epoch")) event.append(1, ' ').append(std::to_string(line.at("epoch").get<int>()));
    result.push_back(event);
  }
  return result;
}

using Events = std::vector<std::string>;

void write_epoch(RunLog& log, std::int64_t epoch) {
  log.epoch(
      {epoch, "bpr", {{"bpr", 0.25}, {"reg", 0.5}}, 1000, 2.5e6, {{"compute", 1.5}, {"communication", 0.25}}, 4096});
}

}  // namespace

BOOST_AUTO_TEST_SUITE(run_log)

BOOST_AUTO_TEST_CASE(every_line_is_one_object_with_the_fields_that_scripts_read) {
  const ScratchFolder folder;
  const std::string path = folder.file("log.jsonl");
  RunLog log = RunLog::open(path, 0, 2);
  log.start({"apr", "apr", "d.h5", 943, 1682, 98114, 1, 2, 1, 8, 512, "n1"});
  write_epoch(log, 1);
  log.progress({2, "apr", 100, 192, {{"apr", 0.125}}, 1.5e6, -1});
  log.validation({2, "apr", "validation", 943, {{"ndcg@100", 0.2113}}, true, 0.5});
  log.checkpoint({2, "checkpoints/epoch-000002", 0.75, 123456});
  log.resume({"apr", "apr", "d.h5", 943, 1682, 98114, 1, 4, 1, 8, 512, "n1"}, 2, 7, "checkpoints/epoch-000002");
  log.stop({2, "SIGUSR1", 12.5});

  const auto lines = lines_of(path);
  BOOST_REQUIRE_EQUAL(lines.size(), 7U);
  for (const Json& line : lines) {
    BOOST_CHECK_EQUAL(line.at("restarts").get<int>(), 2);
    const std::string time = line.at("time");
    BOOST_CHECK(time.size() == 24 && time[4] == '-' && time[10] == 'T' && time.back() == 'Z');
  }
  BOOST_CHECK_EQUAL(lines[0].at("event"), "start");
  BOOST_CHECK_EQUAL(lines[0].at("train"), 98114);
  BOOST_CHECK_EQUAL(lines[1].at("event"), "epoch");
  BOOST_CHECK_EQUAL(lines[1].at("epoch"), 1);
  BOOST_CHECK_EQUAL(lines[1].at("stage"), "bpr");
  BOOST_CHECK(lines[1].at("losses") == (Json{{"bpr", 0.25}, {"reg", 0.5}}));
  BOOST_CHECK_EQUAL(lines[1].at("examples_per_second"), 2.5e6);
  BOOST_CHECK(lines[1].at("seconds") == (Json{{"compute", 1.5}, {"communication", 0.25}}));
  BOOST_CHECK_EQUAL(lines[2].at("event"), "progress");
  BOOST_CHECK(lines[2].at("seconds_left").is_null());
  BOOST_CHECK_EQUAL(lines[3].at("event"), "validation");
  BOOST_CHECK_EQUAL(lines[3].at("metrics").at("ndcg@100"), 0.2113);
  BOOST_CHECK_EQUAL(lines[3].at("best"), true);
  BOOST_CHECK_EQUAL(lines[4].at("event"), "checkpoint");
  BOOST_CHECK_EQUAL(lines[4].at("epoch"), 2);
  BOOST_CHECK_EQUAL(lines[4].at("path"), "checkpoints/epoch-000002");
  BOOST_CHECK_EQUAL(lines[4].at("seconds"), 0.75);
  BOOST_CHECK_EQUAL(lines[5].at("event"), "resume");
  BOOST_CHECK_EQUAL(lines[5].at("checkpoint"), "checkpoints/epoch-000002");
  BOOST_CHECK_EQUAL(lines[5].at("ranks"), 4);
  BOOST_CHECK_EQUAL(lines[6].at("event"), "stop");
  BOOST_CHECK_EQUAL(lines[6].at("reason"), "SIGUSR1");
}

BOOST_AUTO_TEST_CASE(numbers_that_are_not_finite_and_texts_that_are_not_utf8_stay_json) {
  const ScratchFolder folder;
  RunLog log = RunLog::open(folder.file("log.jsonl"), 0, 0);
  log.epoch({1, "caf\xe9\n", {{"bpr", std::nan("")}, {"apr", std::numeric_limits<double>::infinity()}}, 0, 0, {}, 0});
  const auto lines = lines_of(folder.file("log.jsonl"));
  BOOST_REQUIRE_EQUAL(lines.size(), 1U);
  BOOST_CHECK(lines[0].at("losses").at("bpr").is_null());
  BOOST_CHECK(lines[0].at("losses").at("apr").is_null());
}

BOOST_AUTO_TEST_CASE(a_resumed_run_has_no_line_twice) {
  const ScratchFolder folder;
  const std::string path = folder.file("log.jsonl");
  std::int64_t recorded = 0;
  {
    RunLog log = RunLog::open(path, 0, 0);
    write_epoch(log, 1);
    recorded = log.length();
    BOOST_CHECK_EQUAL(recorded, static_cast<std::int64_t>(std::filesystem::file_size(path)));
    log.sync();
    log.checkpoint({1, "checkpoints/a", 0.5, 1});
    write_epoch(log, 2);
    std::ofstream(path, std::ios::app) << R"({"event": "epoch", "epoch": 3, "st)";  // killed while writing
  }
  RunLog log = RunLog::open(path, recorded, 1);
  BOOST_CHECK(events(path) == (Events{"epoch 1", "checkpoint 1"}));
  write_epoch(log, 2);
  write_epoch(log, 3);
  BOOST_CHECK(events(path) == (Events{"epoch 1", "checkpoint 1", "epoch 2", "epoch 3"}));
}

BOOST_AUTO_TEST_CASE(a_kill_before_the_line_of_the_checkpoint_leaves_the_rest) {
  const ScratchFolder folder;
  const std::string path = folder.file("log.jsonl");
  RunLog first = RunLog::open(path, 0, 0);
  write_epoch(first, 1);
  const std::int64_t recorded = first.length();
  write_epoch(first, 2);
  RunLog log = RunLog::open(path, recorded, 1);
  BOOST_CHECK(events(path) == (Events{"epoch 1"}));
  BOOST_CHECK_EQUAL(log.length(), recorded);
}

BOOST_AUTO_TEST_CASE(a_new_run_starts_an_empty_log_and_a_shorter_one_is_kept_whole) {
  const ScratchFolder folder;
  const std::string path = folder.file("log.jsonl");
  {
    RunLog log = RunLog::open(path, 0, 0);
    write_epoch(log, 1);
    write_epoch(log, 2);
  }
  std::ofstream(path, std::ios::app) << std::string(200'000, 'x');  // a long half line
  RunLog::open(path, 1'000'000'000, 0);
  BOOST_CHECK(events(path) == (Events{"epoch 1", "epoch 2"}));
  RunLog::open(path, 0, 0);
  BOOST_CHECK_EQUAL(std::filesystem::file_size(path), 0U);
}

BOOST_AUTO_TEST_CASE(a_line_that_does_not_fit_is_taken_back) {
  const ScratchFolder folder;
  const std::string path = folder.file("log.jsonl");
  RunLog log = RunLog::open(path, 0, 0);
  write_epoch(log, 1);
  const auto length = static_cast<rlim_t>(log.length());
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const rlimit limit{length + 20, before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &limit);
  const std::string sentence = sentence_of(ExitCode::environment, [&] { write_epoch(log, 2); });
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  BOOST_CHECK_EQUAL(sentence, "cannot write " + path + ": file too large");
  BOOST_CHECK_EQUAL(std::filesystem::file_size(path), length);
  write_epoch(log, 2);
  BOOST_CHECK(events(path) == (Events{"epoch 1", "epoch 2"}));
}

BOOST_AUTO_TEST_CASE(a_log_that_cannot_be_opened_is_said) {
  const ScratchFolder folder;
  const std::string path = folder.file("absent/log.jsonl");
  BOOST_CHECK_EQUAL(sentence_of(ExitCode::usage, [&] { RunLog::open(path, 0, 0); }),
                    "cannot open " + path + ": no such file or directory");
}

BOOST_AUTO_TEST_SUITE_END()
