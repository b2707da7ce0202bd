/** What a real kernel's dm-dust said, and a log that its dm-log-writes made, beside Theriac's own; needs no lab. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { compareDust } from "../../lab/targets/dust.ts";
import { compareLog } from "../../lab/targets/log-writes.ts";
import { createMemoryDevice } from "../../src/device/index.ts";
import { LOG_FLAGS, readLog } from "../../src/mapper/index.ts";

const FOLDER = join(import.meta.dirname, "fixtures/targets");
const lines = (name: string): string[] =>
  readFileSync(join(FOLDER, name), "utf8").trimEnd().split("\n");
const log = (): Uint8Array =>
  new Uint8Array(gunzipSync(readFileSync(join(FOLDER, "log-writes.log.gz"))));

describe("targets answer as Linux 6.1 did", () => {
  test("dust: every message, read, write, status and log line", async () => {
    const record = { ask: lines("dust.ask"), said: lines("dust.said"), log: lines("dust.dmesg") };
    const { compared, mismatches } = await compareDust(record);
    expect(mismatches).toEqual([]);
    expect(compared).toBe(record.ask.length + record.log.length);
    const shows = (start: string): number =>
      record.said.filter((line) => line.startsWith(start)).length;
    expect(Math.min(shows("read ok"), shows("read EIO"), shows("write EIO"))).toBeGreaterThan(3);
  });

  test("log-writes: entries byte for byte, and at every mark the content that the device had", async () => {
    const moments = new Map(
      lines("log-writes.moments").map((line) => line.split("  ").reverse() as [string, string]),
    );
    const { mismatches, marks } = await compareLog(log(), 2 * 1024 * 1024, (mark, bytes) => {
      return createHash("sha256").update(bytes).digest("hex") === moments.get(mark);
    });
    expect(mismatches).toEqual([]);
    expect(marks.toSorted()).toEqual([...moments.keys()].toSorted());
    expect(marks.at(-1)).toBe("dm-log-writes-end");
  });

  test("log-writes: flushes, discards, forced and metadata writes are told apart", async () => {
    const flags = new Set<number>();
    for await (const entry of readLog(createMemoryDevice({ bytes: log() }))) flags.add(entry.flags);
    const { flush, fua, discard, mark, metadata } = LOG_FLAGS;
    for (const wanted of [0, flush, discard, mark, metadata, flush | fua])
      expect([...flags].some((some) => (some & wanted) === wanted)).toBe(true);
  });
});
