/** NoRecoveryFace: direct access to memory that knows nothing of poison: every window is granted, whatever the mode, up to the memory's end. */
import { checkRange, StorageError, type ByteRange } from "../base/index.ts";
import type { Capabilities } from "./device.ts";
import type { DirectAccess } from "./direct-access.ts";
import { checkLine } from "./line-store.ts";
import type { MediaMemory } from "./media.ts";

/** What the face needs of its device. */
export interface NoRecoveryOwner {
  readonly size: number;
  readonly capabilities: Capabilities;
  /** @throws {StorageError} EACCES where it is open for reading */
  checkWritable(range: ByteRange): void;
  refusal(syscall: string): StorageError;
}

/** The direct face of one such device. */
export class NoRecoveryFace implements DirectAccess {
  readonly #owner: NoRecoveryOwner;
  readonly #memory: MediaMemory;

  constructor(owner: NoRecoveryOwner, memory: MediaMemory) {
    this.#owner = owner;
    this.#memory = memory;
  }

  /** As `virtio_fs_direct_access`: the mode is ignored, the window's end is not. */
  probe(page: number, pages: number): number {
    const { size, capabilities } = this.#owner;
    const start = page * capabilities.pageSize;
    checkRange({ offset: start, length: 0 }, size);
    return Math.min(pages, Math.ceil((size - start) / capabilities.pageSize));
  }

  view(range: ByteRange): Uint8Array {
    checkRange(range, this.#owner.size);
    return this.#memory.view(range);
  }

  load(into: Uint8Array, offset: number): number {
    checkRange({ offset, length: into.length }, this.#owner.size);
    const [first] = this.#memory.load(into, offset);
    return first === undefined ? into.length : Math.max(0, first.offset - offset);
  }

  store(from: Uint8Array, offset: number): void {
    this.#owner.checkWritable({ offset, length: from.length });
    this.#memory.store(from, offset);
  }

  /** Nobody knows of any poison here, and calls with the flag are refused before. */
  stands(): boolean {
    return true;
  }

  loadUpTo(into: Uint8Array, offset: number, mode: "recovery" | "failFast"): number {
    if (mode === "recovery") throw this.#owner.refusal("read");
    return this.load(into, offset);
  }

  heal(from: Uint8Array, offset: number): never {
    this.#owner.checkWritable({ offset, length: from.length });
    throw this.#owner.refusal("write");
  }

  storeLine(line: Uint8Array, offset: number): void {
    checkLine(line, offset);
    this.store(line, offset);
  }

  /** As `dcssblk_dax_zero_page_range`: plain zeros. */
  zeroPages(page: number, pages: number): void {
    const { size, capabilities } = this.#owner;
    const offset = page * capabilities.pageSize;
    const length = Math.min(pages * capabilities.pageSize, size - offset);
    checkRange({ offset, length }, size);
    this.store(new Uint8Array(length), offset);
  }

  /** The drivers have no such operation: nothing is written (`dax_recovery_write`). */
  recoveryWrite(): number {
    return 0;
  }
}
