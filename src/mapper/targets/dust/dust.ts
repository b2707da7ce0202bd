/** dust: chosen blocks cannot be read until they are rewritten (drivers/md/dm-dust.c): `dust DEVICE OFFSET BLKSZ`. Messages choose them. */
import { isPowerOfTwo, SECTOR, StorageError } from "../../../base/index.ts";
import type { DeviceTarget, TargetRow, TargetType } from "../../target.ts";
import { areaAt } from "../linear.ts";
import { managedArea } from "../over-slice.ts";
import { DustBlocks } from "./dust-blocks.ts";
import { DustDevice } from "./dust-device.ts";

/** Bytes of a block at most (`DUST_MAX_BLKSZ_SECTORS`). */
const BLOCK_SIZE_MAX = 1024 * 1024 * 1024;

/** `dust DEVICE OFFSET BLKSZ` */
export const dust: TargetType = {
  name: "dust",
  construct(row): DeviceTarget {
    const { args, length } = row;
    const [word, start, size] = args;
    if (args.length !== 3 || word === undefined || start === undefined || size === undefined)
      return row.fail(`Invalid argument count: want DEVICE OFFSET BLKSZ: got ${args.length} words`);
    const blockSize = blockSizeOf(size, row);
    const area = managedArea(areaAt({ word, start, length }, row), row);
    const device = new DustDevice({ area, blocks: new DustBlocks(blockSize), memory: row.memory });
    const end = area.offset + area.length;
    return {
      kind: "device",
      type: "dust",
      areas: [area],
      device,
      activate: () => restore(device, row),
      below: (offset) => [{ device: area.device, offset: area.offset + offset }],
      above: ({ device: below, offset }) =>
        below === area.device && offset >= area.offset && offset < end
          ? offset - area.offset
          : undefined,
      message: (words) => device.message(words),
      status: () => device.status(),
    };
  },
};

/** What was kept for blocks of another size is refused, and stays as it is. */
function restore(device: DustDevice, row: TargetRow): void {
  try {
    device.restore();
  } catch (error) {
    if (error instanceof StorageError && error.code === "EBADMSG")
      return row.fail(error.message.replace(/^EBADMSG: /, ""));
    throw error;
  }
}

function blockSizeOf(text: string, row: TargetRow): number {
  const size = /^\d{1,10}$/.test(text) ? Number(text) : 0;
  const got = `got "${text}"`;
  if (size === 0) return row.fail(`Invalid block size parameter: want bytes: ${got}`);
  if (size < SECTOR) return row.fail(`Block size must be at least ${SECTOR}: ${got}`);
  if (!isPowerOfTwo(size)) return row.fail(`Block size must be a power of 2: ${got}`);
  const most = Math.min(BLOCK_SIZE_MAX, row.length);
  if (size > most) return row.fail(`Block size is too large: want at most ${most} bytes: ${got}`);
  return size;
}
