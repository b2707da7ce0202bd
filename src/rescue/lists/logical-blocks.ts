/** logical-blocks: a list that a disk gives in answers of so many descriptors, each asked for from where the one before ended. */
import { RangeSet } from "../../base/index.ts";
import type { SourceAnswer } from "./list-source.ts";

/** What is known of a disk whose list counts in logical blocks. */
export interface LogicalBlocks {
  /** `/dev/sda`. */
  readonly path: string;
  /** Bytes of a logical block. */
  readonly blockSize: number;
  /** Bytes of the disk. */
  readonly size: number;
}

/** One answer. */
export interface BlockPage {
  readonly ranges: readonly { readonly block: number; readonly blocks: number }[];
  /** Whether the disk says that more follow. */
  readonly more: boolean;
}

/** Answers that are asked for at most: some 300,000 ranges of either kind of disk. */
const ANSWERS_MAX = 1024;

/** Asks until the disk has no more. `page` gives an answer from a block on, or why there is none. */
export async function allPages(
  disk: LogicalBlocks,
  source: string,
  page: (from: number) => Promise<BlockPage | SourceAnswer>,
): Promise<SourceAnswer> {
  const { blockSize, size } = disk;
  const bad = new RangeSet();
  let from = 0;
  for (let asked = 0; asked < ANSWERS_MAX; asked += 1) {
    const answer = await page(from);
    if ("source" in answer) return answer;
    let end = from;
    for (const { block, blocks } of answer.ranges) {
      const offset = block * blockSize;
      const length = Math.min(blocks * blockSize, size - offset);
      if (length > 0) bad.add(offset, length);
      end = Math.max(end, block + blocks);
    }
    if (!answer.more || end * blockSize >= size)
      return { source, ranges: [...bad], incomplete: false, notes: [] };
    // an answer that does not move on would be asked for for ever
    if (end <= from) break;
    from = end;
  }
  const notes = [`${source}: the disk names more ranges than it gives`];
  return { source, ranges: [...bad], incomplete: true, notes };
}
