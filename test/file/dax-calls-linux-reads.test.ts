/** Reads on the DAX face, row by row as Linux answers them (fs/dax.c, drivers/nvdimm/pmem.c of 7.1), and what the flag makes of them. */
import { describe, test } from "vitest";
import type { FileExtent } from "../../src/dax/index.ts";
import { RWF_RECOVERY_DATA } from "../../src/file/index.ts";
import { PAGE, expectRow, type LinuxRow } from "./support/linux-row.ts";
import { stripedStack } from "./support/striped-stack.ts";

function extent(page: number, pages: number, device?: number): FileExtent {
  const place = { offset: page * PAGE, length: pages * PAGE };
  return device === undefined
    ? { ...place, kind: "hole" }
    : { ...place, kind: "data", device: device * PAGE };
}

const UNWRITTEN: FileExtent = { offset: PAGE, length: PAGE, kind: "unwritten", device: 20 * PAGE };

const ROWS: readonly LinuxRow[] = [
  { row: "R1: no poison", call: ["read", 0, 16384], ret: 16384 },
  { row: "R1: no poison, no alignment", call: ["read", 77, 9999], ret: 9999 },
  { row: "R2: p0s0 is known", known: "p0s0", call: ["read", 0, 16384], ret: "EIO" },
  {
    row: "R3: p1 is known, and the window is refused",
    known: "p1",
    call: ["read", 0, 16384],
    ret: "EIO",
  },
  { row: "R4: the page before known poison", known: "p1", call: ["read", 0, 4096], ret: 4096 },
  { row: "R5: a part of the page before", known: "p1", call: ["read", 1, 4000], ret: 4000 },
  { row: "R6: a few bytes across the border", known: "p1", call: ["read", 4000, 200], ret: "EIO" },
  { row: "R7: a clean sector of a bad page", known: "p0s3", call: ["read", 0, 512], ret: "EIO" },
  { row: "R8: its last sector", known: "p0s3", call: ["read", 3584, 512], ret: "EIO" },
  { row: "R9: the last sector of the window", known: "p3s7", call: ["read", 0, 16384], ret: "EIO" },
  { row: "R10: poison right behind the window", known: "p4", call: ["read", 0, 16384], ret: 16384 },
  {
    row: "R11: latent poison is a short count, and known then",
    latent: "p1s0",
    call: ["read", 0, 16384],
    ret: 4096,
    list: [[8, 1]],
  },
  {
    row: "R12: to the first byte of the bad line",
    latent: "p0s3",
    call: ["read", 0, 16384],
    ret: 1536,
    list: [[3, 1]],
  },
  {
    row: "R13: latent at the first byte: EIO where Linux says EFAULT",
    latent: "p0s0",
    call: ["read", 0, 4096],
    ret: "EIO",
    list: [[0, 1]],
  },
  {
    row: "R14: latent, no alignment",
    latent: "p0s3",
    call: ["read", 100, 8000],
    ret: 1436,
    list: [[3, 1]],
  },
  {
    row: "R17: poison under a hole",
    known: "p1",
    extents: [extent(0, 1, 0), extent(1, 1), extent(2, 2, 2)],
    call: ["read", 0, 16384],
    ret: 16384,
  },
  {
    row: "R17: poison under an unwritten extent",
    known: "p20",
    extents: [extent(0, 1, 0), UNWRITTEN, extent(2, 2, 2)],
    call: ["read", 0, 16384],
    ret: 16384,
  },
  {
    row: "R18: poison in the second of two extents",
    known: "p21",
    extents: [extent(0, 2, 8), extent(2, 2, 20)],
    call: ["read", 0, 16384],
    ret: 8192,
  },
  {
    row: "R18: two extents that lie together are one window",
    known: "p11",
    extents: [extent(0, 2, 8), extent(2, 2, 10)],
    call: ["read", 0, 16384],
    ret: "EIO",
  },
  {
    row: "R19: poison past the end of the file, in its window",
    known: "p3",
    extents: [extent(0, 8, 0)],
    size: 5000,
    call: ["read", 0, 16384],
    ret: "EIO",
  },
  {
    row: "R20: a read that ends with the file",
    known: "p3",
    extents: [extent(0, 8, 0)],
    size: 5000,
    call: ["read", 0, 5000],
    ret: 5000,
  },
  {
    row: "R21: an extent that ends before the poison",
    known: "p3",
    extents: [extent(0, 2, 0)],
    size: 5000,
    call: ["read", 0, 16384],
    ret: 5000,
  },
];

describe("preadv2() answers as Linux", () => {
  test.each(ROWS.map((row) => [row.row, row] as const))("%s", async (_, row) => {
    await expectRow(row);
  });

  test("R15: windows of a stripe, two pages: bytes of the windows before", async () => {
    const row: LinuxRow = { row: "R15", known: "p2", call: ["read", 0, 16384], ret: 8192 };
    await expectRow(row, stripedStack(row, 16));
  });

  test("R16: windows of a stripe, one page", async () => {
    const row: LinuxRow = { row: "R16", known: "p3", call: ["read", 0, 16384], ret: 12288 };
    await expectRow(row, stripedStack(row, 8));
  });
});

/** The same poison and requests, with the flag: the first bad byte is where it stops. */
const FLAGGED: readonly LinuxRow[] = [
  { row: "R2", known: "p0s0", call: ["read", 0, 16384], ret: "EIO" },
  { row: "R3", known: "p1", call: ["read", 0, 16384], ret: 4096 },
  { row: "R6", known: "p1", call: ["read", 4000, 200], ret: 96 },
  { row: "R7", known: "p0s3", call: ["read", 0, 512], ret: 512 },
  { row: "R8", known: "p0s3", call: ["read", 3584, 512], ret: 512 },
  { row: "R9", known: "p3s7", call: ["read", 0, 16384], ret: 15872 },
  { row: "R11", latent: "p1s0", call: ["read", 0, 16384], ret: 4096, list: [[8, 1]] },
  { row: "R12", latent: "p0s3", call: ["read", 0, 16384], ret: 1536, list: [[3, 1]] },
  { row: "R13", latent: "p0s0", call: ["read", 0, 4096], ret: "EIO", list: [[0, 1]] },
  {
    row: "R17",
    known: "p1",
    extents: [extent(0, 1, 0), extent(1, 1), extent(2, 2, 2)],
    call: ["read", 0, 16384],
    ret: 16384,
  },
  {
    row: "R18",
    known: "p21s1",
    extents: [extent(0, 2, 8), extent(2, 2, 20)],
    call: ["read", 0, 16384],
    ret: 12800,
  },
  {
    row: "R19",
    known: "p3",
    extents: [extent(0, 8, 0)],
    size: 5000,
    call: ["read", 0, 16384],
    ret: 5000,
  },
];

describe("preadv2() with RWF_RECOVERY_DATA gives every byte up to the first bad one", () => {
  test.each(FLAGGED.map((row) => [row.row, row] as const))("%s", async (_, row) => {
    await expectRow({ ...row, flags: RWF_RECOVERY_DATA });
  });

  test("R15, R16: windows of a stripe do not show", async () => {
    for (const [chunk, known] of [
      [16, "p2s5"],
      [8, "p3s5"],
    ] as const) {
      const ret = known === "p2s5" ? 8192 + 2560 : 12288 + 2560;
      const row: LinuxRow = {
        row: known,
        known,
        call: ["read", 0, 16384],
        flags: RWF_RECOVERY_DATA,
        ret,
      };
      await expectRow(row, stripedStack(row, chunk));
    }
  });
});
