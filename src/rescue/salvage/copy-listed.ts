/**
 * copy-listed: everything that no list names, by large reads, several under way: for images and stacks, whose devices know what is bad in them, and tell
 * what turns out bad byte by byte.
 *
 * Where the source is mapped, its bytes go from there to the output's disk, and no copy of them is made.
 */
import { endOf, PAGE, ProgressMeter, StorageError, type ByteRange } from "../../base/index.ts";
import { skippable } from "../../device/index.ts";
import { cleanPieces } from "../../donor/index.ts";
import { alignedBuffer } from "../../os/index.ts";
import { READ_SIZE, type ScanOptions } from "../scan.ts";
import type { SalvageWork } from "./salvage-work.ts";
import { wanted } from "./wanted.ts";

/** Reads and writes under way at once: as many as the thread pool has threads. */
const LANES = 4;

/** Reads all that is untried. A known bad range is never touched. */
export async function copyListed(work: SalvageWork, options: ScanOptions): Promise<void> {
  for (const range of await work.source.bad()) work.map.setUnfinished(range, "-");
  const chunks = untried(work);
  const state = { failed: false };
  const meter = new ProgressMeter(options.onProgress);
  const lane = async (): Promise<void> => {
    const buffer = laneBuffer(work.source.size);
    try {
      while (!state.failed) {
        await options.checkpoint?.();
        const next = state.failed ? undefined : chunks.next();
        if (next === undefined || next.done === true) return;
        await copyChunk(work, next.value, buffer);
        meter.report({
          phase: "salvaging",
          done: work.settled,
          total: work.source.size,
          zone: next.value,
          badBytes: work.map.bytes("-"),
        });
        work.saveSometimes();
      }
    } catch (error) {
      state.failed = true;
      throw error;
    }
  };
  const ends = await Promise.allSettled(Array.from({ length: LANES }, lane));
  for (const end of ends) if (end.status === "rejected") throw end.reason;
  for (const range of await work.source.bad()) work.map.setUnfinished(range, "-");
}

/** Memory of one lane, made when it is first wanted; bytes stand in it as far from the start of a page as in the source. */
function laneBuffer(size: number): (range: ByteRange) => Uint8Array {
  let memory: Uint8Array | undefined;
  return ({ offset, length }) => {
    memory ??= alignedBuffer(Math.min(READ_SIZE, size) + PAGE);
    const start = offset % PAGE;
    return memory.subarray(start, start + length);
  };
}

async function copyChunk(
  work: SalvageWork,
  range: ByteRange,
  buffer: (range: ByteRange) => Uint8Array,
): Promise<void> {
  const lent = await work.source.borrow?.(range);
  if (lent !== undefined && (await keepLent(work, lent, range.offset))) return;
  const bytes = buffer(range);
  const { missing } = await work.source.read(bytes, range.offset);
  for (const piece of cleanPieces(range, missing)) {
    const from = piece.offset - range.offset;
    await work.keep(bytes.subarray(from, from + piece.length), piece.offset);
  }
  for (const hole of missing) work.map.set(hole, "-");
}

/** @returns false where a page of the mapping went away meanwhile: then a read tells why */
async function keepLent(work: SalvageWork, lent: Uint8Array, offset: number): Promise<boolean> {
  try {
    await work.keep(lent, offset);
    return true;
  } catch (error) {
    const cause = error instanceof StorageError ? error.cause : undefined;
    if ((cause as NodeJS.ErrnoException | undefined)?.code !== "EFAULT") throw error;
    return false;
  }
}

/** What is left to read, cut at multiples of the read size, so that large reads stay aligned; holes are kept on the way. */
function* untried(work: SalvageWork): Generator<ByteRange> {
  for (const gap of work.areas.flatMap((area) => wanted(work, "?", area))) {
    for (let at = gap.offset; at < endOf(gap);) {
      const hole = Math.min(skippable(work.source, at, READ_SIZE), endOf(gap) - at);
      if (hole > 0) {
        work.keepHole({ offset: at, length: hole });
        at += hole;
        continue;
      }
      const length = Math.min(READ_SIZE - (at % READ_SIZE), endOf(gap) - at);
      yield { offset: at, length };
      at += length;
    }
  }
}
