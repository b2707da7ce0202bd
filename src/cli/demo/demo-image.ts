/**
 * demo-image: an image of a real tree, and a backup of that tree.
 *
 * With the file system's own maker the image is made of a tree on this machine. Without it, from an image that the package carries; its backup is then
 * taken out of the image itself, while it is whole.
 */
import { cp, mkdir, readFile, rm, symlink, utimes, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import { createMemoryDevice, openDevice } from "../../device/index.ts";
import { openFileMap, type FileInfo, type FileMap } from "../../fs/index.ts";
import { packageRoot } from "../package-root.ts";
import { DEMO_MAKERS, type DemoFilesystem } from "./demo-makers.ts";
import type { DemoTree } from "./demo-tree.ts";

/** What the demonstration works on. */
export interface DemoImage {
  readonly image: string;
  readonly backup: string;
  /** How it was made, for people. */
  readonly made: string;
}

/** Makes image and backup in `folder`, of the tree where there is one and the file system's maker. */
export async function makeImage(
  folder: string,
  tree: DemoTree | undefined,
  filesystem: DemoFilesystem,
): Promise<DemoImage> {
  const maker = DEMO_MAKERS[filesystem];
  const image = join(folder, "demo.img");
  const backup = join(folder, "backup");
  if (tree !== undefined) {
    await cp(tree.path, backup, {
      recursive: true,
      preserveTimestamps: true,
      verbatimSymlinks: true,
    });
    const { bytes, files, path } = tree;
    const made = await maker.make({ folder, image, tree: backup, from: path, bytes, files });
    if (made !== undefined) {
      await timeAll(image, backup);
      return { image, backup, made };
    }
    await rm(backup, { recursive: true });
  }
  const bytes = await promisify(gunzip)(
    await readFile(join(packageRoot(), "assets", maker.carried)),
  );
  await writeFile(image, bytes);
  await mkdir(backup, { recursive: true });
  await extractAll(bytes, backup);
  const made = `no ${maker.program} here: the image that the package carries`;
  return { image, backup, made };
}

/** Gives every file of the backup the time that it has in the image: not every maker keeps the tree's. */
async function timeAll(image: string, folder: string): Promise<void> {
  const device = openDevice(image);
  const map = await openFileMap(device);
  for await (const info of map.files())
    if (info.kind === "file") for (const path of info.paths) await time(join(folder, path), info);
  device.close();
}

/** To the second: that is what utimes() keeps without a loss. */
async function time(path: string, { modifiedNs }: FileInfo): Promise<void> {
  const seconds = Number(modifiedNs / 1_000_000_000n);
  await utimes(path, seconds, seconds);
}

/** Takes every folder, file and symbolic link out of a whole image. */
async function extractAll(bytes: Uint8Array, folder: string): Promise<void> {
  const device = createMemoryDevice({ bytes });
  const map = await openFileMap(device);
  for await (const info of map.files()) {
    for (const path of info.paths) {
      const to = join(folder, path);
      await mkdir(info.kind === "directory" ? to : dirname(to), { recursive: true });
      if (info.kind === "directory") continue;
      const content = await contentOf(map, { bytes, inode: info.inode, size: info.size });
      if (info.kind === "symlink") await symlink(Buffer.from(content).toString(), to);
      else await writeFile(to, content);
      if (info.kind === "file") await time(to, info);
    }
  }
}

async function contentOf(
  map: FileMap,
  {
    bytes,
    inode,
    size,
  }: { readonly bytes: Uint8Array; readonly inode: number; readonly size: number },
): Promise<Uint8Array> {
  const content = new Uint8Array(size);
  for (const extent of await map.extents(inode)) {
    if (extent.device === undefined || extent.kind === "unwritten") continue;
    content.set(bytes.subarray(extent.device, extent.device + extent.length), extent.offset);
  }
  return content;
}
