/**
 * writecache: writes go to a fast device first (drivers/md/dm-writecache.c): `writecache p|s ORIGIN CACHE BLOCK_SIZE COUNT OPTION...`. The cache is
 * Linux's own, byte for byte: one that Linux made goes on here, and the other way round.
 *
 * Every block that the cache holds is newer than the origin. Where such a block is bad, its bytes are bad in the target, whatever the origin
 * holds; what was written back costs nothing. An entry that cannot be read may name any block, so it refuses the row (`origin_unread` gives
 * up instead what no readable entry names, for reading only).
 */
import { SECTOR, StorageError, type MaybePromise } from "../../../base/index.ts";
import type { DeviceTarget, MessageAnswer, TargetRow, TargetType } from "../../target.ts";
import { after } from "../../after.ts";
import { parseArguments, type CacheArguments } from "./arguments.ts";
import { blocksFor } from "./cache-format.ts";
import { CachedDevice } from "./cached-device.ts";
import { loadCache } from "./load-cache.ts";
import { LostOrigin } from "./lost-origin.ts";

/** `writecache p|s ORIGIN CACHE BLOCK_SIZE COUNT OPTION...` */
export const writecache: TargetType = {
  name: "writecache",
  construct(row): DeviceTarget {
    const args = parseArguments(row);
    checkRoom(args, row);
    const { origin, cache } = args;
    const device = new CachedDevice(args, row.length);
    const { places } = device;
    return {
      kind: "device",
      type: "writecache",
      areas: [
        { device: origin, offset: 0, length: row.length },
        { device: cache, offset: 0, length: cache.size },
      ],
      device,
      activate: () =>
        after(loadCache({ args, size: row.length, fail: (wish) => row.fail(wish) }), (loaded) =>
          device.activate(loaded),
        ),
      below: (offset) => {
        const part = places.at(offset, offset + 1);
        return part.device instanceof LostOrigin ? [] : [part];
      },
      above: (place) => {
        const offset = places.above(place.device, place.offset);
        return offset !== undefined && offset < row.length ? offset : undefined;
      },
      message: (words) => takeMessage(device, words),
      status: () => statusOf(device),
    };
  },
};

function checkRoom({ blockSize, mode, cache, start }: CacheArguments, row: TargetRow): void {
  if (row.length % blockSize !== 0 || row.begin % blockSize !== 0)
    row.fail(
      `not aligned to h/w logical block size ${blockSize}: want a start and a length that divide by ${blockSize / SECTOR}: ` +
        `got start sect ${row.begin / SECTOR} len ${row.length / SECTOR}`,
    );
  if (mode === "s" && blocksFor(cache.size - start, blockSize) === 0)
    row.fail(
      `Invalid device size: want room for a superblock, an entry and a block of ${blockSize} bytes: got ${cache.size - start} bytes`,
    );
}

/** Does what a message asks; `clear_stats` has nothing to clear. */
function takeMessage(device: CachedDevice, words: readonly string[]): MaybePromise<MessageAnswer> {
  const done: MessageAnswer = { reply: undefined, log: [] };
  const [word = ""] = words;
  const name = words.length === 1 ? word.toLowerCase() : "";
  if (name === "flush") return after(device.emptyCache(), () => done);
  if (name === "flush_on_suspend") device.flushOnClose = true;
  else if (name === "cleaner") return after(device.startCleaner(), () => done);
  else if (name !== "clear_stats")
    throw new StorageError(
      "EINVAL",
      `unrecognised message received: want flush, flush_on_suspend, cleaner or clear_stats: got "${words.join(" ")}"`,
    );
  return done;
}

/** As `dmsetup status`: error, blocks, free blocks, blocks on their way; the counters that follow are of Linux alone. */
function statusOf({ metadata }: CachedDevice): string {
  const { shape, unused } = metadata.table;
  return `${metadata.isUsable ? 0 : -5} ${shape.blocks} ${unused} 0`;
}
