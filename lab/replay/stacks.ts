/**
 * stacks: Theriac's own stacks by the names of the kernel's: what a trace was recorded on is its file name before the first dot.
 *
 * - ext4dax: a file of an ext4 image, on simulated pmem, reached directly
 * - direct, buffered: the block device itself, with O_DIRECT and through a page cache
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { endOf, type ByteRange } from "../../src/base/index.ts";
import type { Device, SimulatedDevice } from "../../src/device/index.ts";
import { createMemoryDevice } from "../../src/device/index.ts";
import { openFile, type Face, type File } from "../../src/file/index.ts";
import { openFileMap, type FileMap } from "../../src/fs/index.ts";
import type { ListAfter } from "./documented.ts";

/** Images are kept below one block group's 128 MiB with two files of each size, so that nothing cuts a file in two. */
const IMAGE_BYTES = 48 * 1024 * 1024;
const PAGE = 4096;

/** A file in a fresh stack, and the hands that poison and look below it. */
export interface Opened {
  readonly file: File;
  /** Device below, and where the file begins on it. */
  readonly device: Device;
  /** Sets what the file holds. */
  setContent(bytes: Uint8Array): void;
  /** Makes sectors of the file known bad. */
  poison(sector: number, count: number): void;
  /** The bad blocks of the file, merged, and which of them are lost. */
  listAfter(): ListAfter;
}

/** Makes a stack for one case after the other. */
export interface Stack {
  /** @param clearLimit bytes that one clear clears at most; all where it is not given */
  open(size: number, clearLimit?: number): Promise<Opened>;
}

/** A stack by its name. @param sizes every file size that will be asked for */
export async function openStack(name: string, sizes: readonly number[]): Promise<Stack> {
  if (name.startsWith("ext4dax")) return openExt4Stack(sizes);
  if (name.startsWith("direct")) return blockStack("direct");
  if (name.startsWith("buffered")) return blockStack("buffered");
  throw new Error(`Cannot replay ${name}: want ext4dax, direct or buffered`);
}

/** Units of nfit_test's DIMMs, whose clears take 256 bytes. */
const UNITS = { poisonUnit: 256, clearUnit: 256, clear: "firmware" } as const;

function openedOn(
  device: SimulatedDevice,
  bytes: Uint8Array,
  place: { readonly file: File; readonly at: number },
): Opened {
  const { file, at } = place;
  const length = Math.min(Math.ceil(file.size / PAGE) * PAGE, device.size - at);
  return {
    file,
    device,
    setContent: (content) => bytes.set(content, at),
    poison: (sector, count) =>
      void device.inject({ offset: at + sector * 512, length: count * 512 }),
    listAfter: () => listOf(device, { offset: at, length }),
  };
}

function listOf(device: Device, range: ByteRange): ListAfter {
  const badblocks: [number, number][] = [];
  const lost = new Set<number>();
  for (const bad of device.poison.bad(range)) {
    const first = Math.floor((bad.offset - range.offset) / 512);
    const end = Math.ceil((endOf(bad) - range.offset) / 512);
    for (let sector = first; bad.state === "lost" && sector < end; sector += 1) lost.add(sector);
    const last = badblocks.at(-1);
    if (last !== undefined && last[0] + last[1] >= first) last[1] = end - last[0];
    else badblocks.push([first, end - first]);
  }
  return { badblocks, lost };
}

function blockStack(face: Face): Stack {
  return {
    async open(size, clearLimit = Infinity) {
      const bytes = new Uint8Array(size);
      const device = createMemoryDevice({ ...UNITS, bytes, clearLimit });
      return openedOn(device, bytes, { file: await openFile(device, { face }), at: 0 });
    },
  };
}

interface Image {
  readonly bytes: Uint8Array;
  readonly map: FileMap;
}

async function openExt4Stack(sizes: readonly number[]): Promise<Stack> {
  const images = new Map<number, Image>();
  let group: number[] = [];
  let room = IMAGE_BYTES;
  const finish = async (): Promise<void> => {
    const image = await makeImage(group);
    for (const size of group) images.set(size, image);
    group = [];
    room = IMAGE_BYTES;
  };
  for (const size of sizes) {
    room -= size + PAGE;
    if (room < 0) await finish();
    group.push(size);
  }
  if (group.length > 0) await finish();
  return {
    async open(size, clearLimit = Infinity) {
      const image = images.get(size);
      if (image === undefined)
        throw new Error(`Cannot open a file of ${size} bytes: the image has none`);
      const { path, at } = await wholeFile(image.map, size);
      const device = createMemoryDevice({ ...UNITS, bytes: image.bytes, clearLimit });
      const file = await openFile(device, { map: image.map, path, face: "dax" });
      return openedOn(device, image.bytes, { file, at });
    },
  };
}

/** mke2fs puts files around its own metadata: of the two of each size one at least is not cut by it. */
const FOLDERS = ["one", "two"];

/** The file of a size that is one extent, and where it begins. */
async function wholeFile(
  map: FileMap,
  size: number,
): Promise<{ readonly path: string; readonly at: number }> {
  for (const folder of FOLDERS) {
    const path = `/${folder}/${size}`;
    const [extent, ...rest] = await map.extents((await map.lookup(path)) ?? 0);
    if (extent?.device !== undefined && rest.length === 0) return { path, at: extent.device };
  }
  throw new Error(`Cannot open a file of ${size} bytes: no one of the image is one extent`);
}

/** An ext4 image with files of each size, named by it. */
async function makeImage(sizes: readonly number[]): Promise<Image> {
  const work = join(process.cwd(), ".work");
  mkdirSync(work, { recursive: true });
  const folder = mkdtempSync(join(work, "replay-"));
  try {
    const tree = join(folder, "tree");
    for (const name of FOLDERS) {
      mkdirSync(join(tree, name), { recursive: true });
      for (const size of sizes)
        writeFileSync(join(tree, name, String(size)), Buffer.alloc(size, 0x5a));
    }
    const image = join(folder, "image");
    const features = "^has_journal,^resize_inode,^inline_data";
    execFileSync("mke2fs", [
      "-q",
      "-F",
      "-t",
      "ext4",
      "-b",
      "4096",
      "-N",
      String(2 * sizes.length + 32),
      "-O",
      features,
      "-d",
      tree,
      image,
      "120M",
    ]);
    const bytes = readFileSync(image);
    return { bytes, map: await openFileMap(createMemoryDevice({ bytes })) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
