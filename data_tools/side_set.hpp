#pragma once
#include <memory>
#include <string>
#include <vector>

#include "data_tools/import.hpp"
#include "data_tools/side_sinks.hpp"
#include "data_tools/spill.hpp"
#include "spar/data/dataset_writer.hpp"

namespace spar::data_tools {

/// All side data of one data set that is being made. They share one spill file, so that memory holds no more of many
/// than of one.
class SideSet {
 public:
  SideSet(SpillPlace place, Index users, Index items) : place_(std::move(place)), users_(users), items_(items) {}

  Index rows(data::Side side) const { return side == data::Side::users ? users_ : items_; }

  /// Each gives a sink and its entry in the report, which lives as long as the set. UserError where the kind, side and
  /// name occur already, or the name cannot be one.
  struct Entry {
    std::unique_ptr<SideSink> sink;
    ImportReport::SideData report;
  };
  template <class Sink>
  struct Added {
    Sink& sink;
    ImportReport::SideData& report;
  };
  Added<FeatureSink> add_features(data::Side side, const std::string& name, const std::string& path, Index width);
  /// An attribute that is filled before it is known whether it will be one, and then added with its entry.
  std::unique_ptr<AttributeSink> new_attribute(data::Side side, const std::string& name, std::int64_t expected_bytes);
  void add_attribute(std::unique_ptr<AttributeSink> sink, const ImportReport::SideData& report);
  Added<SparseSink> add_bag(data::Side side, const std::string& name, const std::string& path,
                            std::int64_t expected_bytes);
  Added<SparseSink> add_graph(const std::string& name, const std::string& path, bool weighted,
                              std::int64_t expected_bytes);
  Added<PostSink> add_posts(const std::string& path, bool timed, std::int64_t expected_bytes);

  Added<DislikeSink> add_dislikes(const std::string& path, bool timed, std::int64_t expected_bytes);

  /// Counts; fills report.side and adds notes. Nothing is added afterwards. UserError in strict mode where a row has no
  /// features or no value of an attribute.
  void finish(bool strict, ImportReport& report);
  /// After finish(), in the order of data::list_side_data.
  std::vector<data::SidePlan> plans() const;
  void write(data::DatasetWriter& writer) const;

 private:
  template <class Sink>
  Added<Sink> add(std::unique_ptr<Sink> sink, const std::string& path);
  SpillFile& file();

  SpillPlace place_;
  Index users_, items_;
  std::unique_ptr<SpillFile> file_;  ///< made when it is first needed
  std::vector<std::unique_ptr<Entry>> entries_;
};

}  // namespace spar::data_tools
