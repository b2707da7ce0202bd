/**
 * Storing: writes that a leg did not take at once, brought to an end. What can go wrong, and what is promised:
 *
 * - A leg that is bad there is healed: its clear units are put together from the write and from the other legs (R2), in one batch.
 * - A leg that refuses does not fail the write while another one took it. What it missed is old there, and must never be read again (R1): it
 *   joins that leg's own list as lost, which is durable when the mirror is flushed. Where the leg keeps no list, or has failed altogether, the
 *   log drops it; and where no log can say so, the write fails, and that leg's old bytes stay the ones that count.
 * - A write that no leg took fails. What legs did take of it is made alike in all of them, after the first that has it.
 */
import { MediaError, RangeSet, StorageError, type ByteRange } from "../../base/index.ts";
import type { HealWrite } from "../../device/index.ts";
import type { PoisonView, StateRange } from "../../poison/index.ts";
import type { Copies, MirrorLeg } from "./copies.ts";
import { badAround, goodWrites, type LegHealer } from "./leg-heal.ts";
import { gather } from "./mirror-read.ts";
import type { RegionLog } from "./region-log.ts";

/** What writing works on. */
export interface StoreContext {
  readonly name: string;
  readonly copies: Copies;
  readonly log: RegionLog;
  readonly healer: LegHealer;
  readonly poison: PoisonView;
}

/** Writes under way. Whoever calls holds their ranges. */
export class Storing {
  readonly #context: StoreContext;
  readonly #writes: readonly HealWrite[];
  readonly #taken = new Map<MirrorLeg, RangeSet>();
  readonly #errors = new Map<MirrorLeg, StorageError>();

  /** @param writes share no byte */
  constructor(context: StoreContext, writes: readonly HealWrite[]) {
    this.#context = context;
    this.#writes = writes;
    for (const leg of context.copies.legs) this.#taken.set(leg, new RangeSet());
  }

  /** Notes what a leg answered to a write of a range. */
  note(leg: MirrorLeg, range: ByteRange, error: StorageError | undefined): void {
    if (error !== undefined) {
      this.#errors.set(leg, error);
      return;
    }
    this.#taken.get(leg)?.add(range.offset, range.length);
    this.#context.healer.forget(leg, range);
  }

  /** Whether every byte of a range is in a leg that is fresh there. */
  isStored(range: ByteRange): boolean {
    const stored = new RangeSet();
    for (const taken of this.#taken.values())
      for (const part of taken.within(range.offset, range.length))
        stored.add(part.offset, part.length);
    return stored.covers(range.offset, range.length);
  }

  /** What a leg should have of a range, and has not. */
  *#missed(leg: MirrorLeg, range: ByteRange): Generator<ByteRange> {
    const taken = this.#taken.get(leg) as RangeSet;
    for (const part of this.#context.copies.freshParts(leg, range))
      yield* taken.gaps(part.offset, part.length);
  }

  /** Lets every leg heal what it missed. */
  async heal(): Promise<void> {
    for (const leg of this.#context.copies.legs) {
      const failed = this.#errors.get(leg);
      const isOfMedia = failed === undefined || failed instanceof MediaError;
      if (isOfMedia && leg.device.capabilities.recovers) await this.#healLeg(leg);
    }
  }

  async #healLeg(leg: MirrorLeg): Promise<void> {
    const own: { readonly range: ByteRange; readonly data: Uint8Array }[] = [];
    for (const { offset, data } of this.#writes) {
      for (const range of this.#missed(leg, { offset, length: data.length })) {
        const from = range.offset - offset;
        own.push({ range, data: data.subarray(from, from + range.length) });
      }
    }
    if (own.length === 0) return;
    try {
      const writes = own.map(({ range, data }) => ({ offset: leg.offset + range.offset, data }));
      const around = await this.#around(
        leg,
        own.map(({ range }) => range),
      );
      const answers = await leg.device.heal([...writes, ...around]);
      for (const [index, { range }] of own.entries())
        this.note(leg, range, answers[index] as StorageError | undefined);
    } catch (error) {
      if (!(error instanceof StorageError)) throw error;
      this.#errors.set(leg, error);
    }
  }

  /** What else is bad in the clear units that are written, as the other legs have it. */
  async #around(leg: MirrorLeg, ranges: readonly ByteRange[]): Promise<HealWrite[]> {
    const { copies } = this.#context;
    const bad = badAround(copies, leg, ranges);
    if (bad.size === 0) return [];
    for (const { offset, data } of this.#writes) bad.delete(offset, data.length);
    return goodWrites(copies, leg, bad);
  }

  /** Sees to what legs missed. @returns for each write `undefined`, or why it failed */
  async finish(): Promise<(Error | undefined)[]> {
    const failures: (Error | undefined)[] = [];
    for (const { offset, data } of this.#writes) {
      const range = { offset, length: data.length };
      if (this.isStored(range)) {
        const failure = await this.#rememberMissed(range);
        failures.push(failure ?? this.#whyBad(range));
      } else {
        await this.#makeAlike(range);
        failures.push(this.#failure(range));
      }
    }
    return failures;
  }

  /** A plain write takes no notice of what is latent under it; what came to light meanwhile, while another leg was healed, is told. */
  #whyBad(range: ByteRange): Error | undefined {
    for (const _ of this.#context.poison.bad(range)) return this.#failure(range);
    return undefined;
  }

  async #rememberMissed(range: ByteRange): Promise<Error | undefined> {
    for (const leg of this.#context.copies.legs) {
      for (const part of this.#missed(leg, range)) {
        if (await this.#remember(leg, part)) continue;
        return (
          this.#errors.get(leg) ??
          new StorageError("EIO", `Cannot write ${this.#context.name}: a leg missed a write`)
        );
      }
    }
    return undefined;
  }

  /**
   * Sees to it that a leg's old bytes are never read again. Where that cannot be made to last, the leg's old bytes are what the next opening would
   * find: so they are the ones that count, and the other legs' new ones do not.
   *
   * @returns whether it lasts
   */
  async #remember(leg: MirrorLeg, range: ByteRange): Promise<boolean> {
    const error = this.#errors.get(leg);
    if (error instanceof MediaError && listLost(leg, range)) return true;
    const { copies, log } = this.#context;
    const lasts = !copies.isNeeded(leg) && (await log.drop(leg));
    if (lasts) copies.setStale(leg, { offset: 0, length: copies.size });
    else for (const other of copies.legs) if (other !== leg) copies.setStale(other, range);
    return lasts;
  }

  /** After a write that no leg took whole: legs that took a part of it must not differ from the others. */
  async #makeAlike(range: ByteRange): Promise<void> {
    const { copies } = this.#context;
    const into = new Uint8Array(range.length);
    const { missing } = await gather(copies, { into, offset: range.offset, mode: "recovery" });
    const have = [...RangeSet.from(missing).gaps(range.offset, range.length)];
    for (const leg of copies.legs) {
      for (const part of have) {
        const from = part.offset - range.offset;
        await this.#alike(leg, part, into.subarray(from, from + part.length));
      }
    }
  }

  async #alike(leg: MirrorLeg, range: ByteRange, wanted: Uint8Array): Promise<void> {
    for (const part of this.#context.copies.freshParts(leg, range)) {
      const from = part.offset - range.offset;
      const data = wanted.subarray(from, from + part.length);
      const found = data.slice();
      try {
        // what a leg does not give stays as it is wanted in `found`: it needs nothing
        await leg.device.read(found, leg.offset + part.offset);
        if (Buffer.compare(found, data) === 0) continue;
        await leg.device.write(data, leg.offset + part.offset);
      } catch (error) {
        if (!(error instanceof StorageError)) throw error;
        this.#errors.set(leg, error);
        await this.#remember(leg, part);
      }
    }
  }

  #failure(range: ByteRange): Error {
    const errors = [...this.#errors.values()];
    const { name, poison } = this.#context;
    const other = errors.find((error) => !(error instanceof MediaError));
    if (other !== undefined) return other;
    const [first] = errors;
    const why = first?.message.replace(/^EIO: /, "") ?? "no leg took it";
    return new MediaError(`Cannot write ${name} at offset ${range.offset}: ${why}`, {
      device: name,
      ranges: [...poison.bad(range)],
      syscall: "write",
      path: name,
      cause: first,
    });
  }
}

/** Puts what of a range is not bad in a leg's list there, as lost. @returns whether the list has all of it then */
function listLost(leg: MirrorLeg, range: ByteRange): boolean {
  const { device, offset } = leg;
  const below = { offset: offset + range.offset, length: range.length };
  try {
    const good = [...device.poison.states(below)].filter((part) => !isBad(part));
    for (const part of good) device.recordBad(part, "lost");
  } catch (error) {
    if (!(error instanceof StorageError)) throw error;
    return false;
  }
  return [...device.poison.states(below)].every(isBad);
}

function isBad({ state }: StateRange): boolean {
  return state === "poisoned" || state === "lost";
}
