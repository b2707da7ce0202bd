/** The contract of direct access, over memory, mapped images, wrappers and slices. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "vitest";
import {
  checkedDevice,
  CLEAR_KINDS,
  createImage,
  createMemoryDevice,
  openDevice,
  sliceDevice,
  type ManagedDevice,
  type SimulatedDevice,
} from "../../src/device/index.ts";
import { directAccessSuite, type DeviceSubject } from "../../src/testing/index.ts";
import { randomSeed } from "../base/seed.ts";

const SIZE = 65_536;
const seed = randomSeed();

function subject(hands: SimulatedDevice, device: ManagedDevice, offset = 0): DeviceSubject {
  return {
    device,
    inject: (range, options) =>
      void hands.inject({ ...range, offset: range.offset + offset }, options),
    fault: (range, kind) =>
      hands.setFault({ ...range, offset: range.offset + offset, kind, on: true }),
    dispose: () => hands.close(),
  };
}

for (const clear of CLEAR_KINDS) {
  directAccessSuite({ describe, test }, `memory, ${clear}`, {
    seed,
    make: () => {
      const device = createMemoryDevice({ size: SIZE, clear });
      return subject(device, checkedDevice(device));
    },
  });
}

directAccessSuite({ describe, test }, "memory that ends inside a page", {
  seed,
  make: () => {
    const device = createMemoryDevice({ size: SIZE + 512 });
    return subject(device, device);
  },
});

directAccessSuite({ describe, test }, "memory with pages of 2 KiB and units of 512 bytes", {
  seed,
  make: () => {
    const device = createMemoryDevice({
      size: SIZE,
      pageSize: 2048,
      poisonUnit: 512,
      clearUnit: 1024,
    });
    return subject(device, device);
  },
});

directAccessSuite({ describe, test }, "a slice at a page", {
  seed,
  make: () => {
    const whole = createMemoryDevice({ size: SIZE * 2 });
    return subject(whole, sliceDevice(whole, { offset: 8192, length: SIZE }), 8192);
  },
});

directAccessSuite({ describe, test }, "a mapped image", {
  seed,
  make: () => {
    const folder = mkdtempSync(join(tmpdir(), "theriac-direct-"));
    const path = join(folder, "disk.img");
    createImage(path, { size: SIZE }).close();
    const device = openDevice(path, { access: "write", map: true }) as SimulatedDevice;
    const one = subject(device, device);
    return {
      ...one,
      dispose: () => {
        device.close();
        rmSync(folder, { recursive: true });
      },
    };
  },
});
