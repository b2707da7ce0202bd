/** WatchEvent: one thing that happened to a watched target: a line of `theriac watch`, schema `theriac.event/1`. */
import type { ByteRange, Clock } from "../../base/index.ts";
import type { Owner } from "../../fs/index.ts";
import type { PoisonTotals } from "../../poison/index.ts";

/** What happened. */
export type WatchChange =
  /** The first look: `ranges` are bad already. */
  | "watching"
  /** Bytes became bad. */
  | "appeared"
  /** Bytes went from poisoned to lost, or back: `was` says from what. */
  | "changed"
  /** Bytes left the list. */
  | "healed"
  /** The target is not there (any more), or cannot be opened. */
  | "gone"
  /** It is there again: `ranges` are what is bad now. */
  | "returned"
  /** A kernel line says that these bytes could not be read; no list names them yet. */
  | "reported"
  /** Somebody who names bad bytes gave no list: what he named before stays. */
  | "failed"
  /** He gives one again. */
  | "recovered"
  /** `ndctl monitor` said something of a module's health: `detail` is what. */
  | "health"
  /** A standing repair wrote what donors had; `ranges` is empty, `why` says how much. */
  | "repaired"
  /** A standing repair wrote nothing: `why` says why not. */
  | "refused";

/** One bad range of an event. */
export interface EventRange extends ByteRange {
  /** Its state now; of "healed" its last one. */
  readonly state: "poisoned" | "lost";
  /** Of "changed": the state before. */
  readonly was?: "poisoned" | "lost";
  /** Whose bytes they are; absent where nobody was asked. */
  readonly owners?: readonly Owner[];
}

/** One event. */
export interface WatchEvent {
  readonly schema: "theriac.event/1";
  /** From 1: a gap says that lines were lost on their way. */
  readonly number: number;
  /** ISO 8601, UTC. */
  readonly time: string;
  /** As the user gave it; "ndctl monitor" of health, "kernel log" where lines of that were lost. */
  readonly target: string;
  readonly change: WatchChange;
  /** Bytes of all ranges. */
  readonly bytes: number;
  /** How many ranges there are; `ranges` has the first 1000. With owners, one range of a list may be several here. */
  readonly rangeCount: number;
  readonly ranges: readonly EventRange[];
  /** Paths of files hit, sorted: the first 100 of `fileCount`. Of ranges beyond those in `ranges` nobody was asked. */
  readonly files: readonly string[];
  readonly fileCount: number;
  /** The four states after it, where a list says so (R7). */
  readonly totals?: PoisonTotals;
  /** Who said so, where it is not the target's own list. */
  readonly source?: string;
  /** One sentence. */
  readonly why?: string;
  /** What another program said, as it said it. */
  readonly detail?: unknown;
}

/** Ranges that an event shows at most. */
export const EVENT_RANGES = 1000;
/** Paths that an event shows at most. */
export const EVENT_FILES = 100;

/** Numbers and dates events. */
export interface EventStamp {
  readonly clock: Clock;
  /** The next number. */
  readonly next: () => number;
}

/** An event of a target, without ranges unless `rest` has them. */
export function newEvent(
  stamp: EventStamp,
  about: { readonly target: string; readonly change: WatchChange },
  rest: Partial<WatchEvent> = {},
): WatchEvent {
  return {
    schema: "theriac.event/1",
    number: stamp.next(),
    time: new Date(stamp.clock.now()).toISOString(),
    ...about,
    bytes: 0,
    rangeCount: 0,
    ranges: [],
    files: [],
    fileCount: 0,
    ...rest,
  };
}
