/**
 * RegionLog: what a mirror keeps on disk of where its legs may differ, so that a crash in a write leaves no byte that is one thing now and
 * another when the next leg is asked. The rules are the kernel's: a region is noted, durably, before the first byte of a write moves, and
 * let go when all legs are flushed.
 */
import { type ByteRange, type MaybePromise } from "../../base/index.ts";
import type { Copies, MirrorLeg } from "./copies.ts";

/** A log of one mirror. */
export interface RegionLog {
  /** Reads it, and tells the copies what of them is stale. Writes nothing. @throws {StorageError} EBADMSG where it is no log of this mirror */
  load(copies: Copies): MaybePromise<void>;
  /** Notes, durably, that the legs may differ in a range from now on. @throws {StorageError} if it cannot: nothing may be written then */
  begin(range: ByteRange): MaybePromise<void>;
  /** Lets go of all that was noted, but what is stale: every leg was flushed. */
  settle(): MaybePromise<void>;
  /**
   * Notes that a leg failed, durably enough that it is not taken for good when the mirror is opened again.
   *
   * @returns whether it can: where not, what that leg missed must not be called written
   */
  drop(leg: MirrorLeg): MaybePromise<boolean>;
  /** Makes what `settle` wrote durable. */
  close(): MaybePromise<void>;
}

/** How far legs are taken to be alike where nothing on disk says. */
export type Trust = "in sync" | "first leg";

/** A mirror without a log: what its table says is all that is known, at every opening. */
export class NoLog implements RegionLog {
  readonly #trust: Trust;
  readonly #rebuild: ReadonlySet<number>;
  #copies: Copies | undefined;

  /** @param rebuild legs that give nothing, by index. @default none */
  constructor(trust: Trust, rebuild: ReadonlySet<number> = new Set()) {
    this.#trust = trust;
    this.#rebuild = rebuild;
  }

  load(copies: Copies): void {
    this.#copies = copies;
    const whole = { offset: 0, length: copies.size };
    for (const leg of copies.legs) if (this.#rebuild.has(leg.index)) copies.setStale(leg, whole);
    if (this.#trust === "first leg") trustFirstLeg(copies, whole);
  }

  begin(): void {}

  settle(): void {}

  /** Only of a leg that the next opening will not trust anyway. */
  drop(leg: MirrorLeg): boolean {
    if (this.#rebuild.has(leg.index)) return true;
    return this.#trust === "first leg" && leg !== this.#copies?.authority;
  }

  close(): void {}
}

/** In a range that may differ, the first leg is right. */
export function trustFirstLeg(copies: Copies, range: ByteRange): void {
  const { authority } = copies;
  for (const leg of copies.legs) if (leg !== authority) copies.setStale(leg, range);
}
