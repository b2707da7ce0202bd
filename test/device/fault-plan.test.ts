/** Plans of faults: drawn from a seed, printed, read back, applied, and refused where they are none. */
import { expect, test } from "vitest";
import { createPrng, StorageError } from "../../src/base/index.ts";
import {
  applyFaultPlan,
  createMemoryDevice,
  formatFaultPlan,
  parseFaultPlan,
  randomFaultPlan,
  type FaultPlan,
} from "../../src/device/index.ts";
import { randomSeed } from "../base/seed.ts";

const seed = randomSeed();
const SIZE = 1024 * 1024;
const RATES = { poison: 4, transient: 1, refuses: 1, partial: 1, slow: 1 };

function codeOf(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    if (error instanceof StorageError) return error.code;
    throw error;
  }
  return "none";
}

test("randomFaultPlan() depends on its seed alone, and stays inside the device in whole units", () => {
  for (let round = 0; round < 100; round += 1) {
    const options = { size: SIZE, poisonUnit: 512, clearUnit: 4096, count: 40, rates: RATES };
    const plan = randomFaultPlan(seed + round, options);
    expect(plan).toEqual(randomFaultPlan(createPrng(seed + round), options));
    expect(plan.faults).toHaveLength(40);
    for (const { offset, length, kind, latent } of plan.faults) {
      expect([offset % 512, length % 512]).toEqual([0, 0]);
      expect(length > 0 && length <= 65_536 && offset + length <= SIZE).toBe(true);
      expect(latent !== undefined).toBe(kind === "poison");
    }
  }
  const kinds = randomFaultPlan(seed, { size: SIZE, count: 500, rates: RATES }).faults;
  expect(new Set(kinds.map(({ kind }) => kind)).size).toBe(5);
});

test("parseFaultPlan() reads what formatFaultPlan() prints", () => {
  for (const count of [0, 1, 30]) {
    const plan = randomFaultPlan(seed, { size: SIZE, clear: "overwrite", count, rates: RATES });
    expect(parseFaultPlan(formatFaultPlan(plan), "text")).toEqual(plan);
  }
});

test("applyFaultPlan() gives two devices the same faults and the same list", () => {
  const plan = randomFaultPlan(seed, { size: SIZE, count: 30, rates: RATES });
  const [one, other] = [0, 1].map(() => {
    const device = createMemoryDevice({ size: SIZE, ...plan.device });
    applyFaultPlan(device, parseFaultPlan(formatFaultPlan(plan), "text"));
    return {
      faults: [...device.faults()],
      list: [...device.poison.bad({ offset: 0, length: SIZE })],
    };
  });
  expect(one).toEqual(other);
  expect(one?.faults.length).toBeGreaterThan(0);
});

test("applyFaultPlan() refuses a plan for another size, and changes nothing", () => {
  const device = createMemoryDevice({ size: SIZE });
  const plan = randomFaultPlan(seed, { size: SIZE * 2 });
  expect(codeOf(() => applyFaultPlan(device, plan))).toBe("ESTALE");
  expect([...device.faults()]).toEqual([]);
});

const GOOD: FaultPlan = {
  schema: "theriac.faults/1",
  seed: null,
  size: 4096,
  device: { poisonUnit: 64, clearUnit: 256, clear: "firmware" },
  faults: [{ kind: "poison", offset: 0, length: 64 }],
};

test.each([
  ["no JSON", "{"],
  ["no object", "[]"],
  ["null", "null"],
  ["another schema", JSON.stringify({ ...GOOD, schema: "theriac.plan/1" })],
  ["no list", JSON.stringify({ ...GOOD, faults: {} })],
  ["no device", JSON.stringify({ ...GOOD, device: undefined })],
  ["a unit of three", JSON.stringify({ ...GOOD, device: { ...GOOD.device, poisonUnit: 3 } })],
  ["another clear", JSON.stringify({ ...GOOD, device: { ...GOOD.device, clear: "magic" } })],
  ["a size that is text", JSON.stringify({ ...GOOD, size: "4096" })],
  ["an unknown kind", JSON.stringify({ ...GOOD, faults: [{ kind: "x", offset: 0, length: 1 }] })],
  [
    "a place past the end",
    JSON.stringify({ ...GOOD, faults: [{ kind: "slow", offset: 4096, length: 1 }] }),
  ],
  ["half a byte", JSON.stringify({ ...GOOD, faults: [{ kind: "slow", offset: 0.5, length: 1 }] })],
  ["nothing long", JSON.stringify({ ...GOOD, faults: [{ kind: "slow", offset: 0, length: 0 }] })],
  [
    "latent slowness",
    JSON.stringify({ ...GOOD, faults: [{ kind: "slow", offset: 0, length: 1, latent: true }] }),
  ],
  ["null for a fault", JSON.stringify({ ...GOOD, faults: [null] })],
])("parseFaultPlan() refuses %s", (_what, text) => {
  expect(parseFaultPlan(JSON.stringify(GOOD), "good")).toEqual(GOOD);
  expect(codeOf(() => parseFaultPlan(text, "bad.json"))).toBe("EBADMSG");
  expect(() => parseFaultPlan(text, "bad.json")).toThrow(/bad\.json/);
});
