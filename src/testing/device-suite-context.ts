/** device-suite-context: a device under test, full of known bytes, and words for what tests do with it. */
import { strict as assert } from "node:assert";
import { endOf, MediaError, type ByteRange, type MaybePromise, type Prng } from "../base/index.ts";
import type { AccessMode, ManagedDevice } from "../device/index.ts";
import type { FaultKind, PoisonState } from "../poison/index.ts";

/** A device under test, and the hands that make it fail. Offsets are the device's. */
export interface DeviceSubject {
  /** Of 16 KiB to 1 MiB, a whole number of clear units, zeros, nothing bad. */
  readonly device: ManagedDevice;
  /** Makes bytes bad; at least those given, whole poison units of the medium. */
  inject(range: ByteRange, options: { readonly latent: boolean }): void;
  /** Turns a fault on. */
  fault(range: ByteRange, kind: FaultKind): void;
  /** Pages from a page on to where the kernel's window of direct access ends. @default to the end of the device */
  window?(page: number): number;
  /** Closes and opens again, where that is possible. */
  reopen?(): MaybePromise<ManagedDevice>;
  /** Called after every test. */
  dispose?(): MaybePromise<void>;
}

/** One test: its title and what it does. */
export type Check = readonly [title: string, body: (context: Context) => MaybePromise<void>];

/** A device full of known bytes, and words for what tests do with it. */
export class Context {
  readonly subject: DeviceSubject;
  readonly device: ManagedDevice;
  readonly prng: Prng;
  /** What the device should hold. */
  content: Uint8Array;

  constructor(subject: DeviceSubject, prng: Prng) {
    this.subject = subject;
    this.device = subject.device;
    this.prng = prng;
    this.content = new Uint8Array(subject.device.size);
  }

  /** Fills the device with random bytes. */
  async fill(): Promise<void> {
    this.content = this.prng.bytes(this.device.size);
    await this.device.write(this.content, 0);
    await this.device.flush();
  }

  /** What `probe` gives for pages of which none is bad: at most those of the window. */
  window(page: number, pages: number): number {
    return Math.min(pages, this.subject.window?.(page) ?? pages);
  }

  get unit(): number {
    return this.device.capabilities.clearUnit;
  }

  get heals(): boolean {
    const { clear } = this.device.capabilities;
    return clear !== "none" && clear !== "pretends";
  }

  /** Poisons the second clear unit, or a part of it, and tells the list where that was not latent. */
  poison(
    options: { readonly latent?: boolean; readonly offset?: number; readonly length?: number } = {},
  ): ByteRange {
    const {
      latent = false,
      offset = this.unit,
      length = this.device.capabilities.poisonUnit,
    } = options;
    this.subject.inject({ offset, length }, { latent });
    return { offset, length };
  }

  /** Reads everything; gives the bytes and, for each, whether it is missing. */
  async all(
    mode: AccessMode = "recovery",
    device: ManagedDevice = this.device,
  ): Promise<{ bytes: Uint8Array; missing: Uint8Array }> {
    const bytes = new Uint8Array(device.size).fill(0xa5);
    const missing = new Uint8Array(device.size);
    const result = await device.read(bytes, 0, mode);
    for (const hole of result.missing) missing.fill(1, hole.offset, endOf(hole));
    return { bytes, missing };
  }

  /** Every byte that is not missing is what it should be; exactly the bytes of `bad` are missing. */
  async expect(bad: readonly ByteRange[], device: ManagedDevice = this.device): Promise<void> {
    const { bytes, missing } = await this.all("recovery", device);
    const wanted = new Uint8Array(device.size);
    for (const range of bad) wanted.fill(1, range.offset, endOf(range));
    assert.equal(Buffer.compare(missing, wanted), 0, "R1: exactly the bad bytes are missing");
    for (let at = 0; at < bytes.length; at += 1) {
      if (missing[at] === 0 && bytes[at] !== this.content[at])
        assert.fail(`R2: byte ${at} is ${bytes[at]}, want ${this.content[at]}`);
    }
  }

  /** Writes what should be there from then on. */
  async write(range: ByteRange, mode?: AccessMode): Promise<void> {
    const data = this.prng.bytes(range.length);
    await this.device.write(data, range.offset, mode);
    this.content.set(data, range.offset);
  }

  async rejects(
    call: () => MaybePromise<unknown>,
    type: abstract new (...args: never[]) => Error = MediaError,
  ): Promise<void> {
    await assert.rejects(async () => await call(), type);
  }

  statesOf(range: ByteRange): PoisonState[] {
    return Array.from(this.device.poison.states(range), (part) => part.state);
  }
}
