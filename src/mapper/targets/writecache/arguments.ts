/** arguments: the words of a writecache row, read as `writecache_ctr` of Linux 6.1 reads them and refused in its words. */
import { SECTOR } from "../../../base/index.ts";
import type { Device } from "../../../device/index.ts";
import type { TargetRow } from "../../target.ts";

/** Largest block: a page. */
const BLOCK_MAX = 4096;
const FEATURE_WORDS_MAX = 18;
const UINT_MAX = 2 ** 32 - 1;

/** What a row says. */
export interface CacheArguments {
  /** "p": the cache is persistent memory, and a committed block is never written in place; "s": a disk. */
  readonly mode: "p" | "s";
  readonly origin: Device;
  readonly cache: Device;
  /** Bytes. */
  readonly blockSize: number;
  /** Bytes of the cache device before the superblock. */
  readonly start: number;
  /** Percent of the blocks in use at which writing back begins. */
  readonly highWatermark: number;
  /** Percent of the blocks in use at which it ends. */
  readonly lowWatermark: number;
  /** Blocks written without a flush after which they are committed. */
  readonly autocommitBlocks: number;
  /** Whether the cache is only emptied: what it does not hold is written to the origin. */
  readonly cleaner: boolean;
  /** Whether data is kept out of the cache; nothing says here what is metadata, so all is data. */
  readonly metadataOnly: boolean;
  /** Ours: whether an entry that cannot be read is taken, everything it may name being lost. */
  readonly originUnread: boolean;
}

type Settings = {
  -readonly [
    Key in Exclude<keyof CacheArguments, "mode" | "origin" | "cache" | "blockSize">
  ]: CacheArguments[Key];
};

/** What one optional word does. */
interface Option {
  /** Largest number that follows it, smallest 0. @default no number follows */
  readonly max?: number;
  /** The mode in which alone it is allowed. @default both */
  readonly mode?: "p" | "s";
  take?(settings: Settings, value: number): void;
}

/** Times are read, and do nothing: nothing happens here by itself (docs/linux.md). So are the number of jobs and FUA: writing back waits for its end. */
const OPTIONS: Readonly<Record<string, Option>> = {
  start_sector: {
    max: Math.floor(Number.MAX_SAFE_INTEGER / SECTOR),
    take: (settings, value) => void (settings.start = value * SECTOR),
  },
  high_watermark: { max: 100, take: (settings, value) => void (settings.highWatermark = value) },
  low_watermark: { max: 100, take: (settings, value) => void (settings.lowWatermark = value) },
  writeback_jobs: { max: UINT_MAX },
  autocommit_blocks: {
    max: UINT_MAX,
    take: (settings, value) => void (settings.autocommitBlocks = value),
  },
  autocommit_time: { max: 3_600_000 },
  max_age: { max: 86_400_000 },
  cleaner: { take: (settings) => void (settings.cleaner = true) },
  fua: { mode: "p" },
  nofua: { mode: "p" },
  metadata_only: { take: (settings) => void (settings.metadataOnly = true) },
  pause_writeback: { max: 60_000, mode: "s" },
  origin_unread: { take: (settings) => void (settings.originUnread = true) },
};

/** Reads a row. @throws {StorageError} EBADMSG by `row.fail` */
export function parseArguments(row: TargetRow): CacheArguments {
  const [kind = "", origin, cache, size = "", ...rest] = row.args;
  const mode = kind.toLowerCase();
  if ((mode !== "p" && mode !== "s") || origin === undefined || cache === undefined)
    return row.fail(
      `Bad arguments: want p|s ORIGIN CACHE BLOCK_SIZE COUNT OPTION...: got "${row.args.join(" ")}"`,
    );
  const devices = { origin: row.lookup(origin), cache: row.lookup(cache) };
  const blockSize = numberOf(size, BLOCK_MAX) ?? 0;
  if (blockSize < SECTOR || !Number.isInteger(Math.log2(blockSize)))
    return row.fail(
      `Invalid block size: want a power of two from ${SECTOR} to ${BLOCK_MAX}: got "${size}"`,
    );
  const settings = optionsOf(rest, mode, row);
  if (settings.start >= devices.cache.size)
    return row.fail(
      `Invalid optional argument: want a start_sector below ${Math.floor(devices.cache.size / SECTOR)}: got ${settings.start / SECTOR}`,
    );
  if (settings.highWatermark < settings.lowWatermark)
    return row.fail(
      `High watermark must be greater than or equal to low watermark: got ${settings.highWatermark} and ${settings.lowWatermark}`,
    );
  return { mode, ...devices, blockSize, ...settings };
}

function optionsOf(words: readonly string[], mode: "p" | "s", row: TargetRow): Settings {
  const settings: Settings = {
    start: 0,
    highWatermark: 50,
    lowWatermark: 45,
    autocommitBlocks: mode === "p" ? 64 : 65_536,
    cleaner: false,
    metadataOnly: false,
    originUnread: false,
  };
  const [word = "", ...features] = words;
  const count = numberOf(word, FEATURE_WORDS_MAX);
  if (count === undefined)
    return row.fail(
      `Invalid number of feature args: want from 0 to ${FEATURE_WORDS_MAX}: got "${word}"`,
    );
  if (features.length !== count)
    return row.fail(
      `Insufficient number of arguments: want ${count} words behind the number: got ${features.length}`,
    );
  for (let at = 0; at < count; at += 1) {
    const name = (features[at] as string).toLowerCase();
    const option = Object.hasOwn(OPTIONS, name) ? OPTIONS[name] : undefined;
    if (option === undefined || (option.mode !== undefined && option.mode !== mode))
      return row.fail(
        `Invalid optional argument: want one of ${namesIn(mode).join(", ")}: got "${features[at]}"`,
      );
    let value: number | undefined = 0;
    if (option.max !== undefined) {
      at += 1;
      value = numberOf(features[at] ?? "", option.max);
    }
    if (value === undefined)
      return row.fail(
        `Invalid optional argument: want ${name} from 0 to ${option.max}: got "${features[at] ?? ""}"`,
      );
    option.take?.(settings, value);
  }
  return settings;
}

function namesIn(mode: "p" | "s"): string[] {
  return Object.entries(OPTIONS).flatMap(([name, option]) =>
    option.mode === undefined || option.mode === mode ? [name] : [],
  );
}

/** A word as a number from 0 to `max`, decimal. */
function numberOf(word: string, max: number): number | undefined {
  const value = /^\d{1,16}$/.test(word) ? Number(word) : Number.NaN;
  return value <= max ? value : undefined;
}
