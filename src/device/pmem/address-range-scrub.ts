/**
 * AddressRangeScrub: firmware's look through the media (ACPI 6.x, 9.20.7 "ARS"; drivers/acpi/nfit/core.c; nfit_test in Linux' tools/testing).
 *
 * A *long* scrub walks the range and finds latent poison; what it found becomes known when it stops, not before. A *short* one
 * (RETURN_PREV_DATA) walks nothing and gives what the firmware knows already. There is room for so many records only: at the next one the
 * scrub stops with "overflow", and goes on where it stopped when it is asked to (`ars_continue`). A second start meanwhile is EBUSY.
 *
 * Time is the caller's: `advance` walks so many bytes, `run` all of them over a duration.
 */
import {
  checkRange,
  endOf,
  intersect,
  isPowerOfTwo,
  StorageError,
  systemClock,
  type ByteRange,
  type Clock,
} from "../../base/index.ts";
import { goodParts } from "../states.ts";
import type { SimulatedDevice } from "../simulated-device.ts";
import { Badrange } from "./badrange.ts";

/** Bytes of the head of a status, and of one record (include/uapi/linux/ndctl.h). */
const HEADER = 44;
const RECORD = 24;
/** Records that nfit_test reports: as many as fit 4096 bytes. */
const MAX_RECORDS = 170;

/** How the firmware is made. */
export interface ArsOptions {
  /** Records that one scrub has room for. @default 170 */
  readonly maxRecords?: number;
  /** @default the machine's */
  readonly clock?: Clock;
}

/** What ND_CMD_ARS_CAP says. */
export interface ArsCapabilities {
  /** Bytes of the longest status. */
  readonly maxOutBytes: number;
  /** Bytes; clears must be aligned to it. */
  readonly clearErrorUnit: number;
}

/** What ND_CMD_ARS_START takes. */
export interface ArsRequest {
  /** Bytes. @default the whole device */
  readonly range?: ByteRange;
  /** RETURN_PREV_DATA: a short scrub. @default false */
  readonly previousData?: boolean;
}

/** What ND_CMD_ARS_STATUS says. */
export interface ArsStatus {
  /** "done" is extended status 0, "busy" 1, "none" 2 (never started), "stopped" 3 (aborted, or no room for more records). */
  readonly state: "none" | "busy" | "done" | "stopped";
  readonly range: ByteRange;
  /** Bytes walked, from the start of the range. */
  readonly bytesDone: number;
  /** Where a scrub that stopped goes on: the end of what was walked; empty where it is done. */
  readonly restart: ByteRange;
  /** Bad ranges, in poison units; none while it is busy. */
  readonly records: readonly ByteRange[];
  /** Whether there was no room for the record behind the last one. */
  readonly overflow: boolean;
}

const NOTHING: ByteRange = { offset: 0, length: 0 };

/** The scrub of one device. */
export class AddressRangeScrub {
  readonly #device: SimulatedDevice;
  readonly #clock: Clock;
  readonly #found: Badrange;
  #state: ArsStatus["state"] = "none";
  #range = NOTHING;
  #done = 0;

  constructor(device: SimulatedDevice, options: ArsOptions = {}) {
    this.#device = device;
    this.#clock = options.clock ?? systemClock;
    this.#found = new Badrange({ limit: options.maxRecords ?? MAX_RECORDS, clock: this.#clock });
  }

  /** @throws {StorageError} EOPNOTSUPP where the device tells no errors (ENOTTY in Linux) */
  capabilities(): ArsCapabilities {
    const { listsErrors, clearUnit } = this.#device.capabilities;
    const path = this.#device.identity.name;
    if (!listsErrors)
      throw new StorageError("EOPNOTSUPP", `Cannot scrub ${path}: it tells no errors`, { path });
    return { maxOutBytes: HEADER + RECORD * MAX_RECORDS, clearErrorUnit: clearUnit };
  }

  /**
   * Starts a scrub. A short one is done on return.
   *
   * @throws {StorageError} EBUSY while one is under way; EOPNOTSUPP as `capabilities`
   * @throws {RangeError} if the range ends past the device
   */
  start(request: ArsRequest = {}): void {
    this.capabilities();
    const { range = { offset: 0, length: this.#device.size }, previousData = false } = request;
    checkRange(range, this.#device.size);
    const path = this.#device.identity.name;
    if (this.#state === "busy")
      throw new StorageError("EBUSY", `Cannot scrub ${path}: a scrub is under way`, { path });
    this.#range = range;
    this.#done = 0;
    this.#found.clear();
    this.#state = "busy";
    if (previousData || range.length === 0) this.#take(range.length, this.#known());
  }

  /** What is known already, injected errors too: nobody needs to walk for them. */
  #known(): ByteRange[] {
    return [...this.#device.poison.bad(this.#range)].filter(({ state }) => state === "poisoned");
  }

  /** Walks on. @param bytes at most so many. @returns whether there is more to walk */
  advance(bytes: number): boolean {
    if (this.#state !== "busy") return false;
    const at = this.#range.offset + this.#done;
    const length = Math.min(bytes, endOf(this.#range) - at);
    this.#take(length, poisonIn(this.#device, { offset: at, length }));
    return this.#state === "busy";
  }

  /** Takes what a walk found; stops before the first record that has no room. */
  #take(bytes: number, found: readonly ByteRange[]): void {
    for (const range of found) {
      if (this.#add(range)) continue;
      this.#done = range.offset - this.#range.offset;
      this.#stop("stopped");
      return;
    }
    this.#done += bytes;
    if (this.#done >= this.#range.length) this.#stop("done");
  }

  /** Adds a record; one that goes on where the last walk ended becomes one with it. */
  #add(range: ByteRange): boolean {
    const last = this.#found.records.at(-1);
    if (last === undefined || endOf(last) !== range.offset) return this.#found.add(range);
    return this.#found.add({ offset: last.offset, length: last.length + range.length });
  }

  /** Ends the scrub: what it found is known from now on. What is lost stays lost. */
  #stop(state: "done" | "stopped"): void {
    this.#state = state;
    for (const record of this.#found.records) {
      for (const part of goodParts(this.#device.poison, record))
        this.#device.recordBad({ offset: part.offset, length: part.length }, "poisoned");
    }
    if (!this.#device.capabilities.readOnly) this.#device.flush();
  }

  /** Stops a scrub that is under way; what it found is known. */
  abort(): void {
    if (this.#state === "busy") this.#stop("stopped");
  }

  status(): ArsStatus {
    const isOver = this.#state === "done" || this.#state === "stopped";
    const at = this.#range.offset + this.#done;
    return {
      state: this.#state,
      range: this.#range,
      bytesDone: this.#done,
      restart: { offset: at, length: endOf(this.#range) - at },
      records: isOver ? [...this.#found.records] : [],
      overflow: this.#found.overflowedAtMs !== undefined,
    };
  }

  /**
   * Walks a started scrub to its end, and on where records overflow.
   *
   * @param options durationMs: what the whole walk takes. @default 0. chunk: bytes walked at once, a power of two. @default 1 MiB.
   *   signal: aborts it
   * @returns all records
   */
  async run(
    options: {
      readonly durationMs?: number;
      readonly chunk?: number;
      readonly signal?: AbortSignal;
    } = {},
  ): Promise<readonly ByteRange[]> {
    const { durationMs = 0, chunk = 1024 * 1024, signal } = options;
    if (!isPowerOfTwo(chunk))
      throw new RangeError(`Cannot scrub: want chunks of a power of two: got ${chunk}`);
    const msPerByte = durationMs / Math.max(1, this.#range.length);
    const records: ByteRange[] = [];
    for (;;) {
      while (this.#state === "busy") {
        const before = this.#done;
        if (signal?.aborted === true) this.abort();
        else this.advance(chunk);
        if (durationMs > 0) await this.#clock.sleep((this.#done - before) * msPerByte);
      }
      const { records: found, overflow, restart } = this.status();
      records.push(...found);
      if (!overflow || signal?.aborted === true) return records;
      this.start({ range: restart });
    }
  }
}

/** What the media hold that is bad, known or latent, inside a range. */
function poisonIn(device: SimulatedDevice, range: ByteRange): ByteRange[] {
  const found: ByteRange[] = [];
  for (const fault of device.faults()) {
    const part = fault.kind === "poison" ? intersect(fault, range) : undefined;
    if (part !== undefined) found.push(part);
  }
  return found;
}
