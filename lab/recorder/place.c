/* Where a trial runs: on a block device its last bytes; with a file system one file per number of pages, in one extent that begins where the stack wants. */
#define _GNU_SOURCE
#include "recorder.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static struct place files[PAGES_MAX + 1];

/* The first device sector of a file that is one written extent of `pages`, or false. */
static bool one_extent(int descriptor, unsigned pages, uint64_t *first) {
  char memory[sizeof(struct fiemap) + 2 * sizeof(struct fiemap_extent)] __attribute__((aligned(8))) = {0};
  struct fiemap *map = (struct fiemap *)memory;
  map->fm_length = ~0ull;
  map->fm_flags = FIEMAP_FLAG_SYNC;
  map->fm_extent_count = 2;
  if (ioctl(descriptor, FS_IOC_FIEMAP, map) < 0) fail("FIEMAP: %s", strerror(errno));
  const struct fiemap_extent *extent = map->fm_extents;
  *first = extent->fe_physical / SECTOR;
  return map->fm_mapped_extents == 1 && extent->fe_logical == 0 && extent->fe_length == (uint64_t)pages * PAGE &&
         !(extent->fe_flags & ~FIEMAP_EXTENT_LAST);
}

/* How far, in sectors, the border that matters is into the file: a stripe's file begins at one, a linear one crosses one. */
static uint64_t sectors_before_border(const struct stack *stack, unsigned pages) {
  if (!stack->linear || pages == 1) return 0;
  return random_between(1, pages - 1) * (PAGE / SECTOR);
}

/* Makes a file of more pages than asked for, and collapses its head until its first byte is where it should be. */
static bool place_file(const struct stack *stack, unsigned pages, unsigned attempt, struct place *place) {
  static const unsigned char zeros[2 * PAGES_MAX * PAGE + PAGES_MAX * PAGE];
  char path[128];
  uint64_t border = stack->legs == 1 ? PAGE / SECTOR : stack->linear ? stack->chunk : stack->legs * stack->chunk;
  unsigned spare = (unsigned)(border * SECTOR / PAGE) - 1;
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
  *place = (struct place){.descriptor = descriptor, .first = first, .sectors = pages * (PAGE / SECTOR)};
  return true;
}

void place_files(struct stack *stack, uint64_t seed) {
  if (stack->face != FACE_DAX) return;
  random_seed(seed, stack->name, ~0ull);
  for (unsigned pages = 1; pages <= PAGES_MAX; pages++) {
    unsigned attempt = 0;
    while (!place_file(stack, pages, attempt, &files[pages]))
      if (++attempt == 32) fail("%s: no file of %u pages comes in one extent", stack->name, pages);
  }
  sync();
}

struct place place_of(const struct stack *stack, uint64_t size) {
  unsigned pages = (unsigned)((size + PAGE - 1) / PAGE);
  if (stack->face == FACE_DAX) {
    if (ftruncate(files[pages].descriptor, (off_t)size)) fail("%s: ftruncate: %s", stack->name, strerror(errno));
    return files[pages];
  }
  uint64_t first = stack->sectors - size / SECTOR;
  return (struct place){.descriptor = stack->data, .origin = first * SECTOR, .first = first, .sectors = (unsigned)(size / SECTOR)};
}
