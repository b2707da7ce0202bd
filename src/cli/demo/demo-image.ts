/**
 * demo-image: an ext4 image of a real tree, and a backup of that tree.
 *
 * With mke2fs the image is made of a tree on this machine. Without it, from an image that the package carries; its backup is then
 * taken out of the image itself, while it is whole.
 */
import { execFile } from "node:child_process";
import { cp, mkdir, readFile, symlink, utimes, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import { createMemoryDevice } from "../../device/index.ts";
import { openFileMap, type FileMap } from "../../fs/index.ts";
import { packageRoot } from "../package-root.ts";
import type { DemoTree } from "./demo-tree.ts";

const CARRIED = join(packageRoot(), "assets/demo.ext4.gz");
const run = promisify(execFile);

/** What the demonstration works on. */
export interface DemoImage {
  readonly image: string;
  readonly backup: string;
  /** How it was made, for people. */
  readonly made: string;
}

/** Runs a program; `undefined` where this machine has none of that name, even in the folders of its administrator. */
export async function runProgram(
  name: string,
  args: readonly string[],
): Promise<{ readonly status: number; readonly text: string } | undefined> {
  const path = `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin`;
  try {
    const { stdout, stderr } = await run(name, [...args], {
      env: { ...process.env, PATH: path, LC_ALL: "C" },
    });
    return { status: 0, text: stdout + stderr };
  } catch (error) {
    const failure = error as NodeJS.ErrnoException & { stdout?: string; stderr?: string };
    if (failure.code === "ENOENT") return undefined;
    return {
      status: Number(failure.code ?? 1),
      text: `${failure.stdout ?? ""}${failure.stderr ?? ""}`,
    };
  }
}

/** Makes image and backup in `folder`, of the tree where there is one and mke2fs. */
export async function makeImage(folder: string, tree: DemoTree | undefined): Promise<DemoImage> {
  const image = join(folder, "demo.img");
  const backup = join(folder, "backup");
  if (tree !== undefined) {
    await cp(tree.path, backup, {
      recursive: true,
      preserveTimestamps: true,
      verbatimSymlinks: true,
    });
    const size = Math.ceil((tree.bytes * 1.4 + tree.files * 6144) / 1_048_576) + 16;
    const options = ["-q", "-t", "ext4", "-b", "4096", "-d", backup, image, `${size}M`];
    const made = await runProgram("mke2fs", options);
    if (made?.status === 0)
      return { image, backup, made: `mke2fs -t ext4 -d ${tree.path} demo.img ${size}M` };
  }
  const bytes = await promisify(gunzip)(await readFile(CARRIED));
  await writeFile(image, bytes);
  await mkdir(backup, { recursive: true });
  await extractAll(bytes, backup);
  return { image, backup, made: "no mke2fs here: the image that the package carries" };
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
      if (info.kind === "file")
        await utimes(
          to,
          Number(info.modifiedNs / 1_000_000n) / 1000,
          Number(info.modifiedNs / 1_000_000n) / 1000,
        );
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
