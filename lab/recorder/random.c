/* Random numbers from a seed (splitmix64): trial k of a stack is the same whatever ran before it. */
#include "recorder.h"

static uint64_t state;

static uint64_t next(void) {
  uint64_t z = (state += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

void random_seed(uint64_t seed, const char *name, uint64_t number) {
  state = seed;
  for (; *name; name++) state = next() ^ (unsigned char)*name;
  state = next() ^ number;
  next();
}

uint64_t random_below(uint64_t limit) { return limit ? next() % limit : 0; }

uint64_t random_between(uint64_t first, uint64_t last) { return first + random_below(last - first + 1); }

bool random_percent(unsigned percent) { return random_below(100) < percent; }
