/** random-options: what mkfs.xfs is told, by chance: sizes of blocks, sectors, inodes and directory blocks, and features. */
import type { Prng } from "../../../../src/base/index.ts";
import { run } from "../../ext4/scratch.ts";

const MIB = 1024 * 1024;

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

/** What a volume is made of that no kernel must mount: blocks of 512 bytes to 64 KiB, AGs from one on, stripes, whatever v4 lacks. */
export function randomForm(prng: Prng): {
  readonly options: readonly string[];
  /** Version 4: xfs_db 6.1 dies of some attributes on it. */
  readonly old: boolean;
  /** Bytes. */
  readonly size: number;
} {
  const half = (): number => prng.below(2);
  const old = prng.below(3) === 0;
  const block = prng.pick([...(old ? [512, 512] : []), 1024, 1024, 2048, 4096, 4096, 16384, 65536]);
  const directory = Math.min(65536, Math.max(4096, block) * prng.pick([1, 1, 2, 4]));
  const sector = Math.min(block, prng.pick([512, 512, 1024, 4096]));
  const inode = Math.min(2048, block / 2, prng.pick(old ? [256, 512] : [512, 1024, 2048]));
  const groups = prng.pick([1, 2, 3, 4, 5, 8]);
  // Blocks that do not fill the last AG; a log of 512 large blocks, of 2,028 with a reverse map, must fit into one.
  const inGroup = block === 65536 ? 140 : block > 4096 ? 64 : 18;
  const size = (groups * inGroup + prng.below(12)) * MIB + prng.below(16) * 65536;
  const options = ["-b", `size=${block}`, "-s", `size=${sector}`, "-d", `agcount=${groups}`];
  const names = `size=${directory}`;
  if (prng.chance(0.2)) options.push("-d", `su=${Math.max(block, 32768)},sw=${prng.pick([1, 2])}`);
  if (old) {
    options.push("-m", "crc=0", "-n", `${names},ftype=${half()}`);
    options.push("-i", `size=${Math.max(256, inode)},attr=${prng.pick([1, 2])},align=${half()}`);
    options.push("-l", `lazy-count=${half()}`);
    return { options, old, size };
  }
  const finobt = half();
  const features = `finobt=${finobt},inobtcount=${finobt === 1 ? half() : 0},bigtime=${half()},rmapbt=${half()},reflink=${half()}`;
  options.push("-m", features, "-n", names);
  options.push("-i", `size=${inode},nrext64=${half()},sparse=${half()}`);
  return { options, old, size };
}

/** Gives some files of an image attributes: in the inode, in a leaf, in blocks of their own; and some volumes another UUID. */
export function addAttributes(prng: Prng, path: string): void {
  const numbers = [
    ...run("xfs_db", ["-r", "-c", "blockget -n", "-c", "ncheck", path]).matchAll(/^ *(\d+) /gm),
  ];
  const commands: string[] = [];
  for (let count = 1 + prng.below(4); count > 0; count -= 1) {
    commands.push(`inode ${prng.pick(numbers)[1]}`);
    for (let index = prng.pick([1, 3, 20, 60]); index > 0; index -= 1)
      commands.push(`attr_set -u -v ${prng.pick([1, 40, 200, 3000])} user.name-${index}`);
  }
  run("xfs_db", ["-x", ...commands.flatMap((command) => ["-c", command]), path]);
  if (prng.chance(0.3)) run("xfs_admin", ["-U", "generate", path], 1);
}
