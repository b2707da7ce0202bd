/** checkPartitions: what of a table's entries can be used. A wrong partition would send a repair to the wrong file. */
import { endOf, intersect, RangeSet, type ByteRange } from "../base/index.ts";
import type { Partition, TableProblem } from "./partition.ts";

/** Entries sorted into those that can be used and what is wrong with the others. */
export interface CheckedPartitions {
  /** Ascending by offset, apart from each other, inside the disk. */
  readonly partitions: readonly Partition[];
  readonly problems: readonly TableProblem[];
}

/**
 * Refuses partitions that end past the disk, that lie over the table itself, or that overlap: of an overlap both, because
 * nothing says which one is right.
 *
 * @param entries as the table has them, each with a length above 0
 * @param size bytes of the disk
 * @param occupied what the table itself takes
 */
export function checkPartitions(
  entries: readonly Partition[],
  size: number,
  occupied: readonly ByteRange[],
): CheckedPartitions {
  const problems: TableProblem[] = [];
  const refuse = (partition: Partition, reason: string): void => {
    const { offset, length, index } = partition;
    problems.push({
      range: { offset, length },
      message: `Partition ${index} ${reason}: it is not used`,
    });
  };
  const inside = entries.filter((partition) => {
    if (endOf(partition) <= size) return true;
    refuse(partition, `ends at ${endOf(partition)}, past the end of the disk at ${size}`);
    return false;
  });
  const apart = inside.filter((partition) => {
    const table = occupied.find((range) => intersect(range, partition));
    if (table === undefined) return true;
    refuse(partition, `lies over the partition table at ${table.offset}`);
    return false;
  });
  const sorted = apart.toSorted(
    (one, other) => one.offset - other.offset || one.index - other.index,
  );
  const overlapping = findOverlaps(sorted);
  for (const [partition, other] of overlapping)
    refuse(partition, `overlaps partition ${other.index}`);
  return { partitions: sorted.filter((partition) => !overlapping.has(partition)), problems };
}

/** Every partition that shares a byte with another one, with one such other. `sorted` is ascending by offset. */
function findOverlaps(sorted: readonly Partition[]): Map<Partition, Partition> {
  const found = new Map<Partition, Partition>();
  let farthest: Partition | undefined;
  for (const partition of sorted) {
    if (farthest !== undefined && partition.offset < endOf(farthest)) {
      found.set(partition, farthest);
      if (!found.has(farthest)) found.set(farthest, partition);
    }
    if (farthest === undefined || endOf(partition) > endOf(farthest)) farthest = partition;
  }
  return found;
}

/** Ranges merged and ascending, clipped to a disk. */
export function mergeRanges(ranges: Iterable<ByteRange>, size: number): readonly ByteRange[] {
  return [...RangeSet.from(ranges).within(0, size)];
}
