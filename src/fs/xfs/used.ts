/** Used ranges: everything but what the free-space trees say is free. */
import type { ByteRange } from "../../base/index.ts";
import { readFreeSpaceHeader } from "./ag-headers.ts";
import { walkAgTree } from "./ag-tree.ts";
import { agLength } from "./geometry.ts";
import type { XfsVolume } from "./volume.ts";

/** Ranges of the volume that hold something, ascending; of an AG whose tree cannot be read whole, all of it. */
export async function usedRanges(volume: XfsVolume): Promise<readonly ByteRange[]> {
  const { blockSize, blockCount, agBlocks, agCount, unknownFeatures } = volume.superblock;
  if (unknownFeatures.length > 0) return [{ offset: 0, length: blockCount * blockSize }];
  const ranges: ByteRange[] = [];
  const add = (block: number, end: number): void => {
    const last = ranges.at(-1);
    const offset = block * blockSize;
    if (end <= block) return;
    if (last !== undefined && last.offset + last.length === offset)
      ranges[ranges.length - 1] = { offset: last.offset, length: end * blockSize - last.offset };
    else ranges.push({ offset, length: end * blockSize - offset });
  };
  const there = volume.agsThere;
  for (let ag = 0; ag < there; ag += 1) {
    const start = ag * agBlocks;
    const length = agLength(volume.superblock, ag);
    let at = 0;
    for (const { block, count } of (await freeRuns(volume, ag)) ?? []) {
      add(start + at, start + Math.min(block, length));
      at = Math.max(at, block + count);
    }
    add(start + at, start + length);
  }
  if (there < agCount) add(there * agBlocks, blockCount);
  return ranges;
}

async function freeRuns(
  volume: XfsVolume,
  ag: number,
): Promise<readonly { readonly block: number; readonly count: number }[] | undefined> {
  const found = await readFreeSpaceHeader(volume, ag);
  if (found.header === undefined) return undefined;
  const runs: { block: number; count: number }[] = [];
  const whole = await walkAgTree(
    volume,
    { ag, kind: "free-by-block", root: found.header.byBlock },
    {
      record: (view, at) => runs.push({ block: view.getUint32(at), count: view.getUint32(at + 4) }),
    },
  );
  return whole ? runs.sort((one, other) => one.block - other.block) : undefined;
}
