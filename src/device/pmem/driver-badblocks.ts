/**
 * DriverBadblocks: the bad blocks of a disk as the pmem driver has them: Linux' own table, in sectors from the start of the namespace's
 * data, kept beside the device's list, with the notice that `/sys/block/pmemN/badblocks` gives to poll(2).
 *
 * Bad bytes are rounded outward to sectors; a sector leaves the table once none of its bytes is bad. Where the table is full it holds less
 * than the list, and where it cannot split a record it holds more: reads through us follow the list, so they work (docs/pmem.md). What is
 * lost is in the table too, although Linux forgets what firmware cleared.
 *
 * A notice is one for each change that ran to its end, however many records it touched: like poll, it says "look again".
 */
import { alignOut, endOf, intersect, SECTOR, type ByteRange } from "../../base/index.ts";
import {
  BADBLOCKS_LIMIT,
  BadblocksTable,
  populateBadblocks,
  type PoisonChange,
} from "../../poison/index.ts";
import type { SimulatedDevice } from "../simulated-device.ts";
import { sliceDevice } from "../slice-device.ts";
import { anyBad, isBad } from "../states.ts";

/** What the driver's disk is. */
export interface DriverBadblocksOptions {
  /** Bytes before the namespace's data: 0 in raw mode. @default 0 */
  readonly dataOffset?: number;
  /** Records of the table. @default 512 */
  readonly limit?: number;
}

/** The driver's view of one device. */
export class DriverBadblocks {
  /** The table itself. */
  readonly table: BadblocksTable;
  readonly #device: SimulatedDevice;
  readonly #window: ByteRange;
  readonly #listeners = new Set<() => void>();
  readonly #end: () => void;
  #changed = false;
  #isTold = false;

  /** As the driver does when it attaches: fills the table with all that is known. */
  constructor(device: SimulatedDevice, options: DriverBadblocksOptions = {}) {
    const { dataOffset = 0, limit = BADBLOCKS_LIMIT } = options;
    this.#device = device;
    this.#window = { offset: dataOffset, length: device.size - dataOffset };
    this.table = populateBadblocks(sliceDevice(device, this.#window).poison, { limit }).table;
    this.#end = device.onListChange((change) => this.#follow(change));
  }

  /** The text of the sysfs file; what comes later is a new notice. */
  read(): string {
    this.#changed = false;
    return this.table.show();
  }

  /** Whether poll(2) would say POLLPRI: something changed since the last `read`. */
  get changed(): boolean {
    return this.#changed;
  }

  /** Calls `listener` once for every change of the table that ran to its end; returns the call that ends it. */
  onNotify(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Follows the list no more. */
  close(): void {
    this.#end();
    this.#listeners.clear();
  }

  #follow(change: PoisonChange): void {
    const part = intersect(change, this.#window);
    if (part === undefined) return;
    const inside = { offset: part.offset - this.#window.offset, length: part.length };
    const { offset, length } = alignOut(inside, SECTOR);
    const [start, end] = [offset / SECTOR, (offset + length) / SECTOR];
    if (isBad(change.state)) this.#add(start, end);
    else this.#drop(start, end);
  }

  #add(start: number, end: number): void {
    if (this.table.covers(start, end - start)) return;
    this.table.set(start, end - start);
    this.#notify();
  }

  /** Only the sectors at the edges can hold other bad bytes. */
  #drop(start: number, end: number): void {
    const from = this.#isBad(start) ? start + 1 : start;
    const to = end > from && this.#isBad(end - 1) ? end - 1 : end;
    if (from >= to || this.table.check(from, to - from).answer === 0) return;
    this.table.clear(from, to - from);
    this.#notify();
  }

  #isBad(sector: number): boolean {
    const offset = this.#window.offset + sector * SECTOR;
    const end = Math.min(offset + SECTOR, endOf(this.#window));
    return anyBad(this.#device.poison, { offset, length: end - offset });
  }

  /** A change runs to its end on this thread, so behind it there is one notice for all of it. */
  #notify(): void {
    this.#changed = true;
    if (this.#isTold) return;
    this.#isTold = true;
    queueMicrotask(() => {
      this.#isTold = false;
      for (const listener of this.#listeners) listener();
    });
  }
}
