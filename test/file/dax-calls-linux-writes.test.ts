/** Writes on the DAX face, row by row as Linux answers them: what is cleared, what is written, what stays listed. */
import { describe, test } from "vitest";
import { intersect, RangeSet, type ByteRange } from "../../src/base/index.ts";
import { RWF_RECOVERY_DATA } from "../../src/file/index.ts";
import { expectRow, rangesOf, sectorsOf, type LinuxRow } from "./support/linux-row.ts";
import { stripedStack } from "./support/striped-stack.ts";

/** Start and length are whole pages. */
const WHOLE: readonly LinuxRow[] = [
  {
    row: "W1: p1",
    known: "p1",
    call: ["write", 0, 16384],
    ret: 16384,
    clears: [[4096, 4096]],
    list: [],
  },
  {
    row: "W2: p1s0",
    known: "p1s0",
    call: ["write", 0, 16384],
    ret: 16384,
    clears: [[4096, 4096]],
    list: [],
  },
  {
    row: "W3: p1s3: the stride takes the page before",
    known: "p1s3",
    call: ["write", 0, 16384],
    ret: 16384,
    clears: [[0, 8192]],
    list: [],
  },
  {
    row: "W4: p1s7",
    known: "p1s7",
    call: ["write", 0, 16384],
    ret: 16384,
    clears: [[0, 8192]],
    list: [],
  },
  {
    row: "W5: p0s3",
    known: "p0s3",
    call: ["write", 0, 16384],
    ret: 16384,
    clears: [[0, 4096]],
    list: [],
  },
  {
    row: "W6: p0s0, one page",
    known: "p0s0",
    call: ["write", 0, 4096],
    ret: 4096,
    clears: [[0, 4096]],
    list: [],
  },
  {
    row: "W7: p3s7: one clear of four pages",
    known: "p3s7",
    call: ["write", 0, 16384],
    ret: 16384,
    clears: [[0, 16384]],
    list: [],
  },
  {
    row: "W8: p1..p2: a clear a page",
    known: "p1..p2",
    call: ["write", 0, 16384],
    ret: 16384,
    clears: [
      [4096, 4096],
      [8192, 4096],
    ],
    list: [],
  },
  {
    row: "W9: p1..p2, the second page",
    known: "p1..p2",
    call: ["write", 8192, 4096],
    ret: 4096,
    clears: [[8192, 4096]],
    list: [[8, 8]],
  },
  {
    row: "W10: a record that begins a page before",
    known: "p1..p2",
    call: ["write", 8192, 8192],
    ret: 8192,
    clears: [[8192, 8192]],
    list: [[8, 8]],
  },
  {
    row: "W11: p0..p2, from the second page on",
    known: "p0..p2",
    call: ["write", 4096, 16384],
    ret: 16384,
    clears: [[4096, 16384]],
    list: [[0, 8]],
  },
  {
    row: "W12: a record that begins less than a page before",
    known: "p1s4..p2s3",
    call: ["write", 8192, 8192],
    ret: 8192,
    clears: [[8192, 4096]],
    list: [[12, 4]],
  },
  {
    row: "W13: a record that begins more than a page before",
    known: "p0s4..p2s3",
    call: ["write", 8192, 8192],
    ret: 8192,
    clears: [[8192, 8192]],
    list: [[4, 12]],
  },
  {
    row: "W14: p1s0 and p3s0",
    known: "p1s0 p3s0",
    call: ["write", 0, 20480],
    ret: 20480,
    clears: [
      [4096, 4096],
      [12288, 4096],
    ],
    list: [],
  },
  {
    row: "W15: p1s3 and p3s3",
    known: "p1s3 p3s3",
    call: ["write", 0, 20480],
    ret: 20480,
    clears: [
      [0, 8192],
      [8192, 8192],
    ],
    list: [],
  },
  { row: "W16: poison elsewhere", known: "p9", call: ["write", 0, 16384], ret: 16384 },
  { row: "W16: the same, unaligned", known: "p9", call: ["write", 77, 9999], ret: 9999 },
  {
    row: "W18: latent poison is written over and stays",
    latent: "p1",
    call: ["write", 0, 16384],
    ret: 16384,
    unreadable: [[8, 8]],
  },
];

const UNALIGNED: readonly LinuxRow[] = [
  {
    row: "U1: p1, from 100 into p3",
    known: "p1",
    call: ["write", 100, 12288],
    ret: 12288,
    clears: [[4096, 4096]],
    list: [],
  },
  {
    row: "U2: p1, from 100 to p2",
    known: "p1",
    call: ["write", 100, 8092],
    ret: 8092,
    clears: [[4096, 4096]],
    list: [],
  },
  {
    row: "U3: p1s3: the stride begins in p0; EIO where Linux says EFAULT",
    known: "p1s3",
    call: ["write", 100, 8092],
    ret: "EIO",
  },
  { row: "U4: p1s3, to the middle of p1", known: "p1s3", call: ["write", 0, 6144], ret: "EIO" },
  { row: "U5: p1s0, to the middle of p1", known: "p1s0", call: ["write", 0, 6144], ret: 4096 },
  { row: "U6: a bad sector alone", known: "p0s0", call: ["write", 0, 512], ret: "EIO" },
  {
    row: "U7: a clean sector of a bad page",
    known: "p0s0",
    call: ["write", 2048, 512],
    ret: "EIO",
  },
  {
    row: "U8: p0s0, to the middle of p1",
    known: "p0s0",
    call: ["write", 0, 6144],
    ret: 6144,
    clears: [[0, 4096]],
    list: [],
  },
  { row: "U9: the first half of a bad page", known: "p1", call: ["write", 4096, 2048], ret: "EIO" },
  {
    row: "U10: p2, from 100 to p3",
    known: "p2",
    call: ["write", 100, 12188],
    ret: 12188,
    clears: [[8192, 4096]],
    list: [],
  },
  { row: "U11: poison elsewhere", known: "p9", call: ["write", 100, 5000], ret: 5000 },
];

/** The distance of the window to the start of the record decides, not which pages are bad. */
const RECORDS: readonly LinuxRow[] = [
  {
    row: "N4a: [16 8]",
    known: "p2",
    call: ["write", 8192, 6144],
    ret: 6144,
    clears: [[8192, 4096]],
    list: [],
  },
  { row: "N4b: [8 16]", known: "p1..p2", call: ["write", 8192, 6144], ret: "EIO" },
  { row: "N4c: [8 9]", known: "p1..p2s0", call: ["write", 8192, 6144], ret: "EIO" },
  {
    row: "N4d: [8 8] and [17 1]: two records",
    known: "p1 p2s1",
    call: ["write", 8192, 6144],
    ret: 6144,
    clears: [[8192, 4096]],
    list: [[8, 8]],
  },
];

describe("pwritev2() answers as Linux", () => {
  test.each([...WHOLE, ...UNALIGNED, ...RECORDS].map((row) => [row.row, row] as const))(
    "%s",
    async (_, row) => {
      await expectRow(row);
    },
  );

  test.each([
    {
      row: "W17: p1s3, windows of one page",
      known: "p1s3",
      call: ["write", 0, 16384],
      ret: 16384,
      clears: [[4096, 4096]],
      list: [],
    },
    {
      row: "U12: the window rescues U3",
      known: "p1s3",
      call: ["write", 100, 8092],
      ret: 8092,
      clears: [[4096, 4096]],
      list: [],
    },
  ] satisfies LinuxRow[])("$row", async (row) => {
    await expectRow(row, stripedStack(row, 8));
  });
});

/** With the flag alignment does not matter: the units that hold poison under the write are cleared, latent ones too, and nothing else. */
function flagged(row: LinuxRow): LinuxRow {
  const [, offset, length] = row.call;
  const written = { offset, length };
  const known = rangesOf(row.known);
  return {
    row: row.row,
    call: row.call,
    flags: RWF_RECOVERY_DATA,
    ret: length,
    clears: [...known, ...rangesOf(row.latent)].flatMap((bad) => {
      const part = intersect(bad, written);
      return part === undefined ? [] : [[part.offset, part.length] as const];
    }),
    list: sectorsOf(known.flatMap((bad) => without(bad, written))),
    ...(row.known === undefined ? {} : { known: row.known }),
    ...(row.latent === undefined ? {} : { latent: row.latent }),
  };
}

function without(bad: ByteRange, written: ByteRange): ByteRange[] {
  const set = RangeSet.from([bad]);
  set.delete(written.offset, written.length);
  return [...set];
}

describe("R2, R3, R4: pwritev2() with RWF_RECOVERY_DATA writes all of it, and clears only what it must", () => {
  test.each([...WHOLE, ...UNALIGNED, ...RECORDS].map((row) => [row.row, row] as const))(
    "%s",
    async (_, row) => {
      await expectRow(flagged(row));
    },
  );
});
