/** disks: the raw images that the guest's disks are: partition tables, noise, and what a stamp looks like. */
import { closeSync, ftruncateSync, openSync, writeSync } from "node:fs";
import { SECTOR } from "../../src/base/index.ts";
import type { Disk } from "./recipe.ts";

/** Makes the image of a disk. */
export function writeDisk(path: string, disk: Disk): void {
  const file = openSync(path, "wx");
  try {
    ftruncateSync(file, disk.sectors * SECTOR);
    if (disk.isNoisy)
      writeSync(
        file,
        stamped(`noise-${disk.name}`, 0, { first: 0, count: disk.sectors }),
        0,
        disk.sectors * SECTOR,
        0,
      );
    if (disk.parts.length > 0) writeSync(file, masterBootRecord(disk.parts), 0, SECTOR, 0);
  } finally {
    closeSync(file);
  }
}

function masterBootRecord(parts: Disk["parts"]): Uint8Array {
  const sector = new Uint8Array(SECTOR);
  const view = new DataView(sector.buffer);
  for (const [index, [first, count]] of parts.entries()) {
    const at = 446 + 16 * index;
    view.setUint8(at + 4, 0x83);
    view.setUint32(at + 8, first, true);
    view.setUint32(at + 12, count, true);
  }
  view.setUint16(510, 0xaa55, true);
  return sector;
}

/** What lab/stamp writes over sectors. */
export function stamped(
  name: string,
  generation: number,
  sectors: { readonly first: number; readonly count: number },
): Uint8Array {
  const bytes = Buffer.alloc(sectors.count * SECTOR);
  for (let at = 0; at < bytes.length; at += 32) {
    bytes.write(name, at, "latin1");
    bytes.writeUInt32LE(sectors.first + Math.floor(at / SECTOR), at + 16);
    bytes.writeUInt32LE(generation, at + 24);
  }
  return bytes;
}
