/** donor-suite-failures: what a donor says when it has not got all, loses it, or goes away: never a byte that is not its own (R1). */
import { strict as assert } from "node:assert";
import { endOf, RangeSet, StorageError } from "../base/index.ts";
import { checkFailure, sum, type DonorCheck } from "./donor-suite-context.ts";

/** A range in the middle of the file, whole sectors, away from its ends. */
const SPOT = { offset: 24_576, length: 1024 };

/** Checks of a donor that fails. */
export const FAILURES: readonly DonorCheck[] = [
  [
    "R1: bytes that it cannot read are missing, and all others still come",
    async (context) => {
      const { subject } = context;
      if (subject.spoil === undefined) return;
      await subject.spoil(SPOT);
      const file = await context.file();
      const whole = { offset: 0, length: file.size };
      const missing = RangeSet.from(await context.read(file, whole));
      assert.ok(missing.covers(SPOT.offset, SPOT.length), "all that was spoiled is missing");
      const grain = subject.grain ?? 4096;
      for (const { offset, length } of missing) {
        assert.ok(offset >= SPOT.offset - grain, "little more is missing before it");
        assert.ok(offset + length <= endOf(SPOT) + grain, "little more is missing behind it");
      }
    },
  ],
  [
    "R1: a window that ends in what it cannot read keeps its head and its tail",
    async (context) => {
      const { subject } = context;
      if (subject.spoil === undefined) return;
      await subject.spoil(SPOT);
      const file = await context.file();
      const { offset, length } = SPOT;
      assert.ok(sum(await context.read(file, { offset: offset - 8192, length: 8300 })) >= 108);
      assert.ok(
        sum(await context.read(file, { offset: offset + 10, length: 9000 })) >= length - 10,
      );
      assert.equal(sum(await context.read(file, { offset: offset + 100, length: 50 })), 50);
    },
  ],
  [
    "what it knows to lack is told before a byte is read, and no read gives it",
    async (context) => {
      const { subject } = context;
      if (subject.spoil === undefined) return;
      await subject.spoil(SPOT);
      const file = await context.file();
      const lacks = RangeSet.from(await context.lacks(file, { offset: 0, length: file.size }));
      const isTold = lacks.covers(SPOT.offset, SPOT.length);
      assert.ok(subject.knowsSpoiled !== true || isTold, "what is listed is told");
      const part = { offset: SPOT.offset + 100, length: 50 };
      assert.equal(sum(await context.lacks(file, part)), isTold ? 50 : 0);
    },
  ],
  [
    "R1: of a file that shrinks while it is open what was cut off is missing or the file is refused",
    async (context) => {
      const { subject } = context;
      if (subject.shrink === undefined) return;
      const file = await context.file();
      await context.read(file, { offset: 0, length: 512 });
      await subject.shrink(20_000);
      const range = { offset: 16_000, length: 10_000 };
      const missing = await context.tryRead(file, range);
      if (missing !== undefined)
        assert.ok(RangeSet.from(missing).covers(20_000, 6000), "nothing behind the new end comes");
    },
  ],
  [
    "R1: a file that is replaced while it is open gives its old bytes or is refused",
    async (context) => {
      const { subject } = context;
      if (subject.replace === undefined) return;
      const file = await context.file();
      await context.read(file, { offset: 0, length: 512 });
      await subject.replace();
      await context.tryRead(file, { offset: 30_000, length: 10_000 });
    },
  ],
  [
    "a donor that goes away says so: old bytes, missing ones, or a failure with a message",
    async (context) => {
      const { subject } = context;
      if (subject.vanish === undefined) return;
      const file = await context.file();
      await context.read(file, { offset: 0, length: 512 });
      await subject.vanish();
      await context.tryRead(file, { offset: 30_000, length: 10_000 });
      await context.tryRead(file, { offset: 0, length: file.size });
      try {
        await (await subject.donor.file(subject.path, subject.uuid))?.close();
      } catch (error) {
        checkFailure(error);
      }
    },
  ],
  [
    "a donor that is closed gives nothing any more, and may be closed again",
    async (context) => {
      const { donor, path, uuid } = context.subject;
      await donor.close();
      await donor.close();
      try {
        await (await donor.file(path, uuid))?.close();
      } catch (error) {
        assert.ok(error instanceof StorageError, String(error));
      }
    },
  ],
];
