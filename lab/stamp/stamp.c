/*
 * stamp: writes over sectors of a device what says where they are: stamp DEVICE NAME GENERATION FIRST [COUNT]
 *
 * Each sector holds 16 times the same 32 bytes: NAME padded with zeros to 16, the sector and the generation as 64-bit little-endian numbers.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SECTOR = 512, BATCH = 2048 };

static unsigned char buffer[BATCH * SECTOR];

static void fill(const char *name, uint64_t generation, uint64_t sector, size_t count) {
  for (size_t at = 0; at < count * SECTOR; at += 32) {
    uint64_t numbers[2] = {sector + at / SECTOR, generation};
    memset(buffer + at, 0, 16);
    memcpy(buffer + at, name, strlen(name));
    memcpy(buffer + at + 16, numbers, 16);
  }
}

int main(int argc, char **argv) {
  if (argc < 5 || strlen(argv[2]) > 16) return fprintf(stderr, "want DEVICE NAME GENERATION FIRST [COUNT]\n"), 2;
  int file = open(argv[1], O_WRONLY | O_CLOEXEC);
  off_t end = file < 0 ? -1 : lseek(file, 0, SEEK_END);
  if (end < 0) return perror(argv[1]), 1;
  uint64_t sector = strtoull(argv[4], NULL, 10);
  uint64_t last = argc > 5 ? sector + strtoull(argv[5], NULL, 10) : (uint64_t)end / SECTOR;
  while (sector < last) {
    size_t count = last - sector < BATCH ? last - sector : BATCH;
    fill(argv[2], strtoull(argv[3], NULL, 10), sector, count);
    if (pwrite(file, buffer, count * SECTOR, (off_t)(sector * SECTOR)) != (ssize_t)(count * SECTOR))
      return perror(argv[1]), 1;
    sector += count;
  }
  return fsync(file) < 0 ? (perror(argv[1]), 1) : 0;
}
