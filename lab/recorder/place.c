/* Where a trial runs: on a block device its last bytes; with a file system one file per number of pages, in one extent that begins
 * where the stack wants it, or a file of its own where the trial has a seam or names its extents. */
#define _GNU_SOURCE
#include "recorder.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <string.h>
#include <unistd.h>

static int files[PAGES_MAX + 1];
static uint64_t firsts[PAGES_MAX + 1];

static bool one_extent(int descriptor, unsigned pages, uint64_t *first) {
  struct extent extent[2];
  uint64_t sector[2];
  if (extents_of(descriptor, extent, sector, 2) != 1) return false;
  *first = sector[0];
  return extent[0].first == 0 && extent[0].pages == pages && extent[0].kind == 'w';
}

/* Makes a file of more pages than asked for, and collapses its head until a border of the device is `before` sectors into it. */
static bool place_file(const struct stack *stack, unsigned pages, unsigned before, const char *path, int *descriptor, uint64_t *first) {
  static const unsigned char zeros[3 * PAGES_MAX * PAGE];
  uint64_t border = stack->legs == 1 ? PAGE_SECTORS : stack->linear ? stack->chunk : stack->legs * stack->chunk;
  unsigned spare = (unsigned)(border / PAGE_SECTORS) - 1;
  *descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (*descriptor < 0) fail("%s: %s", path, strerror(errno));
  ssize_t length = (ssize_t)(pages + spare) * PAGE;
  if (length > (ssize_t)sizeof zeros) fail("%s: a chunk of %llu sectors is too large", stack->name, (unsigned long long)stack->chunk);
  if (pwrite(*descriptor, zeros, length, 0) != length) fail("%s: %s", path, strerror(errno));
  if (!one_extent(*descriptor, pages + spare, first)) return false;
  uint64_t skip = (border - (*first + before) % border) % border * SECTOR;
  if (skip && fallocate(*descriptor, FALLOC_FL_COLLAPSE_RANGE, 0, (off_t)skip)) fail("%s: collapse: %s", path, strerror(errno));
  if (ftruncate(*descriptor, (off_t)pages * PAGE)) fail("%s: %s", path, strerror(errno));
  return one_extent(*descriptor, pages, first) && (*first + before) % border == 0;
}

/* The same, until the file system gives one extent; failed attempts keep their blocks meanwhile. */
static void place_surely(const struct stack *stack, unsigned pages, unsigned before, int *descriptor, uint64_t *first) {
  char path[128];
  unsigned attempt = 0;
  for (;; attempt++) {
    if (attempt == 32) fail("%s: no file of %u pages comes in one extent", stack->name, pages);
    snprintf(path, sizeof path, "%s/%u-%u", stack->directory, pages, attempt);
    if (place_file(stack, pages, before, path, descriptor, first)) break;
    close(*descriptor);
  }
  for (attempt++; attempt-- > 0;) {
    snprintf(path, sizeof path, "%s/%u-%u", stack->directory, pages, attempt);
    unlink(path);
  }
}

void place_files(const struct stack *stack) {
  if (stack->face != FACE_DAX || stack->linear) return;
  for (unsigned pages = 1; pages <= PAGES_MAX; pages++) place_surely(stack, pages, 0, &files[pages], &firsts[pages]);
  sync();
}

/* A linear stack's file is the trial's own, because its seam is. */
static uint64_t own_file(const struct stack *stack, const struct trial *trial, struct place *place) {
  uint64_t first;
  place_surely(stack, place->pages, trial->seam, &place->descriptor, &first);
  if (ftruncate(place->descriptor, (off_t)trial->size)) fail("%s: ftruncate: %s", stack->name, strerror(errno));
  return first;
}

struct place place_of(const struct stack *stack, const struct trial *trial) {
  struct place place = {.pages = (unsigned)((trial->size + PAGE - 1) / PAGE)};
  if (trial->extents) {
    if (stack->legs > 1 || stack->face != FACE_DAX) fail("%s: only ext4dax takes a file in pieces", stack->name);
    place.descriptor = extents_make(stack, trial, &place);
    return place;
  }
  uint64_t first;
  if (stack->linear) {
    first = own_file(stack, trial, &place);
  } else if (stack->face == FACE_DAX) {
    if (ftruncate(files[place.pages], (off_t)trial->size)) fail("%s: ftruncate: %s", stack->name, strerror(errno));
    place.descriptor = files[place.pages];
    first = firsts[place.pages];
  } else {
    first = stack->sectors - place.pages * PAGE_SECTORS;
    place.descriptor = stack->data;
    place.origin = first * SECTOR;
  }
  for (unsigned page = 0; page < place.pages; page++) place.sector[page] = first + page * PAGE_SECTORS;
  return place;
}

void place_leave(const struct stack *stack, const struct trial *trial, const struct place *place) {
  stack_reset(stack, place, trial->number);
  if (trial->extents || stack->linear) close(place->descriptor);
}
