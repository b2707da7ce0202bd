/** The contract of a device, over a server that tells poison as ours does, in both forms that can. */
import { describe, test } from "vitest";
import { createMemoryDevice, openNbd, type ManagedDevice } from "../../../src/device/index.ts";
import { deviceSuite, type DeviceSubject, type SuiteApi } from "../../../src/testing/index.ts";
import { LoopbackServer } from "./support/loopback-server.ts";

/** What NBD has no word for, and what the list here keeps for itself: refused, or as long as the device is open. */
const BEYOND: readonly RegExp[] = [
  /^clear\(\) ends poison without data/,
  /^the list and its marks last until the device is opened again/,
];

/** Registers what is not beyond the protocol. */
const registered: SuiteApi["test"] = (title, body) => {
  const known = BEYOND.some((pattern) => pattern.test(title));
  const register = known ? () => undefined : test;
  register(title, body);
};

async function make(
  form: "structured" | "extended",
  units: { readonly poisonUnit: number; readonly clearUnit: number },
): Promise<DeviceSubject> {
  const device = createMemoryDevice({ size: 65_536, ...units });
  const server = await LoopbackServer.start({ device, form, theriac: true });
  const open = (): Promise<ManagedDevice> =>
    openNbd(server.uri, { access: "write", retryDelaysMs: [] });
  const client = await open();
  const clients = [client];
  return {
    device: client,
    // The server's list knows what is not latent; the client's copy hears of it with its next question.
    inject: (range, options) => void device.inject(range, options),
    fault: (range, kind) => device.setFault({ ...range, kind, on: true }),
    reopen: async () => {
      await client.close();
      const again = await open();
      clients.push(again);
      return again;
    },
    dispose: async () => {
      for (const one of clients) await one.close();
      await server.stop();
      device.close();
    },
  };
}

for (const form of ["structured", "extended"] as const) {
  for (const units of [
    { poisonUnit: 64, clearUnit: 256 },
    { poisonUnit: 512, clearUnit: 512 },
  ]) {
    deviceSuite(
      { describe, test: registered },
      `NBD, ${form}, units of ${units.poisonUnit} and ${units.clearUnit}`,
      {
        make: () => make(form, units),
      },
    );
  }
}
