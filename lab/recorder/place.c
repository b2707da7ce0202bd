/* Where a trial runs: on a block device its last bytes; with a file system one file per number of pages, in one extent that begins
 * where the stack wants it, or a file of its own where the trial names its extents. */
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

/* How far, in sectors, the border that matters is into the file: a stripe's file begins at one, a linear one crosses one. */
static uint64_t sectors_before_border(const struct stack *stack, unsigned pages) {
  if (!stack->linear || pages == 1) return 0;
  return random_between(1, pages - 1) * PAGE_SECTORS;
}

/* Makes a file of more pages than asked for, and collapses its head until its first byte is where it should be. */
static bool place_file(const struct stack *stack, unsigned pages, unsigned attempt) {
  static const unsigned char zeros[3 * PAGES_MAX * PAGE];
  char path[128];
  uint64_t border = stack->legs == 1 ? PAGE_SECTORS : stack->linear ? stack->chunk : stack->legs * stack->chunk;
  unsigned spare = (unsigned)(border / PAGE_SECTORS) - 1;
  snprintf(path, sizeof path, "%s/%u-%u", stack->directory, pages, attempt);
  int descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (descriptor < 0) fail("%s: %s", path, strerror(errno));
  ssize_t length = (ssize_t)(pages + spare) * PAGE;
  if (length > (ssize_t)sizeof zeros) fail("%s: a chunk of %llu sectors is too large", stack->name, (unsigned long long)stack->chunk);
  if (pwrite(descriptor, zeros, length, 0) != length) fail("%s: %s", path, strerror(errno));
  uint64_t first, wanted = sectors_before_border(stack, pages);
  if (!one_extent(descriptor, pages + spare, &first)) return false;
  uint64_t skip = (border - (first + wanted) % border) % border * SECTOR;
  if (skip && fallocate(descriptor, FALLOC_FL_COLLAPSE_RANGE, 0, (off_t)skip)) fail("%s: collapse: %s", path, strerror(errno));
  if (ftruncate(descriptor, (off_t)pages * PAGE)) fail("%s: %s", path, strerror(errno));
  if (!one_extent(descriptor, pages, &first) || (first + wanted) % border) return false;
  files[pages] = descriptor;
  firsts[pages] = first;
  return true;
}

void place_files(const struct stack *stack, uint64_t seed) {
  if (stack->face != FACE_DAX) return;
  random_seed(seed, stack->name, ~0ull);
  for (unsigned pages = 1; pages <= PAGES_MAX; pages++) {
    unsigned attempt = 0;
    while (!place_file(stack, pages, attempt))
      if (++attempt == 32) fail("%s: no file of %u pages comes in one extent", stack->name, pages);
  }
  sync();
}

struct place place_of(const struct stack *stack, const struct trial *trial) {
  struct place place = {.pages = (unsigned)((trial->size + PAGE - 1) / PAGE)};
  if (trial->extents) {
    place.descriptor = extents_make(stack, trial, &place);
    return place;
  }
  uint64_t first;
  if (stack->face == FACE_DAX) {
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
  if (trial->extents) close(place->descriptor);
}
