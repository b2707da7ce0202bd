/** Grades: every way to be proven, consistent or refused. */
import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import {
  blockHash,
  gradeHole,
  sameTime,
  type DonorFile,
  type FileDigest,
  type ReadableFile,
} from "../../src/donor/index.ts";
import type { BadRange, ByteRange } from "../../src/base/index.ts";

const TIME = 1_700_000_000_000_000_000n;

/** A file in memory, some of whose ranges are gone. */
function file(
  bytes: Uint8Array,
  options: { missing?: readonly ByteRange[]; modifiedNs?: bigint; size?: number } = {},
): DonorFile & { reads: number } {
  const missing = options.missing ?? [];
  return {
    name: "donor",
    reads: 0,
    size: options.size ?? bytes.length,
    modifiedNs: options.modifiedNs ?? TIME,
    read(into, offset) {
      this.reads += into.length;
      const end = offset + into.length;
      into.set(bytes.subarray(offset, end));
      const holes: BadRange[] = missing
        .filter((range) => range.offset < end && range.offset + range.length > offset)
        .map((range) => ({
          offset: Math.max(offset, range.offset),
          length: Math.min(end, range.offset + range.length) - Math.max(offset, range.offset),
          state: "poisoned",
        }));
      for (const hole of holes)
        into.fill(0xee, hole.offset - offset, hole.offset - offset + hole.length);
      return { missing: holes };
    },
    close() {},
  };
}

function content(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (index * 31 + (index >> 8) * 7) & 0xff);
}

const HOLE = { offset: 40_000, length: 512 };

function pair(
  change: (bytes: Uint8Array) => Uint8Array = (bytes) => bytes,
  options: Parameters<typeof file>[1] = {},
): { target: ReadableFile; donor: DonorFile & { reads: number } } {
  const bytes = content(100_000);
  return {
    target: file(bytes, { missing: [HOLE] }),
    donor: file(change(Uint8Array.from(bytes)), options),
  };
}

function digestOf(
  bytes: Uint8Array,
  options: { blockSize?: number; modifiedNs?: bigint } = {},
): FileDigest {
  const blockSize = options.blockSize ?? 8192;
  const blocks: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += blockSize)
    blocks.push(blockHash(bytes.subarray(at, at + blockSize)));
  return {
    path: "/f",
    size: bytes.length,
    modifiedNs: options.modifiedNs ?? TIME,
    sha256: createHash("sha256").update(bytes).digest("hex"),
    blockSize,
    blocks: Buffer.concat(blocks),
  };
}

describe("gradeHole()", () => {
  test("calls equal neighbours with the same size and time consistent", async () => {
    const { grade, compared } = await gradeHole(pair(), HOLE);
    expect(grade).toBe("consistent");
    expect(compared).toBeGreaterThanOrEqual(8192);
  });

  test("reads only around the hole (S66)", async () => {
    const both = pair();
    await gradeHole(both, HOLE);
    expect(both.donor.reads).toBeLessThan(20_000);
  });

  test("refuses another size, and says both", async () => {
    const both = pair((bytes) => bytes.subarray(0, 99_999));
    expect(await gradeHole(both, HOLE)).toMatchObject({
      grade: "refused",
      reason: expect.stringContaining("99999 bytes, the target's 100000"),
    });
    expect(both.donor.reads).toBe(0);
  });

  test("refuses an older and a newer donor (S64)", async () => {
    expect((await gradeHole(pair(undefined, { modifiedNs: TIME - 1n }), HOLE)).reason).toContain(
      "older",
    );
    expect(
      (await gradeHole(pair(undefined, { modifiedNs: TIME + 5_000_000_000n }), HOLE)).reason,
    ).toContain("newer");
  });

  test("takes times to the second where one side keeps no nanoseconds", () => {
    expect(sameTime(TIME, TIME + 123_456_789n)).toBe(true);
    expect(sameTime(TIME + 1n, TIME + 2n)).toBe(false);
    expect(sameTime(TIME, TIME + 1_000_000_000n)).toBe(false);
    expect(sameTime(-500_000_000n, -1_000_000_000n)).toBe(true);
  });

  test.each([
    ["before", HOLE.offset - 1],
    ["after", HOLE.offset + HOLE.length],
    ["4 KiB before", HOLE.offset - 4096],
    ["4 KiB after", HOLE.offset + HOLE.length + 4095],
  ])("refuses one differing byte %s the hole, and says where (S67)", async (_, at) => {
    const both = pair((bytes) => bytes.fill((bytes[at] ?? 0) ^ 1, at, at + 1));
    expect(await gradeHole(both, HOLE)).toMatchObject({
      grade: "refused",
      differs: { offset: at, count: 1 },
    });
  });

  test("takes no constant bytes as evidence", async () => {
    const bytes = content(10_000_000).fill(0, 1_000_000, 9_000_000);
    const hole = { offset: 5_000_000, length: 512 };
    const verdict = await gradeHole(
      { target: file(bytes, { missing: [hole] }), donor: file(bytes) },
      hole,
    );
    expect(verdict).toMatchObject({
      grade: "refused",
      reason: expect.stringContaining("0 bytes before the hole"),
    });
  });

  test("looks past constant bytes and past other holes for evidence", async () => {
    const bytes = content(400_000).fill(0, 100_000, 300_000);
    const hole = { offset: 200_000, length: 512 };
    const others = [
      { offset: 95_000, length: 4096 },
      { offset: 301_000, length: 512 },
    ];
    const verdict = await gradeHole(
      { target: file(bytes, { missing: [hole, ...others] }), donor: file(bytes) },
      hole,
    );
    expect(verdict.grade).toBe("consistent");
  });

  test("takes less than 4 KiB where the file ends", async () => {
    const bytes = content(1500);
    const hole = { offset: 1024, length: 476 };
    expect(
      (await gradeHole({ target: file(bytes, { missing: [hole] }), donor: file(bytes) }, hole))
        .grade,
    ).toBe("consistent");
    const wrong = Uint8Array.from(bytes).fill(9, 3, 4);
    expect(
      (await gradeHole({ target: file(bytes, { missing: [hole] }), donor: file(wrong) }, hole))
        .grade,
    ).toBe("refused");
  });

  test("says so where nothing of the file is left to compare", async () => {
    const bytes = content(300);
    const hole = { offset: 0, length: 300 };
    expect(
      await gradeHole({ target: file(bytes, { missing: [hole] }), donor: file(bytes) }, hole),
    ).toMatchObject({
      grade: "consistent",
      compared: 0,
      reason: expect.stringContaining("no clean byte"),
    });
  });

  test("does not compare bytes that the donor misses itself (R1)", async () => {
    const bytes = content(100_000);
    const both = {
      target: file(bytes, { missing: [HOLE] }),
      donor: file(bytes, { missing: [{ offset: 38_000, length: 1000 }] }),
    };
    expect((await gradeHole(both, HOLE)).grade).toBe("consistent");
  });

  test("proves by a digest, whatever the donor's own time is", async () => {
    const both = pair(undefined, { modifiedNs: 5n });
    expect((await gradeHole(both, HOLE, digestOf(content(100_000)))).grade).toBe("proven");
  });

  test("refuses what a digest contradicts, although size, time and neighbours agree", async () => {
    const both = pair((bytes) => bytes.fill(0, HOLE.offset + 5, HOLE.offset + 6));
    expect((await gradeHole(both, HOLE)).grade).toBe("consistent");
    expect(await gradeHole(both, HOLE, digestOf(content(100_000)))).toMatchObject({
      grade: "refused",
      reason: expect.stringContaining("digest"),
    });
  });

  test("asks no digest of another version", async () => {
    expect(
      (await gradeHole(pair(), HOLE, digestOf(content(100_000), { modifiedNs: 7n }))).grade,
    ).toBe("consistent");
    expect((await gradeHole(pair(), HOLE, digestOf(content(50_000)))).grade).toBe("consistent");
  });

  test("proves a hole over the last, shorter block", async () => {
    const hole = { offset: 97_000, length: 3000 };
    const bytes = content(100_000);
    expect(
      (
        await gradeHole(
          { target: file(bytes, { missing: [hole] }), donor: file(bytes) },
          hole,
          digestOf(bytes),
        )
      ).grade,
    ).toBe("proven");
  });

  test("does not prove a block that the donor has only in part", async () => {
    const bytes = content(100_000);
    const both = {
      target: file(bytes, { missing: [HOLE] }),
      donor: file(bytes, { missing: [{ offset: HOLE.offset + 100, length: 10 }] }),
    };
    expect((await gradeHole(both, HOLE, digestOf(bytes))).grade).toBe("consistent");
  });
});
