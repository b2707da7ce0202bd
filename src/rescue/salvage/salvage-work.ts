/**
 * SalvageWork: one running salvage: what is in the output, what is known of the rest, and when the map may say so.
 *
 * The order that everything stands on: bytes are written, the output is synced, and only then the map names them. After a failed
 * sync nothing since the last good one is durable, and a second one that works does not change that: those bytes are untried again, and so are those
 * whose writes were under way.
 */
import { RangeSet, systemClock, type ByteRange, type Clock } from "../../base/index.ts";
import type { HostFiles } from "../../os/index.ts";
import type { CopyMap } from "./copy-map.ts";
import { writeMap } from "./salvage-map.ts";
import type { SalvageHashes } from "./salvage-hashes.ts";
import type { SalvageOutput } from "./salvage-output.ts";
import type { SalvageSource } from "./salvage-source.ts";

/** Milliseconds after which what came is saved, however little it is. */
const SAVE_MS = 30_000;

/** What a salvage works with. */
export interface WorkParts {
  readonly source: SalvageSource;
  readonly output: SalvageOutput;
  readonly map: CopyMap;
  /** Path of the map, and where it is written. */
  readonly path: string;
  readonly files: HostFiles;
  /** The parts of the source that are wanted, in the order in which they are: apart from each other. */
  readonly areas: readonly RangeSet[];
  /** Bytes after which the output is synced and the map saved. */
  readonly saveEvery: number;
  /** @default the machine's */
  readonly clock?: Clock;
  /** Keeps hashes of what is written. @default nobody does */
  readonly hashes?: SalvageHashes;
}

/** A running salvage. */
export class SalvageWork {
  readonly source: SalvageSource;
  readonly output: SalvageOutput;
  readonly map: CopyMap;
  readonly areas: readonly RangeSet[];
  readonly #parts: WorkParts;
  /** In the output, not synced yet. */
  readonly #fresh = new RangeSet();
  readonly #clock: Clock;
  #unsaved = 0;
  /** A sync failed: of what is written now, or was under way then, nobody can say that it is durable. */
  #isUnsure = false;
  #savedMs: number;

  constructor(parts: WorkParts) {
    this.#parts = parts;
    this.#clock = parts.clock ?? systemClock;
    this.#savedMs = this.#clock.now();
    this.source = parts.source;
    this.output = parts.output;
    this.map = parts.map;
    this.areas = parts.areas;
  }

  /** Writes bytes that came whole. They must not change until then. */
  async keep(bytes: Uint8Array, offset: number): Promise<void> {
    const written = this.output.write(bytes, offset);
    // Beside the writing: the hash is this thread's work, the write another's.
    this.#parts.hashes?.add(bytes, offset);
    await written;
    this.#unsaved += bytes.length;
    this.#finish({ offset, length: bytes.length });
  }

  /** A hole of the source is one of the output: nothing is read, and nothing written but over what an earlier run left. */
  keepHole(hole: ByteRange): void {
    this.output.blank([hole]);
    this.#finish(hole);
  }

  #finish(range: ByteRange): void {
    if (this.#isUnsure) return;
    this.map.set(range, "+");
    this.#fresh.add(range.offset, range.length);
    this.source.came(range);
  }

  /** Bytes that are settled: in the output, or bad. */
  get settled(): number {
    return this.map.bytes("+") + this.map.bytes("-");
  }

  /** Saves where enough came since the last time, or long ago: of a dying disk little comes, and it must not be lost. */
  saveSometimes(): void {
    if (this.#unsaved === 0) return;
    const isLate = this.#clock.now() - this.#savedMs >= SAVE_MS;
    if (isLate || this.#unsaved >= this.#parts.saveEvery) this.save();
  }

  /** Syncs the output, and only then says in the map what is in it. */
  save(): void {
    try {
      if (this.#fresh.size > 0) this.output.sync();
    } catch (error) {
      this.#isUnsure = true;
      for (const range of this.#fresh) this.map.set(range, "?");
      this.#fresh.clear();
      throw error;
    }
    this.#fresh.clear();
    this.#unsaved = 0;
    this.#savedMs = this.#clock.now();
    this.#parts.hashes?.save();
    writeMap(this.#parts.files, this.#parts.path, this.map);
  }
}
