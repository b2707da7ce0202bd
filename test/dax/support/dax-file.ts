/** A file on a device in memory, for tests of dax/ and file/: the device's bytes as its content, or extents that a test names. */
import { expect } from "vitest";
import { ExtentTable, type DaxFile, type FileExtent } from "../../../src/dax/index.ts";
import {
  createMemoryDevice,
  type DirectAccess,
  type MemoryDeviceOptions,
  type SimulatedDevice,
} from "../../../src/device/index.ts";

/** Bytes of a page. */
export const PAGE = 4096;

/** A file with its device and the bytes below. */
export interface TestFile extends DaxFile {
  readonly device: SimulatedDevice;
  readonly bytes: Uint8Array;
}

/** What a test wants of its file. */
export interface TestFileOptions extends Omit<MemoryDeviceOptions, "size" | "bytes"> {
  /** Pages of the device. @default 16 */
  readonly pages?: number;
  /** @default all of the device */
  readonly extents?: readonly FileExtent[];
  /** Bytes of the file. @default those of its extents */
  readonly size?: number;
}

/** Byte of the device's content at an offset: no two pages alike. */
export function contentAt(offset: number): number {
  return ((offset * 31) ^ (offset >> 8) ^ 7) & 0xff;
}

/** Makes a file whose device holds `contentAt`. */
export function testFile(options: TestFileOptions = {}): TestFile {
  const { pages = 16, extents, size, ...settings } = options;
  const bytes = new Uint8Array(pages * PAGE).map((_, offset) => contentAt(offset));
  const device = createMemoryDevice({ bytes, ...settings });
  const table = new ExtentTable(
    extents ?? [{ offset: 0, length: bytes.length, kind: "data", device: 0 }],
  );
  return {
    name: "file",
    device,
    direct: device.direct as DirectAccess,
    pageSize: PAGE,
    extents: table,
    size: size ?? table.end,
    bytes,
  };
}

/** The content of a range of the device, as it was in the beginning. */
export function content(offset: number, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, at) => contentAt(offset + at));
}

/** Fails unless both hold the same bytes; `toEqual` takes a tenth of a second for a few pages. */
export function expectBytes(found: Uint8Array, wanted: Uint8Array): void {
  expect(Buffer.compare(found, wanted)).toBe(0);
}

/** What of a device is on its list. */
export function listed(file: DaxFile): readonly (readonly [number, number])[] {
  const all = { offset: 0, length: file.device.size };
  return Array.from(file.device.poison.bad(all), ({ offset, length }) => [offset, length] as const);
}
