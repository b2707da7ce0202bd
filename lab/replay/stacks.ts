/**
 * stacks: Theriac's own stacks by the names of the kernel's: what a trace was recorded on is its file name before the first dot.
 *
 * - ext4dax: a file of an ext4 image, on simulated pmem, reached directly
 * - direct, buffered: the block device itself, with O_DIRECT and through a page cache
 * - stripeN: a file on `striped 2 N` of two pmems; linear: one across the border of two rows
 */
import { createMemoryDevice } from "../../src/device/index.ts";
import { openFile, type Face } from "../../src/file/index.ts";
import { openExt4Stack } from "./ext4-stack.ts";
import { linearStack, stripedStack } from "./mapped-stack.ts";
import { oneRun, openedOn, UNITS, type Stack } from "./stack.ts";

/** A stack by its name. @param sizes every file size that will be asked for */
export async function openStack(name: string, sizes: readonly number[]): Promise<Stack> {
  if (name === "ext4dax") return openExt4Stack(sizes);
  if (name === "direct" || name === "buffered") return blockStack(name);
  if (name === "linear") return linearStack();
  const chunk = Number(/^stripe(\d+)$/.exec(name)?.[1]);
  if (chunk > 0) return stripedStack(chunk);
  throw new Error(`Cannot replay ${name}: want ext4dax, direct, buffered, linear or stripeN`);
}

function blockStack(face: Face): Stack {
  return {
    async open({ size, clearLimit }) {
      const bytes = new Uint8Array(size);
      const device = createMemoryDevice({ ...UNITS, bytes, clearLimit });
      return openedOn({
        device,
        file: await openFile(device, { face }),
        pieces: oneRun(size, 0),
        leaf: (offset) => ({ device, offset }),
        setContent: (content) => bytes.set(content),
      });
    },
  };
}
