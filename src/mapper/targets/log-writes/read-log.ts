/** readLog(): the log of dm-log-writes on a device, entry by entry: only the sectors of entries are read, never their data. */
import { SECTOR, StorageError } from "../../../base/index.ts";
import { thoroughMode, type Device } from "../../../device/index.ts";
import { decodeEntry, decodeSuper, isFault, type LogEntry, type LogSuper } from "./log-format.ts";

/** An entry in its place. */
export interface PlacedEntry extends LogEntry {
  /** From 0. */
  readonly index: number;
  /** Where its sector begins on the log, in bytes. */
  readonly place: number;
  /** Where its data begins on the log, in bytes. */
  readonly dataPlace: number;
}

/**
 * Reads the first sector of a log.
 *
 * @throws {StorageError} EBADMSG if it is none; EIO if it cannot be read
 */
export async function readLogSuper(log: Device): Promise<LogSuper> {
  const bytes = new Uint8Array(SECTOR);
  if (log.size < SECTOR) throw logError(log, `want at least ${SECTOR} bytes: got ${log.size}`);
  await readWhole(log, bytes, 0);
  const found = decodeSuper(bytes, log.size);
  if (isFault(found)) throw logError(log, found.fault);
  return found;
}

/**
 * The entries of a log, as many as its first sector says.
 *
 * @throws {StorageError} EBADMSG at an entry that is none; EIO at one that cannot be read
 */
export async function* readLog(log: Device, known?: LogSuper): AsyncGenerator<PlacedEntry> {
  const { entries, sectorSize } = known ?? (await readLogSuper(log));
  const bytes = new Uint8Array(sectorSize);
  let place = sectorSize;
  for (let index = 0; index < entries; index += 1) {
    const dataPlace = place + sectorSize;
    if (dataPlace > log.size)
      throw logError(log, `want entry ${index} of ${entries} before its end at ${log.size}`);
    await readWhole(log, bytes, place);
    const entry = decodeEntry(bytes, log.size - dataPlace);
    if (isFault(entry))
      throw logError(log, `entry ${index} of ${entries}, at ${place}: ${entry.fault}`);
    yield { ...entry, index, place, dataPlace };
    place = dataPlace + entry.dataLength;
  }
}

/** Fills `into` from a log. @throws {StorageError} EIO if a byte is missing */
export async function readWhole(log: Device, into: Uint8Array, offset: number): Promise<void> {
  const { missing } = await log.read(into, offset, thoroughMode(log));
  const [hole] = missing;
  if (hole === undefined) return;
  const { name } = log.identity;
  throw new StorageError(
    "EIO",
    `Cannot read the log on ${name}: ${hole.length} bytes at offset ${hole.offset} are ${hole.state}`,
    { path: name, syscall: "read" },
  );
}

/** What is wrong with a log. */
export function logError(log: Device, wish: string): StorageError {
  const { name } = log.identity;
  return new StorageError("EBADMSG", `Cannot use the log on ${name}: ${wish}`, { path: name });
}
