/*
 * blockio: one direct read or write of a block device, and what the kernel said.
 *
 *     blockio r DEVICE SECTOR COUNT          prints "ok HASH", or "EIO" and the like; HASH is the 64-bit FNV-1a of the bytes
 *     blockio w DEVICE SECTOR COUNT FILL     writes bytes of one value; prints "ok" or "EIO"
 *     blockio f DEVICE                       makes what was written durable (fsync)
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int say(const char *word)
{
	puts(word);
	return 0;
}

static uint64_t hash_of(const unsigned char *bytes, size_t length)
{
	uint64_t hash = 1469598103934665603u;

	for (size_t at = 0; at < length; at++)
		hash = (hash ^ bytes[at]) * 1099511628211u;
	return hash;
}

int main(int count, char **words)
{
	if (count < 3 || !strchr("rwf", words[1][0]))
		return fputs("usage: blockio r|w|f DEVICE [SECTOR COUNT [FILL]]\n", stderr), 2;
	int file = open(words[2], O_RDWR | O_DIRECT);
	if (file < 0)
		return perror(words[2]), 3;
	if (words[1][0] == 'f')
		return say(fsync(file) ? strerrorname_np(errno) : "ok");
	if (count < 5)
		return 2;
	off_t offset = strtoll(words[3], NULL, 10) * 512;
	size_t length = strtoull(words[4], NULL, 10) * 512;
	unsigned char *bytes;
	if (posix_memalign((void **)&bytes, 4096, length))
		return 3;
	memset(bytes, count > 5 ? atoi(words[5]) : 0, length);
	ssize_t done = words[1][0] == 'r' ? pread(file, bytes, length, offset) : pwrite(file, bytes, length, offset);
	if (done < 0)
		return say(strerrorname_np(errno));
	if ((size_t)done < length)
		return printf("short %zd\n", done), 0;
	if (words[1][0] == 'w')
		return say("ok");
	printf("ok %016llx\n", (unsigned long long)hash_of(bytes, length));
	return 0;
}
