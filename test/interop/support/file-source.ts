/** FileSource: an image file as the bytes that a file map reads. */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { COMPLETE, type ReadResult } from "../../../src/device/index.ts";

/** An open image. */
export class FileSource {
  readonly size: number;
  readonly #file: number;

  constructor(path: string) {
    this.#file = openSync(path, "r");
    this.size = fstatSync(this.#file).size;
  }

  read(into: Uint8Array, offset: number): ReadResult {
    if (into.length > 0 && readSync(this.#file, into, 0, into.length, offset) !== into.length)
      throw new Error(`short read at ${offset}`);
    return COMPLETE;
  }

  close(): void {
    closeSync(this.#file);
  }
}
