/** random-options: what mkfs.xfs is told, by chance: sizes of blocks, sectors, inodes and directory blocks, and features. */
import type { Prng } from "../../../../src/base/index.ts";

/** Options of mkfs.xfs by chance. */
export function randomOptions(prng: Prng): {
  readonly options: readonly string[];
  readonly blockSize: number;
  readonly reflink: boolean;
} {
  const half = (): number => prng.below(2);
  const blockSize = prng.pick([1024, 2048, 4096, 4096]);
  const block = [
    "-b",
    `size=${blockSize}`,
    "-n",
    `size=${Math.max(4096, blockSize * prng.pick([1, 2]))}`,
  ];
  if (prng.below(5) === 0)
    return {
      options: [...block, "-m", "crc=0", "-i", `size=${prng.pick([256, 512])}`],
      blockSize,
      reflink: false,
    };
  const reflink = prng.below(4) > 0;
  const sector = blockSize === 4096 ? prng.pick([512, 4096]) : 512;
  const finobt = half();
  const more = `finobt=${finobt},inobtcount=${finobt === 1 ? half() : 0},bigtime=${half()},rmapbt=${half()},reflink=${reflink ? 1 : 0}`;
  // an inode is half a block at most
  const inode = Math.min(blockSize / 2, prng.pick([512, 1024]));
  const inodes = `size=${inode},nrext64=${half()},sparse=${half()}`;
  return {
    options: [...block, "-m", more, "-i", inodes, "-s", `size=${sector}`],
    blockSize,
    reflink,
  };
}
