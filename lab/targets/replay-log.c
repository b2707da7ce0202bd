/*
 * replay-log: a reader of dm-log-writes' log that shares nothing with Theriac's, to check the logs that Theriac makes.
 *
 *     replay-log LOG FILE [MARK]     writes what the log says onto FILE, up to the mark; prints how many entries that were
 */
#include <endian.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC 0x6a736677736872ull
#define DISCARD 4
#define MARK 8

static uint64_t number(const unsigned char *at)
{
	uint64_t value;

	memcpy(&value, at, sizeof(value));
	return le64toh(value);
}

static void fail(const char *reason)
{
	fprintf(stderr, "replay-log: %s\n", reason);
	exit(1);
}

int main(int count, char **words)
{
	unsigned char first[512], *sector, *data;
	FILE *log, *file;

	if (count < 3)
		fail("usage: replay-log LOG FILE [MARK]");
	if (!(log = fopen(words[1], "rb")) || !(file = fopen(words[2], "r+b")))
		fail("cannot open");
	if (fread(first, 1, 512, log) != 512 || number(first) != MAGIC || number(first + 8) != 1)
		fail("no log");
	uint64_t entries = number(first + 16);
	uint32_t size = le32toh(*(uint32_t *)(first + 24));
	sector = malloc(size);
	uint64_t place = size, done = 0;
	for (; done < entries; done++) {
		if (fseeko(log, place, SEEK_SET) || fread(sector, 1, size, log) != size)
			fail("an entry is past the end");
		uint64_t offset = number(sector) * size, length = number(sector + 8) * size;
		uint64_t flags = number(sector + 16), own = number(sector + 24);
		place += size;
		if (flags & MARK) {
			if (count > 3 && own == strlen(words[3]) && !memcmp(sector + 32, words[3], own)) {
				done++;
				break;
			}
			continue;
		}
		if (!length)
			continue;
		if (!(data = calloc(1, length)))
			fail("an entry is too large");
		if (!(flags & DISCARD)) {
			if (fread(data, 1, length, log) != length)
				fail("data is past the end");
			place += length;
		}
		if (fseeko(file, offset, SEEK_SET) || fwrite(data, 1, length, file) != length)
			fail("cannot write");
		free(data);
	}
	if (fclose(file))
		fail("cannot write");
	printf("%llu entries\n", (unsigned long long)done);
	return 0;
}
