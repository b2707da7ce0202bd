/** Signature: whether something known begins at an offset. Used to tell tables from file systems, never to open one. */
import type { Device } from "../device/index.ts";
import { readDisk, type DiskBytes } from "./disk-reader.ts";

/** Offset from the start, and the text that stands there. */
const MAGICS: readonly (readonly [number, string])[] = [
  [1080, "\u0053\u00EF"], // ext2, ext3, ext4: s_magic, fs/ext4/ext4.h
  [0, "XFSB"],
  [65_600, "_BHRfS_M"], // btrfs
  [3, "NTFS    "],
  [3, "EXFAT   "],
  [54, "FAT12   "],
  [54, "FAT16   "],
  [82, "FAT32   "],
  [0, "LUKS"],
  [512, "LABELONE"], // LVM2
  [4086, "SWAPSPACE2"],
];

/** Whether a boot sector is that of a FAT, exFAT or NTFS file system: its own fields stand where an MBR has code. */
export function isBootSectorOfFileSystem(sector: DiskBytes): boolean {
  return [3, 54, 82].some((at) =>
    /^(?:NTFS {4}|EXFAT {3}|FAT(?:12|16|32) {3})$/.test(sector.text(at, 8)),
  );
}

/** Whether a file system or container that is known begins at `offset`. */
export async function hasSignature(device: Device, offset: number): Promise<boolean> {
  const head = await readDisk(device, offset, 4096);
  const far = await readDisk(device, offset + 65_536, 128);
  return MAGICS.some(([at, text]) => {
    const [from, start] = at >= 65_536 ? [far, at - 65_536] : [head, at];
    return from.has(start, text.length) && from.text(start, text.length) === text;
  });
}
