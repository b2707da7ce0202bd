/** CrashBytes: the content of a modelled file, sparse and cheap to copy, and the changes that no sync has made durable yet. */
import { SECTOR, type Prng } from "../base/index.ts";

const PAGE_BYTES = 4096;

/** Content in pages; a page that is not there is zeros. Copies share pages until one of them writes. */
export class CrashBytes {
  #size = 0;
  #pages = new Map<number, Uint8Array>();
  #owned = new Set<number>();

  /** Bytes of the content. */
  get size(): number {
    return this.#size;
  }

  /** Bytes of all pages that are there: what a disk would have to hold. */
  get allocated(): number {
    return this.#pages.size * PAGE_BYTES;
  }

  /** Fills `into` from `offset` up to the end of the content; returns the count. */
  read(into: Uint8Array, offset: number): number {
    const count = Math.max(0, Math.min(into.length, this.#size - offset));
    for (let done = 0; done < count;) {
      const at = offset + done;
      const from = at % PAGE_BYTES;
      const part = Math.min(count - done, PAGE_BYTES - from);
      const page = this.#pages.get((at - from) / PAGE_BYTES);
      if (page === undefined) into.fill(0, done, done + part);
      else into.set(page.subarray(from, from + part), done);
      done += part;
    }
    return count;
  }

  /** Stores `from` at `offset`; the content grows where it must. */
  write(from: Uint8Array, offset: number): void {
    for (let done = 0; done < from.length;) {
      const at = offset + done;
      const inPage = at % PAGE_BYTES;
      const part = Math.min(from.length - done, PAGE_BYTES - inPage);
      this.#page((at - inPage) / PAGE_BYTES).set(from.subarray(done, done + part), inPage);
      done += part;
    }
    if (from.length > 0) this.#size = Math.max(this.#size, offset + from.length);
  }

  /** Sets the size; what is cut off reads as zeros where the content grows again. */
  truncate(size: number): void {
    const inPage = size % PAGE_BYTES;
    const last = Math.ceil(size / PAGE_BYTES);
    if (size < this.#size) {
      for (const index of this.#pages.keys()) {
        if (index >= last) this.#pages.delete(index);
      }
      if (inPage > 0 && this.#pages.has(last - 1)) this.#page(last - 1).fill(0, inPage);
    }
    this.#size = size;
  }

  /** A copy that shares no later change. */
  clone(): CrashBytes {
    const copy = new CrashBytes();
    copy.#size = this.#size;
    copy.#pages = new Map(this.#pages);
    this.#owned.clear();
    return copy;
  }

  #page(index: number): Uint8Array {
    const page = this.#pages.get(index);
    if (page !== undefined && this.#owned.has(index)) return page;
    const own = page === undefined ? new Uint8Array(PAGE_BYTES) : page.slice();
    this.#pages.set(index, own);
    this.#owned.add(index);
    return own;
  }
}

/** A change of content, in the order it was made. */
export type ContentChange =
  | { readonly offset: number; readonly data: Uint8Array }
  | { readonly size: number };

/** Makes a change, whole. */
export function applyChange(content: CrashBytes, change: ContentChange): void {
  if ("size" in change) content.truncate(change.size);
  else content.write(change.data, change.offset);
}

/** Makes what a crash leaves of a change: all, nothing, or some of its sectors, on the borders of the device's sectors. */
export function applyTorn(content: CrashBytes, change: ContentChange, prng: Prng): void {
  const fate = prng.below(4);
  if (fate === 0) return;
  if (fate === 1 || "size" in change) {
    applyChange(content, change);
    return;
  }
  const end = change.offset + change.data.length;
  // The size is metadata of its own: it may have grown over sectors that never came.
  if (prng.chance(0.5) && end > content.size) content.truncate(end);
  for (let at = change.offset; at < end;) {
    const next = Math.min(end, at - (at % SECTOR) + SECTOR);
    if (prng.chance(0.5))
      content.write(change.data.subarray(at - change.offset, next - change.offset), at);
    at = next;
  }
}
