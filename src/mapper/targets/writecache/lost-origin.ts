/** LostOrigin: stands for an origin whose bytes may be older than what an unreadable entry of its cache names: every byte is lost, none is served. */
import { assert, checkRange, type ByteRange } from "../../../base/index.ts";
import { COMPLETE, type ReadResult } from "../../../device/index.ts";
import { ConstantDevice } from "../constant-device.ts";

/** An origin that is given up. Nothing writes to it: a target over one is read-only. */
export class LostOrigin extends ConstantDevice {
  constructor(size: number) {
    super("origin", size, "lost");
  }

  override read(into: Uint8Array, offset: number): ReadResult {
    const range = { offset, length: into.length };
    checkRange(range, this.size);
    return into.length === 0 ? COMPLETE : { missing: [{ ...range, state: "lost" }] };
  }

  override write(): never {
    return this.#refuse();
  }

  override heal(): never {
    return this.#refuse();
  }

  override clear(): never {
    return this.#refuse();
  }

  override recordBad(range: ByteRange): void {
    checkRange(range, this.size);
  }

  #refuse(): never {
    assert(false, "an origin that is given up is read-only");
    throw new Error();
  }
}
