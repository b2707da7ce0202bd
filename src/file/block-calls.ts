/** BlockCalls: the file calls on a block device, with O_DIRECT or through a page cache: checked, then block-read and block-write. */
import { SECTOR, StorageError } from "../base/index.ts";
import { IoVector, type ReadAround } from "../dax/index.ts";
import type { AccessMode } from "../device/index.ts";
import { blockRead, type BlockFile } from "./block-read.ts";
import { blockReadAround } from "./block-read-around.ts";
import { blockWrite } from "./block-write.ts";
import type { Cursor } from "./dax-calls.ts";
import { CALL_BYTES_MAX, type Buffers, type FileCalls } from "./file.ts";
import {
  checkBuffers,
  checkRecovers,
  checkWrite,
  placeOf,
  type Syscall,
  type WritePlace,
} from "./request.ts";
import {
  checkFlags,
  modeOf,
  RWF_APPEND,
  RWF_DSYNC,
  RWF_SYNC,
  type FlagContext,
} from "./rwf-flags.ts";

/** What the calls work on. */
export interface BlockCallsOptions {
  readonly file: BlockFile;
  readonly place: WritePlace;
  readonly cursor: Cursor;
  /** How hard calls without the flag try. */
  readonly mode: AccessMode;
  readonly face: "direct" | "buffered";
}

/** The calls of one open file. */
export class BlockCalls implements FileCalls<"async"> {
  readonly #options: BlockCallsOptions;
  readonly #contexts: Readonly<Record<Syscall, FlagContext>>;

  constructor(options: BlockCallsOptions) {
    this.#options = options;
    const { face, file } = options;
    this.#contexts = {
      preadv2: { syscall: "preadv2", name: file.name, face },
      pwritev2: { syscall: "pwritev2", name: file.name, face },
    };
  }

  async preadv2(buffers: Buffers, offset: number, flags: number = 0): Promise<number> {
    const { file, cursor, face, place } = this.#options;
    const vector = this.#begin("preadv2", { buffers, offset, flags });
    const at = vector.offset;
    const asked = vector.length;
    vector.length = Math.min(asked, Math.max(0, file.size - at));
    // The tail of a file is a part of a sector, and is asked for with a whole one.
    const counted = place.isDevice || vector.length === 0 ? vector.length : asked;
    this.#checkAligned("preadv2", counted, { buffers, at });
    if (vector.mode === "recovery") this.#checkRecovers("preadv2", at, vector.length);
    const count = await blockRead(file, vector, face);
    if (offset === -1) cursor.position = at + count;
    return count;
  }

  async pwritev2(buffers: Buffers, offset: number, flags: number = 0): Promise<number> {
    const { file, cursor, face, place } = this.#options;
    const vector = this.#begin("pwritev2", { buffers, offset, flags });
    const at = vector.offset;
    vector.length = checkWrite(place, at, vector.length);
    this.#checkAligned("pwritev2", vector.length, { buffers, at });
    if (vector.mode === "recovery") this.#checkRecovers("pwritev2", at, vector.length);
    const count = await blockWrite(file, vector, face);
    if (offset === -1) cursor.position = at + count;
    if ((flags & (RWF_DSYNC | RWF_SYNC)) !== 0) await this.fsync();
    return count;
  }

  async readRecover(into: Uint8Array, offset: number): Promise<ReadAround> {
    const { file, cursor } = this.#options;
    checkBuffers(into, file.name);
    const at = placeOf(offset, cursor.position, file.name);
    this.#checkRecovers("preadv2", at, into.length);
    return blockReadAround(file, into, at);
  }

  async fsync(): Promise<void> {
    await this.#options.file.device.flush();
  }

  #checkRecovers(syscall: Syscall, offset: number, length: number): void {
    const { file, place } = this.#options;
    checkRecovers({ device: file.device, place, syscall }, offset, length);
  }

  #begin(
    syscall: Syscall,
    call: { readonly buffers: Buffers; readonly offset: number; readonly flags: number },
  ): IoVector {
    const { file, cursor } = this.#options;
    const context = this.#contexts[syscall];
    checkFlags(call.flags, context);
    const mode = modeOf(call.flags, this.#options.mode, context);
    checkBuffers(call.buffers, file.name);
    const isAppend = (call.flags & RWF_APPEND) !== 0 && syscall === "pwritev2";
    const vector = new IoVector().begin(call.buffers, CALL_BYTES_MAX);
    vector.offset = isAppend ? file.size : placeOf(call.offset, cursor.position, file.name);
    vector.mode = mode;
    return vector;
  }

  /**
   * O_DIRECT takes whole sectors at sectors (`blkdev_dio_unaligned`). Of a device, what is past the end was cut off before
   * (`blkdev_read_iter`); of a file nothing is, but at its end there is nothing to read (`__iomap_dio_rw`). That buffers begin at a sector
   * in memory is not asked: ours are copied from.
   */
  #checkAligned(
    syscall: Syscall,
    length: number,
    { buffers, at }: { readonly buffers: Buffers; readonly at: number },
  ): void {
    if (this.#options.face !== "direct" || length === 0) return;
    const parts = buffers instanceof Uint8Array ? [buffers] : buffers;
    let left = length;
    const isWhole = parts.every((part) => {
      const taken = Math.min(part.length, left);
      left -= taken;
      return taken % SECTOR === 0;
    });
    if (isWhole && at % SECTOR === 0) return;
    const { name } = this.#options.file;
    throw new StorageError(
      "EINVAL",
      `Cannot use ${name} directly: want whole sectors of ${SECTOR} bytes: got offset ${at}, length ${length}`,
      { syscall, path: name },
    );
  }
}
