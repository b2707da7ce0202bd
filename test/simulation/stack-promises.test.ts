/**
 * Random stacks of three levels of every target that keeps what is written, over leaves that go bad, beside one plain array of bytes. The targets differ in what they
 * can save; this is what none may break:
 *
 * - R1: a byte is what was written last, or it is told as missing; and it is missing only where a copy of it, or its neighbour in a clear unit, was made bad;
 * - R2: what nobody gave data for stays what it was;
 * - R5: a write fails only where something below went bad, and what a recovery write says it wrote is there;
 * - R7: every byte is in one state.
 */
import { strict as assert } from "node:assert";
import { expect, test } from "vitest";
import {
  alignOut,
  createPrng,
  StorageError,
  type ByteRange,
  type MaybePromise,
  type Prng,
} from "../../src/base/index.ts";
import type { ClearKind, Device } from "../../src/device/index.ts";
import { walkDown, type WalkStep } from "../../src/mapper/index.ts";
import { randomSeed } from "../base/seed.ts";
import { memoryStack, type MemoryStack, type Nodes } from "../mapper/support/kernel-map.ts";

const seed = randomSeed();
const SECTOR = 512;
const LEAF_SECTORS = 32;
const STACKS = 60;
const STEPS = 30;

/** A device to build on. Sectors. */
interface Ground {
  readonly name: string;
  readonly size: number;
}

/** A table over one or two devices, by kind. */
type Maker = (one: Ground, other: Ground, name: string) => readonly [rows: string, size: number];

const MAKERS: Readonly<Record<string, Maker>> = {
  linear: (one, other) => {
    const half = Math.max(1, one.size >> 1);
    const rows = [
      `0 ${other.size} linear ${other.name} 0`,
      `${other.size} ${half} linear ${one.name} ${one.size - half}`,
    ];
    return [rows.join("\n"), other.size + half];
  },
  striped: (one, other) => {
    const turns = Math.floor(Math.min(one.size, other.size) / 4);
    if (turns < 1) return [`0 ${one.size} linear ${one.name} 0`, one.size];
    return [`0 ${turns * 8} striped 2 4 ${one.name} 0 ${other.name} 0`, turns * 8];
  },
  mirror: (one, other) => {
    const size = Math.min(one.size, other.size);
    return [`0 ${size} mirror core 2 8 nosync 2 ${one.name} 0 ${other.name} 0`, size];
  },
  raid1: (one, other) => {
    const size = Math.min(one.size, other.size);
    return [`0 ${size} raid raid1 1 0 2 - ${one.name} - ${other.name}`, size];
  },
  dust: (one) => [`0 ${one.size} dust ${one.name} 0 512`, one.size],
  writecache: (one, _, name) => [
    `0 ${one.size} writecache s ${one.name} cache-${name} 512 0`,
    one.size,
  ],
  "log-writes": (one, _, name) => [`0 ${one.size} log-writes ${one.name} log-${name}`, one.size],
};

function randomStack(prng: Prng): Nodes {
  const leaf = (name: string): Ground => ({ name, size: LEAF_SECTORS });
  const make = (name: string, one: Ground, other: Ground): [string, Ground] => {
    const maker = MAKERS[prng.pick(Object.keys(MAKERS))] as Maker;
    const [text, size] = maker(one, other, name);
    return [text, { name, size }];
  };
  const [left, one] = make("left", leaf("a"), leaf("b"));
  const [right, other] = make("right", leaf("c"), leaf("d"));
  const [middle, ground] = make("middle", one, other);
  const [top] = make("top", ground, leaf("e"));
  return { left, right, middle, top };
}

interface Units {
  readonly poisonUnit: number;
  readonly clearUnit: number;
  readonly clear: ClearKind;
}

function leavesOf(step: WalkStep): { readonly device: Device; readonly offset: number }[] {
  return step.below.length === 0 ? [step] : step.below.flatMap(leavesOf);
}

/** A stack under test, beside its array. */
class Run {
  readonly prng: Prng;
  readonly stack: MemoryStack;
  readonly size: number;
  readonly #units: Units;
  readonly #latent: boolean;
  /** What every byte must be; where a write failed, it may be `#other` too. */
  readonly #bytes: Uint8Array;
  readonly #other: Uint8Array;
  /** Sectors that may be missing. */
  readonly #tainted: boolean[];
  /** Bytes that a failed write gave data for: they may be missing too, until one works. */
  readonly #failed: Uint8Array;
  /** Where the stack shows each sector of each leaf. */
  readonly #above = new Map<string, number[]>();

  constructor(
    prng: Prng,
    stack: MemoryStack,
    options: { readonly nodes: Nodes; readonly units: Units; readonly latent: boolean },
  ) {
    this.prng = prng;
    this.stack = stack;
    this.size = stack.top.size;
    this.#units = options.units;
    this.#latent = options.latent;
    this.#bytes = prng.bytes(this.size);
    this.#other = this.#bytes.slice();
    this.#failed = new Uint8Array(this.size);
    this.#tainted = Array.from({ length: this.size / SECTOR }, () => false);
    // a twin without the seam, through which nobody can look
    const { top: table } = memoryStack(options.nodes, { size: LEAF_SECTORS * SECTOR });
    for (let sector = 0; sector < this.size / SECTOR; sector += 1) {
      for (const { device, offset } of leavesOf(walkDown(table, sector * SECTOR))) {
        const key = `${device.identity.name} ${offset / SECTOR}`;
        this.#above.set(key, [...(this.#above.get(key) ?? []), sector]);
      }
    }
  }

  async fill(): Promise<void> {
    await this.stack.top.write(this.#bytes, 0);
    await this.stack.top.flush();
  }

  #range(): ByteRange {
    const offset = this.prng.below(this.size);
    return { offset, length: 1 + this.prng.below(Math.min(4096, this.size - offset)) };
  }

  /** Something goes bad in a leaf; what its whole clear unit holds may be missing from now on. */
  #inject(): string {
    const leaf = this.prng.pick([...this.stack.leaves.values()]);
    const offset = this.prng.below(Math.min(leaf.size, LEAF_SECTORS * SECTOR));
    const bad = leaf.inject(
      { offset, length: 1 + (this.prng.below(600) % (leaf.size - offset)) },
      { latent: this.#latent && this.prng.chance(0.5) },
    );
    const units = alignOut(bad, Math.max(SECTOR, this.#units.clearUnit));
    for (let at = units.offset; at < units.offset + units.length; at += SECTOR)
      for (const sector of this.#above.get(`${leaf.identity.name} ${at / SECTOR}`) ?? [])
        this.#tainted[sector] = true;
    // a log that is bad fails the write that it is for; what a cache holds, only the cache knows
    if (/^(log|cache)-/.test(leaf.identity.name)) this.#tainted.fill(true);
    return `inject ${leaf.identity.name} ${bad.offset}+${bad.length}`;
  }

  #mayFail(range: ByteRange): boolean {
    const { offset, length } = alignOut(range, Math.max(4096, this.#units.clearUnit));
    return this.#tainted.slice(offset / SECTOR, (offset + length) / SECTOR).includes(true);
  }

  async #write(how: "access" | "recovery" | "heal"): Promise<string> {
    const range = this.#range();
    const data = this.prng.bytes(range.length);
    const label = `${how} ${range.offset}+${range.length}`;
    try {
      if (how === "heal") {
        const [error] = await this.stack.top.heal([{ offset: range.offset, data }]);
        if (error !== undefined) throw error;
      } else await this.stack.top.write(data, range.offset, how);
    } catch (error) {
      if (!(error instanceof StorageError)) throw error;
      assert.ok(this.#mayFail(range), `${label} failed where nothing is bad: ${error.message}`);
      this.#other.set(data, range.offset);
      this.#failed.fill(1, range.offset, range.offset + range.length);
      return `${label} failed`;
    }
    this.#bytes.set(data, range.offset);
    this.#other.set(data, range.offset);
    if (how !== "access" && !this.#latent) {
      const into = new Uint8Array(range.length);
      const { missing } = await this.stack.top.read(into, range.offset, "recovery");
      assert.deepEqual(missing, [], `${label} is there`);
    }
    return label;
  }

  async close(): Promise<void> {
    await this.#flush(() => this.stack.top.close());
  }

  /** A log that went bad is told by the flush that writes it. */
  async #flush(call: () => MaybePromise<void>): Promise<string> {
    try {
      await call();
      return "flush";
    } catch (error) {
      if (!(error instanceof StorageError) || !this.#tainted.every(Boolean)) throw error;
      return "flush failed";
    }
  }

  async step(): Promise<string> {
    const kind = this.prng.below(6);
    if (kind === 0) return this.#inject();
    if (kind === 5) return this.#flush(() => this.stack.top.flush());
    return this.#write(this.prng.pick(["access", "recovery", "heal"] as const));
  }

  /** Reads everything, in some pieces, and compares. */
  async check(label: string): Promise<void> {
    const mode = this.prng.pick(["access", "recovery"] as const);
    for (let at = 0; at < this.size;) {
      const into = new Uint8Array(Math.min(this.size - at, 1 + this.prng.below(this.size)));
      const { missing } = await this.stack.top.read(into, at, mode);
      const gone = new Uint8Array(into.length);
      for (const { offset, length } of missing) gone.fill(1, offset - at, offset - at + length);
      for (let index = 0; index < into.length; index += 1) {
        const place = at + index;
        if (gone[index] === 1) {
          if (this.#tainted[Math.floor(place / SECTOR)] !== true && this.#failed[place] === 0)
            assert.fail(`${label}: R1: byte ${place} is missing, and nothing below it was bad`);
        } else if (into[index] === this.#bytes[place]) this.#other[place] = this.#bytes[place]!;
        else if (into[index] === this.#other[place]) this.#bytes[place] = this.#other[place]!;
        else
          assert.fail(`${label}: R1: byte ${place} is ${into[index]}, not ${this.#bytes[place]}`);
      }
      at += into.length;
    }
    const { total, clean, unread, poisoned, lost } = this.stack.top.poison.totals();
    assert.deepEqual(
      [total, clean + unread + poisoned + lost],
      [this.size, this.size],
      `${label}: R7`,
    );
    assert.equal(this.stack.top.poison.empty, poisoned + lost === 0, `${label}: R6`);
  }
}

function randomUnits(prng: Prng): Units {
  const poisonUnit = prng.pick([64, 256, 512]);
  return {
    poisonUnit,
    clearUnit: prng.pick([poisonUnit, 512]),
    clear: prng.pick(["atomic", "firmware", "overwrite", "none"]),
  };
}

test(`stacks of three of every target give what was written or say what is missing (SEED=${seed})`, async () => {
  const used = new Set<string>();
  for (let round = 0; round < STACKS; round += 1) {
    const prng = createPrng(seed + round);
    const nodes = randomStack(prng);
    const units = randomUnits(prng);
    const stack = memoryStack(nodes, {
      ...units,
      size: LEAF_SECTORS * SECTOR,
      checked: prng.chance(0.3),
    });
    const run = new Run(prng, stack, { nodes, units, latent: prng.chance(0.5) });
    const told = `SEED=${seed + round} ${JSON.stringify(nodes)} ${JSON.stringify(units)}`;
    const steps: string[] = [];
    await run.fill();
    for (let step = 0; step < STEPS; step += 1) {
      try {
        steps.push(await run.step());
        await run.check(steps.at(-1) ?? "");
      } catch (error) {
        throw new Error(`${told}\n${steps.join("\n")}\n${String(error)}`, { cause: error });
      }
    }
    await run.close();
    for (const text of Object.values(nodes)) used.add(text.split(" ")[2] ?? "");
  }
  expect([...used].sort()).toEqual([
    "dust",
    "linear",
    "log-writes",
    "mirror",
    "raid",
    "striped",
    "writecache",
  ]);
}, 120_000);
