/**
 * FollowedLog: kernel lines as they come, placed on the targets that they name.
 *
 * A kernel says the same again with every read of the same place: what a list names already, or was reported before, is no news until an hour later, or
 * until it was healed. What names no target, or no place, is no event: the log is of a whole machine.
 */
import { realpathSync } from "node:fs";
import { basename } from "node:path";
import { difference, RangeSet, StorageError, union, type Clock } from "../../base/index.ts";
import { KernelLogReader } from "../kernel-log/kernel-log.ts";
import type { KernelEvent } from "../kernel-log/kernel-event.ts";
import { placeEvents } from "../kernel-log/place-events.ts";
import type { Target } from "../target.ts";
import { openUnlocked, plainRanges, withOwners } from "./event-owners.ts";
import { noneBad } from "./list-change.ts";
import type { FollowedText } from "./followed-file.ts";
import type { WatchEvent } from "./watch-event.ts";
import type { WatchedTarget } from "./watched-target.ts";

/** Milliseconds after which the same report is news again. */
const AGAIN_MS = 3_600_000;
/** Ranges of reports that are remembered of a target; with more of them everything is news again. */
const REMEMBERED_MAX = 100_000;

/** Where lines come from. */
export interface LogSource {
  /** What is new, without waiting. */
  read(): FollowedText;
  close(): void;
}

/** How a log is followed. */
export interface FollowedLogOptions {
  /** Name of the target in the log, for a target that is no `/dev/NAME`: "sda". */
  readonly device?: string;
  /** @default true */
  readonly owners?: boolean;
  readonly clock: Clock;
}

/** A log and what of it was told. */
export class FollowedLog {
  readonly #source: LogSource;
  readonly #options: FollowedLogOptions;
  readonly #reader = new KernelLogReader();
  readonly #told = new Map<WatchedTarget, RangeSet>();
  /** Lists as they were at the last round. */
  readonly #listed = new Map<WatchedTarget, { readonly version: number; readonly bad: RangeSet }>();
  #forgottenMs: number;
  #lost = false;

  constructor(source: LogSource, options: FollowedLogOptions) {
    this.#source = source;
    this.#options = options;
    this.#forgottenMs = options.clock.now();
  }

  /** Whether lines were lost since the last call. */
  takeLost(): boolean {
    const lost = this.#lost;
    this.#lost = false;
    return lost;
  }

  /** Reads what is new, and tells what of it is on the targets. */
  async *look(targets: readonly WatchedTarget[]): AsyncGenerator<WatchEvent> {
    for (const target of targets) this.#forgetHealed(target);
    const { text, lost } = this.#source.read();
    this.#lost ||= lost;
    this.#reader.push(text);
    const events = this.#reader.take();
    if (events.length === 0) return;
    const now = this.#options.clock.now();
    if (now - this.#forgottenMs >= AGAIN_MS) {
      this.#told.clear();
      this.#forgottenMs = now;
    }
    for (const target of targets) {
      const event = target.isPresent ? await this.#place(target, events) : undefined;
      if (event !== undefined) yield event;
    }
  }

  close(): void {
    this.#source.close();
  }

  async #place(
    watched: WatchedTarget,
    events: readonly KernelEvent[],
  ): Promise<WatchEvent | undefined> {
    const device = nameOf(watched.path) ?? this.#options.device;
    if (device === undefined) return undefined;
    let target: Target;
    try {
      target = await openUnlocked(watched.path, { known: watched.bad });
    } catch (error) {
      // it went away at this moment: the next look says so
      if (error instanceof StorageError) return undefined;
      throw error;
    }
    try {
      const { ranges, placed } = placeEvents(target, events, { device });
      const news = this.#news(watched, RangeSet.from(ranges));
      if (news.size === 0) return undefined;
      const plain = plainRanges({ ...noneBad(), poisoned: news });
      const owned =
        this.#options.owners === false ? plain : await withOwners(target, plain).catch(() => plain);
      const why = placed[0]?.event.text ?? "";
      return watched.event("reported", { ...owned, source: "kernel log", why });
    } finally {
      await target.close();
    }
  }

  /** What of it neither a list nor an earlier report names; remembered. */
  #news(target: WatchedTarget, ranges: RangeSet): RangeSet {
    const { bad } = target;
    const before = this.#told.get(target) ?? new RangeSet();
    const news = difference(difference(ranges, before), union(bad.poisoned, bad.lost));
    const told = union(before, ranges);
    this.#told.set(target, told.size > REMEMBERED_MAX ? ranges : told);
    return news;
  }

  /** What left the list since the last round is news when it is reported again. */
  #forgetHealed(target: WatchedTarget): void {
    const { version } = target;
    const before = this.#listed.get(target);
    if (before?.version === version) return;
    const bad = union(target.bad.poisoned, target.bad.lost);
    this.#listed.set(target, { version, bad });
    const told = this.#told.get(target);
    if (told !== undefined && before !== undefined)
      this.#told.set(target, difference(told, difference(before.bad, bad)));
  }
}

/** The kernel's name of a target below /dev, behind links such as /dev/disk/by-id. */
function nameOf(path: string): string | undefined {
  let real = path;
  try {
    real = realpathSync(path);
  } catch {
    // gone: its own name is all there is
  }
  return real.startsWith("/dev/") ? basename(real) : undefined;
}
