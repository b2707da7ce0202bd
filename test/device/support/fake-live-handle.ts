/** FakeLiveHandle: a live file or device in memory: bad sectors fail whole pages of a file, as DAX does, or single sectors of a device; a write of whole pages heals. */
import { PAGE, SECTOR } from "../../../src/base/index.ts";
import type { LiveHandle } from "../../../src/device/index.ts";

/** One memory under a file and the device below it: the file's first byte is the device's `start`. */
export class FakeLiveHandle implements LiveHandle {
  readonly path: string;
  readonly kind: LiveHandle["kind"];
  readonly unit: number;
  readonly calls: string[] = [];
  /** Numbers of bad sectors of the file. */
  readonly bad: Set<number>;
  bytes: Uint8Array;
  length: number;
  modifiedNs = 5n;
  /** Whether the medium clears what is written over. */
  clears = true;

  constructor(
    bytes: Uint8Array,
    options: { bad?: Set<number>; kind?: LiveHandle["kind"]; size?: number } = {},
  ) {
    this.kind = options.kind ?? "file";
    this.path = this.kind === "file" ? "/mnt/x/book" : "/dev/pmem0";
    this.unit = SECTOR;
    this.bytes = bytes;
    this.length = options.size ?? bytes.length;
    this.bad = options.bad ?? new Set();
  }

  size(): number {
    return this.length;
  }

  stat(): ReturnType<LiveHandle["stat"]> {
    return { inode: 12, device: 1n, modifiedNs: this.modifiedNs, accessedNs: 4n, bornNs: 3n };
  }

  readSync(into: Uint8Array, offset: number): number | undefined {
    const grain = this.kind === "file" ? PAGE : SECTOR;
    const end = Math.min(offset + into.length, this.length);
    const last = Math.ceil(end / grain) * grain;
    for (let at = offset - (offset % grain); at < last; at += SECTOR)
      if (this.bad.has(at / SECTOR)) return undefined;
    into.set(this.bytes.subarray(offset, end));
    return Math.max(0, end - offset);
  }

  read(into: Uint8Array, offset: number): Promise<number | undefined> {
    return Promise.resolve(this.readSync(into, offset));
  }

  writeSync(from: Uint8Array, offset: number): string | undefined {
    this.calls.push(`write ${offset} ${from.length}`);
    this.modifiedNs = 99n;
    if (!this.clears) return "the kernel answers EFAULT";
    for (let at = offset; at < offset + from.length; at += SECTOR) this.bad.delete(at / SECTOR);
    if (offset + from.length > this.bytes.length) {
      const grown = new Uint8Array(offset + from.length);
      grown.set(this.bytes);
      this.bytes = grown;
    }
    this.bytes.set(from, offset);
    this.length = Math.max(this.length, offset + from.length);
    return undefined;
  }

  sync(): boolean {
    this.calls.push("sync");
    return true;
  }

  truncate(size: number): void {
    this.calls.push(`truncate ${size}`);
    this.length = size;
    this.modifiedNs = 99n;
  }

  setTimes(times: { readonly modifiedNs: bigint }): void {
    this.modifiedNs = times.modifiedNs;
  }

  close(): void {
    this.calls.push("close");
  }
}
