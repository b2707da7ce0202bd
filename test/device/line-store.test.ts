/** Lines of 64 bytes stored as one: what they heal, and what they refuse. */
import { expect, test } from "vitest";
import { MediaError } from "../../src/base/index.ts";
import {
  createMemoryDevice,
  type ClearKind,
  type SimulatedDevice,
} from "../../src/device/index.ts";

const LINE = 64;
const DATA = new Uint8Array(LINE).fill(9);

/** A page of ones with two lines poisoned, the second of them latent. */
function poisoned(clear: ClearKind = "atomic"): SimulatedDevice {
  const device = createMemoryDevice({ bytes: new Uint8Array(4096).fill(1), clear });
  device.inject({ offset: 256, length: LINE });
  device.inject({ offset: 1024, length: LINE }, { latent: true });
  return device;
}

function lineAt(device: SimulatedDevice, offset: number): Uint8Array | undefined {
  const into = new Uint8Array(LINE);
  return device.readSync(into, offset).missing.length === 0 ? into : undefined;
}

test.each([256, 1024])(
  "R2, R4: storeLine() heals a line at %i, and nothing beside it",
  (offset) => {
    const device = poisoned();
    device.storeLine(DATA, offset);
    expect(lineAt(device, offset)).toEqual(DATA);
    for (const beside of [offset - LINE, offset + LINE])
      expect(lineAt(device, beside)).toEqual(new Uint8Array(LINE).fill(1));
    expect([...device.faults()].length).toBe(1);
  },
);

test("storeLine() heals a line that is lost", () => {
  const device = poisoned();
  device.clear({ offset: 256, length: 256 });
  device.storeLine(DATA, 320);
  expect([...device.poison.bad({ offset: 256, length: 256 })]).toEqual([
    { offset: 256, length: 64, state: "lost" },
    { offset: 384, length: 128, state: "lost" },
  ]);
});

test.each(["refuses", "partial"] as const)(
  "R5: storeLine() where a clear %s fails, and the line stays bad",
  (kind) => {
    const device = poisoned();
    device.setFault({ offset: 256, length: 512, kind, on: true });
    expect(() => device.storeLine(DATA, 256)).toThrow(MediaError);
    expect(lineAt(device, 256)).toBeUndefined();
  },
);

test.each(["firmware", "pretends", "none", "overwrite"] as const)(
  "R5: storeLine() over poison of a device that clears by %s fails; a clean line is stored",
  (clear) => {
    const device = poisoned(clear);
    expect(() => device.storeLine(DATA, 256)).toThrow(/clear and store a line as one/);
    expect(lineAt(device, 256)).toBeUndefined();
    device.storeLine(DATA, 512);
    expect(lineAt(device, 512)).toEqual(DATA);
  },
);

test("storeLine() takes an error that passes for none", () => {
  const device = poisoned("firmware");
  device.setFault({ offset: 512, length: LINE, kind: "transient", on: true });
  device.storeLine(DATA, 512);
  expect(lineAt(device, 512)).toEqual(DATA);
});

test("storeLine() refuses what is no aligned line", () => {
  const device = poisoned();
  expect(() => device.storeLine(DATA, 32)).toThrow(RangeError);
  expect(() => device.storeLine(new Uint8Array(32), 64)).toThrow(RangeError);
  expect(() => device.storeLine(DATA, 4096)).toThrow(RangeError);
});
