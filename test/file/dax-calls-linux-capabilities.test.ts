/**
 * What a firmware short of clearing makes of a write, row by row beside Linux; where we differ on purpose the row names the invariant
 * (docs/linux.md). Rows C10 (a kernel's own test module) and C14 (a pending signal) have nothing that answers to them here.
 */
import { describe, expect, test } from "vitest";
import { daxWrite, IoVector } from "../../src/dax/index.ts";
import type { DirectAccess } from "../../src/device/index.ts";
import { openFile, RWF_RECOVERY_DATA } from "../../src/file/index.ts";
import { expectBytes, listed, testFile } from "../dax/support/dax-file.ts";
import { listOf, PAGE, plainStack, expectRow, type LinuxRow } from "./support/linux-row.ts";

const REFUSES = { clearLimit: 0 } as const;
const HALF = { clearLimit: 2048 } as const;
const PRETENDS = { clear: "pretends" } as const;

const ROWS: readonly LinuxRow[] = [
  {
    row: "C1: R5: a clear that fails ends the write behind what is good",
    known: "p1",
    firmware: REFUSES,
    call: ["write", 0, 16384],
    ret: 4096,
    clears: [[4096, 4096]],
  },
  {
    row: "C2: R5: p1s3: nothing is written; EIO where Linux says EFAULT",
    known: "p1s3",
    firmware: REFUSES,
    call: ["write", 0, 16384],
    ret: "EIO",
    clears: [[0, 8192]],
  },
  {
    row: "C3: R5: p0s0, one page",
    known: "p0s0",
    firmware: REFUSES,
    call: ["write", 0, 4096],
    ret: "EIO",
    clears: [[0, 4096]],
  },
  {
    row: "C4: R4: half a clear: the list stays, and what was cleared is lost",
    known: "p1",
    firmware: HALF,
    call: ["write", 0, 16384],
    ret: 4096,
    clears: [[4096, 4096]],
    lost: [[8, 4]],
  },
  {
    row: "C5: R4: half a clear of the first page",
    known: "p0",
    firmware: HALF,
    call: ["write", 0, 4096],
    ret: "EIO",
    clears: [[0, 4096]],
    lost: [[0, 4]],
  },
  {
    row: "C6: R5: a clear that only pretends is EIO, where Linux says success",
    known: "p1",
    firmware: PRETENDS,
    call: ["write", 0, 16384],
    ret: 4096,
    clears: [[4096, 4096]],
  },
  {
    row: "C7: R5: a clear of 0 bytes is no success, where Linux says 16384",
    known: "p1",
    firmware: REFUSES,
    call: ["write", 0, 8192],
    ret: 4096,
    clears: [[4096, 4096]],
  },
  {
    row: "C11: a clear unit larger than the stride",
    known: "p1",
    firmware: { clearUnit: 8192 },
    call: ["write", 0, 16384],
    ret: 4096,
  },
];

describe("pwritev2() on a firmware short of clearing", () => {
  test.each(ROWS.map((row) => [row.row, row] as const))("%s", async (_, row) => {
    await expectRow(row);
  });
});

const FLAGGED: readonly LinuxRow[] = [
  { row: "C1", known: "p1", firmware: REFUSES, call: ["write", 0, 16384], ret: 4096 },
  {
    row: "C2: up to the first bad byte",
    known: "p1s3",
    firmware: REFUSES,
    call: ["write", 0, 16384],
    ret: 5632,
  },
  { row: "C3", known: "p0s0", firmware: REFUSES, call: ["write", 0, 4096], ret: "EIO" },
  { row: "C6", known: "p1", firmware: PRETENDS, call: ["write", 0, 16384], ret: 4096 },
  {
    row: "C11",
    known: "p1",
    firmware: { clearUnit: 8192 },
    call: ["write", 0, 16384],
    ret: 16384,
    list: [],
  },
];

describe("R5: pwritev2() with RWF_RECOVERY_DATA stops before the first byte that cannot be healed", () => {
  test.each(FLAGGED.map((row) => [row.row, row] as const))("%s", async (_, row) => {
    const stack = plainStack(row);
    // How often it asks is its own affair.
    await expectRow({ ...row, flags: RWF_RECOVERY_DATA }, { ...stack, clears: () => [] });
  });

  test("C4: R4: what half a clear took is lost, and stays listed", async () => {
    const file = testFile();
    file.device.inject({ offset: PAGE, length: PAGE });
    file.device.setFault({ offset: PAGE, length: PAGE, kind: "partial", on: true });
    const opened = await openFile(file.device);
    const data = new Uint8Array(4 * PAGE).fill(9);
    expect(await opened.pwritev2(data, 0, RWF_RECOVERY_DATA)).toBe(PAGE);
    expect(listed(file)).toEqual([
      [PAGE, PAGE / 2],
      [PAGE + PAGE / 2, PAGE / 2],
    ]);
    expect(file.device.poison.totals()).toMatchObject({ lost: PAGE / 2, poisoned: PAGE / 2 });
  });
});

test.each([256, 1024, 2048, 4096])(
  "pwritev2() with RWF_RECOVERY_DATA asks a firmware for no more than the %i bytes that it clears at a time",
  async (clearLimit) => {
    const known = "p0s3..p1s6 p3";
    for (const face of ["dax", "direct", "buffered"] as const) {
      const row: LinuxRow = {
        row: "short",
        known,
        face,
        flags: RWF_RECOVERY_DATA,
        firmware: { clearLimit },
        call: ["write", 512, 16384],
        ret: 16384,
        list: [],
      };
      await expectRow(row, { ...plainStack(row), clears: () => [] });
    }
  },
);

describe.each(["dax", "direct", "buffered"] as const)(
  "a firmware that clears a page at a time, on the %s face",
  (face) => {
    test.each([0, 4096])(
      "serves the flag as well as the plain call, from offset %i",
      async (offset) => {
        const row: LinuxRow = {
          row: "W8",
          known: "p1..p2",
          firmware: { clearLimit: 4096 },
          call: ["write", offset, 16384 - offset],
          ret: 16384 - offset,
          list: [],
        };
        for (const flags of [0, RWF_RECOVERY_DATA]) {
          const stack = plainStack(row);
          await expectRow({ ...row, face, flags }, { ...stack, clears: () => [] });
        }
      },
    );
  },
);

test("C6: R4: what is only lost heals where clears pretend: nothing is broken there", async () => {
  const file = testFile({ clear: "pretends" });
  file.device.recordBad({ offset: PAGE, length: PAGE }, "lost");
  const opened = await openFile(file.device);
  expect(await opened.pwritev2(new Uint8Array(4 * PAGE).fill(9), 0)).toBe(4 * PAGE);
  expect(listed(file)).toEqual([]);
});

/** The face of a device without the driver's operation. */
function withoutRecoveryWrite(direct: DirectAccess): DirectAccess {
  return {
    probe: (page, pages, mode) => direct.probe(page, pages, mode),
    view: (range) => direct.view(range),
    load: (into, offset) => direct.load(into, offset),
    loadUpTo: (into, offset, mode) => direct.loadUpTo(into, offset, mode),
    store: (from, offset) => direct.store(from, offset),
    stands: (from, offset) => direct.stands(from, offset),
    heal: (from, offset) => direct.heal(from, offset),
    storeLine: (line, offset) => direct.storeLine(line, offset),
    zeroPages: (page, pages) => direct.zeroPages(page, pages),
    recoveryWrite: () => 0,
  };
}

test("C8: a device without recovery writes nothing, not even the clean first page: EIO where Linux says EFAULT", () => {
  const file = testFile();
  file.device.inject({ offset: PAGE, length: PAGE });
  const vector = new IoVector().begin(new Uint8Array(4 * PAGE).fill(9), Infinity);
  expect(() => daxWrite({ ...file, direct: withoutRecoveryWrite(file.direct) }, vector)).toThrow(
    expect.objectContaining({
      code: "EIO",
      ranges: [{ offset: PAGE, length: PAGE, state: "poisoned" }],
    }),
  );
  expect(listed(file)).toEqual([[PAGE, PAGE]]);
});

test("C13: R4: a list has no limit of 512 records: the record in the middle is split, and its data can be read", async () => {
  const row: LinuxRow = { row: "C13", call: ["write", 8192, 4096], ret: 4096 };
  const stack = plainStack(row, 160);
  stack.poison({ offset: PAGE, length: 3 * PAGE }, { latent: false });
  for (let record = 0; record < 511; record += 1)
    stack.poison({ offset: (64 + 2 * record) * 512, length: 512 }, { latent: false });
  const file = await openFile(stack.device);
  const data = new Uint8Array(PAGE).fill(9);
  expect(await file.pwritev2(data, 2 * PAGE)).toBe(PAGE);
  const back = new Uint8Array(PAGE);
  expect(await file.preadv2(back, 2 * PAGE)).toBe(PAGE);
  expectBytes(back, data);
  expect(listOf(stack.device).slice(0, 3)).toEqual([
    [8, 8],
    [24, 8],
    [64, 1],
  ]);
  expect(listOf(stack.device)).toHaveLength(513);
});
