/** Our client on our server: the contract of a device goes through both unbroken. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createPrng } from "../../src/base/index.ts";
import {
  createMemoryDevice,
  openNbd,
  type ManagedDevice,
  type SimulatedDevice,
} from "../../src/device/index.ts";
import { NbdServer } from "../../src/nbd/index.ts";
import { deviceSuite, type DeviceSubject, type SuiteApi } from "../../src/testing/index.ts";

const seed = Number(process.env["SEED"] ?? Date.now() % 2 ** 31);
let folder = "";
let count = 0;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "theriac-both-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function serve(
  device: SimulatedDevice,
  isDirect: boolean,
): Promise<{ readonly uri: string; readonly server: NbdServer }> {
  const exports = [{ name: "disk", device, isDirect: () => isDirect }];
  const server = new NbdServer({ exports, farewellMs: 200 });
  const [uri = ""] = await server.listen({
    kind: "unix",
    path: join(folder, `s${(count += 1)}`),
  });
  return { uri, server };
}

async function subject(
  units: { readonly poisonUnit: number; readonly clearUnit: number },
  isDirect: boolean,
): Promise<DeviceSubject> {
  const device = createMemoryDevice({ size: 65_536, ...units });
  const { uri, server } = await serve(device, isDirect);
  const clients: ManagedDevice[] = [];
  const open = async (): Promise<ManagedDevice> => {
    const opened = await openNbd(uri, { access: "write", retryDelaysMs: [] });
    clients.push(opened);
    return opened;
  };
  const client = await open();
  return {
    device: client,
    // What is not latent is on both lists: who writes over what is only on the server's gets what Linux gives, a part written.
    inject: (range, options) => {
      device.inject(range, options);
      if (!options.latent) client.recordBad(range, "poisoned");
    },
    fault: (range, kind) => device.setFault({ ...range, kind, on: true }),
    reopen: open,
    dispose: async () => {
      for (const one of clients) await one.close();
      await server.close();
      device.close();
    },
  };
}

/** What NBD has no word for, and what a client keeps for itself as long as it is open. */
const BEYOND: readonly RegExp[] = [
  /^clear\(\) ends poison without data/,
  /^the list and its marks last until the device is opened again/,
];

/** A server that reads memory looks at what failed once more, and delivers what failed for once. */
const BETTER = /^read\(\) of a transient error/;

/** Registers what is not beyond the protocol. */
function registered(isDirect: boolean): SuiteApi["test"] {
  const without = isDirect ? [...BEYOND, BETTER] : BEYOND;
  return (title, body) => {
    const known = without.some((pattern) => pattern.test(title));
    const register = known ? () => undefined : test;
    register(title, body);
  };
}

for (const isDirect of [true, false]) {
  for (const clearUnit of [256, 4096]) {
    const name = `served ${isDirect ? "directly" : "in the pool"}, clear units of ${clearUnit}`;
    deviceSuite({ describe, test: registered(isDirect) }, name, {
      seed,
      make: () => subject({ poisonUnit: 64, clearUnit }, isDirect),
    });
  }
}

describe("openNbd() on NbdServer", () => {
  test(`gives every clean byte of many reads in flight, and no other (SEED=${seed})`, async () => {
    const size = 8 * 1024 * 1024;
    const device = createMemoryDevice({ size });
    const prng = createPrng(seed);
    const content = prng.bytes(size);
    device.write(content, 0);
    for (let bad = 0; bad < 200; bad += 1)
      device.inject(
        { offset: prng.below(size / 64) * 64, length: 64 },
        { latent: prng.chance(0.5) },
      );
    const { uri, server } = await serve(device, true);
    const client = await openNbd(uri);
    const reads = Array.from({ length: 300 }, async () => {
      const length = 1 + prng.below(300_000);
      const offset = prng.below(size - length);
      const bytes = new Uint8Array(length).fill(0xa5);
      const { missing } = await client.read(bytes, offset);
      const wanted = content.slice(offset, offset + length);
      for (const hole of missing)
        wanted.fill(0xa5, hole.offset - offset, hole.offset - offset + hole.length);
      return Buffer.compare(bytes, wanted);
    });
    expect((await Promise.all(reads)).every((same) => same === 0)).toBe(true);
    const whole = await client.read(new Uint8Array(size), 0);
    const listed = [...device.poison.bad({ offset: 0, length: size })];
    expect(whole.missing).toEqual(listed);
    expect(client.poison.totals().poisoned).toBe(device.poison.totals().poisoned);
    await client.close();
    await server.close();
  });
});
