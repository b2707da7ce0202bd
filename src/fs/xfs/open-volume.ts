/** openXfsVolume(): opens a device as an XFS volume: superblock or a copy of it, and whether the log is empty. */
import { BlockReader, type BlockReaderOptions, type BlockSource } from "../block-reader.ts";
import { Problems } from "../problems.ts";
import { readLog } from "./log.ts";
import { findSuperblock } from "./superblock-search.ts";
import { XfsVolume } from "./volume.ts";

/**
 * Opens a device as XFS, version 4 or 5.
 *
 * @param source bytes from the start of the file system; must stay open
 * @throws {StorageError} EBADMSG if it is none; what the device throws itself
 */
export async function openXfsVolume(
  source: BlockSource,
  options: BlockReaderOptions = {},
): Promise<XfsVolume> {
  const problems = new Problems();
  const { superblock, certain } = await findSuperblock(source, problems.add.bind(problems));
  const reader = new BlockReader(source, superblock.blockSize, options);
  const volume = new XfsVolume({ superblock, certain, reader, problems });
  const { unknownFeatures, blockCount, blockSize } = superblock;
  if (source.size < blockCount * blockSize) {
    const there = Math.floor(source.size / blockSize);
    volume.report({
      message: `The volume has ${blockCount} blocks, and only ${there} are there: it was cut off`,
    });
  }
  if (unknownFeatures.length > 0) {
    const message = `The volume has features this map cannot read (${unknownFeatures.join(", ")}): owners are unknown`;
    volume.report({ message });
  }
  volume.journal = await readLog(volume);
  if (volume.journal.pending) volume.report({ message: volume.journal.message });
  return volume;
}
