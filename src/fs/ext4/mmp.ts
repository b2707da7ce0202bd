/**
 * MMP block: what keeps two hosts from mounting one volume (kernel: fs/ext4/mmp.c, struct mmp_struct). It is checked, and says whether somebody has the volume in use.
 *
 * A volume in use changes under the map. The block also names the host that has it; that is nobody's business here.
 */
import { crc32c } from "../../base/index.ts";
import type { Problem } from "../file-map.ts";
import { isBad } from "../block-reader.ts";
import { hasFeature } from "./features.ts";
import type { Ext4Volume } from "./volume.ts";

const MAGIC = 0x004d4d50;
const SEQUENCE_OFFSET = 4;
const CHECKSUM_OFFSET = 1020;
const SIZE = 1024;
/** Kernel: EXT4_MMP_SEQ_CLEAN, unmounted as it should be. */
const SEQUENCE_CLEAN = 0xff4d4d50;
/** Kernel: EXT4_MMP_SEQ_FSCK, a check goes on or was cut off. */
const SEQUENCE_CHECKED = 0xe24d4d50;

/** What is wrong with the MMP block of a volume; `undefined` where it has none, or all is well. */
export async function mmpProblem(volume: Ext4Volume): Promise<Problem | undefined> {
  const { superblock } = volume;
  const { mmpBlock, blockSize } = superblock;
  if (!hasFeature(superblock, "mmp")) return undefined;
  const range = { offset: mmpBlock * blockSize, length: blockSize };
  const read = mmpBlock === 0 ? undefined : await volume.readBlocks(mmpBlock, 1);
  if (read === undefined)
    return { message: `The superblock places the MMP block at ${mmpBlock}, where none can be` };
  if (isBad(read, 0, SIZE))
    return {
      range,
      message: "The MMP block is unreadable: whether the volume is in use is unknown",
    };
  const why = whyWrong(read.bytes, superblock);
  if (why !== undefined)
    return { range, message: `The MMP block ${why}: whether the volume is in use is unknown` };
  const view = new DataView(read.bytes.buffer, read.bytes.byteOffset, SIZE);
  const sequence = view.getUint32(SEQUENCE_OFFSET, true);
  if (sequence === SEQUENCE_CLEAN) return undefined;
  const who = sequence === SEQUENCE_CHECKED ? "a check of it" : "a mount of it";
  return {
    range,
    message: `The MMP block says that the volume is in use: ${who} goes on, or was cut off`,
  };
}

function whyWrong(bytes: Uint8Array, superblock: Ext4Volume["superblock"]): string | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, SIZE);
  if (view.getUint32(0, true) !== MAGIC) return "has no magic number";
  if (!hasFeature(superblock, "metadata_csum")) return undefined;
  const sum = crc32c(bytes.subarray(0, CHECKSUM_OFFSET), superblock.checksumSeed);
  return sum === view.getUint32(CHECKSUM_OFFSET, true) ? undefined : "has a wrong checksum";
}
