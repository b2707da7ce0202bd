/** plan-twins: the other legs of the target's mirror give bytes of any kind, where they are in step. */
import { describe, expect, test } from "vitest";
import { createPrng } from "../../../src/base/index.ts";
import { createMemoryDevice, type SimulatedDevice } from "../../../src/device/index.ts";
import type { Donor, DonorTwin } from "../../../src/donor/index.ts";
import { describeTarget, makePlan, repair, repairExitCode } from "../../../src/rescue/index.ts";
import { placeOf, targetOf, treeImage } from "../support/tree.ts";

const SIZE = 1024 * 1024;

function deviceOf(bytes: Uint8Array): SimulatedDevice {
  return createMemoryDevice({ bytes, name: "leg", poisonUnit: 512, clearUnit: 512 });
}

/** Bytes that are no file system. */
function noise(): Uint8Array {
  const random = createPrng(7);
  return Uint8Array.from({ length: SIZE }, () => random.below(256));
}

function legOf(
  device: SimulatedDevice,
  inStep: DonorTwin["inStep"] = () => ({ by: "a mirror" }),
): Donor {
  const twin = { device, inStep };
  const nothing = (): undefined => undefined;
  return {
    name: "raid.stack",
    kind: "image",
    twin,
    file: nothing,
    volume: nothing,
    close: nothing,
  };
}

describe("repair() from a leg of the target's mirror", () => {
  test("R2, R8: heals what no file system is known on, proven", async () => {
    const bytes = noise();
    const device = deviceOf(bytes);
    device.inject({ offset: 8192, length: 1024 });
    const target = await describeTarget(device, { path: "leg" });
    const result = await repair({ target, donors: [legOf(deviceOf(noise()))] });
    expect(result).toMatchObject({ missing: 0, moved: [], sums: { repaired: 1024 } });
    expect(result.steps).toMatchObject([
      { grade: "proven", donor: { from: "twin", offset: 8192 } },
    ]);
    expect(Buffer.compare(bytes, noise())).toBe(0);
  });

  test("R1: takes nothing where it is not in step, misses it itself, or differs beside the hole", async () => {
    const lacking = deviceOf(noise());
    lacking.inject({ offset: 8192, length: 1024 });
    const other = noise();
    other[8191] = (other[8191] ?? 0) ^ 1;
    for (const leg of [
      legOf(deviceOf(noise()), () => undefined),
      legOf(lacking),
      legOf(deviceOf(other)),
    ]) {
      const device = deviceOf(noise());
      device.inject({ offset: 8192, length: 1024 });
      const target = await describeTarget(device, { path: "leg" });
      const result = await repair({ target, donors: [leg] });
      expect(result).toMatchObject({ missing: 1024, sums: { repaired: 0 } });
      expect(repairExitCode(result)).toBe(4);
    }
  });

  test("leaves free space alone, unless it is asked for; then nothing is zeros that was not", async () => {
    const device = deviceOf(treeImage());
    const at = device.size - 65_536;
    device.inject({ offset: at, length: 4096 });
    const target = await targetOf(device);
    const donors = [legOf(deviceOf(treeImage()))];
    expect((await makePlan(target, donors)).steps).toMatchObject([{ action: "left" }]);
    expect((await makePlan(target, donors, { free: true })).steps).toMatchObject([
      { action: "write", donor: { from: "twin" } },
    ]);
  });

  test("goes before every other donor, and tells the place in the file", async () => {
    const device = deviceOf(treeImage());
    const target = await targetOf(device);
    const offset = await placeOf(target.map, "/docs/big.bin", 8192);
    device.inject({ offset, length: 512 });
    const plan = await makePlan(target, [legOf(deviceOf(treeImage()))]);
    expect(plan.steps).toMatchObject([
      { owner: { path: "/docs/big.bin", fileOffset: 8192 }, grade: "proven", reason: "a mirror" },
    ]);
  });
});
