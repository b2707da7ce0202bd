/** A small tree with known content, the ext4 image that mke2fs makes of it, and targets over that image in memory. */
import { execFileSync, spawnSync } from "node:child_process";
import {
  linkSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { gunzipSync } from "node:zlib";
import {
  createMemoryDevice,
  type MemoryDeviceOptions,
  type SimulatedDevice,
} from "../../../src/device/index.ts";
import { openFileMap, type FileMap } from "../../../src/fs/index.ts";
import type { Target } from "../../../src/rescue/index.ts";

/** Every file of the tree, by path, with its content. */
export const FILES: ReadonlyMap<string, Uint8Array> = new Map([
  ["/tiny.txt", text("tiny", 100)],
  ["/small.txt", text("small", 3000)],
  ["/two-blocks.txt", text("two", 5000)],
  ["/docs/report.txt", text("report", 40_000)],
  ["/docs/archive.bin", text("archive", 300_000)],
  ["/docs/big.bin", text("big", 1_500_000)],
  ["/docs/zeros.bin", new Uint8Array(100_000)],
  ["/docs/mostly-zeros.bin", mostlyZeros()],
  ["/docs/été/naïve name.txt", text("name", 9000)],
  ["/empty", new Uint8Array()],
  ...Array.from(
    { length: 60 },
    (_, index) => [`/many/file-${index}.txt`, text(`many ${index}`, 500 + index * 97)] as const,
  ),
]);

/** Seconds since 1970 of every file: ext4 images of old mke2fs keep no nanoseconds. */
export const MODIFIED = 1_700_000_000;

/** Lines that no other file has, and that gzip makes small. */
function text(name: string, length: number): Uint8Array {
  let lines = "";
  for (let line = 0; lines.length < length; line += 1)
    lines += `${name}, line ${line}: ${(line * 7919) % 104_729}\n`;
  return Buffer.from(lines.slice(0, length));
}

function mostlyZeros(): Uint8Array {
  const bytes = new Uint8Array(200_000);
  bytes.set(text("head", 5000), 0);
  bytes.set(text("tail", 5000), 195_000);
  return bytes;
}

/** Writes the tree. @param change lets a test make a stale or wrong backup: bytes to write, or `undefined` for no such file */
export function writeTree(
  root: string,
  change: (path: string, bytes: Uint8Array) => Uint8Array | undefined = (_, bytes) => bytes,
): void {
  for (const [path, original] of FILES) {
    const bytes = change(path, original);
    if (bytes === undefined) continue;
    const full = join(root, path);
    mkdirSync(dirname(full), { recursive: true });
    writeFileSync(full, bytes);
    utimesSync(full, MODIFIED, MODIFIED);
  }
}

/** A new temporary directory that is removed when the test ends. */
export function temporary(): string & { readonly [Symbol.dispose]?: () => void } {
  const path = mkdtempSync(join(tmpdir(), "theriac-test-"));
  directories.push(path);
  return path;
}

const directories: string[] = [];

/** Removes what `temporary` made. */
export function removeTemporary(): void {
  for (const path of directories.splice(0)) rmSync(path, { recursive: true, force: true });
}

/** Whether a program is on this machine. */
export function hasProgram(name: string): boolean {
  return spawnSync("sh", ["-c", `command -v ${name}`]).status === 0;
}

/** File systems that the tree is kept on. */
export const TREE_FILESYSTEMS = ["ext4", "xfs"] as const;

/** One of them. */
export type TreeFilesystem = (typeof TREE_FILESYSTEMS)[number];

const cached = new Map<TreeFilesystem, Uint8Array>();

/**
 * The image of the tree: of ext4 made by mke2fs where it is, else the fixture; of XFS the fixture, which a real kernel wrote (40 MiB; mkfs.xfs -m rmapbt=1,reflink=1 -d agcount=2, then
 * cp -a of the tree, with the zeros of sparse.bin and of the files of zeros punched out). A copy: tests may change it.
 */
export function treeImage(filesystem: TreeFilesystem = "ext4"): Uint8Array {
  const made = cached.get(filesystem) ?? imageOf(filesystem);
  cached.set(filesystem, made);
  return Uint8Array.from(made);
}

function imageOf(filesystem: TreeFilesystem): Uint8Array {
  if (filesystem === "ext4" && hasProgram("mke2fs")) return makeImage();
  const name = filesystem === "ext4" ? "tree.img.gz" : `tree.${filesystem}.gz`;
  return gunzipSync(readFileSync(join(import.meta.dirname, "../fixtures", name)));
}

/** Makes an image with mke2fs. @param options of mke2fs */
export function makeImage(options: readonly string[] = ["-b", "4096"], size = "8M"): Uint8Array {
  const directory = mkdtempSync(join(tmpdir(), "theriac-tree-"));
  try {
    const root = join(directory, "root");
    mkdirSync(root);
    writeTree(root);
    linkSync(join(root, "small.txt"), join(root, "docs/hard link"));
    symlinkSync("small.txt", join(root, "short link"));
    symlinkSync(`${"long/".repeat(30)}target`, join(root, "long link"));
    writeFileSync(join(root, "sparse.bin"), text("sparse head", 6000));
    truncateSync(join(root, "sparse.bin"), 900_000);
    utimesSync(join(root, "sparse.bin"), MODIFIED, MODIFIED);
    const image = join(directory, "tree.img");
    execFileSync("mke2fs", ["-q", "-F", "-t", "ext4", ...options, "-d", root, image, size], {
      env: {
        ...process.env,
        PATH: `${process.env["PATH"]}:/usr/sbin:/sbin`,
        E2FSPROGS_FAKE_TIME: String(MODIFIED),
      },
    });
    return readFileSync(image);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** An open target over an image in memory. */
export interface MemoryTarget extends Target {
  readonly device: SimulatedDevice;
  readonly map: FileMap;
  /** The bytes below, poison or not. */
  readonly bytes: Uint8Array;
}

/** Opens an image in memory as a target. */
export async function memoryTarget(
  bytes: Uint8Array,
  options: MemoryDeviceOptions = {},
): Promise<MemoryTarget> {
  const device = createMemoryDevice({ poisonUnit: 512, clearUnit: 512, ...options, bytes });
  return { ...(await targetOf(device)), device, bytes };
}

/** A target over a device that is open already: one file system, no partitions. */
export async function targetOf<D extends Target["device"]>(
  device: D,
): Promise<Target & { readonly device: D; readonly map: FileMap }> {
  const map = await openFileMap(device);
  return {
    path: device.identity.name,
    device,
    map,
    volumes: [{ name: "", offset: 0, length: device.size, map, why: undefined }],
    outside: [],
    notes: [],
    close: async () => await device.close(),
  };
}

/** The place on the volume of a byte of a file. */
export async function placeOf(map: FileMap, path: string, offset = 0): Promise<number> {
  const inode = await map.lookup(path);
  const [extent] = await map.extents(inode ?? -1, { offset, length: 1 });
  if (extent?.device === undefined) throw new Error(`no place of ${path} at ${offset}`);
  return extent.device + offset - extent.offset;
}
