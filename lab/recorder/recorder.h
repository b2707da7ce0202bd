/* What the recorder's files share: a stack under test, one random trial for it, and the words of both. Sectors are 512 bytes. */
#ifndef RECORDER_H
#define RECORDER_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define SECTOR 512u
#define PAGE 4096u
#define PAGE_SECTORS (PAGE / SECTOR)
#define PAGES_MAX 64u
#define SECTORS_MAX (PAGES_MAX * PAGE_SECTORS)
#define RANGES_MAX 64u
#define OPERATIONS_MAX 256u
#define EXTENTS_MAX 16u
#define CLEAR_ALL INT64_MAX
#define NOWHERE UINT64_MAX
#define LENGTH_MAX ((PAGES_MAX + 8) * PAGE)

struct range {
  uint32_t sector, count;
};

/* Pages of a file that follow each other on the device too. kind: 'w' written, 'u' allocated and unwritten, 'h' a hole. */
struct extent {
  unsigned first, pages;
  char kind;
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
  unsigned seam; /* of a linear stack: sectors before the second leg's part; the file's length where it has no such part */
  char name[48]; /* what an asked trial calls itself */
  unsigned extents, ranges, operations;
  struct extent extent[EXTENTS_MAX]; /* none: the whole file is one written extent */
  struct range poison[RANGES_MAX];
  struct operation operation[OPERATIONS_MAX];
};

enum face { FACE_DAX, FACE_DIRECT, FACE_BUFFERED };

/* A block device of one or two legs whose sectors alternate between the legs in chunks, and how calls reach it. */
struct stack {
  /* Up to the first dot: what it is made of. Then `.limited`: a firmware that clears less than it is asked to; `.extents`: files in pieces. */
  const char *name;
  const char *directory;
  enum face face;
  bool linear, limited, extents;
  unsigned legs;
  uint64_t chunk;    /* sectors; of a device with one leg: all of it */
  uint64_t sectors;  /* of the device */
  int raw;           /* the device, opened with O_DIRECT */
  int data;          /* the device, opened as its face says; files have their own descriptor */
  int lists[2];      /* the legs' badblocks files */
  int clear;         /* the firmware's parameter: struct trial's clear */
};

/* Where a trial runs: a descriptor whose byte `origin` is the trial's byte 0, and the device sector of each page of it. */
struct place {
  int descriptor;
  uint64_t origin;
  unsigned pages;
  uint64_t sector[PAGES_MAX]; /* or NOWHERE */
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
void place_files(const struct stack *stack);
struct place place_of(const struct stack *stack, const struct trial *trial);
void place_leave(const struct stack *stack, const struct trial *trial, const struct place *place);

/* extents.c: a file's extents as the file system tells them, and a new file that has the wanted ones. */
unsigned extents_of(int descriptor, struct extent *extent, uint64_t *sector, unsigned limit);
int extents_make(const struct stack *stack, const struct trial *trial, struct place *place);

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
