/** watch-text: events as lines, whatever is in their names. */
import { describe, expect, test } from "vitest";
import { eventLine } from "../../../src/cli/commands/watch-text.ts";
import { createStyle } from "../../../src/cli/style.ts";
import type { WatchEvent } from "../../../src/rescue/index.ts";

const EVENT: WatchEvent = {
  schema: "theriac.event/1",
  number: 2,
  time: "2026-01-01T00:00:00.000Z",
  target: "disk.img",
  change: "appeared",
  bytes: 1024,
  rangeCount: 2,
  ranges: [
    { offset: 512, length: 512, state: "poisoned" },
    { offset: 4096, length: 512, state: "lost" },
  ],
  files: ["/a", "/b"],
  fileCount: 2,
};
const line = (event: Partial<WatchEvent>): string =>
  eventLine({ ...EVENT, ...event }, createStyle(false));

describe("eventLine()", () => {
  test("eventLine() says when, where, what, and whose", () => {
    expect(line({})).toBe(
      "2026-01-01T00:00:00.000Z disk.img: went bad: 512 bytes at 512 (poisoned), 512 bytes at 4096 (lost): /a, /b\n",
    );
  });

  test("eventLine() counts what it does not name", () => {
    const ranges = Array.from({ length: 5 }, (_, index) => ({
      offset: index * 1024,
      length: 512,
      state: "poisoned" as const,
    }));
    const text = line({ ranges, rangeCount: 900, bytes: 460_800, files: ["/a"], fileCount: 40 });
    expect(text).toContain("and 897 ranges more");
    expect(text).toContain("/a, and 39 files more");
  });

  test("eventLine() is one line, and obeys no name", () => {
    const text = line({ target: "a\u001B[2J\nb", files: ["/x\r\ny"], fileCount: 1 });
    for (const character of ["\n", "\r", "\u001B"])
      expect(text.slice(0, -1)).not.toContain(character);
  });

  test("eventLine() says that nothing is known to be bad, and why a target is gone", () => {
    const none = { bytes: 0, ranges: [], rangeCount: 0, files: [], fileCount: 0 };
    expect(line({ ...none, change: "watching" })).toContain("watching: no byte is known to be bad");
    expect(line({ ...none, change: "gone", why: "ENOENT" })).toContain("gone: ENOENT");
  });
});
