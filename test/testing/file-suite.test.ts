/** The contract of an open file, over every face of memory, images, tables, slices and files in an image. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "vitest";
import {
  checkedDevice,
  CLEAR_KINDS,
  createImage,
  createMemoryDevice,
  openDevice,
  sliceDevice,
  type ClearKind,
  type Device,
  type SimulatedDevice,
} from "../../src/device/index.ts";
import { openFile, type Face, type OpenFileOptions } from "../../src/file/index.ts";
import { openFileMap } from "../../src/fs/index.ts";
import { fileSuite, type FileSubject } from "../../src/testing/index.ts";
import { randomSeed } from "../base/seed.ts";
import { PatchedImage } from "../fs/ext4/support/patched-image.ts";
import { stackSubject } from "../mapper/support/kernel-map.ts";
import { treeImage } from "../rescue/support/tree.ts";

const SIZE = 65_536;
const FACES: readonly Face[] = ["dax", "direct", "buffered"];
const seed = randomSeed();

/** What a file stands on: the hands, and where it begins under them. */
interface Standing extends OpenFileOptions {
  readonly hands: SimulatedDevice;
  readonly device: Device;
  /** @default 0 */
  readonly start?: number;
  readonly dispose?: () => void;
}

async function subject({
  hands,
  device,
  start = 0,
  dispose,
  ...options
}: Standing): Promise<FileSubject> {
  const { clear } = device.capabilities;
  return {
    file: await openFile(device, options),
    unit: options.face === "direct" ? 512 : 1,
    heals: clear !== "none" && clear !== "pretends",
    inject: ({ offset, length }, how) => void hands.inject({ offset: start + offset, length }, how),
    refuse: ({ offset, length }) =>
      hands.setFault({ offset: start + offset, length, kind: "refuses", on: true }),
    dispose: dispose ?? (() => hands.close()),
  };
}

/** An ext4 image with a file of whole pages: a longer one, cut by hand. */
async function imageOfPages(): Promise<{ bytes: Uint8Array; inode: number; start: number }> {
  const { bytes, ...image } = await cutImage;
  return { ...image, bytes: bytes.slice() };
}

async function cut(): Promise<{ bytes: Uint8Array; inode: number; start: number }> {
  const image = await PatchedImage.open(treeImage());
  const map = await openFileMap(createMemoryDevice({ bytes: image.bytes.slice() }));
  const inode = (await map.lookup("/docs/archive.bin")) ?? 0;
  image.editInode(inode, (slot) => slot.setUint32(4, SIZE, true));
  const [extent] = await map.extents(inode);
  if (extent?.device === undefined || extent.length < SIZE)
    throw new Error("want a file whose first extent holds 64 KiB");
  return { bytes: image.bytes, inode, start: extent.device };
}

const cutImage = cut();

function suite(name: string, make: () => Standing | Promise<Standing>): void {
  fileSuite({ describe, test }, name, { seed, make: async () => subject(await make()) });
}

for (const face of FACES) {
  for (const clear of CLEAR_KINDS) {
    suite(`memory, ${clear}, ${face}`, () => {
      const hands = createMemoryDevice({ size: SIZE, clear });
      return { hands, device: checkedDevice(hands), face };
    });
  }

  suite(`memory with units of 512 and 1,024 bytes, ${face}`, () => {
    const hands = createMemoryDevice({ size: SIZE, poisonUnit: 512, clearUnit: 1024 });
    return { hands, device: hands, face };
  });

  suite(`a slice at a page, ${face}`, () => {
    const hands = createMemoryDevice({ size: 3 * SIZE });
    const device = sliceDevice(hands, { offset: SIZE, length: SIZE });
    return { hands, device, start: SIZE, face };
  });

  suite(`a file in an ext4 image, ${face}`, async () => {
    const { bytes, inode, start } = await imageOfPages();
    const hands = createMemoryDevice({ bytes });
    return { hands, device: hands, map: await openFileMap(hands), inode, start, face };
  });

  fileSuite({ describe, test }, `striped over two, ${face}`, {
    seed,
    make: async () => {
      const stack = stackSubject({ top: "0 128 striped 2 8 a 0 b 0" }, { size: SIZE });
      return {
        file: await openFile(stack.device, { face }),
        unit: face === "direct" ? 512 : 1,
        heals: true,
        inject: (range, how) => stack.inject(range, how),
        refuse: (range) => stack.fault(range, "refuses"),
        dispose: () => stack.dispose?.(),
      };
    },
  });
}

/** An image on the disk; a mapped one has direct access where the native part is. */
function onDisk(face: Face, clear: ClearKind): Standing {
  const folder = mkdtempSync(join(tmpdir(), "theriac-file-"));
  const path = join(folder, "disk.img");
  createImage(path, { size: SIZE, clear }).close();
  const hands = openDevice(path, { access: "write", map: face === "dax" }) as SimulatedDevice;
  const dispose = (): void => {
    hands.close();
    rmSync(folder, { recursive: true });
  };
  return { hands, device: hands, face, dispose };
}

suite("an image on the disk, buffered", () => onDisk("buffered", "overwrite"));
suite("an image on the disk, direct", () => onDisk("direct", "firmware"));
suite("an image on the disk, mapped", () => onDisk("dax", "firmware"));
