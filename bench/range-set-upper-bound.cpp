// The peer of bench/range-set.ts: std::upper_bound over a sorted array of the same starts, for the same queries.
//   range-set-upper-bound STARTS QUERIES     (files of little-endian doubles)
// Prints nanoseconds a look-up, best of three rounds, and the sum of the places found, so that nothing is optimised away.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <vector>

static std::vector<double> load(const char *path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  std::vector<double> values(static_cast<size_t>(file.tellg()) / sizeof(double));
  file.seekg(0);
  file.read(reinterpret_cast<char *>(values.data()), static_cast<std::streamsize>(values.size() * sizeof(double)));
  return values;
}

int main(int count, char **arguments) {
  if (count != 3) return 2;
  const std::vector<double> starts = load(arguments[1]);
  const std::vector<double> queries = load(arguments[2]);
  double best = 1e300;
  size_t sum = 0;
  for (int round = 0; round < 3; round += 1) {
    const auto begin = std::chrono::steady_clock::now();
    for (const double query : queries) {
      sum += static_cast<size_t>(std::upper_bound(starts.begin(), starts.end(), query) - starts.begin());
    }
    const std::chrono::duration<double, std::nano> spent = std::chrono::steady_clock::now() - begin;
    best = std::min(best, spent.count() / static_cast<double>(queries.size()));
  }
  std::printf("%.3f %zu\n", best, sum);
}
