/** HttpDevice: a resource as a device that can only be read: what an image on a web server is. */
import { checkRange, StorageError, type ByteRange, type MaybePromise } from "../../base/index.ts";
import type {
  AccessMode,
  Capabilities,
  Device,
  DeviceIdentity,
  ReadResult,
} from "../../device/index.ts";
import { PoisonList, type PoisonView } from "../../poison/index.ts";
import type { HttpResource } from "./http-resource.ts";

/** It knows nothing of poison, and nothing is ever written. */
const CAPABILITIES: Capabilities = {
  poisonUnit: 1,
  clearUnit: 1,
  pageSize: 4096,
  clear: "none",
  listsErrors: false,
  failedRead: "costly",
  mediated: false,
  readOnly: true,
  recovers: false,
};

/** A resource as a device. */
export class HttpDevice implements Device {
  readonly size: number;
  readonly identity: DeviceIdentity;
  readonly capabilities: Capabilities = CAPABILITIES;
  readonly poison: PoisonView;
  readonly direct: undefined = undefined;
  readonly #resource: HttpResource;

  /** @param poison what is known to be bad in it. @default nothing */
  constructor(resource: HttpResource, poison?: PoisonView) {
    this.#resource = resource;
    this.size = resource.size;
    this.identity = { name: resource.name, uuid: undefined, generation: 0 };
    this.poison = poison ?? new PoisonList(resource.size);
  }

  async read(into: Uint8Array, offset: number, mode?: AccessMode): Promise<ReadResult> {
    this.#check({ offset, length: into.length });
    if (mode === "recovery") throw this.#refusal("EOPNOTSUPP", "a server does not recover");
    return await this.#resource.read(into, offset);
  }

  write(_from: Uint8Array, _offset: number): MaybePromise<void> {
    throw this.#refusal("EACCES", "it is only read");
  }

  flush(): void {}

  close(): void {}

  #check(range: ByteRange): void {
    checkRange(range, this.size);
  }

  #refusal(code: "EOPNOTSUPP" | "EACCES", why: string): StorageError {
    const { name } = this.identity;
    return new StorageError(code, `Cannot do that with ${name}: ${why}`, { path: name });
  }
}
