/* A stack's sectors: which leg holds one, poison and its list in sectors of the file, and the way back to a clean start. */
#define _GNU_SOURCE
#include "recorder.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <unistd.h>

static uint64_t size_in_sectors(int descriptor) {
  uint64_t bytes;
  if (ioctl(descriptor, BLKGETSIZE64, &bytes) < 0) fail("BLKGETSIZE64: %s", strerror(errno));
  return bytes / SECTOR;
}

void stack_open(struct stack *stack, const char *device, char *const *legs, unsigned count) {
  stack->raw = open(device, O_RDWR | O_DIRECT | O_CLOEXEC);
  if (stack->raw < 0) fail("%s: %s", device, strerror(errno));
  stack->data = stack->face == FACE_DAX ? -1 : open(device, O_RDWR | O_CLOEXEC | (stack->face == FACE_DIRECT ? O_DIRECT : 0));
  if (stack->face != FACE_DAX && stack->data < 0) fail("%s: %s", device, strerror(errno));
  stack->sectors = size_in_sectors(stack->raw);
  stack->legs = count;
  if (count == 1) stack->chunk = stack->sectors;
  for (unsigned leg = 0; leg < count; leg++) {
    char path[64];
    snprintf(path, sizeof path, "/sys/block/%s/badblocks", legs[leg]);
    stack->lists[leg] = open(path, O_RDWR | O_CLOEXEC);
    if (stack->lists[leg] < 0) fail("%s: %s", path, strerror(errno));
  }
  stack->clear = open("/sys/module/nfit_test/parameters/clear_max", O_WRONLY | O_CLOEXEC);
  if (stack->clear < 0) fail("clear_max: %s", strerror(errno));
}

void stack_limit_clear(const struct stack *stack, int64_t bytes) {
  char text[32];
  int length = snprintf(text, sizeof text, "%lld", (long long)bytes);
  if (pwrite(stack->clear, text, length, 0) != length) fail("clear_max: %s", strerror(errno));
}

/* Poison goes in sector by sector: before 6.7 the list loses the tail of a range that is set over several records. */
void stack_inject(const struct stack *stack, const struct place *place, uint32_t sector) {
  char text[32];
  if (place->sector[sector / PAGE_SECTORS] == NOWHERE) fail("%s: sector %u is in a hole and cannot be bad", stack->name, sector);
  uint64_t at = place->sector[sector / PAGE_SECTORS] + sector % PAGE_SECTORS, row = at / stack->chunk;
  uint64_t on_leg = row / stack->legs * stack->chunk + at % stack->chunk;
  int length = snprintf(text, sizeof text, "%llu 1\n", (unsigned long long)on_leg);
  if (pwrite(stack->lists[row % stack->legs], text, length, 0) != length)
    fail("%s: cannot inject sector %s: %s", stack->name, text, strerror(errno));
}

/* The trial's sector that a device sector is, or NOWHERE. */
static uint64_t sector_of_trial(const struct place *place, uint64_t at) {
  for (unsigned page = 0; page < place->pages; page++)
    if (place->sector[page] != NOWHERE && at - place->sector[page] < PAGE_SECTORS) return page * PAGE_SECTORS + (at - place->sector[page]);
  return NOWHERE;
}

void stack_list(const struct stack *stack, const struct place *place, bool bad[SECTORS_MAX]) {
  memset(bad, 0, SECTORS_MAX);
  for (unsigned leg = 0; leg < stack->legs; leg++) {
    char text[PAGE + 1], *cursor = text;
    ssize_t length = pread(stack->lists[leg], text, PAGE, 0);
    if (length < 0 || length == PAGE) fail("%s: cannot read the bad-block list", stack->name);
    text[length] = 0;
    while (*cursor) {
      uint64_t sector = strtoull(cursor, &cursor, 10), count = strtoull(cursor, &cursor, 10);
      cursor += *cursor == '\n';
      for (; count; sector++, count--) {
        uint64_t row = sector / stack->chunk * stack->legs + leg;
        uint64_t at = sector_of_trial(place, row * stack->chunk + sector % stack->chunk);
        if (at == NOWHERE) fail("%s: sector %llu of leg %u is bad, and no trial asked for it", stack->name, (unsigned long long)sector, leg);
        bad[at] = true;
      }
    }
  }
}

/* Clears all poison of the place, and fills it: byte j becomes (7 j + number) mod 256. */
void stack_reset(const struct stack *stack, const struct place *place, unsigned number) {
  static unsigned char pattern[PAGES_MAX * PAGE] __attribute__((aligned(4096)));
  bool bad[SECTORS_MAX];
  for (size_t j = 0; j < (size_t)place->pages * PAGE; j++) pattern[j] = (unsigned char)(7 * j + number);
  for (unsigned page = 0, next; page < place->pages; page = next) {
    next = page + 1;
    if (place->sector[page] == NOWHERE) continue;
    while (next < place->pages && place->sector[next] == place->sector[next - 1] + PAGE_SECTORS) next++;
    size_t length = (size_t)(next - page) * PAGE;
    ssize_t written = pwrite(stack->raw, pattern + (size_t)page * PAGE, length, (off_t)(place->sector[page] * SECTOR));
    if (written != (ssize_t)length) fail("%s: reset wrote %zd of %zu bytes: %s", stack->name, written, length, strerror(errno));
  }
  stack_list(stack, place, bad);
  if (memchr(bad, true, sizeof bad)) fail("%s: poison outlives a reset", stack->name);
  stack_forget_cache(stack, place);
}

/* Buffered calls start from a cold cache each; the other faces have none. */
void stack_forget_cache(const struct stack *stack, const struct place *place) {
  if (stack->face != FACE_BUFFERED) return;
  int error = posix_fadvise(place->descriptor, (off_t)place->origin, (off_t)place->pages * PAGE, POSIX_FADV_DONTNEED);
  if (error) fail("posix_fadvise: %s", strerror(error));
}
