/**
 * LinuxRow: one row of the tables of Linux' answers, and what plays it. Words of a row: "p1" is page 1, "p1s3" its sector 3, "p1s4..p2s3" a
 * run of sectors, several ranges stand apart. Old content is 'o', written content 'N'.
 */
import { expect } from "vitest";
import { endOf, StorageError, type ByteRange } from "../../../src/base/index.ts";
import type { Device } from "../../../src/device/index.ts";
import type { ExtentTable, FileExtent } from "../../../src/dax/index.ts";
import { ExtentTable as Table } from "../../../src/dax/index.ts";
import type { Face, File } from "../../../src/file/index.ts";
import { OpenedFile } from "../../../src/file/opened-file.ts";
import { RecordedDevice, type Firmware } from "./recorded-device.ts";

/** Bytes of a page. */
export const PAGE = 4096;
const SECTOR = 512;
const OLD = 0x6f;
const NEW = 0x4e;
const FILLER = 0x2e;

/** Sectors from the start of the device: first, and how many. */
export type Sectors = readonly (readonly [first: number, count: number])[];

/** One row. */
export interface LinuxRow {
  readonly row: string;
  /** Known poison. */
  readonly known?: string;
  /** Poison that no list names. */
  readonly latent?: string;
  readonly call: readonly ["read" | "write", offset: number, length: number];
  readonly flags?: number;
  /** Bytes of the answer, or its code. */
  readonly ret: number | "EIO";
  /** Bytes that a write that failed has stored all the same, from its start. @default 0 */
  readonly written?: number;
  /** What the firmware was asked to clear: offset and length, in bytes. @default nothing */
  readonly clears?: readonly (readonly [number, number])[];
  /** The list afterwards. @default what was known */
  readonly list?: Sectors;
  /** What of it is lost. @default nothing */
  readonly lost?: Sectors;
  /** What nobody can read afterwards, where that is more than the list. */
  readonly unreadable?: Sectors;
  readonly firmware?: Firmware;
  readonly face?: Face;
  /** @default all of the device */
  readonly extents?: readonly FileExtent[];
  /** Bytes of the file. @default those of its extents */
  readonly size?: number;
}

/** What a row runs on. */
export interface RowStack {
  readonly device: Device;
  /** Poisons a range of the device. */
  poison(range: ByteRange, options: { readonly latent: boolean }): void;
  /** What the firmware was asked to clear, in bytes of the device. */
  clears(): readonly ByteRange[];
}

/** A device of 64 pages with one firmware. */
export function plainStack(row: LinuxRow, pages: number = 64): RowStack {
  const device = new RecordedDevice(new Uint8Array(pages * PAGE).fill(OLD), row.firmware);
  return {
    device,
    poison: (range, options) => device.makeBad(range, options),
    clears: () => device.clears,
  };
}

/** Plays a row: the answer, what was read, what was cleared, the list, and every byte of the file afterwards. */
export async function expectRow(row: LinuxRow, stack: RowStack = plainStack(row)): Promise<void> {
  const { device } = stack;
  for (const range of rangesOf(row.known)) stack.poison(range, { latent: false });
  for (const range of rangesOf(row.latent)) stack.poison(range, { latent: true });
  const before = listOf(device);
  const file = openRow(row, device);
  const { count, into } = await call(row, file);
  expect(count).toBe(row.ret);
  if (row.call[0] === "read") checkRead(row, into, typeof count === "number" ? count : 0);
  const cleared = stack.clears().map(({ offset, length }) => [offset, length]);
  expect(cleared).toEqual(row.clears ?? []);
  expect(listOf(device)).toEqual(row.list ?? before);
  expect(listOf(device, "lost")).toEqual(row.lost ?? []);
  if (row.call[0] === "write")
    await checkContent(row, file, typeof count === "number" ? count : (row.written ?? 0));
}

function openRow({ extents, size, face = "dax" }: LinuxRow, device: Device): File {
  const table = new Table(extents ?? [{ offset: 0, length: device.size, kind: "data", device: 0 }]);
  const place = {
    name: "row",
    size: size ?? table.end,
    extents: table satisfies ExtentTable,
    isDevice: extents === undefined,
    frozen: undefined,
  };
  return new OpenedFile({ device, place, face, mode: "access", cursor: { position: 0 } });
}

async function call(
  { call: [op, offset, length], flags = 0 }: LinuxRow,
  file: File,
): Promise<{ readonly count: number | string; readonly into: Uint8Array }> {
  const into = new Uint8Array(length).fill(op === "read" ? FILLER : NEW);
  try {
    const count =
      op === "read"
        ? await file.preadv2(into, offset, flags)
        : await file.pwritev2(into, offset, flags);
    return { count, into };
  } catch (error) {
    if (!(error instanceof StorageError)) throw error;
    return { count: error.code, into };
  }
}

/** R1: what is counted is old content, or zeros of a hole; what is not counted is no byte of poison. */
function checkRead({ extents, call: [, offset] }: LinuxRow, into: Uint8Array, count: number): void {
  const wanted = new Uint8Array(count).fill(OLD);
  for (const hole of extents ?? []) {
    if (hole.kind === "data" || hole.kind === "inline") continue;
    wanted.fill(0, Math.max(0, hole.offset - offset), Math.max(0, endOf(hole) - offset));
  }
  expect(Buffer.compare(into.subarray(0, count), wanted), "what was read").toBe(0);
  expect(into.includes(0xbd), "R1: a byte of poison").toBe(false);
}

/** R2: what was counted is new, what cannot be read is named, all else is old. */
async function checkContent(row: LinuxRow, file: File, count: number): Promise<void> {
  const [, offset] = row.call;
  const into = new Uint8Array(file.size).fill(FILLER);
  const { holes } = await file.readRecover(into, 0);
  const wanted = new Uint8Array(file.size).fill(OLD).fill(NEW, offset, offset + count);
  for (const hole of holes) {
    wanted.fill(FILLER, hole.offset, endOf(hole));
    into.fill(FILLER, hole.offset, endOf(hole));
  }
  expect(Buffer.compare(into, wanted), "what the file holds").toBe(0);
  expect(sectorsOf(holes)).toEqual(row.unreadable ?? row.list ?? sectorsOf(rangesOf(row.known)));
}

/** The ranges of a row's words, in bytes. */
export function rangesOf(words: string | undefined): ByteRange[] {
  if (words === undefined) return [];
  return words.split(" ").map((word) => {
    const [from = "", to] = word.split("..");
    const first = sectorOf(from);
    const end = endOf(to === undefined ? first : sectorOf(to));
    return { offset: first.offset, length: end - first.offset };
  });
}

function sectorOf(word: string): ByteRange {
  const match = /^p(\d+)(?:s(\d))?$/.exec(word);
  if (match === null) throw new Error(`Cannot read ${word}: want p1 or p1s3`);
  const page = Number(match[1]) * PAGE;
  if (match[2] === undefined) return { offset: page, length: PAGE };
  return { offset: page + Number(match[2]) * SECTOR, length: SECTOR };
}

/** The list as sectors, rounded out and merged. */
export function listOf(device: Device, state?: "lost"): Sectors {
  const all = [...device.poison.bad({ offset: 0, length: device.size })];
  return sectorsOf(state === undefined ? all : all.filter((bad) => bad.state === state));
}

/** Ranges as sectors, rounded out and merged. */
export function sectorsOf(ranges: readonly ByteRange[]): Sectors {
  const sectors: [number, number][] = [];
  for (const range of ranges) {
    const first = Math.floor(range.offset / SECTOR);
    const end = Math.ceil(endOf(range) / SECTOR);
    const last = sectors.at(-1);
    if (last !== undefined && last[0] + last[1] >= first) last[1] = end - last[0];
    else sectors.push([first, end - first]);
  }
  return sectors;
}
