/**
 * watch(): follows the lists of targets, and tells every change with the files it hits.
 *
 * What can go wrong: a target goes away and comes back; whoever takes the events is slow; the lists change faster than they are looked at; a repair changes the list
 * that it is watched by. What is promised: an event is made only when the one before was taken, so memory does not grow with their number; what lasts longer than an
 * interval is told (a list's changes in between are one); nothing is locked and nothing is written, but by a repair that was asked for.
 */
import { systemClock, type Clock } from "../../base/index.ts";
import { FollowedLog, type LogSource } from "./followed-log.ts";
import { isEmpty } from "./list-change.ts";
import type { LookOptions } from "./look.ts";
import { newEvent, type EventStamp, type WatchEvent } from "./watch-event.ts";
import { WatchedTarget, type TargetStatus } from "./watched-target.ts";

/** What a standing repair came to. */
export type StandingRepair =
  | { readonly kind: "repaired"; readonly bytes: number; readonly why: string }
  | { readonly kind: "refused"; readonly why: string }
  /** Somebody else holds the target: it is tried again at the next look. */
  | { readonly kind: "later"; readonly why: string };

/** How targets are watched. */
export interface WatchOptions extends LookOptions {
  /** Milliseconds between two looks. @default 10,000 */
  readonly intervalMs?: number;
  /** Looks once, and ends. @default false */
  readonly once?: boolean;
  /** Whether file systems are asked whose bytes they are. @default true */
  readonly owners?: boolean;
  /** Kernel lines. @default none */
  readonly log?: LogSource;
  /** Name in the log of a target that is no `/dev/NAME`. */
  readonly logDevice?: string;
  /** Repairs a target that has bad bytes: called when its list is another one than at the last call. @default nothing is repaired */
  readonly repair?: (path: string) => Promise<StandingRepair>;
  /** Called after every round of looks. */
  readonly onRound?: (statuses: readonly TargetStatus[]) => void;
  /** Lines of another program on the health of the machine's memory, as they came: taken at each round. @default none */
  readonly takeHealth?: () => readonly unknown[];
  /** Ends the watch between two events. */
  readonly signal?: AbortSignal;
  /** @default the machine's */
  readonly clock?: Clock;
}

const INTERVAL_MS = 10_000;
const LINES_LOST = "Lines were lost before they were read: what they said is not known";
/** Milliseconds after which a repair of the same list is tried again. */
const REPAIR_AGAIN_MS = 3_600_000;

/** Watches until it is aborted. Yields events in order; numbers begin at 1. */
export async function* watch(
  paths: readonly string[],
  options: WatchOptions = {},
): AsyncGenerator<WatchEvent> {
  const { clock = systemClock, signal, intervalMs = INTERVAL_MS, once = false } = options;
  const round = new WatchRound(paths, { ...options, clock });
  try {
    while (!isAborted(signal)) {
      for await (const event of round.run()) {
        yield event;
        if (isAborted(signal)) return;
      }
      options.onRound?.(round.statuses());
      if (once) return;
      await pause(clock, intervalMs, signal);
    }
  } finally {
    round.close();
  }
}

/** Looks at all targets, one after the other, again and again. */
class WatchRound {
  readonly #options: WatchOptions;
  readonly #targets: readonly WatchedTarget[];
  readonly #log: FollowedLog | undefined;
  readonly #stamp: EventStamp;
  /** Version of each target's list when its repair ran last, and when that was. */
  readonly #repaired = new Map<WatchedTarget, { readonly version: number; readonly ms: number }>();

  constructor(paths: readonly string[], options: WatchOptions & { readonly clock: Clock }) {
    this.#options = options;
    const { log, logDevice, owners, clock } = options;
    let number = 0;
    this.#stamp = { clock, next: () => (number += 1) };
    this.#targets = paths.map((path) => new WatchedTarget(path, { ...options, ...this.#stamp }));
    this.#log =
      log === undefined
        ? undefined
        : new FollowedLog(log, {
            clock,
            ...(logDevice === undefined ? {} : { device: logDevice }),
            ...(owners === undefined ? {} : { owners }),
          });
  }

  async *run(): AsyncGenerator<WatchEvent> {
    for (const target of this.#targets) {
      yield* target.look();
      yield* this.#heal(target);
      if (isAborted(this.#options.signal)) return;
    }
    if (this.#log !== undefined) yield* this.#log.look(this.#targets);
    if (this.#log?.takeLost() === true)
      yield newEvent(this.#stamp, { target: "kernel log", change: "failed" }, { why: LINES_LOST });
    for (const detail of this.#options.takeHealth?.() ?? [])
      yield newEvent(this.#stamp, { target: "ndctl monitor", change: "health" }, { detail });
  }

  statuses(): readonly TargetStatus[] {
    return this.#targets.map((target) => target.status());
  }

  close(): void {
    this.#log?.close();
  }

  /** A standing repair, once for each list and hour: what the donors did not have they may have later. */
  async *#heal(target: WatchedTarget): AsyncGenerator<WatchEvent> {
    const { repair } = this.#options;
    if (repair === undefined || !target.isPresent || isEmpty(target.bad)) return;
    const last = this.#repaired.get(target);
    const ms = this.#stamp.clock.now();
    if (last?.version === target.version && ms - last.ms < REPAIR_AGAIN_MS) return;
    const result = await repair(target.path);
    if (result.kind === "later") return;
    const { kind, why } = result;
    yield target.event(kind, { why, ...(kind === "repaired" ? { bytes: result.bytes } : {}) });
    let isNews = false;
    for await (const event of target.look()) {
      isNews ||= event.change !== "healed";
      yield event;
    }
    // what is left of the list is what the donors do not have; what came meanwhile they were not asked for
    if (!isNews) this.#repaired.set(target, { version: target.version, ms });
  }
}

function isAborted(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true;
}

/** Waits, or until the signal. */
async function pause(
  clock: Clock,
  delayMs: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (signal === undefined) return await clock.sleep(delayMs);
  let stop = (): void => {};
  const aborted = new Promise<void>((resolve) => {
    stop = resolve;
    signal.addEventListener("abort", stop, { once: true });
  });
  if (!signal.aborted) await Promise.race([clock.sleep(delayMs), aborted]);
  signal.removeEventListener("abort", stop);
}
