/* Random work in a mounted ext4, which is then cut off: workload DIRECTORY SEED BLOCK_SIZE FAST_COMMIT(0|1).
 *
 * A step that the file system refuses (no space, no such feature) is left out. In the end the file system is shut down (EXT4_IOC_SHUTDOWN): its
 * journal stays dirty, and files without a name that are still open become orphans. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <linux/falloc.h>

#define SHUTDOWN _IOR('X', 125, uint32_t) /* fs/ext4/ext4.h */
#define FLUSH_LOG 1
#define LEAVE_LOG 2
#define PATHS 4096
#define PATH_SIZE 512

static uint64_t state;
static char files[PATHS][PATH_SIZE], directories[PATHS][PATH_SIZE];
static unsigned file_count, directory_count, names;
static unsigned char content[128 * 1024];
static long block_size;

static uint64_t next(void) {
  uint64_t z = (state += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

static unsigned below(unsigned limit) { return limit ? next() % limit : 0; }

static bool percent(unsigned chance) { return below(100) < chance; }

static const unsigned char *random_bytes(void) { return content + below(sizeof content / 2); }

static void new_path(char *path) {
  char padding[201] = "";
  if (percent(10)) memset(padding, 'w', below(200));
  if (snprintf(path, PATH_SIZE, "%s/work-%u%s", directories[below(directory_count)], names++, padding) >= PATH_SIZE)
    path[0] = 0;
}

/* Writes bytes at an offset; O_APPEND where it is -1. */
static void write_at(const char *path, long offset, unsigned length, bool sync) {
  int file = open(path, O_WRONLY | O_CREAT | (offset < 0 ? O_APPEND : 0), 0644);
  if (file < 0) return;
  ssize_t done = offset < 0 ? write(file, random_bytes(), length) : pwrite(file, random_bytes(), length, offset);
  (void)done;
  if (sync) fsync(file);
  close(file);
}

static void create_file(unsigned most, bool sync) {
  if (file_count == PATHS) return;
  char *path = files[file_count];
  new_path(path);
  if (!path[0]) return;
  write_at(path, 0, below(most), sync);
  if (access(path, F_OK) == 0) file_count++;
}

static void create_directory(void) {
  if (directory_count == PATHS || strlen(directories[directory_count - 1]) > 200) return;
  char *path = directories[directory_count];
  new_path(path);
  if (path[0] && mkdir(path, 0755) == 0) directory_count++;
}

static void allocate(const char *path) {
  static const int modes[] = {0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, FALLOC_FL_ZERO_RANGE,
                              FALLOC_FL_COLLAPSE_RANGE, FALLOC_FL_INSERT_RANGE};
  int mode = modes[below(sizeof modes / sizeof *modes)];
  long start = below(40) * block_size;
  long length = mode & (FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_INSERT_RANGE) ? block_size : (1 + below(40)) * block_size;
  int file = open(path, O_RDWR);
  if (file < 0) return;
  if (fallocate(file, mode, start, length) < 0 && pwrite(file, random_bytes(), 3000, start) < 0) perror(path);
  close(file);
}

static void set_attribute(const char *path) {
  char name[] = "user.work0";
  static const unsigned sizes[] = {20, 200, 900};
  name[9] += below(4);
  setxattr(path, name, random_bytes(), 1 + below(sizes[below(3)]), 0);
}

/* Many names in one directory: an index grows, splits, and loses some of them again. */
static void crowd(void) {
  char path[PATH_SIZE], name[PATH_SIZE + 300], padding[201] = "";
  new_path(path);
  if (!path[0] || mkdir(path, 0755) < 0) return;
  memset(padding, 'c', below(200));
  unsigned count = 100 + below(700);
  for (unsigned at = 0; at < count; at++) {
    snprintf(name, sizeof name, "%s/crowd-%u-%s", path, at, padding);
    close(open(name, O_CREAT | O_WRONLY, 0644));
  }
  for (unsigned at = 0; at < count; at++) {
    snprintf(name, sizeof name, "%s/crowd-%u-%s", path, at, padding);
    if (percent(30)) unlink(name);
  }
}

static void rename_file(char *path) {
  char to[PATH_SIZE];
  new_path(to);
  if (to[0] && rename(path, to) == 0) memcpy(path, to, PATH_SIZE);
}

static void link_file(const char *path) {
  char to[PATH_SIZE], target[201] = "";
  new_path(to);
  memset(target, 'l', 1 + below(199));
  if (to[0] && (percent(50) ? link(path, to) : symlink(target, to)) < 0) return;
}

static void remove_file(unsigned at) {
  unlink(files[at]);
  if (at != --file_count) memmove(files[at], files[file_count], PATH_SIZE);
}

static void sync_file(const char *path) {
  int file = open(path, O_RDONLY);
  fsync(file);
  close(file);
}

static void step(void) {
  static const unsigned sizes[] = {1, 150, 3000, 60000};
  if (file_count == 0 || percent(30)) return create_file(sizes[below(4)], false);
  unsigned at = below(file_count);
  char *path = files[at];
  switch (below(11)) {
  case 0: return write_at(path, -1, below(20000), false);
  case 1: if (truncate(path, below(100000)) < 0) return; break;
  case 2: return rename_file(path);
  case 3: return remove_file(at);
  case 4: return sync_file(path);
  case 5: return link_file(path);
  case 6: return write_at(path, below(60000), below(20000), false);
  case 7: return create_directory();
  case 8: return set_attribute(path);
  default: return allocate(path);
  }
}

static void steps(unsigned count) {
  while (count--) step();
}

/* Files that are open and have no name any more. */
static void leave_orphans(unsigned count) {
  char path[PATH_SIZE];
  while (count--) {
    new_path(path);
    write_at(path, 0, below(30000), false);
    if (open(path, O_RDONLY) >= 0) unlink(path);
  }
}

/* Changes that a fast commit can hold, each made durable at once. */
static void commit_fast(unsigned count) {
  while (count--) {
    create_file(30000, true);
    if (file_count == 0) continue;
    char *path = files[below(file_count)];
    if (percent(50)) write_at(path, -1, 1 + below(30000), true);
    else if (truncate(path, below(30000)) == 0) sync_file(path);
    if (percent(30)) rename_file(path);
  }
}

int main(int count, char **arguments) {
  if (count != 5) return 2;
  state = strtoull(arguments[2], NULL, 10);
  block_size = atol(arguments[3]);
  snprintf(directories[directory_count++], PATH_SIZE, "%s", arguments[1]);
  for (size_t at = 0; at < sizeof content; at++) content[at] = next();
  int root = open(arguments[1], O_RDONLY | O_DIRECTORY);
  if (root < 0) return perror(arguments[1]), 1;

  steps(50 + below(200));
  if (percent(40)) crowd();
  syncfs(root);
  leave_orphans(below(4));
  steps(below(120));
  if (percent(50)) syncfs(root);
  steps(below(20));
  uint32_t how = percent(50) ? FLUSH_LOG : LEAVE_LOG;
  if (arguments[4][0] == '1' && percent(70)) {
    syncfs(root);
    commit_fast(1 + below(8));
    how = LEAVE_LOG;
  }
  if (ioctl(root, SHUTDOWN, &how) < 0) return perror("shutdown"), 1;
  return 0;
}
