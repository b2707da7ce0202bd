/** Random runs of a device beside the model: after every operation the same answers, the same states, the same bytes. */
import { strict as assert } from "node:assert";
import { expect, test } from "vitest";
import { createPrng, endOf, MediaError, type ByteRange, type Prng } from "../../src/base/index.ts";
import {
  checkedDevice,
  CLEAR_KINDS,
  createMemoryDevice,
  sliceDevice,
  type AccessMode,
  type ManagedDevice,
  type SimulatedDevice,
} from "../../src/device/index.ts";
import { ModelDevice, type ModelByte } from "../../src/testing/index.ts";

const seed = Number(process.env["SEED"] ?? Date.now() % 2 ** 31);
const RUNS = Number(process.env["CASES"] ?? 20);
const STEPS = 60;
const SIZE = 4096;
const MODES: readonly AccessMode[] = ["access", "recovery", "failFast"];
console.log(`SEED=${seed}`);

interface Pair {
  readonly device: ManagedDevice;
  readonly hands: SimulatedDevice;
  readonly model: ModelDevice;
  readonly prng: Prng;
  readonly clearUnit: number;
}

function someRange(prng: Prng, most: number): ByteRange {
  const offset = prng.below(SIZE);
  return { offset, length: 1 + prng.below(Math.min(most, SIZE - offset)) };
}

async function tell(
  device: ManagedDevice,
  range: ByteRange,
  mode: AccessMode,
): Promise<ModelByte[]> {
  const into = new Uint8Array(range.length);
  const { missing } = await device.read(into, range.offset, mode);
  const bytes: ModelByte[] = [...into];
  for (const hole of missing)
    bytes.fill(hole.state, hole.offset - range.offset, endOf(hole) - range.offset);
  return bytes;
}

async function works(call: () => unknown): Promise<boolean> {
  try {
    await call();
    return true;
  } catch (error) {
    if (error instanceof MediaError) return false;
    throw error;
  }
}

async function step({ device, hands, model, prng, clearUnit }: Pair): Promise<string> {
  const range = someRange(prng, clearUnit * 4);
  const units = { offset: range.offset - (range.offset % clearUnit), length: clearUnit };
  const mode = prng.pick(MODES);
  const what = prng.pick([
    "read",
    "read",
    "write",
    "write",
    "write",
    "heal",
    "inject",
    "latent",
    "clear",
    "recordRead",
    "recordBad",
  ] as const);
  const label = `${what} ${range.offset}+${range.length} ${mode}`;
  if (what === "read") {
    assert.deepEqual(await tell(device, range, mode), model.read(range, mode), label);
  } else if (what === "write") {
    const data = prng.bytes(range.length);
    const did = await works(() => device.write(data, range.offset, mode));
    assert.equal(did, model.write(range, data, mode), label);
  } else if (what === "heal") await healStep({ device, hands, model, prng, clearUnit }, label);
  else if (what === "inject" || what === "latent") {
    const short = { offset: range.offset, length: Math.min(range.length, 200) };
    hands.inject(short, { latent: what === "latent" });
    model.inject(short, what === "latent");
  } else if (what === "clear")
    assert.equal(await works(() => device.clear(units)), model.clear(units), label);
  else if (what === "recordRead") {
    device.recordRead(range);
    model.recordRead(range);
  } else {
    const state = prng.pick(["poisoned", "lost"] as const);
    device.recordBad(range, state);
    model.recordBad(range, state);
  }
  return label;
}

async function healStep({ device, model, prng, clearUnit }: Pair, label: string): Promise<void> {
  const writes: { offset: number; data: Uint8Array }[] = [];
  for (let at = prng.below(SIZE / 2); at < SIZE - 1 && writes.length < 4;) {
    const length = 1 + prng.below(Math.min(clearUnit * 2, SIZE - at));
    writes.push({ offset: at, data: prng.bytes(length) });
    at += length + (prng.chance(0.5) ? 0 : prng.below(clearUnit));
  }
  const answers = await device.heal(writes);
  const did = answers.map((error) => error === undefined);
  assert.deepEqual(did, model.heal(writes), label);
}

function statesOf(device: ManagedDevice): string[] {
  return Array.from(device.poison.states({ offset: 0, length: SIZE })).flatMap((part) =>
    Array.from({ length: part.length }, () => part.state),
  );
}

const UNITS = [
  [64, 256],
  [64, 64],
  [1, 1],
  [512, 1024],
] as const;

test.each(CLEAR_KINDS)("ModelDevice and a device that clears so agree: %s", async (clear) => {
  for (let run = 0; run < RUNS; run += 1) {
    const prng = createPrng(seed + run);
    const [poisonUnit, clearUnit] = prng.pick<readonly [number, number]>(UNITS);
    const hands = createMemoryDevice({ size: SIZE, clear, poisonUnit, clearUnit });
    const device = checkedDevice(sliceDevice(hands, { offset: 0, length: SIZE }));
    const model = new ModelDevice({ size: SIZE, clear, poisonUnit, clearUnit });
    const history: string[] = [];
    for (let count = 0; count < STEPS; count += 1) {
      history.push(await step({ device, hands, model, prng, clearUnit }));
      const context = `SEED=${seed} run ${run}, units ${poisonUnit}/${clearUnit}: ${history.slice(-4).join("; ")}`;
      const states = statesOf(device);
      const differs = states.findIndex((state, at) => state !== model.states[at]);
      expect(
        differs < 0
          ? "agree"
          : `${context}: byte ${differs} is ${states[differs]}, want ${model.states[differs]}`,
      ).toBe("agree");
    }
    const whole = { offset: 0, length: SIZE };
    expect(await tell(device, whole, "recovery")).toEqual(model.read(whole, "recovery"));
  }
});
