/** SimulatedDevice: a device whose medium can be told to fail, for trying everything out and for proving it. */
import { alignOut, endOf, type ByteRange, type Clock } from "../base/index.ts";
import {
  createMemoryStore,
  type FaultChange,
  type PoisonChange,
  type PoisonStore,
} from "../poison/index.ts";
import { capabilitiesOf, checkSettings, type ImageSettings } from "./image-settings.ts";
import { fillMarker } from "./marker.ts";
import type { ManagedDevice } from "./device.ts";
import { MediaDevice } from "./media-device.ts";
import type { Media } from "./media.ts";
import { MemoryMedia } from "./memory-media.ts";
import { SimulatedMedia } from "./simulated-media.ts";

/** Bytes of marker written at once. */
const CHUNK = 1024 * 1024;

/** What a simulated device is made of, beside the medium below. */
export interface SimulatedDeviceOptions {
  /** The store that keeps list and faults. */
  readonly store: PoisonStore;
  /** Bytes that one clear clears at most; 0 refuses. @default all it is asked */
  readonly clearLimit?: number;
  /** Milliseconds that a read of a slow zone takes longer. @default 50 */
  readonly slowMs?: number;
  /** @default the machine's */
  readonly clock?: Clock;
}

/** A managed device that can be told to fail: a simulated one, or a stack of them. */
export interface FaultyDevice extends ManagedDevice {
  /** As `SimulatedDevice.inject`. */
  inject(range: ByteRange, options?: { readonly latent?: boolean }): ByteRange;
  /** As `SimulatedDevice.setFault`. */
  setFault(change: FaultChange): void;
}

/** A device with faults. */
export class SimulatedDevice extends MediaDevice implements FaultyDevice {
  readonly #simulated: SimulatedMedia;

  constructor(media: Media, options: SimulatedDeviceOptions) {
    const { store, clearLimit, slowMs, clock } = options;
    const simulated = new SimulatedMedia(media, {
      capabilities: media.capabilities,
      faults: store.faults(),
      onFault: (change) => {
        if (!media.capabilities.readOnly) store.setFault(change);
      },
      ...(clearLimit === undefined ? {} : { clearLimit }),
      ...(slowMs === undefined ? {} : { slowMs }),
      ...(clock === undefined ? {} : { clock }),
    });
    super(simulated, { store });
    this.#simulated = simulated;
  }

  /** All faults that are on. */
  faults(): Iterable<FaultChange> {
    return this.#simulated.faults();
  }

  /** Whether reads of some range take longer on purpose: then only `read` tells how long. */
  get hasSlowZones(): boolean {
    return this.#simulated.hasSlowZones;
  }

  /**
   * Poisons a range, rounded out to whole poison units: its data is destroyed, and durably so on return.
   *
   * @param options latent: whether nobody knows until a read touches it. @default false
   * @returns the range that is poisoned now
   * @throws {RangeError} if the range is past the end or empty
   */
  inject(range: ByteRange, options: { readonly latent?: boolean } = {}): ByteRange {
    const units = this.#units(range);
    this.change(units, () => {
      // The fault first: were the data destroyed first, a crash could leave the marker readable as data (R1).
      this.setFault({ ...units, kind: "poison", on: true });
      if (options.latent !== true) this.ledger.mark([{ ...units, state: "poisoned" }]);
      this.ledger.sync();
      this.#destroy(units);
      this.media.flush();
    });
    return units;
  }

  #units(range: ByteRange): ByteRange {
    if (range.length === 0)
      throw new RangeError("Cannot inject: want at least one byte: got length 0");
    const units = alignOut(range, this.capabilities.poisonUnit);
    return {
      offset: units.offset,
      length: Math.max(0, Math.min(endOf(units), Math.max(this.size, endOf(range))) - units.offset),
    };
  }

  #destroy(range: ByteRange): void {
    const bytes = new Uint8Array(Math.min(CHUNK, range.length));
    for (let at = range.offset; at < endOf(range); at += CHUNK) {
      const piece = bytes.subarray(0, Math.min(CHUNK, endOf(range) - at));
      fillMarker(piece, at);
      this.#simulated.destroy(piece, at);
    }
  }

  /**
   * A clear as firmware does it, without data: what it cleared is lost in the list (R4). Whole clear units.
   *
   * @returns bytes cleared, from the start of the range: 0 where it is refused
   * @throws {MediaError} if the device cannot clear at all
   */
  firmwareClear(range: ByteRange): number {
    return this.clearUpTo(range);
  }

  /** Calls `listener` after every change of the list; returns the call that ends it. */
  onListChange(listener: (change: PoisonChange) => void): () => void {
    return this.ledger.list.onChange(listener);
  }

  /** Turns a fault of any kind on or off; durable at the next `flush`. Ending "poison" so brings no data back. */
  setFault(change: FaultChange): void {
    this.change(change, () => {
      this.#simulated.setFault(change);
      this.ledger.setFault(change);
    });
  }
}

/** What a device in memory is made with. */
export interface MemoryDeviceOptions extends Partial<ImageSettings> {
  /** Bytes. @default those of `bytes` */
  readonly size?: number;
  /** The content, not copied. @default zeros */
  readonly bytes?: Uint8Array;
  /** @default "memory" */
  readonly name?: string;
  /** Bytes that one clear clears at most; 0 refuses. @default all it is asked */
  readonly clearLimit?: number;
  /** @default the machine's */
  readonly clock?: Clock;
}

/**
 * Makes a device in memory, with the whole contract, direct access and faults, and nothing durable. Every byte begins as unread.
 *
 * @throws {RangeError} if units and size do not fit each other
 */
export function createMemoryDevice(options: MemoryDeviceOptions): SimulatedDevice {
  const bytes = options.bytes ?? new Uint8Array(options.size ?? 0);
  const settings = checkSettings(options, bytes.length);
  const media = new MemoryMedia(bytes, {
    name: options.name ?? "memory",
    capabilities: capabilitiesOf(settings, false),
  });
  const store = createMemoryStore({ size: bytes.length });
  return new SimulatedDevice(media, {
    store,
    slowMs: settings.slowMs,
    ...(options.clearLimit === undefined ? {} : { clearLimit: options.clearLimit }),
    ...(options.clock === undefined ? {} : { clock: options.clock }),
  });
}
