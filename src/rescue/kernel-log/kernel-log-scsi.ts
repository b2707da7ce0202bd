/** SCSI and ATA lines: sense data, the failed command in hex, and libata's registers, as places on a disk. */
import { SECTOR } from "../../base/index.ts";
import type { KernelEventCause } from "./kernel-event.ts";
import { blockRange, type LinePattern } from "./kernel-line.ts";

/** Where a command's first block and count stand in its bytes (SBC-4): big-endian, by operation code. */
const COMMANDS: ReadonlyMap<
  number,
  readonly [
    operation: "read" | "write",
    lba: readonly [number, number],
    count: readonly [number, number],
  ]
> = new Map([
  [0x08, ["read", [1, 3], [4, 1]]],
  [0x0a, ["write", [1, 3], [4, 1]]],
  [0x28, ["read", [2, 4], [7, 2]]],
  [0x2a, ["write", [2, 4], [7, 2]]],
  [0x2f, ["read", [2, 4], [7, 2]]],
  [0xa8, ["read", [2, 4], [6, 4]]],
  [0xaa, ["write", [2, 4], [6, 4]]],
  [0x88, ["read", [2, 8], [10, 4]]],
  [0x8a, ["write", [2, 8], [10, 4]]],
  [0x8f, ["read", [2, 8], [10, 4]]],
]);

/** What a command block reads or writes; `undefined` for other commands, and where bytes are missing. */
export function decodeCommand(
  hex: string,
):
  | { readonly operation: "read" | "write"; readonly lba: number; readonly count: number }
  | undefined {
  const bytes = hex
    .trim()
    .split(/\s+/)
    .map((byte) => Number.parseInt(byte, 16));
  const layout = COMMANDS.get(bytes[0] ?? -1);
  if (layout === undefined) return undefined;
  const [operation, lbaAt, countAt] = layout;
  const number = ([at, length]: readonly [number, number]): number =>
    bytes.slice(at, at + length).reduce((value, byte) => value * 256 + byte, 0);
  if (bytes.length < countAt[0] + countAt[1]) return undefined;
  const small = bytes[0] === 0x08 || bytes[0] === 0x0a; // 21 bits of address, and 0 means 256 blocks
  const lba = small ? number(lbaAt) % 2 ** 21 : number(lbaAt);
  const count = number(countAt) || (small ? 256 : 0);
  return count > 0 && Number.isSafeInteger(lba) ? { operation, lba, count } : undefined;
}

function causeOfSense(sense: string): KernelEventCause {
  if (/medium error|unrecovered read|uncorrectable|media error|address mark|id crc/i.test(sense))
    return "media";
  return /recovered error|recovered data/i.test(sense) ? "corrected" : "other";
}

const DISK = String.raw`^(?:sd|sr|st|ses?) [\d:]{3,40}: \[([\w!-]{1,64})\] {1,4}(?:tag#(\d{1,6}) )?`;

/** scsi_print_sense_hdr(), drivers/scsi/scsi_logging.c: key, then additional sense; kept for the command that follows. */
const SENSE: LinePattern = {
  pattern: new RegExp(
    `${DISK}(Sense Key : [^\\[]{1,40}|Add\\. Sense: .{1,120}|Descriptor sense .{0,40})`,
  ),
  read([, device = "", tag = "", text = ""], context) {
    const words = text.replace(/^(?:Sense Key : |Add\. Sense: )/, "").trim();
    const key = `${device} ${tag}`;
    const before = context.sense.get(key);
    const whole =
      text.startsWith("Add. Sense") && before !== undefined ? `${before}: ${words}` : words;
    if (context.sense.size > 4096) context.sense.clear();
    context.sense.set(key, whole);
    if (!text.startsWith("Add. Sense")) return undefined;
    return { kind: "scsi", device, status: words, cause: causeOfSense(whole) };
  },
};

/** scsi_print_command(): `CDB: Read(10) 28 00 ...`; kernels before 3.18 print name and bytes on the next line. */
const COMMAND: LinePattern = {
  pattern: new RegExp(`${DISK}CDB: ?(?:[\\w() /]{1,40}?:? ((?:[0-9a-f]{2} ?){6,32}))?`),
  read([, device = "", tag = "", bytes], context) {
    context.pendingCommand = device;
    return bytes === undefined ? undefined : commandFinding(device, tag, bytes, context);
  },
};

const COMMAND_ALONE: LinePattern = {
  pattern: /^(?:Read|Write|Verify)\(\d{1,2}\): ((?:[0-9a-f]{2} ?){6,32})/,
  read([, bytes = ""], context) {
    const device = context.pendingCommand;
    return device === undefined ? undefined : commandFinding(device, "", bytes, context);
  },
};

// oxlint-disable-next-line max-params -- four things that a line gives, none an option
function commandFinding(
  device: string,
  tag: string,
  bytes: string,
  context: Parameters<LinePattern["read"]>[1],
): ReturnType<LinePattern["read"]> {
  context.pendingCommand = undefined;
  const key = `${device} ${tag}`;
  const sense = context.sense.get(key);
  context.sense.delete(key);
  const command = decodeCommand(bytes);
  if (command === undefined) return undefined;
  const { lba, count, operation } = command;
  const unit = context.logicalBlockSize(device, lba);
  return {
    kind: "scsi",
    device,
    status: sense ?? "command failed",
    cause: sense === undefined ? "unknown" : causeOfSense(sense),
    operation,
    range: blockRange(lba, count, unit.bytes),
    precision: "within",
    unitGuessed: unit.guessed,
  };
}

/** ata_eh_report(), drivers/ata/libata-eh.c: `res status/error:count:lba:lba:lba/…`, the first sector that failed. */
const ATA_RESULT: LinePattern = {
  pattern:
    /^(?:(ata\d{1,4}(?:\.\d{1,3})?): )?res [0-9a-f]{2}\/[0-9a-f]{2}:[0-9a-f]{2}:((?:[0-9a-f]{2}[:/]){3})[0-9a-f]{2}:[0-9a-f]{2}:((?:[0-9a-f]{2}[:/]){3})[0-9a-f]{2} Emask 0x[0-9a-f]{1,8} \(([\w /-]{1,60})\)/,
  read([, device, low = "", high = "", status = ""]) {
    const bytes = [...low.split(/[:/]/).slice(0, 3), ...high.split(/[:/]/).slice(0, 3)];
    const lba = bytes.reduceRight((value, byte) => value * 256 + Number.parseInt(byte, 16), 0);
    return {
      kind: "ata",
      device,
      status,
      cause: status === "media error" ? "media" : "other",
      range: status === "media error" ? blockRange(lba, 1, SECTOR) : undefined,
      precision: "from",
    };
  },
};

/** Lines of SCSI disks and of the ATA layer below them. */
export const SCSI_LINES: readonly LinePattern[] = [SENSE, COMMAND, COMMAND_ALONE, ATA_RESULT];
