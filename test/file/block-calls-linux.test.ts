/** Reads and writes of a block device, row by row as Linux answers them (`pmem_submit_bio`): O_DIRECT, and through a page cache. */
import { describe, test } from "vitest";
import { RWF_RECOVERY_DATA } from "../../src/file/index.ts";
import { plainStack, expectRow, type LinuxRow } from "./support/linux-row.ts";

const REFUSES = { clearLimit: 0 } as const;
const HALF = { clearLimit: 2048 } as const;

const DIRECT: readonly LinuxRow[] = [
  {
    row: "B1: a bad page fails the whole request",
    known: "p1",
    call: ["read", 0, 16384],
    ret: "EIO",
  },
  { row: "B2: a clean sector of a bad page", known: "p0s3", call: ["read", 0, 512], ret: 512 },
  { row: "B2: the bad sector", known: "p0s3", call: ["read", 1536, 512], ret: "EIO" },
  {
    row: "B3: a write of the bad sector",
    known: "p0s3",
    call: ["write", 1536, 512],
    ret: 512,
    clears: [[1536, 512]],
    list: [],
  },
  {
    row: "B4: a write of a clean sector clears nothing",
    known: "p0s3",
    call: ["write", 0, 512],
    ret: 512,
  },
  {
    row: "B5: a write of its page",
    known: "p0s3",
    call: ["write", 0, 4096],
    ret: 4096,
    clears: [[0, 4096]],
    list: [],
  },
  {
    row: "B6: R5: a clear that fails: earlier pages are written, the call fails",
    known: "p1",
    firmware: REFUSES,
    call: ["write", 0, 16384],
    ret: "EIO",
    written: 4096,
    clears: [[4096, 4096]],
  },
  {
    row: "B7: R4: half a clear is lost, where Linux drops it from the list",
    known: "p1",
    firmware: HALF,
    call: ["write", 0, 16384],
    ret: "EIO",
    written: 4096,
    clears: [[4096, 4096]],
    lost: [[8, 4]],
  },
  {
    row: "B8: a write smaller than the clear unit",
    known: "p0s3",
    firmware: { clearUnit: 1024 },
    call: ["write", 1536, 512],
    ret: "EIO",
  },
  {
    row: "B9: pages are the caller's, not the device's",
    known: "p0s1 p1s1",
    call: ["write", 512, 8192],
    ret: 8192,
    clears: [
      [512, 4096],
      [4608, 4096],
    ],
    list: [],
  },
  {
    row: "B10: latent poison fails a read, and is known then",
    latent: "p1s0",
    call: ["read", 0, 16384],
    ret: "EIO",
    list: [[8, 1]],
  },
  { row: "B11: poison behind the request", known: "p4", call: ["read", 0, 16384], ret: 16384 },
];

const BUFFERED: readonly LinuxRow[] = [
  {
    row: "a bad sector hides its page: pages before it are a short count",
    known: "p1s3",
    call: ["read", 0, 16384],
    ret: 4096,
  },
  { row: "a clean sector of a bad page", known: "p0s3", call: ["read", 0, 512], ret: "EIO" },
  { row: "unaligned, up to the bad page", known: "p1s3", call: ["read", 100, 9000], ret: 3996 },
  {
    row: "latent poison hides its page too",
    latent: "p1s3",
    call: ["read", 0, 16384],
    ret: 4096,
    list: [[11, 1]],
  },
  {
    row: "R4: a write of whole pages heals",
    known: "p1s3",
    call: ["write", 0, 16384],
    ret: 16384,
    clears: [[4096, 4096]],
    list: [],
  },
  {
    row: "a part of a bad page cannot be written: the rest cannot be read",
    known: "p0s3",
    call: ["write", 0, 512],
    ret: "EIO",
  },
  { row: "nor its bad sector", known: "p0s3", call: ["write", 1536, 512], ret: "EIO" },
  {
    row: "a write that ends in a bad page stops before it",
    known: "p1s7",
    call: ["write", 0, 6144],
    ret: 4096,
  },
  {
    row: "a write that begins in a bad page writes nothing",
    known: "p0s0",
    call: ["write", 512, 8192],
    ret: "EIO",
  },
  {
    row: "parts of clean pages around a bad one",
    known: "p1",
    call: ["write", 100, 12000],
    ret: 12000,
    clears: [[4096, 4096]],
    list: [],
  },
  {
    row: "R5: a clear that fails: pages before it are a short count",
    known: "p1",
    firmware: REFUSES,
    call: ["write", 0, 16384],
    ret: 4096,
    clears: [[4096, 4096]],
  },
];

describe("preadv2() and pwritev2() of a block device answer as O_DIRECT", () => {
  test.each(DIRECT.map((row) => [row.row, row] as const))("%s", async (_, row) => {
    await expectRow({ ...row, face: "direct" });
  });
});

describe("preadv2() and pwritev2() of a block device answer as the page cache", () => {
  test.each(BUFFERED.map((row) => [row.row, row] as const))("%s", async (_, row) => {
    await expectRow({ ...row, face: "buffered" });
  });
});

const FLAGGED: readonly LinuxRow[] = [
  { row: "B1: up to the first bad byte", known: "p1", call: ["read", 0, 16384], ret: 4096 },
  { row: "B2", known: "p0s3", call: ["read", 0, 512], ret: 512 },
  { row: "up to the bad sector of a page", known: "p1s3", call: ["read", 0, 16384], ret: 5632 },
  { row: "latent poison", latent: "p1s3", call: ["read", 0, 16384], ret: 5632, list: [[11, 1]] },
  { row: "B3", known: "p0s3", call: ["write", 1536, 512], ret: 512, list: [] },
  {
    row: "B8: R2: a part of a clear unit",
    known: "p0s3",
    firmware: { clearUnit: 1024 },
    call: ["write", 1536, 512],
    ret: 512,
    list: [],
  },
  {
    row: "B6: a short count",
    known: "p1",
    firmware: REFUSES,
    call: ["write", 0, 16384],
    ret: 4096,
  },
  {
    row: "R2: other bad bytes of the page stay listed",
    known: "p0s0 p0s3",
    call: ["write", 0, 512],
    ret: 512,
    list: [[3, 1]],
  },
];

describe.each(["direct", "buffered"] as const)("with RWF_RECOVERY_DATA, %s", (face) => {
  test.each(FLAGGED.map((row) => [row.row, row] as const))("%s", async (_, row) => {
    const stack = plainStack(row);
    const flagged = { ...row, face, flags: RWF_RECOVERY_DATA };
    await expectRow(flagged, { ...stack, clears: () => [] });
  });
});
