// How much of the machine's own product rate evaluation and recommendation keep: bench_evaluate [USERS ITEMS DIM TOP
// [FOLDER]]; no arguments: the shape of amazon-book-kgat and one of 200,000 items; FOLDER: also writes the vectors
// there, for peers. One thread. All figures of a shape come from one run, in turns, as medians of each round's ratios.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <string>
#include <time.h>
#include <vector>

#include <Eigen/Core>

#include "spar/base/memory.hpp"
#include "spar/base/random.hpp"
#include "spar/catalogue/score.hpp"
#include "spar/comm/communicator.hpp"
#include "spar/evaluate/evaluator.hpp"

namespace {

using namespace spar;

constexpr int rounds = 7;

// Vectors and interactions of a catalogue: skewed popularity, skewed activity, users near the items they took, so that
// a part of the targets ranks high.
struct Problem {
  Index users, items;
  int dim, top;
  Buffer<float> user_rows, item_rows;
  data::UserLists train, test;

  evaluate::Scorer scorer() const {
    return {{user_rows.data(), 0, users, dim, dim}, {item_rows.data(), 0, items, dim, dim}, nullptr, 1, users, items};
  }
  evaluate::EvaluationLists lists() const {
    evaluate::EvaluationLists all;
    all.targets = &test;
    all.masked = {&train};
    return all;
  }
};

void add_sorted(data::UserLists& lists, std::vector<ItemId> items) {
  std::sort(items.begin(), items.end());
  items.erase(std::unique(items.begin(), items.end()), items.end());
  lists.items.insert(lists.items.end(), items.begin(), items.end());
  lists.offsets.push_back(static_cast<std::int64_t>(lists.items.size()));
}

void fill_normal(Buffer<float>& rows, std::uint32_t table) {
  const RandomStream values(1, Purpose::initial_rows);
  for (std::size_t k = 0; k < rows.size(); ++k)
    rows[k] = static_cast<float>(normal_pair(values.block(static_cast<std::uint32_t>(k), table))[0]);
}

Problem make_problem(Index users, Index items, int dim, int top) {
  const auto size = [dim](Index rows) { return static_cast<std::size_t>(rows * dim); };
  Problem p{users, items, dim, top, Buffer<float>(size(users)), Buffer<float>(size(items)), {}, {}};
  fill_normal(p.user_rows, 1);
  fill_normal(p.item_rows, 2);
  const RandomStream choices(1, Purpose::synthetic);
  std::vector<float> taste(static_cast<std::size_t>(dim));
  for (Index u = 0; u < users; ++u) {
    const auto id = static_cast<std::uint32_t>(u);
    const double activity = std::pow(open_unit(word64(choices.block(id, 0), 0)), -0.6);
    const int taken = static_cast<int>(std::min(4.5 * activity, 0.05 * static_cast<double>(items)));
    std::fill(taste.begin(), taste.end(), 0.0F);
    std::vector<ItemId> train, test;
    for (int k = 0; k < taken + (taken + 2) / 3; ++k) {
      const double x = unit(word64(choices.block(id, 1, static_cast<std::uint32_t>(k)), 0));
      const auto item = static_cast<ItemId>(x * x * x * static_cast<double>(items));
      (k < taken ? train : test).push_back(item);
      for (std::size_t c = 0; c < taste.size(); ++c)
        taste[c] += p.item_rows[static_cast<std::size_t>(item) * taste.size() + c];
    }
    for (std::size_t c = 0; c < taste.size(); ++c) {
      p.user_rows[static_cast<std::size_t>(u) * taste.size() + c] +=
          0.3F * taste[c] / std::sqrt(static_cast<float>(taken));
    }
    add_sorted(p.train, train);
    add_sorted(p.test, test);
  }
  return p;
}

double eigen_product(const Problem& p) {
  using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const Eigen::Map<const Matrix> users(p.user_rows.data(), p.users, p.dim);
  const Eigen::Map<const Matrix> items(p.item_rows.data(), p.items, p.dim);
  Matrix block(256, 1024);
  double seen = 0;
  for (Index i = 0; i < p.items; i += 1024) {
    const Index columns = std::min<Index>(1024, p.items - i);
    for (Index u = 0; u < p.users; u += 256) {
      const Index rows = std::min<Index>(256, p.users - u);
      block.topLeftCorner(rows, columns).noalias() =
          users.middleRows(u, rows) * items.middleRows(i, columns).transpose();
      seen += static_cast<double>(block(0, 0));
    }
  }
  return seen;
}

double own_product(const Problem& p) {
  catalogue::ItemPanels panels;
  panels.pack(p.scorer().items, 0, p.items, {});
  std::vector<const float*> rows(static_cast<std::size_t>(p.users));
  for (Index u = 0; u < p.users; ++u) rows[static_cast<std::size_t>(u)] = p.scorer().users.row(u);
  const int piece = std::max(1, 1008 / catalogue::panel_items);
  const Index stride = static_cast<Index>(piece) * catalogue::panel_items;
  Buffer<float> scores(static_cast<std::size_t>(16 * stride));
  double seen = 0;
  for (Index first = 0; first < p.users; first += 256) {
    for (int panel = 0; panel < panels.panels(); panel += piece) {
      for (Index u = first; u < std::min(p.users, first + 256); u += 16) {
        const auto count = static_cast<int>(std::min<Index>(16, p.users - u));
        catalogue::score_panels(&rows[static_cast<std::size_t>(u)], count, panels, panel,
                                std::min(piece, panels.panels() - panel), scores.data(), stride);
        seen += static_cast<double>(scores[0]);
      }
    }
  }
  return seen;
}

double median(std::vector<double> x) {
  std::nth_element(x.begin(), x.begin() + static_cast<std::ptrdiff_t>(x.size() / 2), x.end());
  return x[x.size() / 2];
}

// The time that this thread ran: what other programs take from the processor does not count.
double processor_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

struct Contender {
  const char* name;
  std::function<double()> run;
  std::vector<double> seconds{};
};

double seconds_of(const Contender& contender) {
  const double start = processor_seconds();
  [[maybe_unused]] volatile double keep = contender.run();
  return processor_seconds() - start;
}

// Rows of floats without a header.
void write_vectors(const Buffer<float>& rows, const std::string& path) {
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(rows.data()), static_cast<std::streamsize>(rows.size() * sizeof(float)));
}

void run_shape(const comm::Communicator& world, Index users, Index items, int dim, int top,
               const std::string& folder = "") {
  const Problem p = make_problem(users, items, dim, top);
  if (!folder.empty()) {
    write_vectors(p.user_rows, folder + "/users.f32");
    write_vectors(p.item_rows, folder + "/items.f32");
  }
  evaluate::EvaluationOptions options;
  options.cutoffs = {10, 20, top};
  evaluate::EvaluationOptions with_auc = options;
  with_auc.metrics.push_back("auc");
  const std::string column = "recall@" + std::to_string(top);
  const auto recall = [&](const evaluate::EvaluationOptions& o) {
    return evaluate::evaluate(world, 1, p.scorer(), p.lists(), o).metrics.at(column).mean;
  };
  std::vector<Contender> contenders = {
      {"product, Eigen", [&] { return eigen_product(p); }},
      {"product, own kernel", [&] { return own_product(p); }},
      {"recommend: the top K of each user",
       [&] { return static_cast<double>(evaluate::recommend(world, p.scorer(), p.lists(), top).size()); }},
      {"evaluate: default metrics", [&] { return recall(options); }},
      {"evaluate: default metrics and AUC", [&] { return recall(with_auc); }},
  };
  std::printf("%lld users x %lld items, d = %d, K = %d: %lld masked, %lld targets, %s %.3f\n",
              static_cast<long long>(users), static_cast<long long>(items), dim, top,
              static_cast<long long>(p.train.count()), static_cast<long long>(p.test.count()), column.c_str(),
              recall(options));
  for (int round = 0; round < rounds; ++round) {
    for (Contender& contender : contenders) contender.seconds.push_back(seconds_of(contender));
  }
  const double work = 2e-9 * static_cast<double>(users) * static_cast<double>(items) * dim;
  for (const Contender& contender : contenders) {
    std::vector<double> share;
    for (std::size_t r = 0; r < rounds; ++r) {
      share.push_back(std::min(contenders[0].seconds[r], contenders[1].seconds[r]) / contender.seconds[r]);
    }
    const double seconds = median(contender.seconds);
    std::printf("  %-36s %7.3f s  %6.1f GFLOP/s  %5.2f of the best product\n", contender.name, seconds, work / seconds,
                median(share));
  }
}

}  // namespace

int main(int argc, char** argv) {
  const comm::Environment environment(argc, argv);
  const comm::Communicator world = comm::Communicator::world();
  if (argc == 5 || argc == 6) {
    run_shape(world, std::atoll(argv[1]), std::atoll(argv[2]), std::atoi(argv[3]), std::atoi(argv[4]),
              argc == 6 ? argv[5] : "");
    return 0;
  }
  run_shape(world, 70'679, 24'915, 64, 100);
  run_shape(world, 8'000, 200'000, 64, 100);
  return 0;
}
