/**
 * KernelLog: kernel lines as dmesg, journalctl and syslog print them, read into events with a place.
 *
 * What can go wrong: the log is of several machines' worth of devices, and a place on another disk must not be taken for one
 * on this; the kernel leaves lines out ("callbacks suppressed"), so a log is never a whole list; a line counts in blocks
 * whose size it does not tell; a program other than the kernel wrote the line; the text is binary junk, or a line without end.
 * What is promised: one pass, memory bounded, no line is an error, and what was guessed or left out is said.
 */
import type { KernelEvent, KernelFinding, KernelLineContext } from "./kernel-event.ts";
import { LINES } from "./kernel-log-lines.ts";
import { stripPrefix } from "./kernel-log-prefix.ts";
import { splitDeviceName } from "./device-name.ts";
import { isPowerOfTwo, PAGE, SECTOR } from "../../base/index.ts";

/** How a log is read. */
export interface KernelLogOptions {
  /** Only events of this disk and its partitions, and of memory: `sda`, `/dev/nvme0n1`. @default all */
  readonly device?: string;
  /** Bytes of the blocks in "logical block N" and in file systems' messages. @default found from other lines, else 4096 */
  readonly blockSize?: number;
  /** Bytes of a logical block (LBA) of the disk. @default found from other lines, else 512 */
  readonly logicalBlockSize?: number;
}

/** One disk that a log names. */
export interface LoggedDisk {
  readonly disk: string;
  /** Events of the disk and of its partitions. */
  readonly events: number;
}

/** What a log says. */
export interface KernelLog {
  /** In the order of their first lines; equal ones are one with a count. */
  readonly events: readonly KernelEvent[];
  /** Disks that the whole log names, most events first: with several, and no `device` chosen, ask which one is meant. */
  readonly disks: readonly LoggedDisk[];
  /** Whether the log says itself that lines are missing. */
  readonly incomplete: boolean;
  /** Sentences for people: what is missing, guessed, or was not understood. */
  readonly notes: readonly string[];
  /** Lines read. */
  readonly lines: number;
}

/** Longest line that is read whole; the rest of a longer one is dropped. */
const LINE_MAX = 16 * 1024;
/** Events that are kept; later different ones are only counted. */
const EVENTS_MAX = 250_000;

const SUPPRESSED =
  /(\d{1,12}) callbacks suppressed$|^Suppressed (\d{1,12}) messages from|^Missed (\d{1,12}) kernel messages|kmsg buffer overrun, some messages lost/;
const SUSPICIOUS = /I\/O error|medium error|media error|Unrecovered|uncorrectable|hardware poison/i;

/** What a line that says no more leaves open. */
const DEFAULTS = {
  device: undefined,
  operation: undefined,
  range: undefined,
  inode: undefined,
  fileBlock: undefined,
  space: "device",
  precision: "exact",
  unitGuessed: false,
} as const;

/** The disk that a finding is about; libata names ports, which are no disks. */
function diskOf({ kind, device }: KernelFinding): string | undefined {
  return device === undefined || kind === "ata" ? undefined : splitDeviceName(device).disk;
}

/** The same for lines that say the same. */
function keyOf(finding: KernelFinding): string {
  const { kind, device, status, operation, range, inode, fileBlock } = finding;
  return [kind, device, status, operation, range?.offset, range?.length, inode, fileBlock].join(
    "|",
  );
}

/** Reads a log piece by piece; `end` gives the result. */
export class KernelLogReader {
  readonly #options: KernelLogOptions;
  readonly #decoder = new TextDecoder("utf-8");
  readonly #events = new Map<string, KernelEvent>();
  readonly #disks = new Map<string, number>();
  readonly #context: KernelLineContext;
  readonly #disk: string | undefined;
  /** Sectors that the block layer named last, by device: they tell how large a "logical block" is. */
  readonly #recentSectors = new Map<string, number[]>();
  #rest = "";
  #cutting = false;
  #lines = 0;
  #suppressed = 0;
  #incomplete = false;
  #dropped = 0;
  #strange = 0;
  #strangeLine = "";

  constructor(options: KernelLogOptions = {}) {
    this.#options = options;
    this.#disk = options.device === undefined ? undefined : splitDeviceName(options.device).disk;
    this.#context = {
      blockSize: (device, block) =>
        this.#unit(device, block, { given: options.blockSize, usual: PAGE }),
      logicalBlockSize: (device, lba) =>
        this.#unit(device, lba, { given: options.logicalBlockSize, usual: SECTOR }),
      sense: new Map(),
      pendingCommand: undefined,
    };
  }

  /** Takes the next piece, cut anywhere. */
  push(piece: string | Uint8Array): void {
    const text = typeof piece === "string" ? piece : this.#decoder.decode(piece, { stream: true });
    let from = 0;
    for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n", from)) {
      this.#gather(text.slice(from, end));
      this.#line(this.#rest);
      this.#rest = "";
      this.#cutting = false;
      from = end + 1;
    }
    this.#gather(text.slice(from));
  }

  /** Events since the last call, and forgets them; what lines told of disks and block sizes is kept. For a log that goes on and on. */
  take(): readonly KernelEvent[] {
    const events = [...this.#events.values()];
    this.#events.clear();
    return events;
  }

  /** The result. */
  end(): KernelLog {
    this.#gather(this.#decoder.decode());
    if (this.#rest !== "") this.#line(this.#rest);
    this.#rest = "";
    const disks = [...this.#disks].map(([disk, events]) => ({ disk, events }));
    disks.sort((one, other) => other.events - one.events || (one.disk < other.disk ? -1 : 1));
    return {
      events: [...this.#events.values()],
      disks,
      incomplete: this.#incomplete,
      notes: [...this.#notes(disks)],
      lines: this.#lines,
    };
  }

  /** Adds to the line that is being gathered, up to its limit. */
  #gather(text: string): void {
    if (this.#cutting) return;
    const room = LINE_MAX - this.#rest.length;
    this.#cutting = text.length > room;
    this.#rest += this.#cutting ? text.slice(0, room) : text;
  }

  #line(raw: string): void {
    this.#lines += 1;
    const { text, repeated } = stripPrefix(raw.endsWith("\r") ? raw.slice(0, -1) : raw);
    if (text === undefined || text === "") return;
    const suppressed = SUPPRESSED.exec(text);
    if (suppressed !== null) {
      this.#incomplete = true;
      this.#suppressed += Number(suppressed[1] ?? suppressed[2] ?? suppressed[3] ?? 0);
      return;
    }
    for (const known of LINES) {
      const match = known.pattern.exec(text);
      if (match === null) continue;
      const finding = known.read(match, this.#context);
      if (finding !== undefined) this.#add(finding, text, repeated);
      return;
    }
    if (!SUSPICIOUS.test(text)) return;
    this.#strange += 1;
    this.#strangeLine ||= text.slice(0, 160);
  }

  #add(finding: KernelFinding, text: string, count: number): void {
    const disk = diskOf(finding);
    this.#note(finding, disk, count);
    if (this.#disk !== undefined && disk !== undefined && disk !== this.#disk) return;
    const key = keyOf(finding);
    const before = this.#events.get(key);
    if (before !== undefined) {
      this.#events.set(key, { ...before, count: before.count + count });
    } else if (this.#events.size < EVENTS_MAX) {
      const shown = text.slice(0, 1024);
      this.#events.set(key, { ...DEFAULTS, ...finding, line: this.#lines, text: shown, count });
    } else this.#dropped += count;
  }

  /** Counts a disk, and remembers where the block layer failed. */
  #note({ kind, device, range }: KernelFinding, disk: string | undefined, count: number): void {
    if (disk !== undefined && this.#disks.size < 4096) {
      this.#disks.set(disk, (this.#disks.get(disk) ?? 0) + count);
    }
    if (kind === "block" && device !== undefined && range !== undefined) {
      this.#remember(device, range.offset);
    }
  }

  #remember(device: string, offset: number): void {
    const sectors = this.#recentSectors.get(device) ?? [];
    sectors.push(offset);
    if (sectors.length > 16) sectors.shift();
    if (this.#recentSectors.size > 256) this.#recentSectors.clear();
    this.#recentSectors.set(device, sectors);
  }

  /** The size of a block: as given; else as a line of the block layer for the same device tells; else the usual one. */
  #unit(
    device: string,
    block: number,
    sizes: { readonly given: number | undefined; readonly usual: number },
  ): { readonly bytes: number; readonly guessed: boolean } {
    if (sizes.given !== undefined) return { bytes: sizes.given, guessed: false };
    for (const offset of this.#recentSectors.get(device)?.toReversed() ?? []) {
      const bytes = block > 0 ? offset / block : 0;
      if (isPowerOfTwo(bytes) && bytes >= SECTOR && bytes <= 65_536)
        return { bytes, guessed: false };
    }
    return { bytes: sizes.usual, guessed: true };
  }

  *#notes(disks: readonly LoggedDisk[]): Generator<string> {
    if (this.#options.device === undefined && disks.length > 1) {
      const names = disks.slice(0, 8).map(({ disk, events }) => `${disk} (${events})`);
      yield `The log names several devices: ${names.join(", ")}${disks.length > 8 ? ", ..." : ""}: choose one`;
    }
    if (this.#disk !== undefined && !this.#disks.has(this.#disk)) {
      yield `The log does not name device ${this.#disk}`;
    }
    if (this.#incomplete) {
      const count = this.#suppressed > 0 ? `${this.#suppressed} messages` : "messages";
      yield `The kernel left ${count} out: the log is not a whole list of what is bad`;
    }
    const guessed = [...this.#events.values()].filter((event) => event.unitGuessed).length;
    if (guessed > 0) {
      yield `${guessed} events count in blocks of a size that the lines do not tell: it is taken from what is at their place, or assumed to be 4096 bytes (of disks 512)`;
    }
    if (this.#strange > 0) {
      yield `${this.#strange} lines look like errors and were not understood, the first: ${this.#strangeLine}`;
    }
    if (this.#dropped > 0)
      yield `${this.#dropped} more lines were not kept: the limit is ${EVENTS_MAX} different events`;
  }
}

/** Reads a whole log. `pieces` may be cut anywhere; text is UTF-8, and what is not becomes U+FFFD. */
export async function readKernelLog(
  pieces: AsyncIterable<string | Uint8Array> | Iterable<string | Uint8Array>,
  options: KernelLogOptions = {},
): Promise<KernelLog> {
  const reader = new KernelLogReader(options);
  for await (const piece of pieces) reader.push(piece);
  return reader.end();
}

/** Reads a log that is here already. */
export function parseKernelLog(text: string, options: KernelLogOptions = {}): KernelLog {
  const reader = new KernelLogReader(options);
  reader.push(text);
  return reader.end();
}
