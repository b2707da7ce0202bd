/** PrivatePages: the pages that stores into a private mapping (MAP_PRIVATE) have copied; nobody else sees them. */

/** Copied pages, by their number in the file. */
export class PrivatePages {
  readonly #pageSize: number;
  readonly #pages = new Map<number, Uint8Array>();

  constructor(pageSize: number) {
    this.#pageSize = pageSize;
  }

  /** Whether nothing was copied yet. */
  get empty(): boolean {
    return this.#pages.size === 0;
  }

  /** The copy's bytes from a position on, up to the end of its page; `undefined` where the page is not copied. */
  at(position: number): Uint8Array | undefined {
    const inPage = position % this.#pageSize;
    return this.#pages.get((position - inPage) / this.#pageSize)?.subarray(inPage);
  }

  /** Takes the copy of the page that begins at `position`. */
  take(position: number, bytes: Uint8Array): void {
    this.#pages.set(position / this.#pageSize, bytes);
  }
}
