/**
 * healLegs(): after a read that a leg could not give: writes the other legs' bytes over what is bad in it, through its own heal, so that clear
 * and data are one step (R3); then reads it again. Whoever calls holds the range.
 *
 * What a leg refuses to heal is not tried again in this session, until a write there works: a read must stay bounded.
 */
import {
  alignOut,
  endOf,
  intersect,
  RangeSet,
  StorageError,
  type ByteRange,
} from "../../base/index.ts";
import type { HealWrite } from "../../device/index.ts";
import type { Copies, MirrorLeg } from "./copies.ts";
import { gather, type LegFault } from "./mirror-read.ts";

/** Most bytes that are healed for one read of one leg: what is more waits for another read. */
const HEAL_MAX = 16 * 1024 * 1024;

/** Heals what legs could not give. */
export class LegHealer {
  readonly #copies: Copies;
  readonly #refused = new Map<MirrorLeg, RangeSet>();

  constructor(copies: Copies) {
    this.#copies = copies;
  }

  /** The faults that are worth a try: a leg that can heal, and did not refuse there. */
  worth(faults: readonly LegFault[]): LegFault[] {
    return faults.filter((fault) => {
      const { clear, recovers, readOnly } = fault.leg.device.capabilities;
      if (clear === "none" || !recovers || readOnly) return false;
      return this.#refused.get(fault.leg)?.covers(fault.offset, fault.length) !== true;
    });
  }

  /** A write of a leg worked: what is bad there later is tried again. */
  forget(leg: MirrorLeg, { offset, length }: ByteRange): void {
    this.#refused.get(leg)?.delete(offset, length);
  }

  /** Heals what others can give. @returns bytes healed and read again */
  async heal(faults: readonly LegFault[]): Promise<number> {
    let healed = 0;
    for (const leg of new Set(faults.map((fault) => fault.leg))) {
      const ranges = faults.filter((fault) => fault.leg === leg);
      const bad = badAround(this.#copies, leg, ranges);
      for (const { offset, length } of this.#refused.get(leg) ?? []) bad.delete(offset, length);
      healed += await this.#healLeg(leg, bad);
    }
    return healed;
  }

  async #healLeg(leg: MirrorLeg, bad: RangeSet): Promise<number> {
    const writes = await goodWrites(this.#copies, leg, bad);
    if (writes.length === 0) return 0;
    const refuse = ({ offset, data }: HealWrite): void =>
      this.#refuse(leg, { offset: offset - leg.offset, length: data.length });
    let healed = 0;
    try {
      const answers = await leg.device.heal(writes);
      for (const [index, write] of writes.entries()) {
        if (answers[index] === undefined && (await isThere(leg, write)))
          healed += write.data.length;
        else refuse(write);
      }
    } catch (error) {
      // the reader has its bytes: what becomes of the leg is the next write's business
      if (!(error instanceof StorageError)) throw error;
      writes.forEach(refuse);
    }
    return healed;
  }

  #refuse(leg: MirrorLeg, { offset, length }: ByteRange): void {
    const refused = this.#refused.get(leg) ?? new RangeSet();
    refused.add(offset, length);
    this.#refused.set(leg, refused);
  }
}

/** What a leg's list names in the clear units that ranges touch, in bytes of the mirror. */
export function badAround(copies: Copies, leg: MirrorLeg, ranges: Iterable<ByteRange>): RangeSet {
  const { device, offset: start } = leg;
  const area = { offset: start, length: copies.size };
  const found = new RangeSet();
  if (device.poison.empty) return found;
  for (const { offset, length } of ranges) {
    const units = alignOut({ offset: start + offset, length }, device.capabilities.clearUnit);
    const window = intersect(units, area);
    if (window === undefined) continue;
    for (const bad of device.poison.bad(window)) found.add(bad.offset - start, bad.length);
  }
  return found;
}

/** What the other legs have of ranges that a leg lacks, as writes of that leg. */
export async function goodWrites(
  copies: Copies,
  leg: MirrorLeg,
  lacking: RangeSet,
): Promise<HealWrite[]> {
  const writes: HealWrite[] = [];
  let bytes = 0;
  for (const range of lacking) {
    for (const part of copies.freshParts(leg, range)) {
      if (bytes >= HEAL_MAX) return writes;
      const length = Math.min(part.length, HEAL_MAX - bytes);
      const into = new Uint8Array(length);
      const { missing } = await gather(copies, {
        into,
        offset: part.offset,
        mode: "recovery",
        except: leg,
      });
      for (const good of RangeSet.from(missing).gaps(part.offset, length)) {
        const from = good.offset - part.offset;
        const data = into.subarray(from, from + good.length);
        writes.push({ offset: leg.offset + good.offset, data });
      }
      bytes += length;
    }
  }
  return writes;
}

/** Whether a leg gives bytes back. */
async function isThere({ device }: MirrorLeg, { offset, data }: HealWrite): Promise<boolean> {
  const into = new Uint8Array(data.length);
  const { missing } = await device.read(into, offset);
  return missing.length === 0 && Buffer.compare(into, data) === 0;
}

/** Bytes of ranges together. */
export function hullOf(ranges: readonly ByteRange[]): ByteRange {
  const start = Math.min(...ranges.map(({ offset }) => offset));
  const end = ranges.reduce((last, range) => Math.max(last, endOf(range)), start);
  return { offset: start, length: end - start };
}
