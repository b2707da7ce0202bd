/** Sample tree: a small tree of every kind of file, and images of it with the features a test wants. */
import {
  linkSync,
  mkdirSync,
  openSync,
  closeSync,
  symlinkSync,
  writeFileSync,
  writeSync,
  existsSync,
} from "node:fs";
import { join } from "node:path";
import { createPrng } from "../../../../src/base/index.ts";
import { load, type Scratch } from "../scratch.ts";

/** Names in the large directory: enough for a hash tree with 1 KiB blocks. */
export const MANY = 300;

/** Bytes of `/docs/report`. */
export const REPORT_SIZE = 5000;

function makeTree(root: string): void {
  const random = createPrng(11);
  mkdirSync(join(root, "docs/deep/deeper"), { recursive: true });
  mkdirSync(join(root, "many"));
  writeFileSync(join(root, "docs/report"), random.bytes(REPORT_SIZE));
  linkSync(join(root, "docs/report"), join(root, "docs/deep/same"));
  writeFileSync(join(root, "docs/deep/deeper/large"), random.bytes(300_000));
  writeFileSync(join(root, "docs/tiny"), "only a few bytes");
  // With inline data a part of it is an attribute, at the end of the slot.
  writeFileSync(join(root, "docs/small"), random.bytes(110));
  writeFileSync(join(root, "docs/empty"), "");
  symlinkSync("report", join(root, "docs/short-link"));
  symlinkSync("x".repeat(200), join(root, "docs/long-link"));
  // Every second block of it is a hole, so that its extents do not fit the inode.
  const sparse = openSync(join(root, "sparse"), "w");
  for (let index = 0; index < 12; index += 1)
    writeSync(sparse, random.bytes(4096), 0, 4096, index * 8192);
  closeSync(sparse);
  for (let index = 0; index < MANY; index += 1)
    writeFileSync(join(root, "many", `a-name-of-some-length-${index}`), "");
}

/** An image of the sample tree, in memory. */
export function sampleImage(
  scratch: Scratch,
  options: readonly string[],
  megabytes = 8,
): Uint8Array {
  const tree = scratch.path("tree");
  if (!existsSync(tree)) makeTree(tree);
  return load(
    scratch.image("sample.img", megabytes * 1024 * 1024, [...options, "-N", "1024", "-d", tree]),
  );
}
