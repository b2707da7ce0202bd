/**
 * log-writes in the lab: a log that the kernel made of random writes, discards and a file system, read here and replayed to every mark; and a
 * log that Theriac made, replayed in the guest by a reader that shares no code (replay-log.c).
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { SECTOR, type Prng } from "../../src/base/index.ts";
import { createMemoryDevice, type ManagedDevice } from "../../src/device/index.ts";
import {
  activateRows,
  encodeLogEntry,
  loadTable,
  mappedDevice,
  parseTable,
  readLog,
  readLogSuper,
  replayLog,
  sendMessage,
} from "../../src/mapper/index.ts";
import type { Compared, TargetLab } from "./target-lab.ts";

/** Bytes of the device that the guest logs. */
const SIZE = 2 * 1024 * 1024;

/** Bytes of the device that is logged here. */
const MADE_SIZE = 1024 * 1024;

/** Moments on each side. */
const MARKS = 5;

/** log-writes. */
export const logWritesLab: TargetLab = {
  name: "log-writes",
  async ask(folder, prng) {
    mkdirSync(join(folder, "log-writes"), { recursive: true });
    const lines = Array.from({ length: MARKS }, (_, at) => [
      ...changes(prng),
      "flush",
      `mark m${at}`,
    ]);
    writeFileSync(join(folder, "log-writes.ask"), `${lines.flat().join("\n")}\n`);
    await makeLog(folder, prng);
  },
  async compare(folder) {
    const moments = readdirSync(join(folder, "log-writes")).map((name) => ({
      mark: basename(name, ".img"),
      bytes: readFileSync(join(folder, "log-writes", name)),
    }));
    const log = readFileSync(join(folder, "log-writes.log"));
    const guest = await compareLog(log, SIZE, (mark, bytes) => {
      const moment = moments.find((one) => one.mark === mark);
      return moment && Buffer.compare(moment.bytes, bytes) === 0;
    });
    const equal = join(folder, "made.equal");
    const accepted = existsSync(equal) ? readFileSync(equal, "utf8").trimEnd().split("\n") : [];
    const made = readFileSync(join(folder, "made.marks"), "utf8").trimEnd().split("\n");
    const refused = made
      .filter((mark) => !accepted.includes(mark))
      .map((mark) => `the log made here, up to mark ${mark}: want the same bytes in the guest`);
    const missing = moments
      .filter(({ mark }) => !guest.marks.includes(mark))
      .map(({ mark }) => `want mark ${mark} in the guest's log`);
    return {
      compared: guest.compared + made.length + moments.length,
      mismatches: [...guest.mismatches, ...refused, ...missing],
    };
  },
};

function changes(prng: Prng): string[] {
  return Array.from({ length: 8 }, () => {
    const sector = prng.below(SIZE / SECTOR - 64);
    const count = 1 + prng.below(64);
    if (prng.below(8) === 0) return "flush";
    // a discard of whole pages: tmpfs punches no less
    if (prng.below(6) === 0) return `discard ${sector - (sector % 8)} ${8 * (1 + prng.below(6))}`;
    return `write ${sector} ${count} ${1 + prng.below(255)}`;
  });
}

/** Logs random changes of a device in memory, and leaves the log and the device at every mark. */
async function makeLog(folder: string, prng: Prng): Promise<void> {
  const data = createMemoryDevice({ size: MADE_SIZE, name: "data" });
  const log = createMemoryDevice({ size: 8 * MADE_SIZE, name: "log" });
  const rows = loadTable(parseTable(`0 ${MADE_SIZE / SECTOR} log-writes data log`, "lab"), {
    path: "lab",
    lookup: (word) => (word === "data" ? data : log),
  });
  await activateRows(rows);
  const table = mappedDevice(rows, { name: "made" });
  const marks: string[] = [];
  const keep = async (mark: string): Promise<void> => {
    marks.push(mark);
    writeFileSync(join(folder, `made-${mark}.img`), await bytesOf(data));
  };
  for (let at = 0; at < MARKS; at += 1) {
    for (let count = 0; count < 10; count += 1) {
      const offset = prng.below(MADE_SIZE - 8192);
      const bytes = prng.bytes(1 + prng.below(8192));
      if (prng.below(2) === 0) table.direct?.store(bytes, offset);
      else await table.write(bytes, offset, "recovery");
    }
    await table.flush();
    await sendMessage(table, { sector: 0, words: ["mark", `ours${at}`] });
    await keep(`ours${at}`);
  }
  await table.close();
  await keep("dm-log-writes-end");
  writeFileSync(join(folder, "made.log"), await bytesOf(log));
  writeFileSync(join(folder, "made.marks"), `${marks.join("\n")}\n`);
}

async function bytesOf(device: ManagedDevice): Promise<Uint8Array> {
  const bytes = new Uint8Array(device.size);
  await device.read(bytes, 0);
  return bytes;
}

/**
 * Reads a log that a kernel made: every entry encoded again gives its own bytes, and every mark the content that the device had there.
 *
 * @param isMoment whether bytes are what the device held at a mark; `undefined` where that was not kept
 */
export async function compareLog(
  bytes: Uint8Array,
  size: number,
  isMoment: (mark: string, bytes: Uint8Array) => boolean | undefined,
): Promise<Compared & { readonly marks: readonly string[] }> {
  const log = createMemoryDevice({ bytes, name: "log" });
  const { sectorSize } = await readLogSuper(log);
  const mismatches: string[] = [];
  const marks: string[] = [];
  let compared = 0;
  for await (const entry of readLog(log)) {
    const again = new Uint8Array(sectorSize);
    encodeLogEntry(again, entry);
    const own = bytes.subarray(entry.place, entry.place + sectorSize);
    if (Buffer.compare(again, own) !== 0)
      mismatches.push(`entry ${entry.index} at ${entry.place} is encoded otherwise`);
    compared += 1;
    if (entry.mark === undefined) continue;
    marks.push(entry.mark);
    const target = createMemoryDevice({ size });
    await replayLog(log, target, { endMark: entry.mark });
    if (isMoment(entry.mark, await bytesOf(target)) === false)
      mismatches.push(`the log up to mark ${entry.mark} gives other bytes than the device had`);
  }
  return { compared, mismatches, marks };
}
