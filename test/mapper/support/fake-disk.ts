/** A disk of plain memory with poison, and makers of tables written from the specifications, apart from the code under test. */
import { crc32 } from "node:zlib";
import { intersect, type BadRange, type ByteRange } from "../../../src/base/index.ts";
import type { Capabilities, Device } from "../../../src/device/index.ts";
import { PoisonList } from "../../../src/poison/index.ts";

const CAPABILITIES: Capabilities = {
  poisonUnit: 1,
  clearUnit: 1,
  pageSize: 4096,
  clear: "none",
  listsErrors: true,
  failedRead: "cheap",
  mediated: true,
  readOnly: true,
  recovers: true,
};

/** A device over bytes; poisoned ranges are missing in every read, and what `into` held there stays. */
export function fakeDisk(bytes: Uint8Array, poisoned: readonly ByteRange[] = []): Device {
  const poison = new PoisonList(bytes.length);
  for (const range of poisoned) poison.mark(range, "poisoned");
  return {
    size: bytes.length,
    identity: { name: "memory", uuid: undefined, generation: 0 },
    capabilities: CAPABILITIES,
    poison,
    direct: undefined,
    read(into, offset) {
      if (offset < 0 || offset + into.length > bytes.length) throw new RangeError("past the end");
      const whole = { offset, length: into.length };
      const missing: BadRange[] = poisoned.flatMap((range) => {
        const part = intersect(range, whole);
        return part === undefined ? [] : [{ ...part, state: "poisoned" as const }];
      });
      const before = into.slice();
      into.set(bytes.subarray(offset, offset + into.length));
      for (const hole of missing) {
        const at = hole.offset - offset;
        into.set(before.subarray(at, at + hole.length), at);
        into.fill(0xa5, at, at + hole.length);
      }
      return { missing };
    },
    write: () => Promise.reject(new Error("this disk is read-only")),
    flush: () => {},
    close: () => {},
  };
}

/** One entry of a GPT as a test wants it; sectors are inclusive, as on the disk. */
export interface GptEntry {
  readonly slot: number;
  readonly first: number;
  readonly last: number;
  readonly name?: string;
}

/** What a GPT looks like. */
export interface GptShape {
  readonly sectors: number;
  readonly sectorSize?: number;
  readonly entrySize?: number;
  readonly entryCount?: number;
  readonly entries: readonly GptEntry[];
}

const LINUX_DATA = "af3dc60f838472478e793d69d8477de4"; // 0fc63daf-8483-4772-8e79-3d69d8477de4, first fields little-endian

/** A disk with a protective MBR and both copies of a GPT. */
export function gptDisk(shape: GptShape): Uint8Array {
  const { sectors, sectorSize = 512, entrySize = 128, entryCount = 128 } = shape;
  const disk = new Uint8Array(sectors * sectorSize);
  mbrSector(disk, [{ slot: 0, type: 0xee, first: 1, count: sectors - 1 }]);
  const array = new Uint8Array(entrySize * entryCount);
  for (const { slot, first, last, name = "" } of shape.entries) {
    const at = slot * entrySize;
    const view = new DataView(array.buffer);
    array.set(Buffer.from(LINUX_DATA, "hex"), at);
    array.fill(slot + 1, at + 16, at + 32);
    view.setBigUint64(at + 32, BigInt(first), true);
    view.setBigUint64(at + 40, BigInt(last), true);
    array.set(Buffer.from(name.slice(0, 36), "utf16le"), at + 56);
  }
  const arraySectors = Math.ceil(array.length / sectorSize);
  const shared = { crc: crc32(array), entrySize, entryCount, sectors, arraySectors };
  const backupArray = sectors - 1 - arraySectors;
  disk.set(array, 2 * sectorSize);
  disk.set(array, backupArray * sectorSize);
  disk.set(gptHeader({ ...shared, lba: 1, alternate: sectors - 1, arrayLba: 2 }), sectorSize);
  const backup = { ...shared, lba: sectors - 1, alternate: 1, arrayLba: backupArray };
  disk.set(gptHeader(backup), (sectors - 1) * sectorSize);
  return disk;
}

interface HeaderShape {
  readonly lba: number;
  readonly alternate: number;
  readonly arrayLba: number;
  readonly crc: number;
  readonly entrySize: number;
  readonly entryCount: number;
  readonly sectors: number;
  readonly arraySectors: number;
}

/** A header of 92 bytes with its checksum. */
export function gptHeader(shape: HeaderShape): Uint8Array {
  const header = new Uint8Array(92);
  const view = new DataView(header.buffer);
  header.set(Buffer.from("EFI PART"));
  view.setUint32(8, 0x10000, true);
  view.setUint32(12, 92, true);
  view.setBigUint64(24, BigInt(shape.lba), true);
  view.setBigUint64(32, BigInt(shape.alternate), true);
  view.setBigUint64(40, BigInt(2 + shape.arraySectors), true);
  view.setBigUint64(48, BigInt(Math.max(0, shape.sectors - 2 - shape.arraySectors)), true);
  header.set(Buffer.from("00112233445566778899aabbccddeeff", "hex"), 56);
  view.setBigUint64(72, BigInt(shape.arrayLba), true);
  view.setUint32(80, shape.entryCount, true);
  view.setUint32(84, shape.entrySize, true);
  view.setUint32(88, shape.crc, true);
  view.setUint32(16, crc32(header), true);
  return header;
}

/** Makes the checksum of a header right again after a test changed it. */
export function sealHeader(disk: Uint8Array, offset: number): void {
  const header = disk.subarray(offset, offset + 92);
  const view = new DataView(disk.buffer, offset);
  view.setUint32(16, 0, true);
  view.setUint32(16, crc32(header), true);
}

/** One entry of an MBR or of a link. */
export interface MbrShape {
  readonly slot: number;
  readonly type: number;
  readonly first: number;
  readonly count: number;
  readonly bootable?: number;
}

/** Writes four entries and 55 AA at a sector of a disk. */
export function mbrSector(disk: Uint8Array, entries: readonly MbrShape[], offset = 0): void {
  const view = new DataView(disk.buffer, offset);
  if (offset === 0) view.setUint32(440, 0x8f3b1c2a, true);
  for (const { slot, type, first, count, bootable = 0 } of entries) {
    const at = 446 + slot * 16;
    view.setUint8(at, bootable);
    view.setUint8(at + 4, type);
    view.setUint32(at + 8, first, true);
    view.setUint32(at + 12, count, true);
  }
  view.setUint16(510, 0xaa55, true);
}
