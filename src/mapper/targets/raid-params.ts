/** raidParams(): the parameters of a raid1 row, as dm-raid reads them (parse_raid_params); those of other types are refused in its words. */

import type { TargetRow } from "../target.ts";

/** What a row says. */
export interface RaidParams {
  readonly sync: "sync" | "nosync" | undefined;
  /** Devices to rebuild, by index. */
  readonly rebuild: ReadonlySet<number>;
  /** Devices that are read last. */
  readonly writeMostly: ReadonlySet<number>;
  /** Sectors of a region. @default the kernel's choice */
  readonly regionSectors: number | undefined;
}

/** Parameters with a number, of which nothing here depends. */
const IGNORED: Readonly<Record<string, string>> = {
  daemon_sleep: "daemon sleep period out of range",
  min_recovery_rate: "min_recovery_rate out of range",
  max_recovery_rate: "max_recovery_rate out of range",
  max_write_behind: "Max write-behind limit out of range",
};
/** What the kernel knows for other types, or to change a set. */
const OTHERS: Readonly<Record<string, string>> = {
  stripe_cache: "Inappropriate argument: stripe_cache",
  raid10_format: "'raid10_format' is an invalid parameter for this RAID type",
  raid10_copies: "Invalid flags combination: raid10_copies",
  raid10_use_near_sets: "Invalid flags combination: raid10_use_near_sets",
  journal_dev: "'journal_dev' is an invalid parameter for this RAID type",
  journal_mode: "raid4/5/6 'journal_mode' is invalid without 'journal_dev'",
  delta_disks: "Reshape not supported: want no delta_disks",
  data_offset: "Reshape not supported: want no data_offset",
};

/** What is known of a row beside its words. */
interface Known {
  readonly devices: number;
  readonly row: Pick<TargetRow, "fail">;
}

/** Reads CHUNK and what follows. @throws {StorageError} EBADMSG by `fail` */
export function raidParams(words: readonly string[], known: Known): RaidParams {
  const reader = new ParamReader(known);
  reader.read(words);
  return reader;
}

class ParamReader implements RaidParams {
  sync: RaidParams["sync"];
  regionSectors: number | undefined;
  readonly rebuild = new Set<number>();
  readonly writeMostly = new Set<number>();
  readonly #known: Known;
  readonly #seen = new Map<string, number>();

  constructor(known: Known) {
    this.#known = known;
  }

  read([chunk, ...words]: readonly string[]): void {
    const { row, devices } = this.#known;
    // raid1 has no chunks: the number must be one, and is ignored
    if (integer(chunk) === undefined)
      row.fail(
        `Bad numerical argument given for chunk_size: want a number: got "${chunk ?? "nothing"}"`,
      );
    for (let at = 0; at < words.length;) {
      const key = (words[at] ?? "").toLowerCase();
      if (key === "sync" || key === "nosync") {
        this.#setSync(key);
        at += 1;
        continue;
      }
      const value = words[at + 1];
      if (value === undefined)
        row.fail(`Wrong number of raid parameters given: want a value of ${key}`);
      else this.#take(key, value);
      at += 2;
    }
    if (this.rebuild.size > 0 && this.sync !== undefined)
      row.fail("sync/nosync and rebuild are mutually exclusive");
    if (this.writeMostly.size >= devices) row.fail("Can't set all raid1 devices to write_mostly");
    const most = this.#seen.get("max_recovery_rate") ?? 0;
    if (most > 0 && (this.#seen.get("min_recovery_rate") ?? 0) > most)
      row.fail("Bogus recovery rates: want min_recovery_rate up to max_recovery_rate");
  }

  #setSync(key: "sync" | "nosync"): void {
    if (this.sync === key) this.#known.row.fail(`Only one '${key}' argument allowed`);
    if (this.sync !== undefined) this.#known.row.fail("sync and nosync are mutually exclusive");
    this.sync = key;
  }

  #take(key: string, word: string): void {
    const { row } = this.#known;
    const other = OTHERS[key];
    if (other !== undefined) row.fail(other);
    const value = integer(word);
    if (value === undefined)
      return row.fail(
        `Bad numerical argument given in raid params: want a number for ${key}: got "${word}"`,
      );
    if (key === "rebuild") {
      if (this.rebuild.has(value)) row.fail(`rebuild for this index already given: got ${value}`);
      this.rebuild.add(this.#index(value, "rebuild"));
    } else if (key === "write_mostly" || key === "writemostly") {
      this.writeMostly.add(this.#index(value, "write_mostly"));
    } else if (key === "region_size") {
      this.#once(key, value);
      this.regionSectors = value;
    } else {
      const range = IGNORED[key];
      if (range === undefined) return row.fail(`Unable to parse RAID parameter: got "${key}"`);
      this.#once(key, value);
      if (value < 0) row.fail(`${range}: want 0 or more: got ${value}`);
    }
  }

  #index(value: number, name: string): number {
    const { devices, row } = this.#known;
    if (value >= 0 && value < devices) return value;
    return row.fail(`Invalid ${name} index given: want 0 to ${devices - 1}: got ${value}`);
  }

  #once(key: string, value: number): void {
    if (this.#seen.has(key)) this.#known.row.fail(`Only one ${key} argument pair allowed`);
    this.#seen.set(key, value);
  }
}

/** As `kstrtoint` reads one in base 10. */
function integer(word: string | undefined): number | undefined {
  const value = /^[+-]?\d{1,10}$/.test(word ?? "") ? Number(word) : Number.NaN;
  return value >= -(2 ** 31) && value < 2 ** 31 ? value : undefined;
}
