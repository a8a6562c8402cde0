#pragma once
#include <cstdlib>
#include <filesystem>
#include <string>

#include <boost/test/unit_test.hpp>

namespace spar::test {

/// Where public data sets are at hand: the folder SPAR_DATA, by default shared/data beside the repository.
inline std::string data_folder() {
  const char* told = std::getenv("SPAR_DATA");
  const char* source = std::getenv("SPAR_SOURCE");
  return told != nullptr ? told : std::string(source != nullptr ? source : ".") + "/../shared/data";
}

/// Skips a test, saying so, where a data set is absent.
inline auto needs(const std::string& name) {
  return boost::unit_test::precondition([name](boost::unit_test::test_unit_id) {
    boost::test_tools::assertion_result present(std::filesystem::exists(data_folder() + "/" + name));
    present.message() << name << " is not in " << data_folder() << " (set SPAR_DATA)";
    return present;
  });
}

}  // namespace spar::test
