/**
 * Block map: the old way, 12 direct pointers and indirect, double and triple indirect blocks (kernel: fs/ext4/indirect.c).
 *
 * Nothing in an indirect block says what it is, and no checksum covers it. As the kernel does, a block with one pointer to where
 * no file may be is refused whole (`ext4_check_blockref`). A zero is a hole.
 */

/** Pointers in the inode that name data. */
export const DIRECT_POINTERS = 12;

/** Pointers in the inode, direct and not. */
export const ROOT_POINTERS = 15;

/** Logical blocks below one pointer at a level: 0 names data, 1 an indirect block, and so on. */
export function blocksBelow(level: number, pointersPerBlock: number): number {
  return pointersPerBlock ** level;
}

/** First logical block below each of the three indirect pointers of an inode. */
export function indirectStarts(pointersPerBlock: number): readonly [number, number, number] {
  const single = DIRECT_POINTERS;
  const double = single + pointersPerBlock;
  return [single, double, double + pointersPerBlock ** 2];
}

/** A list of pointers: `count` words from `at`. */
export interface Pointers {
  readonly words: Uint32Array;
  readonly at: number;
  readonly count: number;
}

/** Why a list of pointers is wrong, or `undefined` where every one that is set may be. */
export function whyPointersWrong(
  list: Pointers,
  mayOwn: (block: number, count: number) => boolean,
): string | undefined {
  for (let index = 0; index < list.count; index += 1) {
    const block = list.words[list.at + index] as number;
    if (block !== 0 && !mayOwn(block, 1))
      return `points at block ${block}, which no file may own, at entry ${index}`;
  }
  return undefined;
}

/** Calls `each` for every run of consecutive blocks: index of its first pointer, first block, count. Holes are left out. */
export function forEachRun(
  list: Pointers,
  each: (index: number, block: number, count: number) => void,
): void {
  let index = 0;
  while (index < list.count) {
    const block = list.words[list.at + index] as number;
    let count = 1;
    if (block !== 0) {
      while (index + count < list.count && list.words[list.at + index + count] === block + count)
        count += 1;
      each(index, block, count);
    }
    index += count;
  }
}
