/**
 * NoRecoveryDevice: memory that knows nothing of poison: no list, no clear, no recovery. What segment-device.ts and window-device.ts make.
 *
 * As in the kernel's drivers of that kind (dcssblk, virtio_fs): access is plain, whatever the mode of a window; what asks for recovery is
 * EOPNOTSUPP before any byte moves. A read that the medium fails is told as missing, and forgotten: the next one may work.
 */
import {
  checkRange,
  endOf,
  intersect,
  isPromise,
  StorageError,
  type BadRange,
  type ByteRange,
  type MaybePromise,
} from "../base/index.ts";
import { PoisonList, type PoisonView } from "../poison/index.ts";
import {
  COMPLETE,
  type AccessMode,
  type Capabilities,
  type DeviceIdentity,
  type HealWrite,
  type ManagedDevice,
  type ReadResult,
} from "./device.ts";
import type { DirectAccess } from "./direct-access.ts";
import type { Faults, Media } from "./media.ts";
import { NoRecoveryFace } from "./no-recovery-face.ts";

/** What such a device can do. */
export function noRecoveryCapabilities(readOnly: boolean): Capabilities {
  return {
    poisonUnit: 1,
    clearUnit: 1,
    pageSize: 4096,
    clear: "none",
    listsErrors: false,
    failedRead: "costly",
    mediated: false,
    readOnly,
    recovers: false,
  };
}

/** A device over a medium, which it closes. */
export class NoRecoveryDevice implements ManagedDevice {
  readonly size: number;
  readonly identity: DeviceIdentity;
  readonly capabilities: Capabilities;
  readonly poison: PoisonView;
  readonly direct: DirectAccess | undefined;
  readonly #media: Media;
  #closed = false;

  constructor(media: Media) {
    this.#media = media;
    this.size = media.size;
    this.identity = { name: media.name, uuid: undefined, generation: 0 };
    this.capabilities = media.capabilities;
    this.poison = new PoisonList(media.size);
    this.direct = media.memory === undefined ? undefined : new NoRecoveryFace(this, media.memory);
  }

  read(into: Uint8Array, offset: number, mode: AccessMode = "access"): MaybePromise<ReadResult> {
    const range = { offset, length: into.length };
    this.#check(range);
    if (mode === "recovery") throw this.refusal("read");
    const faults = this.#media.read(into, offset);
    if (isPromise(faults)) return faults.then((all) => resultOf(all, range, mode));
    return resultOf(faults, range, mode);
  }

  write(from: Uint8Array, offset: number, mode: AccessMode = "access"): void {
    this.checkWritable({ offset, length: from.length });
    if (mode === "recovery") throw this.refusal("write");
    this.#media.write(from, offset);
  }

  flush(): void {
    if (!this.#closed && !this.capabilities.readOnly) this.#media.flush();
  }

  heal(writes: readonly HealWrite[]): readonly Error[] {
    for (const { offset, data } of writes) this.#check({ offset, length: data.length });
    return writes.map(() => this.refusal("write"));
  }

  clear(range: ByteRange): never {
    this.#check(range);
    throw this.refusal("clear");
  }

  /** Nothing is remembered. */
  recordRead(range: ByteRange): void {
    this.#check(range);
  }

  recordBad(range: ByteRange): never {
    this.#check(range);
    throw this.refusal("list");
  }

  /** Says that there is no recovery. */
  refusal(syscall: string): StorageError {
    const { name } = this.identity;
    return new StorageError(
      "EOPNOTSUPP",
      `Cannot recover on ${name}: it is a segment or window, which knows nothing of poison`,
      { path: name, syscall },
    );
  }

  /** @throws {StorageError} EACCES where it is open for reading */
  checkWritable(range: ByteRange): void {
    this.#check(range);
    if (!this.capabilities.readOnly) return;
    const { name } = this.identity;
    throw new StorageError("EACCES", `Cannot write ${name}: it is open for reading`, {
      path: name,
    });
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#media.close();
  }

  #check(range: ByteRange): void {
    if (this.#closed)
      throw new StorageError("EIO", `Cannot use ${this.identity.name}: it is closed`, {
        path: this.identity.name,
      });
    checkRange(range, this.size);
  }
}

function resultOf(faults: Faults, range: ByteRange, mode: AccessMode): ReadResult {
  const missing = faults.flatMap((fault): BadRange[] => {
    const part = intersect(fault, range);
    return part === undefined ? [] : [{ ...part, state: "poisoned" }];
  });
  const [first] = missing;
  if (first === undefined) return COMPLETE;
  if (mode !== "failFast") return { missing };
  const rest = { offset: endOf(first), length: endOf(range) - endOf(first) };
  return { missing: rest.length === 0 ? [first] : [first, { ...rest, state: "unread" }] };
}
