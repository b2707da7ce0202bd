/**
 * ErrorInjection: errors put into a namespace as `ndctl inject-error` does (ndctl/lib/inject.c, inject-error(1)): by blocks of 512 bytes, of
 * which only the first clear unit goes bad, unless the block is saturated.
 *
 * Without notice the firmware alone knows: the driver's list learns of it from a scrub, or by touching it. Un-injecting ends the poison in
 * the media and leaves the driver's record where it is, until data is written. What was latent had no record: its bytes are gone all the
 * same (an injection destroys them here), so it becomes lost (R1).
 */
import { alignOut, checkRange, RangeSet, SECTOR, StorageError } from "../../base/index.ts";
import type { ByteRange } from "../../base/index.ts";
import { goodParts } from "../states.ts";
import type { SimulatedDevice } from "../simulated-device.ts";
import { AddressRangeScrub } from "./address-range-scrub.ts";

/** Blocks of 512 bytes, from the start of the namespace. */
export interface BlockRange {
  readonly block: number;
  readonly count: number;
}

/** Where errors go. */
export interface ErrorInjectionOptions {
  /** Bytes before the namespace's data: an fsdax namespace begins behind its info block. @default 0 */
  readonly dataOffset?: number;
  /** The scrub that a notice starts. @default one of its own */
  readonly scrub?: AddressRangeScrub;
}

/** How blocks are poisoned. */
export interface InjectOptions {
  /** Whether all of each block goes bad. @default false */
  readonly saturate?: boolean;
  /** Whether the firmware tells of it: a short scrub lists it. @default true */
  readonly notify?: boolean;
}

/** Injects into one device. */
export class ErrorInjection {
  readonly #device: SimulatedDevice;
  readonly #dataOffset: number;
  readonly #scrub: AddressRangeScrub;

  constructor(device: SimulatedDevice, options: ErrorInjectionOptions = {}) {
    this.#device = device;
    this.#dataOffset = options.dataOffset ?? 0;
    this.#scrub = options.scrub ?? new AddressRangeScrub(device);
  }

  /**
   * Poisons blocks; durable on return.
   *
   * @throws {StorageError} EINVAL if there are no such blocks
   */
  inject(blocks: BlockRange, options: InjectOptions = {}): void {
    const { saturate = false, notify = true } = options;
    const range = this.#rangeOf(blocks);
    const unit = this.#device.capabilities.clearUnit;
    if (saturate || unit >= SECTOR) this.#device.inject(range, { latent: true });
    else {
      for (let at = range.offset; at < range.offset + range.length; at += SECTOR)
        this.#device.inject({ offset: at, length: unit }, { latent: true });
    }
    if (notify) this.#notify(range);
  }

  /** Notify 0x81: the driver asks for what is known, and is told of the injected errors. A scrub under way will tell of them itself. */
  #notify(range: ByteRange): void {
    if (this.#scrub.status().state === "busy") return;
    for (const fault of this.#injected(range)) {
      for (const { offset, length } of goodParts(this.#device.poison, fault))
        this.#device.recordBad({ offset, length }, "poisoned");
    }
    this.#scrub.start({ range, previousData: true });
  }

  /** Ends poison in blocks. Records in the list stay; what had none is lost. @throws {StorageError} EINVAL if there are no such blocks */
  uninject(blocks: BlockRange): void {
    const range = this.#rangeOf(blocks);
    const faults = this.#injected(range);
    for (const fault of faults) {
      for (const { offset, length } of goodParts(this.#device.poison, fault))
        this.#device.recordBad({ offset, length }, "lost");
    }
    // The list first, durably: were the poison gone before, a crash could leave destroyed bytes that look clean.
    this.#device.flush();
    for (const fault of faults) this.#device.setFault({ ...fault, kind: "poison", on: false });
    this.#device.flush();
  }

  /** What is injected now, as `ndctl inject-error --status` prints it: blocks that hold poison, merged, ascending. */
  status(): { readonly badblocks: readonly BlockRange[] } {
    const window = { offset: this.#dataOffset, length: this.#device.size - this.#dataOffset };
    const blocks = new RangeSet();
    for (const { offset, length } of this.#injected(window)) {
      const whole = alignOut({ offset: offset - window.offset, length }, SECTOR);
      blocks.add(whole.offset, whole.length);
    }
    return {
      badblocks: Array.from(blocks, ({ offset, length }) => ({
        block: offset / SECTOR,
        count: length / SECTOR,
      })),
    };
  }

  #injected(range: ByteRange): ByteRange[] {
    const poison = [...this.#device.faults()].filter(({ kind }) => kind === "poison");
    return [...RangeSet.from(poison).within(range.offset, range.length)];
  }

  #rangeOf({ block, count }: BlockRange): ByteRange {
    const size = this.#device.size - this.#dataOffset;
    const range = { offset: block * SECTOR, length: count * SECTOR };
    checkRange(range, Number.MAX_SAFE_INTEGER);
    if (count === 0 || range.length > size - range.offset) {
      const path = this.#device.identity.name;
      throw new StorageError(
        "EINVAL",
        `Cannot inject into ${path}: want blocks from 0 to ${Math.floor(size / SECTOR)}: got ${count} at ${block}`,
        { path },
      );
    }
    return { offset: this.#dataOffset + range.offset, length: range.length };
  }
}
