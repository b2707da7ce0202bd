/** The contract, over every device there is and stacks of two. */
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
import { createCrashFiles, deviceSuite, type DeviceSubject } from "../../src/testing/index.ts";

const SIZE = 65_536;
const PATH = "/images/disk.img";
const seed = Number(process.env["SEED"] ?? Date.now() % 2 ** 31);
console.log(`SEED=${seed}`);

function subject(
  device: SimulatedDevice,
  wrap: (device: SimulatedDevice) => ManagedDevice = (same) => same,
): DeviceSubject {
  return {
    device: wrap(device),
    inject: (range, options) => void device.inject(range, options),
    fault: (range, kind) => device.setFault({ ...range, kind, on: true }),
    dispose: () => device.close(),
  };
}

const UNITS = [
  { poisonUnit: 64, clearUnit: 256 },
  { poisonUnit: 256, clearUnit: 256 },
  { poisonUnit: 512, clearUnit: 4096 },
];

for (const clear of CLEAR_KINDS) {
  for (const units of UNITS) {
    const make = () => createMemoryDevice({ size: SIZE, clear, ...units });
    const name = `memory, ${clear}, units ${units.poisonUnit} and ${units.clearUnit}`;
    deviceSuite({ describe, test }, name, { seed, make: () => subject(make()) });
    deviceSuite({ describe, test }, `checked ${name}`, {
      seed,
      make: () => subject(make(), checkedDevice),
    });
  }
}

/** A slice of a larger device, whose hands are moved with it. */
function sliced(offset: number): DeviceSubject {
  const whole = createMemoryDevice({ size: SIZE * 3, clearUnit: 256 });
  const device = checkedDevice(sliceDevice(checkedDevice(whole), { offset, length: SIZE }));
  return {
    device,
    inject: (range, options) =>
      void whole.inject({ ...range, offset: range.offset + offset }, options),
    fault: (range, kind) =>
      whole.setFault({ ...range, offset: range.offset + offset, kind, on: true }),
    dispose: () => whole.close(),
  };
}

deviceSuite({ describe, test }, "slice at a page, checked twice", {
  seed,
  make: () => sliced(SIZE),
});
deviceSuite({ describe, test }, "slice between pages", { seed, make: () => sliced(SIZE + 512) });

/** An image in files that lose what is not synced: reopening opens what a crash left. */
function crashing(): DeviceSubject {
  const files = createCrashFiles({ seed });
  const device = createImage(PATH, { files, size: SIZE, clear: "firmware" });
  const one = subject(device, checkedDevice);
  return {
    ...one,
    reopen: () => {
      device.close();
      return openDevice(PATH, { files: files.crash("nothing"), access: "write" });
    },
  };
}

deviceSuite({ describe, test }, "image in crashing files", { seed, make: crashing });

function onDisk(map: boolean): DeviceSubject {
  const folder = mkdtempSync(join(tmpdir(), "theriac-device-"));
  const path = join(folder, "disk.img");
  createImage(path, { size: SIZE, clear: "overwrite", poisonUnit: 512, clearUnit: 512 }).close();
  let device = openDevice(path, { access: "write", map }) as SimulatedDevice;
  return {
    ...subject(device, checkedDevice),
    reopen: () => {
      device.close();
      device = openDevice(path, { access: "write" }) as SimulatedDevice;
      return device;
    },
    dispose: () => {
      device.close();
      rmSync(folder, { recursive: true });
    },
  };
}

deviceSuite({ describe, test }, "image on the disk", { seed, make: () => onDisk(false) });
deviceSuite({ describe, test }, "image on the disk, mapped", { seed, make: () => onDisk(true) });
