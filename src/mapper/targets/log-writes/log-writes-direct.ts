/** LogWritesDirect: direct access through a log-writes target: what is read goes on to the memory below, what changes it is logged. */
import { MediaError, type ByteRange } from "../../../base/index.ts";
import type { Capabilities, DirectAccess, HealWrite } from "../../../device/index.ts";

/** Bytes zeroed at once. */
const CHUNK = 1024 * 1024;

/** What the face needs of its device. */
export interface LoggedOwner {
  readonly size: number;
  readonly capabilities: Capabilities;
  /** Makes a change and logs it. @returns bytes done */
  changeDirect(
    write: HealWrite,
    load: (into: Uint8Array, offset: number) => number,
    change: () => number,
  ): number;
}

/** The face. */
export class LogWritesDirect implements DirectAccess {
  readonly #owner: LoggedOwner;
  readonly #direct: DirectAccess;

  /** @param direct the face below */
  constructor(owner: LoggedOwner, direct: DirectAccess) {
    this.#owner = owner;
    this.#direct = direct;
  }

  probe(page: number, pages: number, mode: "access" | "recovery"): number {
    return this.#direct.probe(page, pages, mode);
  }

  /** Stores through it are not logged. */
  view(range: ByteRange): Uint8Array {
    return this.#direct.view(range);
  }

  load(into: Uint8Array, offset: number): number {
    return this.#direct.load(into, offset);
  }

  loadUpTo(into: Uint8Array, offset: number, mode: "recovery" | "failFast"): number {
    return this.#direct.loadUpTo(into, offset, mode);
  }

  store(from: Uint8Array, offset: number): void {
    this.#change(from, offset, () => this.#direct.store(from, offset));
  }

  /** A proof changes nothing, so nothing is logged. */
  stands(from: Uint8Array, offset: number): boolean {
    return this.#direct.stands(from, offset);
  }

  storeLine(line: Uint8Array, offset: number): void {
    this.#change(line, offset, () => this.#direct.storeLine(line, offset));
  }

  heal(from: Uint8Array, offset: number): void {
    this.#change(from, offset, () => this.#direct.heal(from, offset));
  }

  zeroPages(page: number, pages: number): void {
    const { pageSize } = this.#owner.capabilities;
    const end = Math.min((page + pages) * pageSize, this.#owner.size);
    const step = Math.max(1, Math.floor(CHUNK / pageSize));
    if (page * pageSize >= end) this.#direct.zeroPages(page, pages);
    for (let at = page; at * pageSize < end; at += step) {
      const count = Math.min(step, page + pages - at);
      const length = Math.min(count * pageSize, end - at * pageSize);
      const zeros = new Uint8Array(length);
      this.#change(zeros, at * pageSize, () => this.#direct.zeroPages(at, count));
    }
  }

  recoveryWrite(from: Uint8Array, offset: number): number {
    try {
      return this.#logged(from, offset, () => this.#direct.recoveryWrite(from, offset));
    } catch (error) {
      if (error instanceof MediaError) return 0;
      throw error;
    }
  }

  #change(from: Uint8Array, offset: number, change: () => void): void {
    this.#logged(from, offset, () => {
      change();
      return from.length;
    });
  }

  #logged(data: Uint8Array, offset: number, change: () => number): number {
    const load = (into: Uint8Array, at: number): number => this.#direct.load(into, at);
    return this.#owner.changeDirect({ offset, data }, load, change);
  }
}
