/** Shared blocks: which runs of a file other files hold as well (reflink), by the reference-count trees. */
import type { Extent } from "../file-map.ts";
import { readFreeSpaceHeader } from "./ag-headers.ts";
import { walkAgTree } from "./ag-tree.ts";
import type { XfsVolume } from "./volume.ts";

/** A record with this bit is of blocks that wait for a copy-on-write: no file holds them. */
export const COPY_ON_WRITE = 0x8000_0000;

interface Run {
  /** Plain numbers. */
  readonly block: number;
  readonly end: number;
}

/** Extents of data, cut and marked where they are shared; where that cannot be read, they count as shared. */
export async function markShared(
  volume: XfsVolume,
  extents: readonly Extent[],
): Promise<readonly Extent[]> {
  const { blockSize, agBlocks } = volume.superblock;
  const known = new Map<number, readonly Run[]>();
  const marked: Extent[] = [];
  for (const extent of extents) {
    if (extent.kind !== "data" || extent.device === undefined) {
      marked.push(extent);
      continue;
    }
    const ag = Math.floor(extent.device / (agBlocks * blockSize));
    const runs = known.get(ag) ?? (await sharedRuns(volume, ag));
    known.set(ag, runs);
    for (const part of cut(extent, extent.device, { runs, blockSize })) marked.push(part);
  }
  return marked;
}

/** Runs of an AG that files share, ascending. */
async function sharedRuns(volume: XfsVolume, ag: number): Promise<readonly Run[]> {
  const { agBlocks } = volume.superblock;
  const all: Run = { block: ag * agBlocks, end: (ag + 1) * agBlocks };
  const found = await readFreeSpaceHeader(volume, ag);
  if (found.header?.referenceCounts === undefined) return [all];
  const runs: Run[] = [];
  const tree = { ag, kind: "reference-counts", root: found.header.referenceCounts } as const;
  const whole = await walkAgTree(volume, tree, {
    record: (view, at) => {
      const start = view.getUint32(at);
      const block = ag * agBlocks + start;
      if (start < COPY_ON_WRITE) runs.push({ block, end: block + view.getUint32(at + 4) });
    },
  });
  return whole ? runs.sort((one, other) => one.block - other.block) : [all];
}

/** One extent as parts that are shared or not. */
function* cut(
  extent: Extent,
  device: number,
  { runs, blockSize }: { readonly runs: readonly Run[]; readonly blockSize: number },
): Generator<Extent> {
  const end = device + extent.length;
  const part = (from: number, to: number): Extent => ({
    ...extent,
    offset: extent.offset + from - device,
    length: to - from,
    device: from,
  });
  let at = device;
  for (const run of runs) {
    const from = Math.max(at, run.block * blockSize);
    const to = Math.min(end, run.end * blockSize);
    if (to <= from) continue;
    if (from > at) yield part(at, from);
    yield { ...part(from, to), shared: true };
    at = to;
  }
  if (at < end) yield part(at, end);
}
