/**
 * lvm-tables: a logical volume as tables, in the words in which LVM itself activates it (lvm2: lib/activate/dev_manager.c, device_mapper/libdm-deptree.c).
 *
 * Each segment is a row; images, logs and metadata of mirrors are tables of their own, with LVM's names for them. What a missing physical volume held
 * is a table of `error`, as in LVM's partial activation; a leg of a raid1 that is not whole is `- -`, a device that has failed. Other types of segments
 * (thin, cache, raid5) keep maps of their own and are refused by name. The text comes from a disk: chains of volumes are bounded, every
 * volume is made once, and numbers are checked where rows are read.
 */
import type { StackTable } from "../stack-text.ts";
import { parseRow, type TableRow, type TextPlace } from "../table-text.ts";
import type { ConfigReader } from "./config-reader.ts";
import type { ConfigScalar } from "./lvm-text.ts";
import type { VolumeGroup } from "./lvm-group.ts";
import { segmentText, type SegmentContext } from "./lvm-segments.ts";
import { volumeError } from "./volume-error.ts";

/** Volumes inside one another; LVM needs three. */
const DEPTH_MAX = 8;

/** How a volume's tables are named, and what asks for them. */
export interface VolumeNaming {
  /** Name of the table that is the volume itself; those below are `NAME/...`. */
  readonly name: string;
  /** Where the volume is asked for, for messages about its rows. */
  readonly place: TextPlace;
}

/** The name that device-mapper has for a logical volume: hyphens doubled, one between. */
export function mapperName(group: string, volume: string): string {
  return `${group.replaceAll("-", "--")}-${volume.replaceAll("-", "--")}`;
}

/**
 * Makes the tables of a logical volume, those below first: the last is the volume.
 *
 * @throws {StorageError} EBADMSG naming volume, segment and wish
 */
export function logicalVolumeTables(
  group: VolumeGroup,
  volume: string,
  naming: VolumeNaming,
): StackTable[] {
  const maker = new TableMaker(group, naming);
  maker.make(volume, []);
  return maker.tables;
}

/** Logical volumes that cannot be shown by themselves, and why. @throws {StorageError} EBADMSG */
export function refusalsOf(group: VolumeGroup): ReadonlyMap<string, string> {
  const refusals = new Map<string, string>();
  for (const [name, volume] of group.volumes) {
    if (!volume.has("segment1")) continue;
    const segment = volume.section("segment1");
    if (segment.text("type") !== "snapshot") continue;
    const by = `(segment type "snapshot" of ${name})`;
    if (segment.has("merging_store"))
      refusals.set(segment.text("origin"), `a snapshot is being merged into it ${by}`);
    const store = segment.has("merging_store") ? "merging_store" : "cow_store";
    refusals.set(segment.text(store), `it holds the blocks of a snapshot ${by}: want its origin`);
    refusals.set(name, `it is a snapshot (segment type "snapshot"): want its origin`);
  }
  return refusals;
}

/** A volume whose tables are made. */
interface Made {
  readonly word: string;
  /** Whether no part of it is missing. */
  readonly isWhole: boolean;
}

class TableMaker {
  readonly tables: StackTable[] = [];
  readonly #group: VolumeGroup;
  readonly #naming: VolumeNaming;
  readonly #refusals: ReadonlyMap<string, string>;
  readonly #made = new Map<string, Made>();

  constructor(group: VolumeGroup, naming: VolumeNaming) {
    this.#group = group;
    this.#naming = naming;
    this.#refusals = refusalsOf(group);
  }

  /** Makes the tables of a volume. @param chain volumes that stand on it, outermost first */
  make(name: string, chain: readonly string[]): Made {
    const known = this.#made.get(name);
    if (known !== undefined) return known;
    const volume = this.#group.volumes.get(name);
    if (volume === undefined) {
      const names = [...this.#group.volumes.keys()];
      throw this.#error(
        name,
        `want a logical volume of the group, which has ${names.length}: ${names.slice(0, 20).join(", ")}`,
      );
    }
    const inner = [...chain, name];
    if (chain.includes(name) || chain.length > DEPTH_MAX)
      throw this.#error(
        name,
        `want no circle, and at most ${DEPTH_MAX} volumes inside one another: got ${inner.join(" -> ")}`,
      );
    const refusal = this.#refusals.get(name);
    if (refusal !== undefined) throw this.#error(name, refusal);
    const word =
      chain.length === 0
        ? this.#naming.name
        : `${this.#naming.name}/${mapperName(this.#group.name, name)}`;
    const table = this.#table(name, volume, inner);
    this.tables.push({ name: word, rows: table.rows });
    const made = { word, isWhole: table.isWhole };
    this.#made.set(name, made);
    return made;
  }

  #table(
    name: string,
    volume: ConfigReader,
    chain: readonly string[],
  ): { readonly rows: TableRow[]; readonly isWhole: boolean } {
    const { extentSectors } = this.#group;
    const rows: TableRow[] = [];
    let isWhole = true;
    const count = volume.count("segment_count", 1);
    const isNotSynced = this.#marks(name).includes("NOTSYNCED");
    for (let index = 1; index <= count; index += 1) {
      const segment = volume.section(`segment${index}`);
      const [start, extents] = [segment.count("start_extent"), segment.count("extent_count", 1)];
      const fail = (wish: string): never => {
        throw this.#error(name, `segment${index}: ${wish}`);
      };
      const note = (made: Made): Made => {
        isWhole &&= made.isWhole;
        return made;
      };
      const context: SegmentContext = {
        segment,
        isNotSynced,
        place: (part, extent, length) => {
          const known = this.#group.parts.get(part);
          if (known === undefined)
            return `${note(this.make(part, chain)).word} ${extent * extentSectors}`;
          if (extent + length > known.extents)
            return fail(
              `want extents below ${known.extents} of ${part}: got ${extent} + ${length}`,
            );
          if (known.word !== undefined)
            return `${known.word} ${known.firstSector + extent * extentSectors}`;
          isWhole = false;
          return `${this.#missing(name, index, length)} 0`;
        },
        whole: (part) => {
          const made = this.make(part, chain);
          return made.isWhole ? made.word : undefined;
        },
        marks: (part) => this.#marks(part),
        table: (part) => note(this.make(part, chain)).word,
        fail,
      };
      const words = segmentText(context, extents);
      const text = `${start * extentSectors} ${extents * extentSectors} ${words}`;
      rows.push(parseRow(text, this.#naming.place));
    }
    return { rows, isWhole };
  }

  #marks(name: string): readonly ConfigScalar[] {
    const volume = this.#group.volumes.get(name);
    return volume === undefined ? [] : [...volume.list("status"), ...volume.list("flags")];
  }

  /** A table of errors in the place of extents that are missing. */
  #missing(volume: string, index: number, extents: number): string {
    const { name, place } = this.#naming;
    const base = `${name}/${mapperName(this.#group.name, volume)}-missing_${index - 1}_`;
    const word = `${base}${this.tables.length}`;
    const rows = [parseRow(`0 ${extents * this.#group.extentSectors} error`, place)];
    this.tables.push({ name: word, rows });
    return word;
  }

  #error(volume: string, reason: string): Error {
    return volumeError(`logical volume ${this.#group.name}/${volume}`, reason);
  }
}
