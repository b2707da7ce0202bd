/**
 * log-writes: logs every write of a device on another one (drivers/md/dm-log-writes.c): `log-writes DEVICE LOGDEVICE`.
 *
 * A row's begin is not subtracted, as in Linux: address o of the table is byte o of DEVICE, whatever row it is in.
 */
import { isPromise, StorageError, type MaybePromise } from "../../../base/index.ts";
import type { DeviceTarget, TargetRow, TargetType } from "../../target.ts";
import { managedArea } from "../over-slice.ts";
import { LogWritesDevice } from "./log-writes-device.ts";

/** `log-writes DEVICE LOGDEVICE` */
export const logWrites: TargetType = {
  name: "log-writes",
  construct(row): DeviceTarget {
    const { args, begin, length } = row;
    const [word, logWord] = args;
    if (args.length !== 2 || word === undefined || logWord === undefined)
      return row.fail(`Invalid argument count: want DEVICE LOGDEVICE: got ${args.length} words`);
    const area = managedArea({ device: row.lookup(word), offset: begin, length }, row);
    const log = row.lookup(logWord);
    const device = new LogWritesDevice(area, log);
    const end = begin + length;
    return {
      kind: "device",
      type: "log-writes",
      areas: [area, { device: log, offset: 0, length: log.size }],
      device,
      activate: () => activate(device, row),
      below: (offset) => [{ device: area.device, offset: begin + offset }],
      above: ({ device: below, offset }) =>
        below === area.device && offset >= begin && offset < end ? offset - begin : undefined,
      message: (words) => device.message(words),
      status: () => device.status(),
    };
  },
};

/** What is no log is refused as the row's fault. */
function activate(device: LogWritesDevice, row: TargetRow): MaybePromise<void> {
  const refuse = (error: unknown): never => {
    if (error instanceof StorageError && error.code === "EBADMSG")
      return row.fail(error.message.replace(/^EBADMSG: /, ""));
    throw error;
  };
  try {
    const done = device.activate();
    return isPromise(done) ? done.catch(refuse) : done;
  } catch (error) {
    return refuse(error);
  }
}
