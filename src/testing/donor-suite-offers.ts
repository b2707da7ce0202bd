/** donor-suite-offers: what a donor gives, and what it never offers, while nothing is wrong. */
import { strict as assert } from "node:assert";
import type { ByteRange } from "../base/index.ts";
import type { DonorCheck, DonorContext } from "./donor-suite-context.ts";
import { sum } from "./donor-suite-context.ts";

/** Paths that are none, or that would lead out of a tree. */
const HOSTILE: readonly string[] = [
  "",
  "/",
  "relative",
  "//",
  "/..",
  "/../etc/passwd",
  "/.",
  "/a/../b",
  "/\\x2e\\x2e/secret",
  "/a\\x2fb",
  "/a\\x00b",
  "/a\u0000b",
  "/a\nb\r\nHost: elsewhere",
  "/\u202Eevil",
  "/%2e%2e/secret",
  "/a?b=c#d",
  "\\\\server\\share",
  "/C:\\x",
  "https://elsewhere.invalid/x",
  `/${"long".repeat(5000)}`,
  `/${"deep/".repeat(3000)}x`,
];

function* windows(context: DonorContext): Generator<ByteRange> {
  const { size } = { size: context.subject.content.length };
  yield { offset: 0, length: size };
  yield { offset: 0, length: 0 };
  yield { offset: size, length: 0 };
  yield { offset: size - 1, length: 1 };
  for (let turn = 0; turn < 20; turn += 1) {
    const offset = context.prng.below(size);
    yield { offset, length: 1 + context.prng.below(Math.min(20_000, size - offset)) };
  }
}

/** Checks of a donor that is well. */
export const OFFERS: readonly DonorCheck[] = [
  [
    "a file has its size and its time",
    async (context) => {
      const file = await context.file();
      const { content, modifiedNs } = context.subject;
      assert.equal(file.size, content.length);
      const isWhole = file.modifiedNs % 1_000_000_000n === 0n;
      assert.equal(
        file.modifiedNs,
        isWhole ? modifiedNs - (modifiedNs % 1_000_000_000n) : modifiedNs,
      );
    },
  ],
  [
    "any range reads as its own bytes",
    async (context) => {
      const file = await context.file();
      for (const range of windows(context)) assert.deepEqual(await context.read(file, range), []);
    },
  ],
  [
    "reads that are under way at once do not mix",
    async (context) => {
      const file = await context.file();
      const results = await Promise.all(
        [...windows(context)].map((range) => context.read(file, range)),
      );
      assert.equal(results.flat().length, 0);
    },
  ],
  [
    "R1: what lies behind the end is missing",
    async (context) => {
      const file = await context.file();
      const missing = await context.read(file, { offset: file.size - 100, length: 5000 });
      assert.deepEqual(missing, [{ offset: file.size, length: 4900, state: "unread" }]);
      const far = await context.read(file, { offset: file.size + 10_000, length: 512 });
      assert.equal(sum(far), 512);
    },
  ],
  [
    "a whole file lacks nothing but what lies behind its end",
    async (context) => {
      const file = await context.file();
      assert.deepEqual(await context.lacks(file, { offset: 0, length: file.size }), []);
      const behind = await context.lacks(file, { offset: file.size - 10, length: 30 });
      assert.equal(sum(behind), 20);
    },
  ],
  [
    "a file may be open twice, and each may be closed twice",
    async (context) => {
      const [one, other] = [await context.file(), await context.file()];
      await one.close();
      await one.close();
      assert.deepEqual(await context.read(other, { offset: 512, length: 4096 }), []);
    },
  ],
  [
    "a path that is not there, or that is no path, offers nothing and fails nothing",
    async (context) => {
      const { donor, path, uuid } = context.subject;
      for (const hostile of [...HOSTILE, `${path}/x`, `${path}x`, `${path}\\x00`])
        assert.equal(await donor.file(hostile, uuid), undefined, JSON.stringify(hostile));
    },
  ],
  [
    "no path leads out of it",
    async (context) => {
      const { donor, outside, uuid } = context.subject;
      if (outside !== undefined) assert.equal(await donor.file(outside, uuid), undefined);
    },
  ],
  [
    "a volume is given by its own UUID alone, and its device has the file",
    async (context) => {
      const { donor, uuid } = context.subject;
      assert.equal(await donor.volume("00000000-0000-0000-0000-000000000000"), undefined);
      if (uuid === undefined) return;
      const volume = await donor.volume(uuid);
      assert.equal(donor.kind, "image");
      assert.ok(volume !== undefined && volume.offset + volume.length <= volume.device.size);
      assert.equal(volume.map.uuid, uuid);
    },
  ],
];
