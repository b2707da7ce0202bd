/** findLogEnd(): where a log goes on: behind the entries that are there, or at the beginning of a device that begins with zeros. */
import { SECTOR, StorageError, type ByteRange, type MaybePromise } from "../../../base/index.ts";
import { thoroughMode, type Device } from "../../../device/index.ts";
import { after } from "../../after.ts";
import type { LogPosition } from "./log-writer.ts";
import { logError, readLog, readLogSuper } from "./read-log.ts";

/**
 * Finds the end of a log. Nothing is written.
 *
 * @param area what of the device is logged: its sectors must be the log's
 * @throws {StorageError} EBADMSG if the device holds something else, or a log that is torn; EIO if it cannot be read
 */
export function findLogEnd(log: Device, area: ByteRange): MaybePromise<LogPosition> {
  const first = new Uint8Array(Math.min(SECTOR, log.size));
  return after(log.read(first, 0, thoroughMode(log)), ({ missing }) => {
    if (missing.length > 0)
      throw new StorageError(
        "EIO",
        `Cannot log to ${log.identity.name}: its first sector cannot be read, and may count entries`,
        { path: log.identity.name, syscall: "read" },
      );
    if (first.every((byte) => byte === 0)) return { entries: 0, sectorSize: SECTOR, next: SECTOR };
    return behindEntries(log, area);
  });
}

async function behindEntries(log: Device, area: ByteRange): Promise<LogPosition> {
  const known = await readLogSuper(log);
  const { entries, sectorSize } = known;
  if (area.offset % sectorSize !== 0 || area.length % sectorSize !== 0)
    throw logError(
      log,
      `want a log of sectors that divide the row, or a device that begins with zeros: got sectors of ${sectorSize} bytes`,
    );
  let next = sectorSize;
  for await (const { dataPlace, dataLength } of readLog(log, known)) next = dataPlace + dataLength;
  return { entries, sectorSize, next };
}
