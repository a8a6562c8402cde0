#include <cstdio>
#include <memory>

#include "side_options.hpp"
#include "split_options.hpp"
#include "verb_list.hpp"

#include "data_tools/import.hpp"

namespace spar::cli {

namespace {

struct Options {
  data_tools::ImportOptions import;
  SplitWords split;
  SideWords side;
  std::string header;
  bool json = false;
};

int run(Options options) {
  options.split.apply(options.import.rules);
  options.side.apply(options.import.side);
  if (!options.header.empty()) options.import.header = options.header == "yes";
  const data_tools::ImportReport report = data_tools::import_dataset(options.import);
  std::fputs((options.json ? report.json() + "\n" : report.text()).c_str(), stdout);
  return 0;
}

}  // namespace

Verb import_verb() {
  Verb verb;
  verb.name = "import";
  verb.sentence = "Make a data set from MovieLens, delimited text, NCF/APR pairs, LightGCN lists or RecBole files";
  verb.more =
      "Files may be compressed by gzip. The report says what was kept and what was dropped, and why; docs/importing.md "
      "has the formats and rules.";
  verb.examples = {"spar import movielens ml-100k.zip-unpacked/ --to ml-100k.h5",
                   "spar import delimited log.csv --separator , --columns user,item,time --split temporal --to log.h5",
                   "spar import pairs data/ml-1m --to ml-1m.h5",
                   "spar import lightgcn gowalla/ --to gowalla.h5",
                   "spar import delimited clicks.csv --item-features image=vectors.npy --item-features-ids ids.txt "
                   "--to clicks.h5",
                   "zcat log.tsv.gz | spar import delimited - --columns user,item,rating,time --min-rating 4 --k-core "
                   "5 --to log.h5"};
  verb.declare = [](OptionSet& set) {
    auto options = std::make_shared<Options>();
    data_tools::ImportOptions& import = options->import;
    set.argument_choice("FORMAT", data_tools::import_formats(), import.format, "What the input looks like");
    set.arguments("PATH", import.paths, "Files, folders, a prefix of pairs, or - for standard input");
    set.text("--to", "FILE", import.to, "The data set to write", Need::required);
    set.text("--test", "PATH", import.test, "A given test part in the same format");
    set.text("--validation-part", "PATH", import.validation, "A given validation part in the same format");
    set.text("--negatives", "PATH", import.negatives, "pairs: lists of candidates for the test part");
    set.text(
        "--separator", "TEXT", import.separator,
        "delimited: what stands between columns, of any length, or tab, comma, semicolon, blanks; default: detected");
    set.text("--columns", "NAME,...", import.columns,
             "delimited, recbole: where user, item, rating and time stand, by place or by name; default: detected");
    set.choice("--header", {"yes", "no"}, options->header,
               "delimited: whether the first line holds names; default: detected");
    set.flag("--ordered", import.ordered, "The order of the input is the order of time");
    declare_split(set, options->split, import.rules);
    set.real("--dislikes-below", "X", import.rules.dislikes_below, {-1e300, 1e300},
             "Keep what is rated lower as dislikes of its user, which are no interactions");
    declare_side(set, options->side, import.side);
    set.text("--name", "NAME", import.name, "Name of the data set; default: that of the file");
    set.integer("--threads", "N", import.threads, {0, 4096}, "Threads; 0: all processors that it may use");
    set.flag("--json", options->json, "Print the report as one JSON object");
    return Action{[options] { return run(*options); }, {}};
  };
  return verb;
}

}  // namespace spar::cli
