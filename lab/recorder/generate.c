/* Random trials: poison clustered around page borders, and calls that begin and end around poison, pages, sectors and the end of the file. */
#include "recorder.h"

static uint64_t smaller(uint64_t a, uint64_t b) { return a < b ? a : b; }

static uint64_t pick_size(const struct stack *stack) {
  uint64_t pages = random_percent(50) ? random_between(1, 8) : random_percent(60) ? random_between(6, 24) : random_between(20, PAGES_MAX);
  uint64_t size = pages * PAGE;
  if (stack->face == FACE_DAX && random_percent(30)) size -= random_percent(40) ? SECTOR * random_between(1, 7) : random_between(1, PAGE - 1);
  return size;
}

/* Two to six extents; the file ends within the last one. */
static void pick_extents(struct trial *trial) {
  unsigned wish = (unsigned)random_between(2, 6), pages = 0;
  char last = 'h';
  for (trial->extents = 0; trial->extents < wish; trial->extents++) {
    char kind = trial->extents == 0 || random_percent(60) ? 'w' : random_percent(50) ? 'u' : 'h';
    if (kind == last && kind != 'w') kind = 'w';
    trial->extent[trial->extents] = (struct extent){pages, (unsigned)random_between(1, 6), kind};
    pages += trial->extent[trial->extents].pages;
    last = kind;
  }
  trial->size = pages * PAGE - (random_percent(30) ? random_below(PAGE) : 0);
}

/* The kind of extent that holds a byte: written, where nothing else is said. */
static char kind_at(const struct trial *trial, uint64_t offset) {
  for (const struct extent *extent = trial->extent; extent < trial->extent + trial->extents; extent++)
    if (offset / PAGE - extent->first < extent->pages) return extent->kind;
  return 'w';
}

/* How many sectors of a range of poison come before a hole, which has no sectors on the device. */
static int64_t before_hole(const struct trial *trial, int64_t start, int64_t count) {
  for (int64_t at = 0; at < count; at++)
    if (kind_at(trial, (uint64_t)(start + at) * SECTOR) == 'h') return at;
  return count;
}

static void pick_poison(struct trial *trial) {
  int64_t pages = (int64_t)(trial->size + PAGE - 1) / PAGE, sectors = pages * 8;
  unsigned wish = random_percent(4) ? 0 : (unsigned)(random_percent(50) ? random_between(1, 3) : random_between(1, 8));
  for (trial->ranges = 0; wish; wish--) {
    int64_t count = random_percent(35) ? 1 : random_percent(30) ? 8 * (int64_t)random_between(1, 3) : (int64_t)random_between(1, 24);
    int64_t start = random_percent(25) ? (int64_t)random_below(sectors) : 8 * (int64_t)random_below(pages + 1) + (random_percent(50) ? 0 : (int64_t)random_below(9) - 4);
    if (random_percent(15)) start -= count; /* ends at the border */
    if (start < 0) start = 0;
    if (start >= sectors) start = sectors - 1;
    if (start + count > sectors) count = sectors - start;
    count = before_hole(trial, start, count);
    if (!count) continue;
    trial->poison[trial->ranges++] = (struct range){(uint32_t)start, (uint32_t)count};
  }
}

/* A byte offset where something begins or ends: of poison, of the file, of the call before. */
static uint64_t pick_edge(const struct trial *trial) {
  const struct operation *last = trial->operations ? &trial->operation[trial->operations - 1] : 0;
  if (last && random_percent(15)) return last->offset + (random_percent(50) ? last->length : 0);
  if (!trial->ranges || random_percent(5)) return trial->size;
  const struct range *range = &trial->poison[random_below(trial->ranges)];
  return ((uint64_t)range->sector + (random_percent(50) ? range->count : 0)) * SECTOR;
}

/* Something close to an edge: itself, its page's border, a sector, a byte, or anything within a page. */
static uint64_t pick_near(const struct trial *trial) {
  int64_t edge = (int64_t)pick_edge(trial);
  switch (random_below(8)) {
  case 0: case 1: break;
  case 2: edge -= edge % PAGE; break;
  case 3: edge += PAGE - edge % PAGE; break;
  case 4: edge += random_percent(50) ? 1 : -1; break;
  case 5: edge += ((int64_t)random_below(9) - 4) * SECTOR; break;
  case 6: edge += ((int64_t)random_below(7) - 3) * PAGE; break;
  default: edge += (int64_t)random_below(2 * PAGE) - PAGE;
  }
  return edge < 0 ? 0 : (uint64_t)edge;
}

static uint64_t pick_offset(const struct trial *trial) {
  uint64_t pages = (trial->size + PAGE - 1) / PAGE;
  switch (random_below(10)) {
  case 0: return 0;
  case 1: case 2: return random_below(pages) * PAGE;
  case 3: return random_below(pages * 8) * SECTOR;
  case 4: return random_below(trial->size + 1);
  default: return pick_near(trial);
  }
}

static uint64_t pick_length(const struct trial *trial, uint64_t offset) {
  uint64_t end;
  switch (random_below(20)) {
  case 0: return 0;
  case 1: case 2: return trial->size > offset ? trial->size - offset : 1;
  case 3: return (trial->size > offset ? trial->size - offset : 0) + random_between(1, 2 * PAGE);
  case 4: case 5: case 6: case 7: return random_between(1, 6) * PAGE;
  case 8: case 9: return random_between(1, 24) * SECTOR;
  case 10: case 11: return random_between(1, 3 * PAGE);
  case 12: return random_between(1, 100);
  default: end = pick_near(trial); return end > offset ? end - offset : random_between(1, 4) * PAGE - offset % PAGE;
  }
}

/* Recovery needs whole pages: a good part of the writes have them. */
static void align_to_pages(struct operation *operation) {
  operation->offset -= operation->offset % PAGE;
  operation->length = (operation->length + PAGE - 1) / PAGE * PAGE;
}

/* Writes extend and allocate nothing, and seldom leave the device; direct calls are seldom off the sector. */
static void fit(struct operation *operation, const struct trial *trial, const struct stack *stack) {
  if (stack->face == FACE_DIRECT && !random_percent(4)) {
    operation->offset -= operation->offset % SECTOR;
    operation->length = (operation->length + SECTOR - 1) / SECTOR * SECTOR;
  }
  operation->length = smaller(operation->length, LENGTH_MAX);
  if (operation->kind == 'r' || (stack->face != FACE_DAX && random_percent(4))) return;
  if (operation->offset >= trial->size) operation->offset = (trial->size - 1) / PAGE * PAGE;
  operation->length = smaller(operation->length, trial->size - operation->offset);
  for (uint64_t at = operation->offset; at < operation->offset + operation->length; at += PAGE - at % PAGE)
    if (kind_at(trial, at) != 'w') operation->length = at - operation->offset;
  if (kind_at(trial, operation->offset) != 'w') operation->kind = 'r';
}

/* What a firmware that is short of clearing clears: nothing, a refusal, or less than a page, than two, than a few. */
static int64_t pick_clear(void) {
  static const int64_t choices[] = {-1, -1, 0, 256, 512, 1024, 2048, 3584, 4096, 4096, 6144, 8192};
  return choices[random_below(sizeof choices / sizeof *choices)];
}

/* At the end the pages around poison are read one by one, then the whole file. */
static void close_trial(struct trial *trial) {
  for (unsigned at = 0; at < trial->ranges && at < 4; at++) {
    uint64_t page = trial->poison[at].sector / 8 + random_below(3);
    uint64_t offset = page ? (page - 1) * PAGE : 0;
    if (offset < trial->size) trial->operation[trial->operations++] = (struct operation){.kind = 'r', .offset = offset, .length = PAGE};
  }
  trial->operation[trial->operations++] = (struct operation){.kind = 'r', .length = trial->size};
}

void generate_trial(struct trial *trial, const struct stack *stack, uint64_t seed, unsigned number) {
  random_seed(seed, stack->name, number);
  trial->number = number;
  trial->extents = 0;
  if (stack->extents) pick_extents(trial);
  else trial->size = pick_size(stack);
  unsigned pages = (unsigned)((trial->size + PAGE - 1) / PAGE);
  trial->seam = stack->linear ? (unsigned)random_between(1, pages > 1 ? pages - 1 : 1) * PAGE_SECTORS : 0;
  trial->clear = stack->limited ? pick_clear() : CLEAR_ALL;
  pick_poison(trial);
  unsigned wish = (unsigned)random_between(5, 35);
  for (trial->operations = 0; trial->operations < wish; trial->operations++) {
    struct operation operation = {.kind = random_percent(50) ? 'w' : 'r', .fill = (unsigned)random_below(256)};
    operation.offset = pick_offset(trial);
    operation.length = pick_length(trial, operation.offset);
    if (random_percent(operation.kind == 'w' ? 40 : 15)) align_to_pages(&operation);
    fit(&operation, trial, stack);
    trial->operation[trial->operations] = operation;
  }
  close_trial(trial);
}
