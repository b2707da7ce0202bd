/** MemoryMedia: bytes in memory, gone with the process. Never fails by itself; faults are simulated-media.ts's. */
import type { ByteRange } from "../base/index.ts";
import type { Capabilities } from "./device.ts";
import { NO_FAULTS, type Faults, type Media, type MediaMemory } from "./media.ts";

/** A medium over an array, which it does not copy. */
export class MemoryMedia implements Media {
  readonly name: string;
  readonly size: number;
  readonly capabilities: Capabilities;
  readonly memory: MediaMemory;
  readonly #bytes: Uint8Array;

  constructor(
    bytes: Uint8Array,
    options: { readonly name: string; readonly capabilities: Capabilities },
  ) {
    this.#bytes = bytes;
    this.size = bytes.length;
    this.name = options.name;
    this.capabilities = options.capabilities;
    this.memory = {
      view: ({ offset, length }) => bytes.subarray(offset, offset + length),
      isPlain: () => true,
      load: (into, offset) => this.read(into, offset),
      store: (from, offset) => this.write(from, offset),
    };
  }

  read(into: Uint8Array, offset: number): Faults {
    into.set(this.#bytes.subarray(offset, offset + into.length));
    return NO_FAULTS;
  }

  readSync(into: Uint8Array, offset: number): Faults {
    return this.read(into, offset);
  }

  readBack(into: Uint8Array, offset: number): Faults {
    return this.read(into, offset);
  }

  write(from: Uint8Array, offset: number): void {
    this.#bytes.set(from, offset);
  }

  clear(range: ByteRange): number {
    return this.capabilities.clear === "none" ? 0 : range.length;
  }

  flush(): void {}

  close(): void {}
}
