/**
 * WatchedTarget: what is known of one target from look to look, and what a new look says happened.
 *
 * Between two looks only the difference counts: a slow consumer gets fewer events, and misses nothing that lasts. A source that fails, or a list that is cut off, has
 * healed nothing: what it named before stays until it says otherwise. Memory is two sets of ranges, whatever the number of events.
 */
import { RangeSet } from "../../base/index.ts";
import type { PoisonTotals } from "../../poison/index.ts";
import { fileRanges, ownedRanges, plainRanges, type EventRanges } from "./event-owners.ts";
import {
  bytesOf,
  changeBetween,
  isEmpty,
  joined,
  noneBad,
  type BadSets,
  type ListChange,
} from "./list-change.ts";
import { Looker, type Look, type LookOptions, type SeenList } from "./look.ts";
import { newEvent, type EventStamp, type WatchChange, type WatchEvent } from "./watch-event.ts";

/** How a target is watched. */
export interface WatchedOptions extends LookOptions, EventStamp {
  /** Whether the file systems are asked whose bytes they are. @default true */
  readonly owners?: boolean;
}

/** What is known of a target now. */
export interface TargetStatus {
  readonly path: string;
  readonly present: boolean;
  /** Bytes; 0 where nobody says. */
  readonly size: number;
  readonly totals: PoisonTotals;
  readonly ranges: Readonly<Record<"poisoned" | "lost", number>>;
  /** Milliseconds since 1970 of the last look that saw it; 0 before the first. */
  readonly checkedMs: number;
  /** Events so far, by what happened. */
  readonly events: Readonly<Partial<Record<WatchChange, number>>>;
  /** Sources that gave no list at the last look. */
  readonly failing: readonly string[];
}

type Seen = Extract<Look, { kind: "seen" }>;

/** One watched target. */
export class WatchedTarget {
  readonly path: string;
  readonly #looker: Looker;
  readonly #options: WatchedOptions;
  readonly #lists = new Map<string, BadSets>();
  readonly #failing = new Map<string, string>();
  readonly #events: Partial<Record<WatchChange, number>> = {};
  #bad = noneBad();
  #isPresent: boolean | undefined;
  #seen: Seen | undefined;
  #checkedMs = 0;
  /** Grows whenever the list is another one than before. */
  #version = 0;

  constructor(path: string, options: WatchedOptions) {
    this.path = path;
    this.#options = options;
    this.#looker = new Looker(path, options);
  }

  /** What is bad. */
  get bad(): BadSets {
    return this.#bad;
  }

  /** Whether it was there at the last look. */
  get isPresent(): boolean {
    return this.#isPresent === true;
  }

  /** Another number than before where the list, or whether the target is there, is another. */
  get version(): number {
    return this.#version;
  }

  /** Looks once, and tells what happened. */
  async *look(): AsyncGenerator<WatchEvent> {
    const look = await this.#looker.look();
    if (look.kind === "gone") {
      if (this.#isPresent === false) return;
      this.#isPresent = false;
      this.#version += 1;
      yield this.event("gone", { why: look.why });
      return;
    }
    // an image whose first look is not believed yet
    if (look.kind === "same" && this.#seen === undefined) return;
    this.#checkedMs = this.#options.clock.now();
    if (look.kind === "seen") yield* this.#take(look);
  }

  /** An event of this target, counted. */
  event(change: WatchChange, rest: Partial<WatchEvent> = {}): WatchEvent {
    this.#events[change] = (this.#events[change] ?? 0) + 1;
    return newEvent(this.#options, { target: this.path, change }, rest);
  }

  /** The event's part on ranges, with owners where they are wanted. */
  async rangesOf(sets: BadSets): Promise<EventRanges> {
    const { owners = true, files } = this.#options;
    if (!owners || isEmpty(sets)) return plainRanges(sets);
    if (this.#seen?.isFile === true) return fileRanges(this.path, sets);
    const known = this.#seen?.totals === undefined ? { known: this.#bad } : {};
    return await ownedRanges(this.path, sets, {
      ...known,
      ...(files === undefined ? {} : { files }),
    });
  }

  status(): TargetStatus {
    const { poisoned, lost } = this.#bad;
    const size = this.#seen?.size ?? 0;
    const listed = this.#seen?.totals;
    const rest = Math.max(0, size - bytesOf(this.#bad));
    const sums = { poisoned: poisoned.byteLength, lost: lost.byteLength };
    // a device's own list names what is bad: nobody said of the rest that it is clean
    const totals = listed ?? { total: size, clean: 0, unread: rest, ...sums };
    return {
      path: this.path,
      present: this.isPresent,
      size,
      totals,
      ranges: { poisoned: poisoned.size, lost: lost.size },
      checkedMs: this.#checkedMs,
      events: this.#events,
      failing: [...this.#failing.keys()],
    };
  }

  async *#take(look: Seen): AsyncGenerator<WatchEvent> {
    const wasPresent = this.#isPresent;
    this.#isPresent = true;
    this.#seen = look;
    if (wasPresent === false) this.#lists.clear();
    for (const list of look.lists) this.#lists.set(list.source, this.#kept(list));
    const bad = joined(this.#lists.values());
    const change = changeBetween(this.#bad, bad);
    this.#bad = bad;
    if (change !== undefined || wasPresent !== true) this.#version += 1;
    const totals = look.totals === undefined ? {} : { totals: look.totals };
    if (wasPresent !== true) {
      const why = look.absent.length > 0 && look.lists.length === 0 ? noList(look) : {};
      const ranges = await this.rangesOf(bad);
      yield this.event(wasPresent === undefined ? "watching" : "returned", {
        ...why,
        ...ranges,
        ...totals,
      });
    } else if (change !== undefined) yield* this.#tell(change, totals);
    yield* this.#sources(look);
  }

  async *#tell(
    change: ListChange,
    totals: { readonly totals?: PoisonTotals },
  ): AsyncGenerator<WatchEvent> {
    for (const kind of ["appeared", "changed", "healed"] as const) {
      const sets = change[kind];
      if (isEmpty(sets)) continue;
      const owned = await this.rangesOf(sets);
      const ranges =
        kind === "changed"
          ? owned.ranges.map((range) => ({ ...range, was: other(range.state) }))
          : owned.ranges;
      yield this.event(kind, { ...owned, ranges, ...totals });
    }
  }

  /** A list as it counts: one that is cut off says nothing of what lies behind its last range. */
  #kept({ source, bad, incomplete }: SeenList): BadSets {
    const before = this.#lists.get(source);
    if (!incomplete || before === undefined) return bad;
    const poisoned = RangeSet.from(bad.poisoned);
    let end = 0;
    for (const { offset, length } of bad.poisoned) end = offset + length;
    const behind = Number.MAX_SAFE_INTEGER - end;
    for (const { offset, length } of before.poisoned.within(end, behind))
      poisoned.add(offset, length);
    return { poisoned, lost: bad.lost };
  }

  /** Sources that begin to fail, and that answer again: each told once. */
  *#sources(look: Seen): Generator<WatchEvent> {
    for (const { source, why } of look.failures) {
      if (!this.#failing.has(source)) yield this.event("failed", { source, why });
      this.#failing.set(source, why);
    }
    for (const source of this.#failing.keys()) {
      if (look.failures.some((failure) => failure.source === source)) continue;
      this.#failing.delete(source);
      yield this.event("recovered", { source });
    }
  }
}

function other(state: "poisoned" | "lost"): "poisoned" | "lost" {
  return state === "lost" ? "poisoned" : "lost";
}

function noList(look: Seen): { readonly why: string } {
  const reasons = look.absent.map(({ source, why }) => `${source}: ${why}`).join("; ");
  return { why: `Nobody lists what is bad here: ${reasons}` };
}
