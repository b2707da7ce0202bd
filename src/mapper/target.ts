/**
 * target: one row of a device-mapper table, and the contract that every kind of row fulfils. A kind is a file in targets/, named in
 * target-types.ts.
 *
 * A target is one of two things, and says which as data:
 *
 * - "map": an address below for every address, and nothing else. It has no code that runs at a read: `legs` and `chunk` say all, so
 *   that a stack of such targets is flattened when its table is loaded (layout.ts). Linear is one leg.
 * - "device": it has a mind of its own (mirror, log-writes, a cache; error and zero too). It is a device of the row's length, with the
 *   whole contract of one (read, write, flush, poison, direct face; device/device.ts), and the table asks it as it asks a leaf.
 *
 * Poison crosses both kinds to the byte: up, what is bad below is bad at every address that it shows at; down, a heal of an address
 * heals the bytes that it stands for, and no other.
 */
import type { ByteRange, MaybePromise } from "../base/index.ts";
import type { Device } from "../device/index.ts";

/** A range of a device below. Bytes. */
export interface Area extends ByteRange {
  readonly device: Device;
  /** Which bytes of the range are used: `chunk` of every `step` bytes, from its first on. @default all */
  readonly comb?: Comb | undefined;
}

/** Chunks at equal distances. Bytes. */
export interface Comb {
  readonly chunk: number;
  readonly step: number;
}

/** What every target says. */
interface TargetFacts {
  /** Name of the kind: "linear". */
  readonly type: string;
  /** Every range below that the target uses, as the kernel's `iterate_devices` tells them: no byte of any may be used twice. */
  readonly areas: readonly Area[];
}

/** A target that only translates. */
export interface MapTarget extends TargetFacts {
  readonly kind: "map";
  /** Bytes that stand in one leg before the next leg's turn; windows of direct access end there. Infinity where there is one leg and no turn. */
  readonly chunk: number;
  /** Bytes from where a leg has a turn to where it has its next, in the leg. @default chunk: its turns follow each other */
  readonly step?: number;
  /** Legs in turn, each as long as its share of the target, and what lies between its turns. */
  readonly legs: readonly Area[];
}

/** One byte of a device. */
export interface DevicePlace {
  readonly device: Device;
  readonly offset: number;
}

/** A target with a mind of its own. */
export interface DeviceTarget extends TargetFacts {
  readonly kind: "device";
  /** Of the row's length, offset 0 is the row's first byte. Managed where it can heal. Closed by the target's table. */
  readonly device: Device;
  /**
   * Reads and checks what the target keeps of its own on the devices below, before its first call; what needs none has no such step. Writes nothing: a stack
   * may still be refused for another row, and a stack that is only looked at stays as it is. A target that must begin something new does so with its first write.
   *
   * @throws {StorageError} EBADMSG by `row.fail`; of the media, naming what cannot be read
   */
  activate?(): MaybePromise<void>;
  /** Where the byte at an offset of the target is kept below, every copy: for people. */
  below(offset: number): readonly DevicePlace[];
  /** The other way: the offset of the target at which a byte below shows now. @default nobody can tell */
  above?(place: DevicePlace): number | undefined;
  /**
   * Takes a message, as `dmsetup message` sends it.
   *
   * @param words the message; at least one
   * @throws {StorageError} EINVAL in the kernel's words where it has some; EACCES if it would change what is open for reading
   * @default it takes none
   */
  message?(words: readonly string[]): MaybePromise<MessageAnswer>;
  /** What `dmsetup status` prints behind the target's name. @default nothing */
  status?(): string;
}

/** What a target says to a message. */
export interface MessageAnswer {
  /** What `dmsetup message` prints, as the kernel gives it: some end with a newline. */
  readonly reply: string | undefined;
  /** What the kernel logs, without "device-mapper: TARGET: ". */
  readonly log: readonly string[];
}

/** Where a target keeps a text of its own between two openings: beside the stack file, never on a device below. */
export interface TargetMemory {
  /** The text; `undefined` where nothing was kept. @throws {StorageError} */
  load(): string | undefined;
  /** Replaces the text in one durable step. @throws {StorageError} EACCES where the stack is open for reading */
  save(text: string): void;
}

/** Any target. */
export type Target = MapTarget | DeviceTarget;

/** What a target is made from. */
export interface TargetRow {
  readonly args: readonly string[];
  /** First byte of the row in its table; most targets need not know. */
  readonly begin: number;
  /** Bytes of the row. */
  readonly length: number;
  /**
   * A word as a device: what the stack file calls so.
   *
   * @throws {StorageError} EBADMSG "Device lookup failed"
   */
  lookup(word: string): Device;
  /** @default nothing outlives the opening */
  readonly memory?: TargetMemory | undefined;
  /**
   * Refuses the row, in the kernel's words where it has some, with the wish and what came.
   *
   * @throws {StorageError} EBADMSG with file, line, target and wish
   */
  fail(wish: string): never;
}

/** A kind of target. */
export interface TargetType {
  /** As tables name it. */
  readonly name: string;
  /** Makes one, as the kernel's constructor does; nothing is written, and no device below is changed. @throws {StorageError} by `row.fail` */
  construct(row: TargetRow): Target;
}
