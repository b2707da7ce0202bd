/** OpenedFile: an open file over whichever face it was opened with, and the handles that are made of it. */
import { StorageError } from "../base/index.ts";
import type { DaxFile, ReadAround } from "../dax/index.ts";
import type { AccessMode, Device } from "../device/index.ts";
import { BlockCalls } from "./block-calls.ts";
import { DaxCalls, type Cursor } from "./dax-calls.ts";
import type { Buffers, Face, File, FileCalls } from "./file.ts";
import type { MapOptions } from "./map-options.ts";
import { mapFile, type MappedFile } from "./mapped-file.ts";
import type { WritePlace } from "./request.ts";

/** What an open file is made of. */
export interface OpenedFileOptions {
  readonly device: Device;
  readonly place: WritePlace;
  readonly face: Face;
  /** How hard calls without the flag try. */
  readonly mode: AccessMode;
  readonly cursor: Cursor;
}

/** An open file. */
export class OpenedFile implements File {
  readonly name: string;
  readonly size: number;
  readonly face: Face;
  readonly direct: FileCalls<"sync"> | undefined;
  readonly #options: OpenedFileOptions;
  readonly #calls: FileCalls<"sync"> | FileCalls<"async">;
  readonly #memory: DaxFile | undefined;
  #open = true;

  constructor(options: OpenedFileOptions) {
    const { device, place, face, mode, cursor } = options;
    this.#options = options;
    this.name = place.name;
    this.size = place.size;
    this.face = face;
    const { name, size, extents } = place;
    const file = { name, device, extents, size, pageSize: device.capabilities.pageSize };
    if (face === "dax" && device.direct !== undefined) {
      this.#memory = { ...file, direct: device.direct };
      this.direct = new DaxCalls({ file: this.#memory, place, cursor, mode });
      this.#calls = this.direct;
    } else {
      this.direct = undefined;
      this.#calls = new BlockCalls({
        file,
        place,
        cursor,
        mode,
        face: face === "direct" ? face : "buffered",
      });
    }
  }

  get position(): number {
    return this.#options.cursor.position;
  }

  set position(offset: number) {
    if (!Number.isSafeInteger(offset) || offset < 0)
      throw new RangeError(`Cannot set a position: want whole bytes from 0 on: got ${offset}`);
    this.#options.cursor.position = offset;
  }

  async preadv2(buffers: Buffers, offset: number, flags?: number): Promise<number> {
    this.#check();
    return this.#calls.preadv2(buffers, offset, flags);
  }

  async pwritev2(buffers: Buffers, offset: number, flags?: number): Promise<number> {
    this.#check();
    return this.#calls.pwritev2(buffers, offset, flags);
  }

  async readRecover(into: Uint8Array, offset: number): Promise<ReadAround> {
    this.#check();
    return this.#calls.readRecover(into, offset);
  }

  async fsync(): Promise<void> {
    this.#check();
    await this.#calls.fsync();
  }

  /** A handle on the same file whose plain calls try as hard as `mode` says; its position is its own. */
  handle(mode: "recovery" | "failFast"): File {
    return new OpenedFile({ ...this.#options, mode, cursor: { position: 0 } });
  }

  map(options: Omit<MapOptions, "frozen"> = {}): MappedFile {
    this.#check();
    const { place } = this.#options;
    if (this.#memory !== undefined)
      return mapFile(this.#memory, { ...options, frozen: place.frozen });
    throw new StorageError(
      "EOPNOTSUPP",
      `Cannot map ${this.name}: its bytes are not memory: open it with face "dax"`,
      { syscall: "mmap", path: this.name },
    );
  }

  close(): void {
    this.#open = false;
  }

  #check(): void {
    if (this.#open) return;
    throw new StorageError("EIO", `Cannot use ${this.name}: it is closed`, { path: this.name });
  }
}
