#include <cmath>
#include <vector>

#include "src/store/hdf5_library.hpp"
#include "store/checkpoint_case.hpp"
#include <boost/test/unit_test.hpp>
#include <hdf5.h>

using namespace spar;
using namespace spar::store;
using namespace spar::test;
using comm::Communicator;

namespace {

// A whole field of a table through index.h5, as any HDF5 program reads it; empty where that fails.
std::vector<float> through_index(const std::string& checkpoint, const std::string& array,
                                 const std::vector<hsize_t>& shape) {
  const Hdf5Session session;
  const Hdf5Id access = reading_access();
  const Hdf5Id file(H5Fopen((checkpoint + "/index.h5").c_str(), H5F_ACC_RDONLY, access.get()), H5Fclose);
  const Hdf5Id data(H5Dopen2(file.get(), array.c_str(), H5P_DEFAULT), H5Dclose);
  const Hdf5Id space(H5Dget_space(data.get()), H5Sclose);
  std::vector<hsize_t> found(static_cast<std::size_t>(H5Sget_simple_extent_ndims(space.get())));
  H5Sget_simple_extent_dims(space.get(), found.data(), nullptr);
  if (found != shape) return {};
  std::vector<float> values(static_cast<std::size_t>(H5Sget_simple_extent_npoints(space.get())));
  if (H5Dread(data.get(), H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()) < 0) return {};
  return values;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(checkpoint_index)

BOOST_AUTO_TEST_CASE(the_index_shows_each_table_as_one_matrix_and_a_missing_part_as_nan) {
  const Communicator world = Communicator::world();
  const SharedFolder folder(world);
  const Shape shape{1009, 211, 5};
  constexpr int shards = 8;
  Tables tables(shape, shards, world.size(), world.rank());
  tables.fill(1);
  save_checkpoint(
      world, shards, folder.path(), "nonce", info_of("a"), tables.rows(), {}, [] { return true; }, 15'000);
  if (!world.is_root()) return;
  const auto manifest = read_manifest(folder.file("a"));
  BOOST_CHECK_EQUAL(manifest.parts, 4);

  const auto bias = through_index(folder.file("a"), "/tables/item/bias", {211});
  BOOST_REQUIRE_EQUAL(bias.size(), 211U);
  Index wrong = 0;
  for (Index row = 0; row < shape.items; ++row)
    wrong += bias[static_cast<std::size_t>(row)] != value_at(1, 1, row, 0, 1);
  BOOST_CHECK_EQUAL(wrong, 0);

  std::filesystem::remove(folder.file("a/part-0001.h5"));
  const auto vectors = through_index(folder.file("a"), "/tables/user/vector", {1009, 5});
  BOOST_REQUIRE_EQUAL(vectors.size(), 1009U * 5U);
  const Partition parts{shape.users, manifest.parts};
  wrong = 0;
  for (Index row = 0; row < shape.users; ++row) {
    for (int c = 0; c < 5; ++c) {
      const float value = vectors[static_cast<std::size_t>(row * 5 + c)];
      wrong += parts.part_of(row) == 1 ? !std::isnan(value) : value != value_at(0, 0, row, c, 1);
    }
  }
  BOOST_CHECK_EQUAL(wrong, 0);
}

BOOST_AUTO_TEST_SUITE_END()
