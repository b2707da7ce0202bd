/** Exports of a server that knows nothing of poison, for tests of what the client makes of them. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import { createPrng, type BadRange, type ByteRange } from "../../../../src/base/index.ts";
import {
  createMemoryDevice,
  openNbd,
  type AccessMode,
  type OpenNbdOptions,
  type RemoteDevice,
  type SimulatedDevice,
} from "../../../../src/device/index.ts";
import { LoopbackServer, type LoopbackOptions } from "./loopback-server.ts";

/** Bytes of the disk behind an export. */
export const SIZE = 262_144;
/** Of the disk's bytes. */
export const seed: number = Number(process.env["SEED"] ?? Date.now() % 2 ** 31);
/** What is on the disk. */
export const content: Uint8Array = createPrng(seed).bytes(SIZE);
/** Sectors that most tests make bad. */
export const BAD: readonly ByteRange[] = [
  { offset: 0, length: 512 },
  { offset: 5120, length: 1536 },
  { offset: SIZE - 512, length: 512 },
];

/** A disk with these sectors bad, full of random bytes; nobody knows of them. */
export function disk(bad: readonly ByteRange[] = []): SimulatedDevice {
  const device = createMemoryDevice({
    size: SIZE,
    poisonUnit: 512,
    clearUnit: 512,
    clear: "overwrite",
  });
  device.write(content, 0);
  for (const range of bad) device.inject(range, { latent: true });
  return device;
}

/** Ranges as a list has them. */
export function asPoisoned(ranges: readonly ByteRange[]): BadRange[] {
  return ranges.map((range) => ({ ...range, state: "poisoned" }));
}

/** Servers and devices of one test, and a state directory for them. */
export class Exports {
  readonly #servers: LoopbackServer[] = [];
  readonly #devices: RemoteDevice[] = [];
  readonly folder: string = mkdtempSync(join(tmpdir(), "theriac-state-"));

  async serve(
    device: SimulatedDevice,
    options: Partial<LoopbackOptions> = {},
  ): Promise<LoopbackServer> {
    const server = await LoopbackServer.start({ form: "simple", ...options, device });
    this.#servers.push(server);
    return server;
  }

  async open(server: LoopbackServer, options: OpenNbdOptions = {}): Promise<RemoteDevice> {
    const device = await openNbd(server.uri, {
      access: "write",
      stateDirectory: this.folder,
      ...options,
    });
    this.#devices.push(device);
    return device;
  }

  async end(): Promise<void> {
    for (const device of this.#devices) await device.close();
    for (const server of this.#servers) await server.stop();
    rmSync(this.folder, { recursive: true });
  }
}

/** Reads all; every byte that is not missing must be right, and the place of every other one as it was. */
export async function missingOf(
  device: RemoteDevice,
  mode: AccessMode = "access",
): Promise<readonly BadRange[]> {
  const into = new Uint8Array(SIZE).fill(0xa5);
  const { missing } = await device.read(into, 0, mode);
  const wanted = content.slice();
  for (const { offset, length } of missing) wanted.fill(0xa5, offset, offset + length);
  const same = mode === "failFast" || Buffer.compare(into, wanted) === 0;
  expect(same).toBe(true);
  return missing;
}
