/* A file in pieces: written extents that are no neighbours on the device, unwritten ones, and holes, in a wanted order. */
#define _GNU_SOURCE
#include "recorder.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

unsigned extents_of(int descriptor, struct extent *extent, uint64_t *sector, unsigned limit) {
  static char memory[sizeof(struct fiemap) + EXTENTS_MAX * sizeof(struct fiemap_extent)] __attribute__((aligned(8)));
  struct fiemap *map = memset(memory, 0, sizeof memory);
  map->fm_length = ~0ull;
  map->fm_flags = FIEMAP_FLAG_SYNC;
  map->fm_extent_count = limit;
  if (ioctl(descriptor, FS_IOC_FIEMAP, map) < 0) fail("FIEMAP: %s", strerror(errno));
  for (unsigned at = 0; at < map->fm_mapped_extents; at++) {
    const struct fiemap_extent *found = &map->fm_extents[at];
    extent[at] = (struct extent){(unsigned)(found->fe_logical / PAGE), (unsigned)(found->fe_length / PAGE), 'w'};
    if (found->fe_flags & FIEMAP_EXTENT_UNWRITTEN) extent[at].kind = 'u';
    sector[at] = found->fe_physical / SECTOR;
  }
  return map->fm_mapped_extents;
}

static void change(int descriptor, int mode, uint64_t first, uint64_t pages) {
  if (fallocate(descriptor, mode, (off_t)(first * PAGE), (off_t)(pages * PAGE))) fail("fallocate mode %d: %s", mode, strerror(errno));
}

/* Written whole, with a page to spare after each extent; from the end backwards spare pages go, and what is not to be written. */
static void carve(int descriptor, const struct trial *trial, unsigned pages) {
  static const unsigned char zeros[(PAGES_MAX + EXTENTS_MAX) * PAGE];
  ssize_t length = (ssize_t)(pages + trial->extents) * PAGE;
  if (pwrite(descriptor, zeros, length, 0) != length) fail("cannot fill a file: %s", strerror(errno));
  for (unsigned at = trial->extents; at-- > 0;) {
    const struct extent *extent = &trial->extent[at];
    unsigned first = extent->first + at;
    if (at + 1 < trial->extents) change(descriptor, FALLOC_FL_COLLAPSE_RANGE, first + extent->pages, 1);
    if (extent->kind == 'u') change(descriptor, FALLOC_FL_ZERO_RANGE, first, extent->pages);
    if (extent->kind == 'h') change(descriptor, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, first, extent->pages);
  }
  if (ftruncate(descriptor, (off_t)trial->size) || fsync(descriptor)) fail("cannot cut a file: %s", strerror(errno));
}

/* Whether the file is what was asked for, with no two extents that touch on the device; then also where its pages are. */
static bool is_as_asked(int descriptor, const struct trial *trial, struct place *place) {
  struct extent found[EXTENTS_MAX];
  uint64_t sector[EXTENTS_MAX];
  unsigned count = extents_of(descriptor, found, sector, EXTENTS_MAX), at = 0;
  for (unsigned page = 0; page < PAGES_MAX; page++) place->sector[page] = NOWHERE;
  for (const struct extent *wanted = trial->extent; wanted < trial->extent + trial->extents; wanted++) {
    if (wanted->kind == 'h') continue;
    if (at == count || found[at].first != wanted->first || found[at].pages != wanted->pages || found[at].kind != wanted->kind) return false;
    if (at && sector[at] <= sector[at - 1] + found[at - 1].pages * PAGE_SECTORS) return false;
    for (unsigned page = 0; page < wanted->pages; page++) place->sector[wanted->first + page] = sector[at] + page * PAGE_SECTORS;
    at++;
  }
  return at == count;
}

int extents_make(const struct stack *stack, const struct trial *trial, struct place *place) {
  char path[128];
  for (unsigned attempt = 0; attempt < 32; attempt++) {
    snprintf(path, sizeof path, "%s/extents-%u", stack->directory, attempt);
    int descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (descriptor < 0) fail("%s: %s", path, strerror(errno));
    carve(descriptor, trial, place->pages);
    if (is_as_asked(descriptor, trial, place)) {
      /* Nothing but the descriptor holds the file, and those of failed attempts keep their blocks from the next one. */
      for (attempt++; attempt-- > 0;) {
        snprintf(path, sizeof path, "%s/extents-%u", stack->directory, attempt);
        unlink(path);
      }
      return descriptor;
    }
    close(descriptor);
  }
  fail("%s: case %u: the file system does not give these extents", stack->name, trial->number);
}
