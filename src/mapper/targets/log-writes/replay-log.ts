/**
 * replayLog(): writes what a log says, in its order, onto a device that holds what the logged one held when the log began: up to a mark, to a
 * number of entries, or all. So any moment that the log knows can be looked at.
 *
 * All entries that are wanted are read and checked before the first is written: a log that is torn, that says more than it holds, or that ends
 * past the device is refused with nothing written. A discard is written as zeros.
 */
import { assert, StorageError, type MaybePromise } from "../../../base/index.ts";
import { thoroughMode, type Device } from "../../../device/index.ts";
import { LOG_FLAGS, type LogSuper } from "./log-format.ts";
import { logError, readLog, readLogSuper, readWhole, type PlacedEntry } from "./read-log.ts";

/** Bytes copied at once. */
const CHUNK = 1024 * 1024;

/** How far a log is replayed. */
export interface ReplayOptions {
  /** Ends behind the first mark of this text. @default no mark ends it */
  readonly endMark?: string;
  /** Entries at most. @default all */
  readonly limit?: number;
  /** Called before each entry is written, with its number and how many there will be; what it throws ends the replay. */
  readonly onEntry?: (index: number, total: number) => MaybePromise<void>;
}

/** What was replayed. */
export interface ReplayResult {
  /** Entries, marks and flushes among them. */
  readonly entries: number;
  /** Entries that the log says it has. */
  readonly total: number;
  /** Bytes of data written. */
  readonly written: number;
  /** Bytes discarded. */
  readonly discarded: number;
  /** The last mark that was met. */
  readonly lastMark: string | undefined;
}

/**
 * Replays a log onto a device, durably.
 *
 * @throws {StorageError} EBADMSG if the log is none, torn, or of a larger device; EINVAL if it has not the mark; EIO if it cannot be read
 * @throws {MediaError} if the device cannot be written
 */
export async function replayLog(
  log: Device,
  target: Device,
  options: ReplayOptions = {},
): Promise<ReplayResult> {
  const known = await readLogSuper(log);
  const total = await checkLog(log, { known, target, options });
  const sums = { entries: 0, written: 0, discarded: 0 };
  let lastMark: string | undefined;
  const buffer = new Uint8Array(CHUNK);
  for await (const entry of readLog(log, { ...known, entries: total })) {
    await options.onEntry?.(entry.index, total);
    await replayEntry({ log, target, entry, buffer });
    sums.entries += 1;
    if ((entry.flags & LOG_FLAGS.discard) === 0) sums.written += entry.length;
    else sums.discarded += entry.length;
    lastMark = entry.mark ?? lastMark;
  }
  await target.flush();
  return { ...sums, total: known.entries, lastMark };
}

/** What is checked. */
interface Wanted {
  readonly known: LogSuper;
  readonly target: Device;
  readonly options: ReplayOptions;
}

/** Reads all entries that are wanted, and no data. @returns their number */
async function checkLog(log: Device, { known, target, options }: Wanted): Promise<number> {
  const { endMark, limit = Infinity } = options;
  const { name } = log.identity;
  const marks = new Set<string>();
  let count = 0;
  if (limit === 0) return 0;
  for await (const entry of readLog(log, known)) {
    checkPlace(log, { entry, known, target });
    count += 1;
    if (entry.mark !== undefined && marks.size < MARKS_MAX) marks.add(entry.mark);
    if (count >= limit || (endMark !== undefined && entry.mark === endMark)) return count;
  }
  if (endMark === undefined) return count;
  const list = [...marks].map((mark) => JSON.stringify(mark)).join(", ");
  throw new StorageError(
    "EINVAL",
    `Cannot replay the log on ${name}: want a mark that it has${list === "" ? "" : `, as ${list}`}: got ${JSON.stringify(endMark)}`,
    { path: name },
  );
}

/** Marks that a message names. */
const MARKS_MAX = 8;

function checkPlace(
  log: Device,
  at: { readonly entry: PlacedEntry; readonly known: LogSuper; readonly target: Device },
): void {
  const { entry, known, target } = at;
  const end = entry.offset + entry.length;
  if (entry.length === 0 || end <= target.size) return;
  throw logError(
    log,
    `entry ${entry.index} of ${known.entries}, at ${entry.place}: want it inside the ${target.size} bytes of ${target.identity.name}: it ends at ${end}`,
  );
}

/** An entry, and where it goes. */
interface Replayed {
  readonly log: Device;
  readonly target: Device;
  readonly entry: PlacedEntry;
  readonly buffer: Uint8Array;
}

async function replayEntry({ log, target, entry, buffer }: Replayed): Promise<void> {
  const { offset, length, dataPlace, flags } = entry;
  const isDiscard = (flags & LOG_FLAGS.discard) !== 0;
  if (isDiscard) buffer.fill(0);
  for (let done = 0; done < length; done += CHUNK) {
    const part = buffer.subarray(0, Math.min(CHUNK, length - done));
    if (!isDiscard) await readWhole(log, part, dataPlace + done);
    assert(offset + done + part.length <= target.size, "an entry was checked");
    await target.write(part, offset + done, thoroughMode(target));
  }
}
