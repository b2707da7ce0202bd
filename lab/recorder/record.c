/* Runs random trials on one stack and writes what the kernel answered, one JSON line a trial (lab/README.md has the format).
 * usage: record STACK SEED CASES FILE DEVICE DIRECTORY CHUNK LEG...
 *   STACK: direct, buffered, linear, or a name whose calls go to files with DAX; DIRECTORY: where these are, - without;
 *   CHUNK: sectors before the next leg's turn; LEG: name of a pmem disk. FILE exists when all went well, and never in part. */
#define _GNU_SOURCE
#include "recorder.h"
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static unsigned char buffer[LENGTH_MAX] __attribute__((aligned(4096)));

_Noreturn void fail(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fputs("record: ", stderr);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  exit(1);
}

static uint64_t fnv1a(const unsigned char *bytes, ssize_t length) {
  uint64_t hash = 1469598103934665603u;
  for (ssize_t at = 0; at < length; at++) hash = (hash ^ bytes[at]) * 1099511628211u;
  return length < 0 ? 0 : hash;
}

static void print_ranges(FILE *out, const bool bad[SECTORS_MAX]) {
  const char *separator = "";
  fputc('[', out);
  for (unsigned sector = 0; sector < SECTORS_MAX; sector++) {
    unsigned first = sector;
    while (sector < SECTORS_MAX && bad[sector]) sector++;
    if (sector == first) continue;
    fprintf(out, "%s[%u,%u]", separator, first, sector - first);
    separator = ",";
  }
  fputc(']', out);
}

/* Injects the trial's poison and checks that the list now names exactly that. */
static void poison(const struct stack *stack, const struct place *place, const struct trial *trial) {
  bool wanted[SECTORS_MAX] = {false}, bad[SECTORS_MAX];
  for (unsigned range = 0; range < trial->ranges; range++)
    for (unsigned at = 0; at < trial->poison[range].count; at++) {
      uint32_t sector = trial->poison[range].sector + at;
      if (!wanted[sector]) stack_inject(stack, place, sector);
      wanted[sector] = true;
    }
  stack_list(stack, place, bad);
  if (memcmp(wanted, bad, sizeof bad)) fail("%s: case %u: the list is not what was injected", stack->name, trial->number);
}

static void run_read(FILE *out, const struct place *place, const struct operation *operation) {
  errno = 0;
  ssize_t result = pread(place->descriptor, buffer, operation->length, (off_t)(place->origin + operation->offset));
  fprintf(out, "{\"op\":\"r\",\"off\":%" PRIu64 ",\"len\":%" PRIu64 ",\"ret\":%zd,\"errno\":%d,\"fnv\":\"%016" PRIx64 "\"}", operation->offset,
          operation->length, result, result < 0 ? errno : 0, fnv1a(buffer, result));
}

static void run_write(FILE *out, const struct stack *stack, const struct place *place, const struct operation *operation) {
  bool bad[SECTORS_MAX];
  memset(buffer, (int)operation->fill, operation->length);
  errno = 0;
  ssize_t result = pwrite(place->descriptor, buffer, operation->length, (off_t)(place->origin + operation->offset));
  int error = result < 0 ? errno : 0;
  fprintf(out, "{\"op\":\"w\",\"off\":%" PRIu64 ",\"len\":%" PRIu64 ",\"fill\":%u,\"ret\":%zd,\"errno\":%d,", operation->offset,
          operation->length, operation->fill, result, error);
  if (stack->face == FACE_BUFFERED) fprintf(out, "\"sync\":%d,", fsync(place->descriptor) < 0 ? errno : 0);
  stack_list(stack, place, bad);
  fputs("\"bb\":", out);
  print_ranges(out, bad);
  fputc('}', out);
}

static void run_trial(FILE *out, const struct stack *stack, const struct trial *trial) {
  struct place place = place_of(stack, trial->size);
  stack_reset(stack, &place, trial->number);
  poison(stack, &place, trial);
  fprintf(out, "{\"case\":%u,\"size\":%" PRIu64 ",", trial->number, trial->size);
  if (stack->linear) fprintf(out, "\"seam\":%" PRIu64 ",", stack->chunk - place.first % stack->chunk);
  fputs("\"poison\":[", out);
  for (unsigned range = 0; range < trial->ranges; range++)
    fprintf(out, "%s[%u,%u]", range ? "," : "", trial->poison[range].sector, trial->poison[range].count);
  fputs("],\"ops\":[", out);
  for (unsigned at = 0; at < trial->operations; at++) {
    const struct operation *operation = &trial->operation[at];
    stack_forget_cache(stack, &place);
    if (at) fputc(',', out);
    if (operation->kind == 'r') run_read(out, &place, operation);
    else run_write(out, stack, &place, operation);
  }
  fputs("]}\n", out);
  stack_reset(stack, &place, trial->number);
}

int main(int count, char **words) {
  if (count < 9 || count > 10) fail("usage: record STACK SEED CASES FILE DEVICE DIRECTORY CHUNK LEG...");
  struct stack stack = {.name = words[1], .directory = words[6], .chunk = strtoull(words[7], 0, 10), .linear = !strcmp(words[1], "linear")};
  stack.face = !strcmp(stack.name, "direct") ? FACE_DIRECT : !strcmp(stack.name, "buffered") ? FACE_BUFFERED : FACE_DAX;
  uint64_t seed = strtoull(words[2], 0, 10);
  unsigned cases = (unsigned)strtoul(words[3], 0, 10);
  char part[256];
  snprintf(part, sizeof part, "%s.part", words[4]);
  FILE *out = fopen(part, "w");
  if (!out) fail("%s: %s", part, strerror(errno));
  setvbuf(out, 0, _IOFBF, 1 << 18);
  stack_open(&stack, words[5], words + 8, (unsigned)count - 8);
  place_files(&stack, seed);
  for (unsigned number = 0; number < cases; number++) {
    struct trial trial;
    generate_trial(&trial, &stack, seed, number);
    run_trial(out, &stack, &trial);
  }
  if (fflush(out) || fsync(fileno(out)) || fclose(out) || rename(part, words[4])) fail("%s: %s", words[4], strerror(errno));
  return 0;
}
