#pragma once
#include <functional>
#include <string>

#include <boost/test/unit_test.hpp>

#include "spar/base/error.hpp"

namespace spar::test {

/// The sentence of the spar::Error that `action` throws, whose code must be `code`; empty where it throws none.
inline std::string sentence_of(ExitCode code, const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    BOOST_CHECK_EQUAL(static_cast<int>(error.code()), static_cast<int>(code));
    return error.what();
  }
  BOOST_ERROR("no error was thrown");
  return {};
}

/// The sentence without every `path`, which differs from test to test.
inline std::string without(std::string sentence, const std::string& path) {
  for (std::size_t found = sentence.find(path); found != std::string::npos; found = sentence.find(path))
    sentence.erase(found, path.size());
  return sentence;
}

}  // namespace spar::test
