/** SparseImage: an image of which only what is not zero is kept, with changes laid over it that can be dropped again. */
import type { ImageBytes } from "../../../support/mutated-source.ts";

const PAGE = 4096;
const ZEROS = Buffer.alloc(PAGE);

/** An image; `change` never touches what it was made of. */
export class SparseImage implements ImageBytes {
  readonly length: number;
  readonly #pages: ReadonlyMap<number, Uint8Array>;
  readonly #changed = new Map<number, Uint8Array>();

  constructor(bytes: Uint8Array) {
    this.length = bytes.length;
    const pages = new Map<number, Uint8Array>();
    for (let page = 0; page * PAGE < bytes.length; page += 1) {
      const part = Buffer.from(bytes.buffer, bytes.byteOffset + page * PAGE, PAGE);
      if (!part.equals(ZEROS)) pages.set(page, new Uint8Array(part));
    }
    this.#pages = pages;
  }

  copy(into: Uint8Array, offset: number): void {
    for (let done = 0; done < into.length;) {
      const at = offset + done;
      const page = Math.floor(at / PAGE);
      const within = at - page * PAGE;
      const size = Math.min(PAGE - within, into.length - done);
      const bytes = this.#changed.get(page) ?? this.#pages.get(page);
      if (bytes === undefined) into.fill(0, done, done + size);
      else into.set(bytes.subarray(within, within + size), done);
      done += size;
    }
  }

  /** A copy of bytes as they are now. */
  read(offset: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    this.copy(bytes, offset);
    return bytes;
  }

  /** Lays bytes over the image. */
  change(offset: number, bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length;) {
      const at = offset + done;
      const page = Math.floor(at / PAGE);
      const within = at - page * PAGE;
      const size = Math.min(PAGE - within, bytes.length - done);
      let own = this.#changed.get(page);
      if (own === undefined) {
        own = this.#pages.get(page)?.slice() ?? new Uint8Array(PAGE);
        this.#changed.set(page, own);
      }
      own.set(bytes.subarray(done, done + size), within);
      done += size;
    }
  }

  /** Drops all changes. */
  restore(): void {
    this.#changed.clear();
  }
}
