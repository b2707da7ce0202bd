/** File extents: what a byte range of one file stands on, from its data fork. */
import { cutExtents, fillHoles } from "../extents.ts";
import type { Extent, ExtentOptions } from "../file-map.ts";
import { viewOf } from "./checksum.ts";
import { walkFork, type MappedRun } from "./fork-map.ts";
import type { Inode } from "./inode.ts";
import { markShared } from "./shared-blocks.ts";
import type { XfsVolume } from "./volume.ts";

/** Bytes before the target in each block of a symbolic link on v5. */
const LINK_HEADER = 56;
const LINK_MAGIC = 0x58534c4d;

/** The extents of a byte range of one file, as `FileMap.extents` promises them. */
export async function extentsOf(
  volume: XfsVolume,
  inode: Inode,
  options: ExtentOptions,
): Promise<readonly Extent[]> {
  const { data, device, size, kind } = inode;
  if (data.format === "local") {
    if (kind === "other" || size > data.length)
      return unknownPart(inode, "has more inside than its fork holds", options);
    const inside: Extent = { offset: 0, length: size, kind: "inline", device: device + data.start };
    return cutExtents(size > 0 ? [inside] : [], size, options);
  }
  if (data.format === "device" || kind === "other") return [];
  if (data.format === "none" || data.format === "metadata-tree")
    return unknownPart(inode, "has a map of a form that is not known", options);
  const parts = await partsOf(volume, inode);
  const filled = fillHoles(parts, size);
  return cutExtents(inode.reflinked ? await markShared(volume, filled) : filled, size, options);
}

function unknownPart(
  { number, size }: Inode,
  what: string,
  options: ExtentOptions,
): readonly Extent[] {
  const whole: Extent = {
    offset: 0,
    length: size,
    kind: "unknown",
    why: `Inode ${number} ${what}`,
  };
  return cutExtents(size > 0 ? [whole] : [], size, options);
}

async function partsOf(volume: XfsVolume, inode: Inode): Promise<Extent[]> {
  const { blockSize, features } = volume.superblock;
  const parts: Extent[] = [];
  const link = inode.kind === "symlink" && features.checksums;
  const runs: MappedRun[] = [];
  await walkFork(
    volume,
    { inode, fork: "data" },
    {
      run: ({ logical, block, count, unwritten }) => {
        const offset = logical * blockSize;
        const length = count * blockSize;
        if (!Number.isSafeInteger(offset + length)) return;
        if (inode.realtime)
          parts.push({
            offset,
            length,
            kind: "unknown",
            why: `Its content is on the real-time device, from byte ${block * blockSize} of that on`,
          });
        else if (link) runs.push({ logical, block, count, unwritten });
        else
          parts.push({
            offset,
            length,
            kind: unwritten ? "unwritten" : "data",
            device: block * blockSize,
          });
      },
      hidden: ({ start, end, why }) => {
        volume.report({ inode: inode.number, message: why });
        const offset = Math.min(start * blockSize, Number.MAX_SAFE_INTEGER - 1);
        const stop = Math.min(end * blockSize, Number.MAX_SAFE_INTEGER);
        parts.push({ offset, length: stop - offset, kind: "unknown", why });
      },
    },
  );
  for (const run of runs) for (const part of await linkParts(volume, inode, run)) parts.push(part);
  return parts;
}

/** A symbolic link's target in blocks: each begins with a header, and holds the next bytes of the target behind it. */
async function linkParts(volume: XfsVolume, inode: Inode, run: MappedRun): Promise<Extent[]> {
  const { blockSize } = volume.superblock;
  const each = blockSize - LINK_HEADER;
  const parts: Extent[] = [];
  for (let index = 0; index < run.count; index += 1) {
    const offset = (run.logical + index) * each;
    const length = Math.min(each, inode.size - offset);
    if (length <= 0) break;
    const block = run.block + index;
    const why = await whyNotLink(volume, inode.number, block);
    const device = block * blockSize + LINK_HEADER;
    if (why === undefined) parts.push({ offset, length, kind: "data", device });
    else parts.push({ offset, length, kind: "unknown", why });
  }
  return parts;
}

/** Why a block holds no target, by what of its header can be read: one that cannot is believed to be there. */
async function whyNotLink(
  volume: XfsVolume,
  inode: number,
  block: number,
): Promise<string | undefined> {
  const read = await volume.readBytes(block * volume.superblock.blockSize, LINK_HEADER);
  if (read.bad.length > 0) return undefined;
  const view = viewOf(read.bytes);
  const right = view.getUint32(0) === LINK_MAGIC && view.getBigUint64(32) === BigInt(inode);
  return right ? undefined : `Block ${block} has not the header of the target of inode ${inode}`;
}
