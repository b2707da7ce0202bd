/**
 * Device: a run of bytes that can go bad, and the one contract that every place where bytes live fulfils.
 *
 * A read reports what it did not get as ranges and gives all the rest; it never throws half of the answer away.
 * The bytes of `into` that belong to a poisoned or lost range are left as they were: they are not data (R1).
 *
 *     const result = await device.read(buffer, 0);
 *     for (const hole of result.missing) console.log(hole.offset, hole.length, hole.state);
 */
import type { BadRange, ByteRange, MaybePromise } from "../base/index.ts";
import type { PoisonView } from "../poison/index.ts";
import type { DirectAccess } from "./direct-access.ts";

/**
 * How hard an operation tries.
 *
 * - "access": as a plain system call. Known bad ranges are not touched; a range found bad becomes known.
 *   A write heals what it covers in whole clear units; where it meets a part of a bad unit it fails and changes nothing.
 * - "recovery": `RWF_RECOVERY_DATA`. A read tries transient errors again; a write heals parts of units too, keeping
 *   their clean neighbours through an intent, and is read back, so that it never lands on latent poison unseen.
 * - "failFast": one plain attempt because the caller has a replica: a read stops at the first bad byte (the rest is
 *   missing, "unread"), a write to a bad range fails.
 */
export type AccessMode = "access" | "recovery" | "failFast";

/** What a read got. */
export interface ReadResult {
  /** The ranges of the device that `into` does not hold whole: ascending, apart, inside the request. Empty: all is there. */
  readonly missing: readonly BadRange[];
}

/** The result of every whole read: one object, so that reading allocates nothing. */
export const COMPLETE: ReadResult = Object.freeze({ missing: Object.freeze([]) });

/**
 * How poison ends on a device.
 *
 * - "atomic": the device clears and stores data as one operation (MOVDIR64B, CXL clear with data)
 * - "firmware": a call clears, a store follows (NVDIMM)
 * - "overwrite": any full write of a unit heals it (a disk)
 * - "pretends": the call answers well and clears nothing (virtio-pmem, `memmap=`)
 * - "none": refused
 */
export type ClearKind = "atomic" | "firmware" | "overwrite" | "pretends" | "none";

/** What a device can do, as data: nobody calls a method to find out whether it throws. */
export interface Capabilities {
  /** Smallest range that fails, in bytes; a power of two. */
  readonly poisonUnit: number;
  /** Smallest range that can be cleared, in bytes; a power of two, at least `poisonUnit`. */
  readonly clearUnit: number;
  /** Bytes of a page; a power of two. */
  readonly pageSize: number;
  readonly clear: ClearKind;
  /** Whether the device tells of errors that nobody touched (an address-range scrub, a media-error list). */
  readonly listsErrors: boolean;
  /** What a failing read costs: nothing that matters, or seconds. */
  readonly failedRead: "cheap" | "costly";
  /** Whether every access to the bytes goes through us, so that "lost" is enforced and not only remembered. */
  readonly mediated: boolean;
  /** Whether writes are refused. */
  readonly readOnly: boolean;
  /**
   * Whether it knows poison and can be asked to recover. Where not (a segment, a window), "recovery" and heals are refused with EOPNOTSUPP
   * before any byte moves, and its list is for ever empty; `clear: "none"` alone is a device that knows, and cannot clear (EIO, R5).
   */
  readonly recovers: boolean;
}

/**
 * Whether every byte of a range can be asked for recovery: where a device as a whole does not recover, a part of it may.
 * A call with `RWF_RECOVERY_DATA` asks before any byte moves, because direct access goes window by window.
 */
export function recoversIn(device: Device, range: ByteRange): boolean {
  return device.capabilities.recovers || (device.recoversIn?.(range) ?? false);
}

/** The mode in which a device gives the most of what it has: "recovery", or "access" where it has no recovery. */
export function thoroughMode(device: { readonly capabilities: Capabilities }): AccessMode {
  return device.capabilities.recovers ? "recovery" : "access";
}

/** Who a device is, so that state is never applied to another one. */
export interface DeviceIdentity {
  /** What people call it: a path, or "memory". */
  readonly name: string;
  /** Random UUID of its sidecar, or a serial number; `undefined` where it has neither. */
  readonly uuid: string | undefined;
  /** Counts every change of content through us (heal, write session); 0 where nobody counts. */
  readonly generation: number;
}

/** Where bytes live. Offsets and lengths are bytes; ranges past `size` are the caller's mistake (`RangeError`). */
export interface Device {
  readonly size: number;
  readonly identity: DeviceIdentity;
  readonly capabilities: Capabilities;
  /** The live list. */
  readonly poison: PoisonView;
  /** The synchronous second face, where the bytes are memory. */
  readonly direct: DirectAccess | undefined;

  /**
   * Fills `into` from `offset`.
   *
   * @returns what is missing; never throws for bad media
   * @throws {StorageError} if the device itself fails
   */
  read(into: Uint8Array, offset: number, mode?: AccessMode): MaybePromise<ReadResult>;

  /**
   * Writes all of `from` at `offset`. A write that heals is durable when it returns, and so is every one in "recovery", which is read back past
   * caches and heals what it turns out to lie on; another one after `flush`.
   *
   * @throws {MediaError} if a bad range cannot be healed: the ranges named are still bad (R5)
   */
  write(from: Uint8Array, offset: number, mode?: AccessMode): MaybePromise<void>;

  /** Of a device that does not recover as a whole: whether a range of it does. @default none does */
  recoversIn?(range: ByteRange): boolean;

  /** Makes every earlier write durable. */
  flush(): MaybePromise<void>;

  /** Ends use of the device; drops its lock. Closing twice is allowed. */
  close(): MaybePromise<void>;
}

/** What more a device can do that keeps a list of its own, and is not a view of another. */
export interface ManagedDevice extends Device {
  /**
   * Heals many ranges under one intent: clear and data are one step for each (R3), with one set of syncs for all.
   *
   * @returns for each write, in order, `undefined` or why it failed; what failed is still bad (R5)
   */
  heal(writes: readonly HealWrite[]): MaybePromise<readonly (Error | undefined)[]>;

  /** Ends poison without data, on explicit request: the range becomes lost, never clean. Bytes; whole clear units. */
  clear(range: ByteRange): MaybePromise<void>;

  /** Bytes from `offset` on that are a hole of a sparse image: they read as zeros, none is bad. A scan need not read them. @default 0 */
  holeFrom?(offset: number): number;

  /**
   * Lends the bytes of a range where they are mapped and every one of them is data, by the list, by open intents and by what they hold: no copy is made.
   * To be read only, before the next change of the range and before `close`. @default `undefined`, and `read` gives them
   */
  borrow?(range: ByteRange): Promise<Uint8Array | undefined>;

  /** Records that a scan read these bytes whole: unread becomes clean. Durable at the next `flush` or `close`. */
  recordRead(range: ByteRange): void;

  /** An explicit, recorded acknowledgement that a range is given up or known otherwise (R4): `poisoned` or `lost` in. */
  recordBad(range: ByteRange, state: "poisoned" | "lost"): void;
}

/** One range to heal, with the data for it. */
export interface HealWrite {
  readonly offset: number;
  readonly data: Uint8Array;
}
