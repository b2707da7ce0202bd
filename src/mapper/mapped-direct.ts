/**
 * mapped-direct: direct access through a table, as the kernel passes it on (drivers/md/dm.c: dm_dax_direct_access and its kin).
 *
 * A window ends where the kernel's ends: at the end of the target, at the next chunk of a striped one, and so at every level; it is
 * whole pages (`floor(max_io_len / 8)`), so a page over which a target ends is refused. Everything else is asked of the leaf, in the leaf's
 * own pages: its list, its strides. A table has direct access only where every target has (dm_table_supports_dax), so one `error` turns
 * it off. Where pages would lie across the leaf's pages Linux reads other bytes than those asked for; here there is no direct access then.
 */
import { checkRange, type ByteRange } from "../base/index.ts";
import type { Device, DirectAccess } from "../device/index.ts";
import type { Layout, Place } from "./layout.ts";

/** What the face needs of its device. */
export interface DirectTable {
  readonly layout: Layout;
  readonly leaves: readonly Device[];
  /** Notes that a range changes. */
  touch(range: ByteRange): void;
  /** An error of a leaf as one of the table. */
  errorOf(error: unknown, device: Device): unknown;
}

/** The direct face of a table; `undefined` where a leaf has none, page sizes differ, or pages do not fit. */
export function mappedDirect(table: DirectTable, page: number): DirectAccess | undefined {
  const fits = table.leaves.every(
    ({ direct, capabilities }) => direct !== undefined && capabilities.pageSize === page,
  );
  return fits && table.layout.isAligned(page) ? new MappedDirect(table, page) : undefined;
}

/** Does a part of a range in its leaf. @returns bytes done */
type Step = (direct: DirectAccess, part: Uint8Array, at: number) => number;

class MappedDirect implements DirectAccess {
  readonly #table: DirectTable;
  readonly #layout: Layout;
  readonly #page: number;
  readonly #place: Place = { device: {} as Device, offset: 0, length: 0 };
  /** The address that `#place` is of, and its leaf's face: a probe is followed by a load or store there. */
  #located = -1;
  #direct: DirectAccess | undefined;

  constructor(table: DirectTable, page: number) {
    this.#table = table;
    this.#layout = table.layout;
    this.#page = page;
  }

  probe(page: number, pages: number, mode: "access" | "recovery"): number {
    const offset = page * this.#page;
    const { size } = this.#layout;
    if (!(offset >= 0 && offset < size)) {
      checkRange({ offset, length: 0 }, size);
      return 0;
    }
    const direct = this.#at(offset);
    const count = Math.min(pages, Math.floor(this.#place.length / this.#page));
    return count <= 0 ? 0 : direct.probe(this.#place.offset / this.#page, count, mode);
  }

  view(range: ByteRange): Uint8Array {
    checkRange(range, this.#layout.size);
    if (range.length === 0) return new Uint8Array(0);
    const direct = this.#at(range.offset);
    const { offset, length } = this.#place;
    return direct.view({ offset, length: Math.min(length, range.length) });
  }

  load(into: Uint8Array, offset: number): number {
    if (offset >= 0 && into.length <= this.#layout.size - offset && into.length > 0) {
      const direct = this.#at(offset);
      if (into.length <= this.#place.length) return direct.load(into, this.#place.offset);
    }
    return this.#each(into, offset, (direct, bytes, at) => direct.load(bytes, at));
  }

  store(from: Uint8Array, offset: number): void {
    this.#change(from, offset, (direct, bytes, at) => {
      direct.store(bytes, at);
      return bytes.length;
    });
  }

  stands(from: Uint8Array, offset: number): boolean {
    const count = this.#each(from, offset, (direct, bytes, at) =>
      direct.stands(bytes, at) ? bytes.length : 0,
    );
    return count === from.length;
  }

  loadUpTo(into: Uint8Array, offset: number, mode: "recovery" | "failFast"): number {
    return this.#each(into, offset, (direct, bytes, at) => direct.loadUpTo(bytes, at, mode));
  }

  heal(from: Uint8Array, offset: number): void {
    this.#change(from, offset, (direct, bytes, at) => {
      direct.heal(bytes, at);
      return bytes.length;
    });
  }

  storeLine(line: Uint8Array, offset: number): void {
    this.#change(line, offset, (direct, bytes, at) => {
      direct.storeLine(bytes, at);
      return bytes.length;
    });
  }

  zeroPages(page: number, pages: number): void {
    const size = this.#layout.size;
    const end = Math.min((page + pages) * this.#page, size);
    checkRange({ offset: page * this.#page, length: 0 }, size);
    this.#table.touch({ offset: page * this.#page, length: end - page * this.#page });
    for (let at = page * this.#page; at < end;) {
      const direct = this.#at(at);
      const whole = Math.min(Math.floor(this.#place.length / this.#page), (end - at) / this.#page);
      const { offset } = this.#place;
      if (whole >= 1) this.#asTable(() => direct.zeroPages(offset / this.#page, Math.floor(whole)));
      else this.heal(new Uint8Array(Math.min(this.#page, end - at)), at);
      at += Math.max(1, Math.floor(whole)) * this.#page;
    }
  }

  recoveryWrite(from: Uint8Array, offset: number): number {
    return this.#change(from, offset, (direct, bytes, at) => direct.recoveryWrite(bytes, at));
  }

  #change(bytes: Uint8Array, offset: number, step: Step): number {
    this.#table.touch({ offset, length: bytes.length });
    return this.#each(bytes, offset, step);
  }

  /** Runs a call of the leaf in `#place`; its errors become the table's. */
  #asTable<T>(call: () => T): T {
    const { device } = this.#place;
    try {
      return call();
    } catch (error) {
      throw this.#table.errorOf(error, device);
    }
  }

  /** The face of the leaf that holds an address; `#place` says where. */
  #at(offset: number): DirectAccess {
    if (offset === this.#located) return this.#direct as DirectAccess;
    this.#layout.locate(offset, this.#place);
    this.#located = offset;
    this.#direct = this.#place.device.direct;
    return this.#direct as DirectAccess;
  }

  /** Does a range window by window, up to the first that is not done whole. @returns bytes done */
  #each(bytes: Uint8Array, offset: number, step: Step): number {
    checkRange({ offset, length: bytes.length }, this.#layout.size);
    for (let done = 0; done < bytes.length;) {
      const direct = this.#at(offset + done);
      const length = Math.min(this.#place.length, bytes.length - done);
      const part = length === bytes.length ? bytes : bytes.subarray(done, done + length);
      const count = this.#asTable(() => step(direct, part, this.#place.offset));
      done += count;
      if (count < length) return done;
    }
    return bytes.length;
  }
}
