/**
 * PoisonStore: the list beside an image, `IMAGE.theriac`: states, intents, faults and identity, durable and crash-safe.
 */
import type { ByteRange } from "../base/index.ts";
import type { PoisonList, PoisonState } from "./poison-list.ts";

/**
 * The durable record below a recovery write (R3): from its begin to its end `lost` counts as lost whatever the media says,
 * and `keep` holds the clean neighbours of its clear units, which a crash may have destroyed.
 */
export interface Intent {
  readonly lost: readonly ByteRange[];
  readonly keep: readonly { readonly offset: number; readonly data: Uint8Array }[];
}

/** What a simulated medium can be told to do to a range. */
export type FaultKind =
  /** The bytes cannot be read: latent until touched, whether the list knows them is the list's business. */
  | "poison"
  /** The next read fails, the one after works. */
  | "transient"
  /** A clear is refused. */
  | "refuses"
  /** A clear stops half-way. */
  | "partial"
  /** A read takes long. */
  | "slow";

/** One fault turned on or off over a range. */
export interface FaultChange extends ByteRange {
  readonly kind: FaultKind;
  readonly on: boolean;
}

/** The store of one open image. Every call that promises durability has synced when it returns, or throws. */
export interface PoisonStore {
  readonly list: PoisonList;
  /** Whether the store was opened for reading: notes change the list in memory and are forgotten; intents are EACCES. */
  readonly readOnly: boolean;
  /** Random UUID given at creation. */
  readonly uuid: string;
  /** Counts every session that changed content through us. */
  readonly generation: number;
  /** Settings of the device, kept as they came (plain JSON). */
  readonly settings: Readonly<Record<string, unknown>>;
  /** Intents that a crash left open; the device settles them, then ends each. */
  readonly openIntents: readonly { readonly id: number; readonly intent: Intent }[];
  /** All faults that are on. */
  faults(): Iterable<FaultChange>;

  /** Puts ranges into states: in memory at once, durable at the next `sync`. */
  mark(changes: readonly (ByteRange & { readonly state: PoisonState })[]): void;
  /** Turns a fault on or off: durable at the next `sync`. */
  setFault(change: FaultChange): void;
  /** Durable on return. @returns the id to end it with */
  beginIntent(intent: Intent): number;
  /** Ends an intent and puts its ranges into their new states, in one durable step. */
  endIntent(id: number, changes: readonly (ByteRange & { readonly state: PoisonState })[]): void;
  /** Notes that content changed: the generation grows once a session. Durable at the next `sync`. */
  bumpGeneration(): void;
  /** Makes everything noted so far durable. */
  sync(): void;
  /** Syncs, compacts where worth it, and closes. */
  close(): void;
}
