/* What the recorder's files share: a stack under test, one random trial for it, and the words of both. Sectors are 512 bytes. */
#ifndef RECORDER_H
#define RECORDER_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define SECTOR 512u
#define PAGE 4096u
#define PAGES_MAX 64u
#define SECTORS_MAX (PAGES_MAX * PAGE / SECTOR)
#define RANGES_MAX 64u
#define OPERATIONS_MAX 256u
#define CLEAR_ALL INT64_MAX
#define LENGTH_MAX ((PAGES_MAX + 8) * PAGE)

struct range {
  uint32_t sector, count;
};

struct operation {
  char kind; /* 'r' or 'w' */
  uint64_t offset, length;
  unsigned fill;
};

/* One line of a trace, before it ran. */
struct trial {
  unsigned number;
  uint64_t size;
  int64_t clear; /* the most bytes that one clear of the firmware clears; -1: it refuses */
  unsigned ranges, operations;
  struct range poison[RANGES_MAX];
  struct operation operation[OPERATIONS_MAX];
};

enum face { FACE_DAX, FACE_DIRECT, FACE_BUFFERED };

/* A block device of one or two legs whose sectors alternate between the legs in chunks, and how calls reach it. */
struct stack {
  const char *name; /* up to the first dot: what it is made of; `.limited` after it: a firmware that clears less than it is asked to */
  const char *directory;
  enum face face;
  bool linear, limited;
  unsigned legs;
  uint64_t chunk;    /* sectors; of a device with one leg: all of it */
  uint64_t sectors;  /* of the device */
  int raw;           /* the device, opened with O_DIRECT */
  int data;          /* the device, opened as its face says; files have their own descriptor */
  int lists[2];      /* the legs' badblocks files */
  int clear;         /* the firmware's parameter: struct trial's clear */
};

/* Where a trial runs: a descriptor whose byte `origin` is the trial's byte 0, which is the device's sector `first`. */
struct place {
  int descriptor;
  uint64_t origin, first;
  unsigned sectors;
};

/* random.c: the same numbers for the same seed, everywhere. */
void random_seed(uint64_t seed, const char *name, uint64_t number);
uint64_t random_below(uint64_t limit);
uint64_t random_between(uint64_t first, uint64_t last);
bool random_percent(unsigned percent);

/* generate.c */
void generate_trial(struct trial *trial, const struct stack *stack, uint64_t seed, unsigned number);

/* ask.c: the next line of a file of trials; their results, if any, are passed over. False at its end. */
bool ask_trial(FILE *questions, struct trial *trial);

/* place.c */
void place_files(struct stack *stack, uint64_t seed);
struct place place_of(const struct stack *stack, uint64_t size);

/* stack.c */
void stack_open(struct stack *stack, const char *device, char *const *legs, unsigned count);
void stack_reset(const struct stack *stack, const struct place *place, unsigned number);
void stack_inject(const struct stack *stack, const struct place *place, uint32_t sector);
void stack_list(const struct stack *stack, const struct place *place, bool bad[SECTORS_MAX]);
void stack_limit_clear(const struct stack *stack, int64_t bytes);
void stack_forget_cache(const struct stack *stack, const struct place *place);

/* record.c: says what failed and ends the program. */
_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
#endif
