#include "data_tools/inputs.hpp"

#include <algorithm>
#include <filesystem>
#include <optional>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "data_tools/chunk.hpp"
#include "spar/base/error.hpp"
#include "spar/base/settings.hpp"

namespace spar::data_tools {

namespace fs = std::filesystem;

const std::vector<std::string>& import_formats() {
  static const std::vector<std::string> formats = {"movielens", "delimited", "pairs", "lightgcn", "recbole"};
  return formats;
}

const char* input_part_name(InputPart part) {
  constexpr const char* names[] = {"train", "validation", "test", "negatives"};
  return names[static_cast<int>(part)];
}

std::string Input::describe() const {
  if (form == Form::rows) return layout.describe();
  return form == Form::lists ? "lists of items by user" : "lists of candidates";
}

namespace {

using Paths = std::vector<std::string>;

struct Found {
  Paths train, validation, test, negatives;
};

bool is_folder(const std::string& path) {
  std::error_code error;
  return fs::is_directory(path, error);
}

/// `path` or `path`.gz, whichever is there.
std::optional<std::string> present(const std::string& path) {
  std::error_code error;
  for (const char* ending : {"", ".gz"}) {
    if (fs::exists(path + ending, error) && !fs::is_directory(path + ending, error)) return path + ending;
  }
  return std::nullopt;
}

/// The files of a folder by name, without hidden ones and the marks that cluster jobs leave (names that begin with
/// '_').
Paths parts_of(const std::string& folder) {
  Paths files;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (entry->is_regular_file(error) && name[0] != '.' && name[0] != '_') files.push_back(entry->path().string());
  }
  if (error) throw UserError(fmt::format("{} cannot be read: {}", folder, error.message()));
  if (files.empty()) throw UserError(fmt::format("{} holds no files", folder));
  std::sort(files.begin(), files.end());
  return files;
}

void require_present(const std::string& path) {
  std::error_code error;
  if (path != "-" && !fs::exists(path, error)) throw UserError(fmt::format("{} does not exist", path));
}

/// Files and folders of parts as they are.
Paths plain_files(const Paths& paths) {
  Paths files;
  for (const std::string& path : paths) {
    require_present(path);
    const Paths more = path != "-" && is_folder(path) ? parts_of(path) : Paths{path};
    files.insert(files.end(), more.begin(), more.end());
  }
  return files;
}

Found find_movielens(const Paths& paths) {
  Found found;
  for (const std::string& path : paths) {
    require_present(path);
    if (path == "-" || !is_folder(path)) {
      found.train.push_back(path);
      continue;
    }
    const Paths names = {"u.data", "ratings.dat", "ratings.csv", "ratings.tsv"};
    const auto name = std::find_if(names.begin(), names.end(),
                                   [&](const std::string& n) { return present(path + "/" + n).has_value(); });
    if (name == names.end())
      throw UserError(
          fmt::format("{} holds none of {} (or .gz), the ratings of MovieLens", path, fmt::join(names, ", ")));
    found.train.push_back(*present(path + "/" + *name));
  }
  return found;
}

/// Endings that go together in the wild: training, test, candidates, validation.
struct Endings {
  const char* train;
  const char* test;
  const char* negatives;
  const char* validation;
};
constexpr Endings pair_endings[] = {
    {".train.rating", ".test.rating", ".test.negative", ".valid.rating"},
    {".trainingset.tsv", ".testset.tsv", ".test.negative", ".validationset.tsv"},
    {".train.tsv", ".test.tsv", ".test.negative", ".valid.tsv"},
    {".train.txt", ".test.txt", ".test.negative", ".valid.txt"},
    {"_train.dat", "_test.dat", "_test.negative", "_valid.dat"},
    {".train", ".test", ".test.negative", ".valid"},
    {".base", ".test", ".test.negative", ".valid"},
};

void add_if_present(Paths& paths, const std::string& path) {
  if (const auto there = present(path)) paths.push_back(*there);
}

/// The files that begin with `stem`. Where only the test part carries the name, train.tsv in the same folder is the
/// training part.
std::optional<Found> find_pairs_of(const std::string& stem) {
  for (const Endings& endings : pair_endings) {
    const auto test = present(stem + endings.test);
    auto train = present(stem + endings.train);
    if (test && !train) train = present((fs::path(stem).parent_path() / "train.tsv").string());
    if (!train) continue;
    Found found;
    found.train.push_back(*train);
    if (test) found.test.push_back(*test);
    add_if_present(found.negatives, stem + endings.negatives);
    add_if_present(found.validation, stem + endings.validation);
    return found;
  }
  return std::nullopt;
}

std::string without_gz(const std::string& path) {
  return path.ends_with(".gz") ? path.substr(0, path.size() - 3) : path;
}

/// The stems of a folder for which there is a training or a test part.
std::vector<std::string> stems_of(const std::string& folder) {
  std::vector<std::string> stems;
  for (const std::string& file : parts_of(folder)) {
    const std::string plain = without_gz(file);
    for (const Endings& endings : pair_endings) {
      for (const std::string ending : {endings.train, endings.test}) {
        if (plain.size() > folder.size() + 1 + ending.size() && plain.ends_with(ending)) {
          stems.push_back(plain.substr(0, plain.size() - ending.size()));
        }
      }
    }
  }
  // The plain endings also fit the longer ones: x.train.tsv must not give the stem of "x.train" besides "x".
  std::sort(stems.begin(), stems.end());
  stems.erase(std::unique(stems.begin(), stems.end()), stems.end());
  std::erase_if(stems, [](const std::string& stem) { return !find_pairs_of(stem); });
  return stems;
}

Found find_pairs(const Paths& paths) {
  if (paths.size() != 1)
    throw UserError(
        "the format pairs takes one path: a training file, a folder, or the beginning that its files have in common");
  const std::string& path = paths[0];
  if (path != "-" && is_folder(path)) {
    const std::vector<std::string> stems = stems_of(path);
    if (stems.size() == 1) return *find_pairs_of(stems[0]);
    if (stems.size() > 1)
      throw UserError(fmt::format("{} holds several sets of pairs, say which: {}", path, fmt::join(stems, ", ")));
    if (const auto train = present(path + "/train.tsv")) {
      Found found{{*train}, {}, {}, {}};
      add_if_present(found.test, path + "/test.tsv");
      return found;
    }
    throw UserError(fmt::format(
        "{} holds no training part: NAME.train.rating, NAME.train.tsv or train.tsv (or .gz) was expected", path));
  }
  std::error_code error;
  if (path == "-") return {{path}, {}, {}, {}};
  if (fs::exists(path, error)) {
    const std::string plain = without_gz(path);
    for (const Endings& endings : pair_endings) {
      if (!plain.ends_with(endings.train)) continue;
      if (auto found = find_pairs_of(plain.substr(0, plain.size() - std::string(endings.train).size()))) {
        found->train = {path};
        return *found;
      }
    }
    return {{path}, {}, {}, {}};
  }
  if (auto found = find_pairs_of(path)) return *found;
  throw UserError(fmt::format(
      "{} is neither a file nor a folder, and there is no {}.train.rating, {}.train.tsv or the like beside it", path,
      path, path));
}

Found find_lightgcn(const Paths& paths) {
  if (paths.size() != 1 || paths[0] == "-" || !is_folder(paths[0])) return {plain_files(paths), {}, {}, {}};
  const std::string& folder = paths[0];
  const auto train = present(folder + "/train.txt");
  if (!train) throw UserError(fmt::format("{} holds no train.txt (or train.txt.gz)", folder));
  Found found{{*train}, {}, {}, {}};
  for (const char* name : {"/valid.txt", "/validation.txt", "/val.txt"}) {
    if (found.validation.empty()) add_if_present(found.validation, folder + name);
  }
  add_if_present(found.test, folder + "/test.txt");
  return found;
}

Found find_recbole(const Paths& paths) {
  if (paths.size() != 1 || paths[0] == "-" || !is_folder(paths[0])) return {plain_files(paths), {}, {}, {}};
  Found found;
  Paths whole;
  for (const std::string& file : parts_of(paths[0])) {
    const std::string plain = without_gz(file);
    if (plain.ends_with(".train.inter")) {
      found.train.push_back(file);
    } else if (plain.ends_with(".valid.inter")) {
      found.validation.push_back(file);
    } else if (plain.ends_with(".test.inter")) {
      found.test.push_back(file);
    } else if (plain.ends_with(".inter")) {
      whole.push_back(file);
    }
  }
  if (!whole.empty()) return {whole, {}, {}, {}};
  if (found.train.empty()) throw UserError(fmt::format("{} holds no .inter file", paths[0]));
  return found;
}

Found find_files(const ImportOptions& options) {
  const std::vector<std::string>& formats = import_formats();
  if (std::find(formats.begin(), formats.end(), options.format) == formats.end()) {
    const auto near = nearest(options.format, formats);
    throw UserError(fmt::format("\"{}\" is no format; {}the formats are {}", options.format,
                                near ? fmt::format("did you mean {}? ", *near) : "", fmt::join(formats, ", ")));
  }
  if (options.paths.empty()) throw UserError("import needs a file or folder to read, or - for standard input");
  Found found = options.format == "movielens"  ? find_movielens(options.paths)
                : options.format == "pairs"    ? find_pairs(options.paths)
                : options.format == "lightgcn" ? find_lightgcn(options.paths)
                : options.format == "recbole"  ? find_recbole(options.paths)
                                               : Found{plain_files(options.paths), {}, {}, {}};
  if (!options.test.empty()) found.test = plain_files({options.test});
  if (!options.validation.empty()) found.validation = plain_files({options.validation});
  if (!options.negatives.empty()) found.negatives = plain_files({options.negatives});
  if (options.format != "pairs" && !found.negatives.empty()) throw UserError("--negatives belongs to the format pairs");
  return found;
}

void look_at(Input& input, const ImportOptions& options) {
  std::unique_ptr<TextSource> source = TextSource::open(input.path);
  if (input.form != Input::Form::negatives) {
    const std::vector<std::string> lines = head_lines(*source, 1000);
    if (input.form == Input::Form::lists) {
      while (input.skip_lines < static_cast<std::int64_t>(lines.size()) &&
             lines[static_cast<std::size_t>(input.skip_lines)].starts_with('#')) {
        ++input.skip_lines;
      }
    } else {
      LayoutWish wish{options.separator, options.columns, options.header, false, false};
      wish.typed_header = options.format == "recbole";
      wish.whole_numbers = options.format == "pairs";
      input.layout = find_layout(lines, wish, source->name());
    }
  }
  // A pipe gives its bytes once.
  std::error_code error;
  if (!fs::is_regular_file(input.path, error)) input.source = std::move(source);
}

}  // namespace

std::vector<Input> find_inputs(const ImportOptions& options) {
  const Found found = find_files(options);
  std::vector<Input> inputs;
  const auto add = [&](const Paths& paths, InputPart part) {
    for (const std::string& path : paths) {
      Input input;
      input.path = path;
      input.part = part;
      if (options.format == "lightgcn") input.form = Input::Form::lists;
      if (part == InputPart::negatives) input.form = Input::Form::negatives;
      inputs.push_back(std::move(input));
    }
  };
  add(found.train, InputPart::train);
  add(found.validation, InputPart::validation);
  add(found.test, InputPart::test);
  add(found.negatives, InputPart::negatives);
  if (std::count_if(inputs.begin(), inputs.end(), [](const Input& input) { return input.path == "-"; }) > 1) {
    throw UserError("standard input (-) can be read once only");
  }
  for (Input& input : inputs) look_at(input, options);
  return inputs;
}

}  // namespace spar::data_tools
