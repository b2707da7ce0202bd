/** arguments: the words of a row are refused where Linux refuses them, in its words, with the wish. */
import { describe, expect, test } from "vitest";
import { StorageError } from "../../../../src/base/index.ts";
import { CacheStack } from "../../support/cache-stack.ts";

const load = (args: string, sectors: number = 64): CacheStack => new CacheStack({ args, sectors });

describe("writecache", () => {
  test.each([
    ["", "Bad arguments: want p|s ORIGIN CACHE BLOCK_SIZE COUNT OPTION..."],
    ["x origin cache 4096 0", "Bad arguments"],
    ["s origin", "Bad arguments"],
    ["s origin cache", 'Invalid block size: want a power of two from 512 to 4096: got ""'],
    ["s origin cache 8192 0", "Invalid block size"],
    ["s origin cache 1000 0", "Invalid block size"],
    ["s origin cache 4k 0", "Invalid block size"],
    ["s origin cache 4096", 'Invalid number of feature args: want from 0 to 18: got ""'],
    ["s origin cache 4096 19", "Invalid number of feature args"],
    ["s origin cache 4096 2 cleaner", "Insufficient number of arguments: want 2 words"],
    ["s origin cache 4096 0 cleaner", "want 0 words behind the number: got 1"],
    ["s origin cache 4096 1 clean", "Invalid optional argument: want one of start_sector"],
    ["s origin cache 4096 1 fua", "Invalid optional argument"],
    ["p origin cache 4096 2 pause_writeback 5", "Invalid optional argument"],
    ["s origin cache 4096 1 constructor", "Invalid optional argument"],
    ["s origin cache 4096 1 high_watermark", "want high_watermark from 0 to 100"],
    ["s origin cache 4096 2 high_watermark 101", 'want high_watermark from 0 to 100: got "101"'],
    ["s origin cache 4096 2 autocommit_time 3600001", "want autocommit_time from 0 to 3600000"],
    ["s origin cache 4096 2 max_age 86400001", "Invalid optional argument"],
    ["s origin cache 4096 2 start_sector 80", "want a start_sector below 80: got 80"],
    [
      "s origin cache 4096 2 high_watermark 44",
      "High watermark must be greater than or equal to low watermark: got 44 and 45",
    ],
    ["s origin cache 4096 2 start_sector 70", "Invalid device size"],
    ["s origin origin 4096 0", "sector 0 of origin is used twice"],
  ])("%j is EBADMSG: %s", (args, message) => {
    expect(() => load(args)).toThrow(StorageError);
    expect(() => load(args)).toThrow(message);
  });

  test.each([
    "S origin cache 512 0",
    "s origin cache 4096 18 start_sector 8 high_watermark 50 LOW_WATERMARK 45 writeback_jobs 3 autocommit_blocks 7 autocommit_time 1 max_age 9 cleaner metadata_only pause_writeback 1",
    "p origin cache 1024 2 fua nofua",
  ])("%j is taken", (args) => {
    expect(load(args).top.size).toBe(32_768);
  });

  test("a length that is not whole blocks is EBADMSG, as the block layer's", () => {
    expect(() => load("s origin cache 4096 0", 63)).toThrow(
      "not aligned to h/w logical block size 4096",
    );
  });
});
