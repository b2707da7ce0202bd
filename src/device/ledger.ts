/**
 * Ledger: what a device knows of itself: its list, and the store that keeps it, made when it is first needed.
 *
 * A plain image has no store until something must be remembered: then `createStore` makes one, and the list moves into it.
 * A device that is open for reading changes its list in memory only.
 */
import { StorageError, type ByteRange } from "../base/index.ts";
import {
  PoisonList,
  type FaultChange,
  type Intent,
  type PoisonState,
  type PoisonStore,
  type PoisonView,
} from "../poison/index.ts";

/** Ranges put into new states. */
export type StateChanges = readonly (ByteRange & { readonly state: PoisonState })[];

/** What a ledger is made of. */
export interface LedgerOptions {
  /** Bytes of the device. */
  readonly size: number;
  /** The store to begin with. @default none */
  readonly store?: PoisonStore | undefined;
  /** Makes a store when something must be remembered. @default nothing is remembered */
  readonly createStore?: (() => PoisonStore) | undefined;
  /** Whether changes stay in memory. @default false */
  readonly readOnly?: boolean;
}

/** The list of one device and its store. */
export class Ledger {
  /** The live list, whichever object holds it. */
  readonly view: PoisonView;
  #list: PoisonList;
  #store: PoisonStore | undefined;
  #bumped = false;
  readonly #createStore: (() => PoisonStore) | undefined;
  readonly #readOnly: boolean;

  constructor(options: LedgerOptions) {
    this.#store = options.store;
    this.#list = options.store?.list ?? new PoisonList(options.size);
    this.#createStore = options.createStore;
    this.#readOnly = options.readOnly ?? false;
    this.view = viewOf(() => this.#list);
  }

  /** The list now; another object once a store was made. */
  get list(): PoisonList {
    return this.#list;
  }

  get store(): PoisonStore | undefined {
    return this.#store;
  }

  /**
   * Puts ranges into states: durable at the next `sync`, where there is a store. A store that has failed takes nothing more, which its
   * `sync` tells; what a read found then stays in memory.
   */
  mark(changes: StateChanges): void {
    if (this.#store === undefined || this.#readOnly) return this.markInMemory(changes);
    try {
      this.#store.mark(changes);
    } catch (error) {
      if (!(error instanceof StorageError)) throw error;
      this.markInMemory(changes);
    }
  }

  /** Puts ranges into states for this session only. */
  markInMemory(changes: StateChanges): void {
    for (const change of changes) this.#list.mark(change, change.state);
  }

  setFault(change: FaultChange): void {
    if (!this.#readOnly) this.#store?.setFault(change);
  }

  /** Durable on return, where there is or can be a store. @returns the id to end it with; `undefined` without a store */
  beginIntent(intent: Intent): number | undefined {
    return this.needStore()?.beginIntent(intent);
  }

  endIntent(id: number | undefined, changes: StateChanges): void {
    if (id === undefined || this.#store === undefined) this.mark(changes);
    else this.#store.endIntent(id, changes);
  }

  /** The store, made now where it can be and was not before. */
  needStore(): PoisonStore | undefined {
    if (this.#store !== undefined || this.#createStore === undefined || this.#readOnly)
      return this.#store;
    const store = this.#createStore();
    const known = [...this.#list.states({ offset: 0, length: this.#list.size })];
    store.mark(known.filter((part) => part.state !== "unread"));
    store.sync();
    this.#store = store;
    this.#list = store.list;
    return store;
  }

  /** Notes that content changes, once a session. */
  bump(): void {
    if (this.#bumped || this.#readOnly || this.#store === undefined) return;
    this.#store.bumpGeneration();
    this.#bumped = true;
  }

  /** Makes everything durable. What was found bad is remembered: an image without a store gets one, where it can. */
  sync(): void {
    if (this.#readOnly) return;
    const store = this.#list.empty ? this.#store : this.needStore();
    store?.sync();
  }

  close(): void {
    this.#store?.close();
  }
}

function viewOf(list: () => PoisonList): PoisonView {
  return {
    get size() {
      return list().size;
    },
    get empty() {
      return list().empty;
    },
    bad: (range) => list().bad(range),
    states: (range) => list().states(range),
    totals: () => list().totals(),
  };
}
