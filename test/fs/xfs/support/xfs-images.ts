/** xfs-images: XFS images that mkfs.xfs fills from a prototype, without mounting. */
import { execFileSync } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { createPrng, type Prng } from "../../../../src/base/index.ts";
import { hasProgram, type Scratch } from "../../ext4/scratch.ts";

/** Why XFS tests are skipped: these programs are missing. */
export const hasXfsPrograms: boolean = ["mkfs.xfs", "xfs_db", "xfs_repair"].every(hasProgram);

const MIB = 1024 * 1024;

/** Sizes of images that cannot be as small as the others. */
const SIZES: ReadonlyMap<string, number> = new Map([
  ["-b size=32768 -m crc=0 -i size=256", 128 * MIB],
]);

/** An image and what was put into it. */
export interface XfsImage {
  readonly path: string;
  /** Bytes of each regular file, by path. */
  readonly files: ReadonlyMap<string, Uint8Array>;
  /** Targets of symbolic links, by path. */
  readonly links: ReadonlyMap<string, string>;
}

interface Tree {
  readonly lines: string[];
  readonly files: Map<string, Uint8Array>;
  readonly links: Map<string, string>;
}

/** A prototype of a tree: all forms of directories and links, files of many sizes. @see mkfs.xfs(8) -p */
function treeOf(prng: Prng, folder: string): Tree {
  const tree: Tree = { lines: ["/", "0 0", "d--755 0 0"], files: new Map(), links: new Map() };
  const file = (path: string, size: number): void => {
    const bytes = prng.bytes(size);
    const source = `${folder}/f${tree.files.size}`;
    writeFileSync(source, bytes);
    tree.files.set(path, bytes);
    tree.lines.push(`${path.slice(path.lastIndexOf("/") + 1)} ---644 0 0 ${source}`);
  };
  const directory = (path: string, fill: () => void): void => {
    tree.lines.push(`${path.slice(path.lastIndexOf("/") + 1)} d--755 0 0`);
    fill();
    tree.lines.push("$");
  };
  const link = (path: string, target: string): void => {
    tree.links.set(path, target);
    tree.lines.push(`${path.slice(1)} l--777 0 0 ${target}`);
  };
  file("/report", 100_000 + prng.below(200_000));
  file("/empty", 0);
  file("/exact", 4096 * (1 + prng.below(4)));
  link("/short", "report");
  // Older mkfs.xfs puts the target of a long link into a block without the header of v5: no kernel reads it.
  link("/long", `some/${"where/".repeat(100 + prng.below(50))}else`);
  tree.lines.push("pipe p--644 0 0");
  directory("/few", () => {
    file("/few/one", prng.below(5000));
    directory("/few/deep", () => file("/few/deep/two", prng.below(50_000)));
  });
  directory("/block", () => {
    for (let index = 0; index < 12; index += 1)
      file(`/block/b${index}-${"x".repeat(20)}`, prng.below(600));
  });
  directory("/many", () => {
    const names = 60 + prng.below(600);
    for (let index = 0; index < names; index += 1)
      file(`/many/${"name-".repeat(1 + prng.below(8))}${index}`, prng.below(3));
  });
  tree.lines.push("$");
  return tree;
}

/** Makes an image of a random tree; `options` go to mkfs.xfs. */
export function xfsImage(
  scratch: Scratch,
  name: string,
  {
    options = [],
    seed = 1,
    size = SIZES.get(options.join(" ")) ?? 64 * MIB,
  }: { readonly options?: readonly string[]; readonly seed?: number; readonly size?: number } = {},
): XfsImage {
  const folder = scratch.path(`${name}.d`);
  mkdirSync(folder, { recursive: true });
  const { lines, files, links } = treeOf(createPrng(seed), folder);
  const prototype = scratch.path(`${name}.proto`);
  writeFileSync(prototype, `${lines.join("\n")}\n`);
  const path = scratch.path(name);
  const args = [
    "--unsupported",
    "-q",
    "-f",
    ...options,
    "-p",
    prototype,
    "-d",
    `file,name=${path},size=${size}`,
  ];
  execFileSync("mkfs.xfs", args, { stdio: "pipe", env: { ...process.env, LC_ALL: "C" } });
  rmSync(folder, { recursive: true });
  return { path, files, links };
}
