#pragma once
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>

#include "support/gradient_check.hpp"

#include "spar/base/error.hpp"

namespace spar::test {

/// The matrices of tests/tape/fixtures/NAME.txt, which make_fixtures.py wrote: for each a line "name rows columns" and
/// one line a row.
class Fixture {
 public:
  explicit Fixture(const std::string& name) {
    const char* source = std::getenv("SPAR_SOURCE");
    const auto path =
        std::filesystem::path(source != nullptr ? source : ".") / "tests" / "tape" / "fixtures" / (name + ".txt");
    std::ifstream in(path);
    if (!in) throw Bug("no fixture " + path.string() + ": run in the source folder or set SPAR_SOURCE");
    std::string matrix;
    int rows = 0;
    int columns = 0;
    while (in >> matrix >> rows >> columns) {
      Grid<double> m(rows, columns);
      for (int r = 0; r < rows; ++r) {
        for (int c = 0; c < columns; ++c) in >> m.at(r, c);
      }
      matrices_.emplace(matrix, std::move(m));
    }
    if (!in.eof()) throw Bug(path.string() + " is broken off");
  }

  const Grid<double>& operator[](const std::string& name) const { return matrices_.at(name); }

 private:
  std::map<std::string, Grid<double>> matrices_;
};

}  // namespace spar::test
