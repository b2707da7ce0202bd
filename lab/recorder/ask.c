/* Reads trials from a trace, or from lines like a trace's without results: a question put to the kernel, again or for the first time. */
#define _GNU_SOURCE
#include "recorder.h"
#include <stdlib.h>
#include <string.h>

/* The number after `"name":` between `at` and `end`, or `otherwise`. */
static int64_t field(const char *at, const char *end, const char *name, int64_t otherwise) {
  char key[24];
  snprintf(key, sizeof key, "\"%s\":", name);
  const char *found = memmem(at, end - at, key, strlen(key));
  return found ? strtoll(found + strlen(key), 0, 10) : otherwise;
}

static void ask_poison(const char *line, struct trial *trial) {
  const char *cursor = strstr(line, "\"poison\":[");
  trial->ranges = 0;
  if (!cursor) fail("case %u: no poison field", trial->number);
  for (cursor += strlen("\"poison\":["); *cursor == '['; cursor += *cursor == ',') {
    unsigned sector, count;
    int length = 0;
    if (sscanf(cursor, "[%u,%u]%n", &sector, &count, &length) != 2 || !length) fail("case %u: cannot read its poison", trial->number);
    if (trial->ranges == RANGES_MAX) fail("case %u: more than %u ranges of poison", trial->number, RANGES_MAX);
    trial->poison[trial->ranges++] = (struct range){sector, count};
    cursor += length;
  }
}

static void ask_extents(const char *line, struct trial *trial) {
  const char *cursor = strstr(line, "\"extents\":[");
  trial->extents = 0;
  if (!cursor) return;
  for (cursor += strlen("\"extents\":["); *cursor == '['; cursor += *cursor == ',') {
    struct extent *extent = &trial->extent[trial->extents];
    int length = 0;
    if (trial->extents == EXTENTS_MAX) fail("case %u: more than %u extents", trial->number, EXTENTS_MAX);
    if (sscanf(cursor, "[%u,%u,\"%c\"]%n", &extent->first, &extent->pages, &extent->kind, &length) != 3 || !length)
      fail("case %u: cannot read its extents", trial->number);
    trial->extents++;
    cursor += length;
  }
}

static void ask_name(const char *line, struct trial *trial) {
  const char *found = strstr(line, "\"name\":\"");
  trial->name[0] = 0;
  if (found && sscanf(found, "\"name\":\"%47[^\"]", trial->name) != 1) fail("case %u: cannot read its name", trial->number);
}

static void check(const struct trial *trial) {
  uint64_t pages = (trial->size + PAGE - 1) / PAGE, end = 0;
  if (!trial->size || pages > PAGES_MAX) fail("case %u: a size of 1 to %u bytes is wanted", trial->number, PAGES_MAX * PAGE);
  if (trial->seam % PAGE_SECTORS || trial->seam > pages * PAGE_SECTORS) fail("case %u: the seam is at no page of the file", trial->number);
  for (unsigned at = 0; at < trial->ranges; at++)
    if ((uint64_t)trial->poison[at].sector + trial->poison[at].count > pages * PAGE_SECTORS) fail("case %u: poison outside the file", trial->number);
  for (unsigned at = 0; at < trial->extents; end += trial->extent[at++].pages)
    if (trial->extent[at].first != end || !strchr("wuh", trial->extent[at].kind)) fail("case %u: extent %u does not follow the one before", trial->number, at);
  if (trial->extents && end != pages) fail("case %u: its extents have %u pages, the file has %u", trial->number, (unsigned)end, (unsigned)pages);
}

bool ask_trial(FILE *questions, struct trial *trial) {
  static char *line;
  static size_t room;
  ssize_t length = getline(&line, &room, questions);
  if (length < 0) return false;
  const char *end = line + length, *operation = strstr(line, "{\"op\":"), *next;
  const char *head = operation ? operation : end;
  trial->number = (unsigned)field(line, head, "case", 0);
  trial->size = (uint64_t)field(line, head, "size", 0);
  trial->seam = (unsigned)field(line, head, "seam", (int64_t)(trial->size / PAGE / 2 * PAGE_SECTORS));
  trial->clear = field(line, head, "clear", CLEAR_ALL);
  ask_name(line, trial);
  ask_extents(line, trial);
  ask_poison(line, trial);
  check(trial);
  for (trial->operations = 0; operation; operation = next) {
    next = strstr(operation + 1, "{\"op\":");
    const char *stop = next ? next : end;
    struct operation asked = {.kind = operation[strlen("{\"op\":\"")], .fill = (unsigned)field(operation, stop, "fill", 0)};
    asked.offset = (uint64_t)field(operation, stop, "off", 0);
    asked.length = (uint64_t)field(operation, stop, "len", 0);
    if ((asked.kind != 'r' && asked.kind != 'w') || asked.length > LENGTH_MAX) fail("case %u: cannot read its operations", trial->number);
    if (trial->operations == OPERATIONS_MAX) fail("case %u: more than %u operations", trial->number, OPERATIONS_MAX);
    trial->operation[trial->operations++] = asked;
  }
  return true;
}
