/** The short way of a call with one buffer beside the long way of the same call in two: the same answer, bytes, list and content. */
import { expect, test } from "vitest";
import { createPrng, StorageError, type Prng } from "../../src/base/index.ts";
import { createMemoryDevice, type SimulatedDevice } from "../../src/device/index.ts";
import { openFile, RWF_RECOVERY_DATA, type FileCalls } from "../../src/file/index.ts";
import { randomSeed } from "../base/seed.ts";

const PAGE = 4096;
const SIZE = 8 * PAGE;

interface World {
  readonly device: SimulatedDevice;
  readonly calls: FileCalls<"sync">;
}

async function worldOf(seed: number): Promise<World> {
  const prng = createPrng(seed);
  const clear = prng.pick(["firmware", "atomic", "overwrite", "none"] as const);
  const device = createMemoryDevice({ bytes: prng.bytes(SIZE), clear, clearUnit: 512 });
  for (let count = prng.below(4); count > 0; count -= 1) {
    const range = { offset: prng.below(SIZE - 600), length: 1 + prng.below(600) };
    if (prng.chance(0.3)) device.setFault({ ...range, kind: "transient", on: true });
    else device.inject(range, { latent: prng.chance(0.5) });
  }
  const file = await openFile(device, { face: "dax" });
  return { device, calls: file.direct as FileCalls<"sync"> };
}

function outcome(call: () => number): number | string {
  try {
    return call();
  } catch (error) {
    if (error instanceof StorageError) return error.message;
    throw error;
  }
}

function stateOf({ device }: World): unknown {
  const into = new Uint8Array(SIZE);
  const states = [...device.poison.states({ offset: 0, length: SIZE })];
  const { missing } = device.readSync(into, 0, "recovery");
  return { states, missing, content: Buffer.from(into).toString("base64") };
}

function place(prng: Prng): { readonly offset: number; readonly length: number } {
  const offset = prng.below(SIZE + 200);
  return { offset, length: prng.below(prng.pick([2, 600, 3 * PAGE])) };
}

test("preadv2() and pwritev2() of one buffer answer as of the same bytes with an empty buffer beside them", async () => {
  const seed = randomSeed();
  for (let run = 0; run < 400; run += 1) {
    const prng = createPrng(seed + run);
    const short = await worldOf(seed + run);
    const long = await worldOf(seed + run);
    const { offset, length } = place(prng);
    const flags = prng.pick([0, RWF_RECOVERY_DATA]);
    const data = prng.bytes(length);
    const one = data.slice();
    const other = data.slice();
    const name = prng.pick(["preadv2", "pwritev2"] as const);
    const label = `SEED=${seed} run ${run}: ${name} ${offset}+${length}, flags ${flags}`;
    const wanted = outcome(() => long.calls[name]([other, new Uint8Array(0)], offset, flags));
    expect(`${label}: ${outcome(() => short.calls[name](one, offset, flags))}`).toBe(
      `${label}: ${wanted}`,
    );
    expect(Buffer.compare(one, other), label).toBe(0);
    expect(stateOf(short), label).toEqual(stateOf(long));
  }
});

test.each([1.5, Number.NaN, -2, 2 ** 60])(
  "the short way refuses offset %d as the long way does",
  async (offset) => {
    const { calls } = await worldOf(1);
    expect(() => calls.preadv2(new Uint8Array(8), offset)).toThrow(/want/);
    expect(() => calls.pwritev2(new Uint8Array(8), offset)).toThrow(/want/);
  },
);
