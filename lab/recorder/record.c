/* Runs trials on one stack and writes what the kernel answered, one JSON line a trial (lab/README.md has the format). The file is
 * there when all went well, and never in part. */
#define _GNU_SOURCE
#include "recorder.h"
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
    "usage: record --stack NAME --device DEVICE --out FILE (--seed N --cases N | --ask FILE) [--directory DIR] [--chunk N] LEG...\n"
    "  NAME: direct, buffered, linear, or anything else whose calls go to files with DAX in DIR; N: sectors before the next leg's turn";

/* A random case ends soon after its list: calls on clean media teach little. */
#define CALLS_AFTER_POISON 4

struct options {
  const char *device, *out, *ask;
  uint64_t seed;
  unsigned cases;
};

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

/* Says whether anything is still listed. */
static bool run_write(FILE *out, const struct stack *stack, const struct place *place, const struct operation *operation) {
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
  return memchr(bad, true, sizeof bad);
}

static void print_head(FILE *out, const struct stack *stack, const struct trial *trial) {
  fprintf(out, "{\"case\":%u,\"size\":%" PRIu64 ",", trial->number, trial->size);
  if (trial->name[0]) fprintf(out, "\"name\":\"%s\",", trial->name);
  if (stack->linear) fprintf(out, "\"seam\":%u,", trial->seam);
  if (trial->clear != CLEAR_ALL) fprintf(out, "\"clear\":%" PRId64 ",", trial->clear);
  for (unsigned at = 0; at < trial->extents; at++) {
    const struct extent *extent = &trial->extent[at];
    fprintf(out, "%s[%u,%u,\"%c\"]%s", at ? "," : "\"extents\":[", extent->first, extent->pages, extent->kind, at + 1 < trial->extents ? "" : "],");
  }
  fputs("\"poison\":[", out);
  for (unsigned range = 0; range < trial->ranges; range++)
    fprintf(out, "%s[%u,%u]", range ? "," : "", trial->poison[range].sector, trial->poison[range].count);
  fputs("],\"ops\":[", out);
}

static void run_trial(FILE *out, const struct stack *stack, const struct trial *trial, bool whole) {
  struct place place = place_of(stack, trial);
  unsigned left = trial->ranges ? trial->operations : CALLS_AFTER_POISON;
  stack_reset(stack, &place, trial->number);
  poison(stack, &place, trial);
  if (trial->clear != CLEAR_ALL) stack_limit_clear(stack, trial->clear);
  print_head(out, stack, trial);
  for (unsigned at = 0; at < trial->operations; at++) {
    const struct operation *operation = &trial->operation[at];
    if (!whole && !left && at + 1 < trial->operations) continue;
    if (left) left--;
    stack_forget_cache(stack, &place);
    if (at) fputc(',', out);
    if (operation->kind == 'r') run_read(out, &place, operation);
    else if (!run_write(out, stack, &place, operation) && left > CALLS_AFTER_POISON) left = CALLS_AFTER_POISON;
  }
  fputs("]}\n", out);
  if (trial->clear != CLEAR_ALL) stack_limit_clear(stack, CLEAR_ALL);
  place_leave(stack, trial, &place);
}

static void run_trials(FILE *out, const struct stack *stack, const struct options *options) {
  static struct trial trial;
  FILE *questions = options->ask ? fopen(options->ask, "r") : 0;
  if (options->ask && !questions) fail("%s: %s", options->ask, strerror(errno));
  if (questions)
    while (ask_trial(questions, &trial)) run_trial(out, stack, &trial, true);
  else
    for (unsigned number = 0; number < options->cases; number++) {
      generate_trial(&trial, stack, options->seed, number);
      run_trial(out, stack, &trial, false);
    }
}

static void parse(int count, char **words, struct stack *stack, struct options *options) {
  static const struct option known[] = {{"stack", 1, 0, 's'}, {"device", 1, 0, 'd'}, {"out", 1, 0, 'o'},       {"seed", 1, 0, 'n'}, {"cases", 1, 0, 'c'},
                                        {"ask", 1, 0, 'a'},   {"chunk", 1, 0, 'k'},  {"directory", 1, 0, 'f'}, {0, 0, 0, 0}};
  for (int letter; (letter = getopt_long(count, words, "", known, 0)) != -1;) switch (letter) {
    case 's': stack->name = optarg; break;
    case 'd': options->device = optarg; break;
    case 'o': options->out = optarg; break;
    case 'n': options->seed = strtoull(optarg, 0, 10); break;
    case 'c': options->cases = (unsigned)strtoul(optarg, 0, 10); break;
    case 'a': options->ask = optarg; break;
    case 'k': stack->chunk = strtoull(optarg, 0, 10); break;
    case 'f': stack->directory = optarg; break;
    default: fail("%s", usage);
    }
  int legs = count - optind;
  if (!stack->name || !options->device || !options->out || legs < 1 || legs > 2 || (legs == 2 && !stack->chunk)) fail("%s", usage);
  size_t length = strcspn(stack->name, ".");
  stack->linear = length == 6 && !strncmp(stack->name, "linear", length);
  stack->limited = strstr(stack->name, ".limited") != 0;
  stack->extents = strstr(stack->name, ".extents") != 0;
  stack->face = !strncmp(stack->name, "direct", length) ? FACE_DIRECT : !strncmp(stack->name, "buffered", length) ? FACE_BUFFERED : FACE_DAX;
}

int main(int count, char **words) {
  struct stack stack = {0};
  struct options options = {0};
  char part[256];
  parse(count, words, &stack, &options);
  snprintf(part, sizeof part, "%s.part", options.out);
  FILE *out = fopen(part, "w");
  if (!out) fail("%s: %s", part, strerror(errno));
  setvbuf(out, 0, _IOFBF, 1 << 18);
  stack_open(&stack, options.device, words + optind, (unsigned)(count - optind));
  stack_limit_clear(&stack, CLEAR_ALL);
  place_files(&stack);
  run_trials(out, &stack, &options);
  if (fflush(out) || fsync(fileno(out)) || fclose(out) || rename(part, options.out)) fail("%s: %s", options.out, strerror(errno));
  return 0;
}
