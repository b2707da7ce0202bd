/**
 * Random stacks of three levels over leaves with poison, beside plain arrays: every byte's place by the kernel's formulas, every leaf a model of
 * bytes and states. After each step every byte of the stack has the model's state, and reads give the model's bytes.
 */
import { expect, test } from "vitest";
import { alignOut, createPrng, type ByteRange, type Prng } from "../../src/base/index.ts";
import type { ClearKind, ManagedDevice } from "../../src/device/index.ts";
import { ModelDevice, type ModelByte } from "../../src/testing/index.ts";
import { randomSeed } from "../base/seed.ts";
import { kernelPlace, memoryStack, type Nodes } from "../mapper/support/kernel-map.ts";

const seed = randomSeed();
const LEAF_SECTORS = 24;
const STACKS = 12;
const STEPS = 40;

/** A device to build on. Sectors. */
interface Ground {
  readonly name: string;
  readonly size: number;
}

/** Cuts a device into slices that share no sector, some sectors of it left out. */
function slices(
  prng: Prng,
  { name, size }: Ground,
): { from: string; start: number; length: number }[] {
  const found = [];
  for (let at = prng.below(3); at < size;) {
    const length = Math.min(size - at, 1 + prng.below(size));
    found.push({ from: name, start: at, length });
    at += length + prng.below(3);
  }
  return found;
}

function linearRows(prng: Prng, grounds: readonly Ground[], start: number): [string[], number] {
  const parts = grounds.flatMap((ground) => slices(prng, ground));
  let at = start;
  const rows = [];
  while (parts.length > 0) {
    const [part] = parts.splice(prng.below(parts.length), 1);
    if (part === undefined) break;
    rows.push(`${at} ${part.length} linear ${part.from} ${part.start}`);
    at += part.length;
  }
  return [rows, at];
}

/** One stripe of a device, and pieces of the other behind it. */
function unstripedTable(prng: Prng, one: Ground, other: Ground): [string, number] {
  const count = 1 + prng.below(3);
  const chunk = 1 + prng.below(Math.max(1, Math.floor(one.size / count / 2)));
  const stripe = prng.below(count);
  const start = prng.below(Math.max(1, one.size - (stripe + 1) * chunk));
  const last = one.size - start - (stripe + 1) * chunk;
  if (last < 0) return unstripedTable(prng, one, other);
  const size = (1 + prng.below(Math.floor(last / (count * chunk)) + 1)) * chunk;
  const [rows, end] = linearRows(prng, [other], size);
  const row = `0 ${size} unstriped ${count} ${chunk} ${stripe} ${one.name} ${start}`;
  return [[row, ...rows].join("\n"), end];
}

/** A table over two devices: linear pieces in any order, or stripes, or stripes and what they leave, or a stripe of one. */
function randomTable(prng: Prng, one: Ground, other: Ground): [string, number] {
  const kind = prng.below(4);
  if (kind === 3) return unstripedTable(prng, one, other);
  const least = Math.min(one.size, other.size) - 3;
  if (kind === 0 || least < 1) {
    const [rows, size] = linearRows(prng, [one, other], 0);
    return [rows.join("\n"), size];
  }
  const chunk = 1 + prng.below(Math.min(9, least));
  const starts = [prng.below(3), prng.below(3)] as const;
  const turns = 1 + prng.below(Math.floor(least / chunk));
  const striped = `striped 2 ${chunk} ${one.name} ${starts[0]} ${other.name} ${starts[1]}`;
  const size = turns * chunk * 2;
  const rest = one.size - starts[0] - turns * chunk;
  if (kind === 1 || rest <= 0) return [`0 ${size} ${striped}`, size];
  const tail = `${size} ${rest} linear ${one.name} ${starts[0] + turns * chunk}`;
  return [`0 ${size} ${striped}\n${tail}`, size + rest];
}

function randomStack(prng: Prng): Nodes {
  const leaf = (name: string): Ground => ({ name, size: LEAF_SECTORS });
  const [left, leftSize] = randomTable(prng, leaf("a"), leaf("b"));
  const [right, rightSize] = randomTable(prng, leaf("c"), leaf("d"));
  const [middle, size] = randomTable(
    prng,
    { name: "left", size: leftSize },
    { name: "right", size: rightSize },
  );
  const [top] = randomTable(prng, { name: "middle", size }, leaf("e"));
  return { left, right, middle, top };
}

/** The arrays. */
class StackModel {
  readonly size: number;
  readonly leaves = new Map<string, ModelDevice>();
  readonly #places: { readonly leaf: string; readonly sector: number }[];
  readonly #units: Units;

  constructor(nodes: Nodes, size: number, units: Units) {
    this.size = size;
    this.#units = units;
    this.#places = Array.from({ length: size / 512 }, (_, at) => kernelPlace(nodes, "top", at));
    for (const { leaf } of this.#places)
      this.leaves.set(leaf, new ModelDevice({ size: LEAF_SECTORS * 512, ...units }));
  }

  placeOf(offset: number): {
    readonly leaf: ModelDevice;
    readonly name: string;
    readonly at: number;
  } {
    const { leaf, sector } = this.#places[Math.floor(offset / 512)] as {
      leaf: string;
      sector: number;
    };
    return {
      leaf: this.leaves.get(leaf) as ModelDevice,
      name: leaf,
      at: sector * 512 + (offset % 512),
    };
  }

  /** A range as parts of leaves, sector by sector. */
  #parts(range: ByteRange): { leaf: ModelDevice; at: number; offset: number; length: number }[] {
    const parts = [];
    for (let offset = range.offset; offset < range.offset + range.length;) {
      const length = Math.min(512 - (offset % 512), range.offset + range.length - offset);
      const { leaf, at } = this.placeOf(offset);
      parts.push({ leaf, at, offset, length });
      offset += length;
    }
    return parts;
  }

  states(): string[] {
    return Array.from({ length: this.size }, (_, offset) => {
      const { leaf, at } = this.placeOf(offset);
      return leaf.states[at] as string;
    });
  }

  read(range: ByteRange): ModelByte[] {
    return this.#parts(range).flatMap(({ leaf, at, length }) =>
      leaf.read({ offset: at, length }, "access"),
    );
  }

  /** One batch a leaf. */
  heal(range: ByteRange, data: Uint8Array): boolean {
    const batches = new Map<ModelDevice, { offset: number; data: Uint8Array }[]>();
    for (const { leaf, at, offset, length } of this.#parts(range)) {
      const batch = batches.get(leaf) ?? [];
      batches.set(leaf, batch);
      const from = offset - range.offset;
      const last = batch.at(-1);
      const part = data.subarray(from, from + length);
      if (last !== undefined && last.offset + last.data.length === at && at % 512 === 0)
        last.data = Buffer.concat([last.data, part]);
      else batch.push({ offset: at, data: part });
    }
    return [...batches].every(([leaf, batch]) => leaf.heal(batch).every(Boolean));
  }

  /** The range of a leaf that an address' unit is, as (name, range). */
  unitAt(offset: number): { readonly name: string; readonly range: ByteRange } {
    const { name, at } = this.placeOf(offset);
    return { name, range: alignOut({ offset: at, length: 1 }, this.#units.poisonUnit) };
  }
}

interface Units {
  readonly poisonUnit: number;
  readonly clearUnit: number;
  readonly clear: ClearKind;
}

const UNITS: readonly Units[] = [
  { poisonUnit: 64, clearUnit: 256, clear: "firmware" },
  { poisonUnit: 512, clearUnit: 512, clear: "atomic" },
  { poisonUnit: 512, clearUnit: 4096, clear: "overwrite" },
];

function randomRange(prng: Prng, size: number): ByteRange {
  const offset = prng.below(size);
  const length = 1 + prng.below(Math.min(size - offset, prng.below(3) === 0 ? 9000 : 700));
  return { offset, length };
}

async function checkRead(top: ManagedDevice, model: StackModel, range: ByteRange): Promise<void> {
  const into = new Uint8Array(range.length).fill(0xa5);
  const { missing } = await top.read(into, range.offset);
  const got: ModelByte[] = [...into];
  for (const hole of missing)
    got.fill(hole.state, hole.offset - range.offset, hole.offset - range.offset + hole.length);
  expect(got).toEqual(model.read(range));
}

function checkStates(top: ManagedDevice, model: StackModel): void {
  const states: string[] = [];
  for (const { length, state } of top.poison.states({ offset: 0, length: top.size }))
    for (let at = 0; at < length; at += 1) states.push(state);
  const wanted = model.states();
  const wrong = states.findIndex((state, at) => state !== wanted[at]);
  expect(wrong, `byte ${wrong} is ${states[wrong]}, want ${wanted[wrong]}`).toBe(-1);
  expect(states.length).toBe(wanted.length);
}

for (let number = 0; number < STACKS; number += 1) {
  for (const checked of number % 4 === 0 ? [false, true] : [false]) {
    const own = seed + number;
    test(`R1, R2, R4: a random stack of three does what arrays do: ${own}${checked ? ", checked" : ""}`, async () => {
      const prng = createPrng(own);
      const nodes = randomStack(prng);
      const units = UNITS[prng.below(UNITS.length)] as Units;
      const { top, leaves } = memoryStack(nodes, {
        size: LEAF_SECTORS * 512,
        checked,
        ...units,
      });
      const model = new StackModel(nodes, top.size, units);
      for (let step = 0; step < STEPS; step += 1) {
        const range = randomRange(prng, top.size);
        const kind = prng.below(6);
        if (kind < 2) {
          const { name, range: unit } = model.unitAt(range.offset);
          const latent = prng.below(2) === 0;
          leaves.get(name)?.inject(unit, { latent });
          model.leaves.get(name)?.inject(unit, latent);
        } else if (kind < 4) {
          await checkRead(top, model, range);
        } else if (kind === 4) {
          const data = prng.bytes(range.length);
          const [failure] = await top.heal([{ offset: range.offset, data }]);
          expect(failure === undefined, JSON.stringify(nodes)).toBe(model.heal(range, data));
        } else {
          const state = prng.below(2) === 0 ? "lost" : "poisoned";
          top.recordBad(range, state);
          for (let offset = range.offset; offset < range.offset + range.length; offset += 1) {
            const { leaf, at } = model.placeOf(offset);
            leaf.recordBad({ offset: at, length: 1 }, state);
          }
        }
        checkStates(top, model);
      }
      await checkRead(top, model, { offset: 0, length: top.size });
    });
  }
}
