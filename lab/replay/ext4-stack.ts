/** ext4-stack: a file of a real ext4 image, on simulated pmem, reached directly. */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createMemoryDevice } from "../../src/device/index.ts";
import { openFile } from "../../src/file/index.ts";
import { openFileMap, type FileMap } from "../../src/fs/index.ts";
import { openInPieces } from "./pieces-stack.ts";
import { oneRun, openedOn, PAGE, UNITS, type Stack } from "./stack.ts";

/** Images are kept below one block group's 128 MiB with two files of each size, so that nothing cuts a file in two. */
const IMAGE_BYTES = 48 * 1024 * 1024;

interface Image {
  readonly bytes: Uint8Array;
  readonly map: FileMap;
}

/** A stack with a file of every size. */
export async function openExt4Stack(sizes: readonly number[]): Promise<Stack> {
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
    async open(wanted) {
      if (wanted.extents !== undefined) return openInPieces(wanted, wanted.extents);
      const { size, clearLimit } = wanted;
      const image = images.get(size);
      if (image === undefined)
        throw new Error(`Cannot open a file of ${size} bytes: the image has none`);
      const { path, at } = await wholeFile(image.map, size);
      const device = createMemoryDevice({ ...UNITS, bytes: image.bytes, clearLimit });
      const file = await openFile(device, { map: image.map, path, face: "dax" });
      return openedOn({
        device,
        file,
        pieces: oneRun(size, at),
        leaf: (offset) => ({ device, offset: at + offset }),
        setContent: (content) => image.bytes.set(content, at),
      });
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
