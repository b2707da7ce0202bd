/**
 * Media: raw bytes as hardware has them: reads fail where they are bad, writes store, a clear ends poison or is refused.
 *
 * Media keep no list and no promise beyond "what was flushed stays": the rules (R1 to R6) are media-device.ts's, once,
 * over every medium. Ranges that a read reports are whole poison units, so they may reach past the request.
 */
import type { ByteRange, MaybePromise } from "../base/index.ts";
import type { Capabilities } from "./device.ts";

/** The ranges that a read could not get: ascending, apart, whole poison units. Their bytes of `into` stay as they were. */
export type Faults = readonly ByteRange[];

/** No faults: one object, so that reading allocates nothing. */
export const NO_FAULTS: Faults = Object.freeze([]);

/** The mapped face of a medium that is memory. Callers keep inside the medium's `size`. */
export interface MediaMemory {
  /** The mapped bytes of a range, up to the end of their window. Bytes under a fault are no data. */
  view(range: ByteRange): Uint8Array;
  /** Whether a load of these bytes would find every one of them good, told without looking at them. @default nobody knows */
  isPlain?(offset: number, length: number): boolean;
  /** Copies out of the memory (`_copy_mc_to_iter`), whatever windows it stands in; stops at the first fault, which is told, not thrown, and leaves `into` behind it as it was. */
  load(into: Uint8Array, offset: number): Faults;
  /** Copies into the memory; not durable before the medium's `flush`. @throws {MediaError} as `Media.write` */
  store(from: Uint8Array, offset: number): void;
  /**
   * Whether a store into a range may lie on poison that nobody knows, so that only reading back tells whether it stands; absent where memory
   * has no such poison.
   */
  mayHide?(offset: number, length: number): boolean;
  /** Brings a range in, off this thread, so that touching it cannot end the process. @returns whether it is there. @default it always is */
  bringIn?(range: ByteRange): Promise<boolean>;
  /** Whether every byte of a view, which begins at `offset` of the medium, is data by what it holds: looks at all of it. @default it is */
  isData?(view: Uint8Array, offset: number): boolean;
}

/** Where bytes are. Callers keep inside `size`. */
export interface Media {
  readonly name: string;
  readonly size: number;
  readonly capabilities: Capabilities;

  /** One attempt to fill `into`. @throws {StorageError} if the medium itself fails */
  read(into: Uint8Array, offset: number): MaybePromise<Faults>;
  /** The same, on this thread and without simulated delay. */
  readSync(into: Uint8Array, offset: number): Faults;
  /** The same, past caches, to prove a write. */
  readBack(into: Uint8Array, offset: number): Faults;
  /** Stores bytes; not durable before `flush`. @throws {MediaError} if the medium refuses these bytes, {StorageError} if it fails */
  write(from: Uint8Array, offset: number): void;
  /**
   * Ends poison in a range of whole clear units; what the bytes hold then is undefined.
   *
   * @returns bytes cleared, from the start of the range; 0 where it is refused
   */
  clear(range: ByteRange): number;
  /**
   * Stores a line of 64 bytes at a multiple of 64, and ends poison under it, as one; absent where nothing does that.
   *
   * @returns whether it did; where not, nothing changed
   */
  storeLine?(line: Uint8Array, offset: number): boolean;
  /**
   * Whether a range of whole clear units still fails, so that nothing in it has changed and nothing of ours is put there when an intent is
   * settled. Absent where all access goes through us, and a marker serves as well.
   */
  staysBad?(range: ByteRange): boolean;
  /** Makes every earlier write durable. @throws {StorageError} */
  flush(): void;
  /** Bytes from `offset` on that the medium does not hold, and that read as zeros without touching it. @default 0 everywhere */
  holeFrom?(offset: number): number;
  /** Its mapped face; absent where the medium is not memory. */
  readonly memory?: MediaMemory;
  /** Closing twice is allowed. */
  close(): void;
}
