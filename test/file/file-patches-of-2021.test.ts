/** The patches of 2021 as recorded of their code, and that RWF_RECOVERY_DATA here never gives fewer bytes, nor fewer than the plain call. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { endOf, RangeSet, StorageError, type ByteRange } from "../../src/base/index.ts";
import type { Device } from "../../src/device/index.ts";
import {
  failFastHandle,
  openFile,
  RWF_RECOVERY_DATA,
  type Face,
  type File,
} from "../../src/file/index.ts";
import { randomSeed } from "../base/seed.ts";
import { plainStack, rangesOf, type LinuxRow, type RowStack } from "./support/linux-row.ts";
import { readOf2021, writeOf2021 } from "./support/patches-of-2021.ts";
import { stripedStack } from "./support/striped-stack.ts";

const PAGE = 4096;
const PAGES = 10;
const OLD = 0x6f;
const NEW = 0x4e;
const POISON = 0xbd;
const EIO = -5;
const EFAULT = -14;

describe("the patches of 2021", () => {
  test.each([
    { known: "p0s0", offset: 0, length: 16384, count: EIO },
    { known: "p0s3", offset: 0, length: 16384, count: EIO },
    { known: "p1", offset: 0, length: 16384, count: 4096 },
    { known: "p1s3", offset: 0, length: 16384, count: 4096 },
    { known: "p1s3", offset: 100, length: 16000, count: 3996 },
    { known: "p0..p1", offset: 4096, length: 8192, count: EFAULT },
    { latent: "p1s3", offset: 0, length: 16384, count: 5632 },
  ])("read $offset,$length: known $known, latent $latent", (row) => {
    const world = { known: rangesOf(row.known), latent: rangesOf(row.latent) };
    expect(readOf2021(world, row)).toBe(row.count);
  });

  test.each([
    { known: "p1", offset: 0, length: 16384, clears: Infinity, count: 16384 },
    { known: "p1s3", offset: 0, length: 16384, clears: Infinity, count: 16384 },
    { known: "p1", offset: 100, length: 12288, clears: Infinity, count: EIO },
    { known: "p1", offset: 0, length: 6144, clears: Infinity, count: EIO },
    { known: "p1", offset: 0, length: 16384, clears: 0, count: EIO },
    { known: "p1", offset: 0, length: 16384, clears: 2048, count: EIO },
    { known: "p9", offset: 100, length: 5000, clears: 0, count: 5000 },
  ])("write $offset,$length: known $known, clears $clears", (row) => {
    const world = { known: rangesOf(row.known), latent: [] };
    expect(writeOf2021(world, row, row.clears)).toBe(row.count);
  });
});

interface Case {
  readonly known: readonly ByteRange[];
  readonly latent: readonly ByteRange[];
  readonly offset: number;
  readonly length: number;
  readonly clearLimit: number;
  readonly face: Face;
  /** Sectors of a chunk, or 0 for no stripe. */
  readonly chunk: number;
  /** Where the buffer is cut in two. */
  readonly cut: number;
}

const sectors = fc
  .record({
    // Records of whole pages are where plain calls get furthest.
    sector: fc.oneof(
      fc.integer({ min: 0, max: PAGES * 8 - 1 }),
      fc.integer({ min: 0, max: PAGES - 1 }).map((page) => page * 8),
    ),
    count: fc.oneof(fc.constantFrom(1, 8, 16, 24), fc.integer({ min: 1, max: 20 })),
  })
  .map(({ sector, count }): ByteRange => ({
    offset: sector * 512,
    length: Math.min(count, PAGES * 8 - sector) * 512,
  }));

const cases: fc.Arbitrary<Case> = fc
  .record({
    known: fc.array(sectors, { maxLength: 4 }).map(merged),
    latent: fc.oneof(
      { weight: 3, arbitrary: fc.constant<ByteRange[]>([]) },
      { weight: 1, arbitrary: fc.array(sectors, { minLength: 1, maxLength: 2 }).map(merged) },
    ),
    unit: fc.constantFrom(1, 512, PAGE),
    from: fc.nat({ max: PAGES * PAGE - 1 }),
    size: fc.integer({ min: 1, max: PAGES * PAGE }),
    clearLimit: fc.constantFrom(Infinity, Infinity, 0, 256, 2048, PAGE, 2 * PAGE),
    face: fc.constantFrom<Face>("dax", "dax", "direct", "buffered"),
    chunk: fc.constantFrom(0, 0, 8, 16),
    cut: fc.double({ min: 0, max: 1, noNaN: true }),
  })
  .map((drawn): Case => {
    const { known, latent, clearLimit, face, chunk } = drawn;
    const step = face === "direct" ? Math.max(512, drawn.unit) : drawn.unit;
    const offset = drawn.from - (drawn.from % step);
    const length = Math.min(Math.ceil(drawn.size / step) * step, PAGES * PAGE - offset);
    const cut = Math.floor((drawn.cut * length) / step) * step;
    return { known, latent, clearLimit, face, chunk, offset, length, cut };
  });

function merged(ranges: readonly ByteRange[]): ByteRange[] {
  return [...RangeSet.from(ranges)];
}

/** A fresh world of a case, and the file over it. */
async function worldOf(one: Case): Promise<{ readonly stack: RowStack; readonly file: File }> {
  const row: LinuxRow = {
    row: "random",
    call: ["read", 0, 0],
    ret: 0,
    firmware: { clearLimit: one.clearLimit },
  };
  const stack = one.chunk === 0 ? plainStack(row, PAGES) : stripedStack(row, one.chunk);
  for (const range of one.known) stack.poison(range, { latent: false });
  for (const range of one.latent) stack.poison(range, { latent: true });
  return { stack, file: await openFile(stack.device, { face: one.face }) };
}

async function countOf(call: Promise<number>): Promise<number> {
  try {
    return await call;
  } catch (error) {
    if (error instanceof StorageError && error.code === "EIO") return EIO;
    throw error;
  }
}

function parts(bytes: Uint8Array, cut: number): Uint8Array[] {
  return [bytes.subarray(0, cut), new Uint8Array(0), bytes.subarray(cut)];
}

/** Bytes of the request before the first bad one; EIO where that is the first. */
function exact({ known, latent, offset, length }: Case): number {
  const bad = RangeSet.from([...known, ...latent]).first(offset, length);
  if (bad === undefined) return length;
  return bad.offset <= offset ? EIO : bad.offset - offset;
}

/** A failure of any kind is no byte. */
function moved(count: number): number {
  return Math.max(0, count);
}

async function expectReads(one: Case): Promise<void> {
  const { offset, length, cut } = one;
  const counts: Record<string, number> = {};
  for (const kind of ["plain", "flagged", "failFast"] as const) {
    const { file } = await worldOf(one);
    const into = new Uint8Array(length).fill(1);
    const handle = kind === "failFast" ? failFastHandle(file) : file;
    const flags = kind === "flagged" ? RWF_RECOVERY_DATA : 0;
    const count = await countOf(handle.preadv2(parts(into, cut), offset, flags));
    counts[kind] = count;
    expect(into.subarray(0, moved(count)).every((byte) => byte === OLD)).toBe(true);
    expect(into.includes(POISON), "R1").toBe(false);
  }
  expect(counts).toMatchObject({ flagged: exact(one), failFast: exact(one) });
  expect(counts["plain"]).toBeLessThanOrEqual(exact(one));
  if (one.face === "dax" && one.chunk === 0)
    expect(moved(readOf2021(one, one))).toBeLessThanOrEqual(moved(exact(one)));
}

/** One where a range is, byte by byte. */
function marks(ranges: readonly ByteRange[]): Uint8Array {
  const all = new Uint8Array(PAGES * PAGE);
  for (const range of ranges) all.fill(1, range.offset, endOf(range));
  return all;
}

/**
 * R2, R4: what a write may have done, byte by byte.
 *
 * @returns bytes that the write counted and that stand, from its start: up to the first that cannot be read
 */
async function expectWritten(one: Case, call: Written, device: Device): Promise<number> {
  const { offset, length } = one;
  const { count, isProved } = call;
  const into = new Uint8Array(PAGES * PAGE);
  const { missing } = await device.read(into, 0, "recovery");
  const gone = marks(missing);
  const bad = marks([...one.known, ...one.latent]);
  const given = marks([{ offset, length }]);
  const counted = marks([{ offset, length: moved(count) }]);
  // Latent poison under a plain store stays, and shows at the next read; a store with the flag is read back.
  const latent = marks(isProved ? [] : one.latent);
  for (let at = 0; at < into.length; at += 1) {
    const isNew = gone[at] === 0 && into[at] === NEW;
    const isOld = bad[at] === 1 ? gone[at] === 1 : gone[at] === 0 && into[at] === OLD;
    const holds =
      counted[at] === 1
        ? isNew || (latent[at] === 1 && gone[at] === 1)
        : isOld || (given[at] === 1 && isNew);
    if (!holds) expect.fail(`byte ${at}: found ${into[at]}, missing ${gone[at]}, bad ${bad[at]}`);
  }
  const standing = gone.subarray(offset, offset + moved(count)).indexOf(1);
  return standing < 0 ? moved(count) : standing;
}

/** What a write answered. */
interface Written {
  readonly count: number;
  /** Whether what is counted was read back. */
  readonly isProved: boolean;
}

async function expectWrites(one: Case): Promise<void> {
  const { offset, length, cut, clearLimit } = one;
  const counts = { plain: 0, flagged: 0, failFast: 0 };
  for (const kind of ["plain", "flagged", "failFast"] as const) {
    const { file, stack } = await worldOf(one);
    const handle = kind === "failFast" ? failFastHandle(file) : file;
    const flags = kind === "flagged" ? RWF_RECOVERY_DATA : 0;
    const data = parts(new Uint8Array(length).fill(NEW), cut);
    const count = await countOf(handle.pwritev2(data, offset, flags));
    const isProved = kind === "flagged";
    counts[kind] = await expectWritten(one, { count, isProved }, stack.device);
    if (kind === "failFast") {
      const first = RangeSet.from(one.known).first(offset, length);
      expect(stack.clears(), "a fail-fast write clears nothing").toEqual([]);
      if (first !== undefined) expect(count).toBeLessThanOrEqual(first.offset - offset);
    }
  }
  expect(counts.flagged).toBeGreaterThanOrEqual(counts.plain);
  if (clearLimit === Infinity) expect(counts.flagged).toBe(length);
  if (one.face !== "dax" || one.chunk !== 0) return;
  // What the patches stored over latent poison counted, and could not be read again.
  const latent = RangeSet.from(one.latent).first(offset, length)?.offset ?? offset + length;
  const of2021 = Math.min(moved(writeOf2021(one, one, clearLimit)), latent - offset);
  expect(of2021).toBeLessThanOrEqual(counts.flagged);
}

describe("with RWF_RECOVERY_DATA never fewer bytes than the patches of 2021, nor than the plain call", () => {
  const seed = randomSeed();
  const settings = { seed, numRuns: Number(process.env["CASES"] ?? 400) };

  test("R1: preadv2() gives every byte up to the first bad one, and no byte of poison", async () => {
    await fc.assert(fc.asyncProperty(cases, expectReads), settings);
  });

  test("R2, R4, R5: pwritev2() changes what it was given alone, and what it counts is there", async () => {
    await fc.assert(fc.asyncProperty(cases, expectWrites), settings);
  });
});
