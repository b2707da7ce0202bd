/**
 * Random calls on mirrors beside a plain array: legs with random poison, known and latent, that refuse or stop clears, fail once, and die. What
 * is checked after every step, whatever became of it:
 *
 * - R1: a byte that is given is the one that was written last, also after the mirror is opened again and a dead leg is back;
 * - a byte is missing only where every leg that counts is bad;
 * - what one leg gave is healed in the others, where they heal;
 * - a write that fails leaves the old bytes or the new ones, for good.
 */
import { strict as assert } from "node:assert";
import { expect, test } from "vitest";
import { createPrng, StorageError, type ByteRange, type Prng } from "../../src/base/index.ts";
import {
  createMemoryDevice,
  type AccessMode,
  type ClearKind,
  type ManagedDevice,
  type SimulatedDevice,
} from "../../src/device/index.ts";
import { randomSeed } from "../base/seed.ts";
import { copiesStack } from "../mapper/support/copies-map.ts";
import { DyingDevice, type Death } from "../mapper/support/dying-device.ts";

const seed = randomSeed();
const SIZE = 8192;
const RUNS = 60;
const STEPS = 50;

/** A kind of mirror, its legs, and which of them may die without a write failing for it. */
interface Kind {
  readonly table: string;
  readonly legs: readonly string[];
  readonly mayDie: readonly string[];
}

const KINDS: Readonly<Record<string, Kind>> = {
  "two legs": { table: "0 16 mirror core 2 4 nosync 2 a 0 b 0", legs: ["a", "b"], mayDie: [] },
  "three legs": {
    table: "0 16 mirror core 2 4 nosync 3 a 0 b 0 c 0",
    legs: ["a", "b", "c"],
    mayDie: [],
  },
  "two legs and a log": {
    table: "0 16 mirror disk 3 log 4 nosync 2 a 0 b 0",
    legs: ["a", "b"],
    mayDie: ["b"],
  },
  "raid1 with metadata": {
    table: "0 16 raid raid1 4 0 nosync region_size 4 3 am a bm b cm c",
    legs: ["a", "b", "c"],
    mayDie: ["a", "b", "c"],
  },
};
const CLEARS: readonly ClearKind[] = ["atomic", "firmware", "overwrite", "none", "pretends"];

/** One mirror under test, and what it should hold. */
class Run {
  readonly prng: Prng;
  readonly kind: Kind;
  readonly leaves = new Map<string, SimulatedDevice>();
  readonly around = new Map<string, DyingDevice>();
  readonly content = new Uint8Array(SIZE);
  /** Where a write failed: what else a byte may be. */
  readonly maybe = new Map<number, Set<number>>();
  readonly faulty = new Set<string>();
  top: ManagedDevice | undefined;

  constructor(prng: Prng, kind: Kind) {
    this.prng = prng;
    this.kind = kind;
    const [poisonUnit, clearUnit] = prng.pick([
      [64, 256],
      [64, 64],
      [512, 1024],
    ] as const);
    for (const name of kind.legs) {
      const clear = prng.pick(CLEARS);
      const leaf = createMemoryDevice({ size: SIZE, name, poisonUnit, clearUnit, clear });
      this.leaves.set(name, leaf);
      if (clear === "none" || clear === "pretends") this.faulty.add(name);
    }
  }

  async open(): Promise<ManagedDevice> {
    this.around.clear();
    const { top } = await copiesStack(
      { top: this.kind.table },
      {
        size: SIZE,
        leaves: this.leaves,
        checked: this.prng.chance(0.3),
        around: (leaf) => {
          const dying = new DyingDevice(leaf);
          this.around.set(leaf.identity.name, dying);
          return dying;
        },
      },
    );
    this.top = top;
    return top;
  }

  range(): ByteRange {
    const offset = this.prng.below(SIZE);
    return { offset, length: 1 + this.prng.below(Math.min(1500, SIZE - offset)) };
  }

  get leg(): SimulatedDevice {
    return this.leaves.get(this.prng.pick(this.kind.legs)) as SimulatedDevice;
  }

  /** Every byte that is given is right, and what is missing is bad in every leg. */
  check(
    into: Uint8Array,
    range: ByteRange,
    missing: readonly (ByteRange & { state: string })[],
  ): void {
    const gone = new Uint8Array(range.length);
    for (const hole of missing)
      gone.fill(
        hole.state === "unread" ? 2 : 1,
        hole.offset - range.offset,
        hole.offset - range.offset + hole.length,
      );
    for (let at = 0; at < range.length; at += 1) {
      const place = range.offset + at;
      if (gone[at] !== 0) continue;
      const given = into[at] as number;
      if (given === this.content[place]) {
        this.maybe.delete(place);
        continue;
      }
      assert.ok(this.maybe.get(place)?.has(given), `R1: byte ${place} is ${given}`);
      this.content[place] = given;
      this.maybe.delete(place);
    }
    this.checked += range.length;
    // a leg that died is behind until a resync: what it alone holds is old
    if (this.hadDeath) return;
    for (const hole of missing.filter(({ state }) => state !== "unread")) {
      for (const name of this.kind.legs) {
        const [first] = this.leaves.get(name)?.poison.states(hole) ?? [];
        const isBad = first?.state === "poisoned" || first?.state === "lost";
        assert.ok(isBad, `${name} has byte ${hole.offset}`);
      }
    }
  }

  hadDeath = false;
  /** Bytes that were looked at. */
  checked = 0;

  async read(mode: AccessMode, range = this.range()): Promise<void> {
    const into = new Uint8Array(range.length);
    const top = this.top as ManagedDevice;
    await this.#survive(async () => {
      const { missing } = await top.read(into, range.offset, mode);
      this.check(into, range, missing);
    });
  }

  /** A call may fail where a leg is dead, and only there: legs that died before are behind, so that the last one may be it. */
  async #survive(call: () => Promise<void>): Promise<void> {
    try {
      await call();
    } catch (error) {
      if (!(error instanceof StorageError) || this.isAlive) throw error;
    }
  }

  get isAlive(): boolean {
    return [...this.around.values()].every(({ death }) => death === "alive");
  }

  async flush(): Promise<void> {
    await this.#survive(async () => await this.top?.flush());
  }

  /** Closes and opens again; every dead leg is back. */
  async reopen(): Promise<void> {
    await this.#survive(async () => await this.top?.close());
    await this.open();
  }

  async write(mode: AccessMode): Promise<void> {
    const range = this.range();
    const data = this.prng.bytes(range.length);
    try {
      await (this.top as ManagedDevice).write(data, range.offset, mode);
      for (const [at, byte] of data.entries()) {
        this.content[range.offset + at] = byte;
        this.maybe.delete(range.offset + at);
      }
    } catch (error) {
      if (!(error instanceof StorageError)) throw error;
      for (const [at, byte] of data.entries()) {
        const place = range.offset + at;
        const set = this.maybe.get(place) ?? new Set();
        this.maybe.set(place, set.add(byte).add(this.content[place] as number));
      }
      const healthy = this.kind.legs.some(
        (name) => !this.faulty.has(name) && this.around.get(name)?.death === "alive",
      );
      assert.ok(mode !== "recovery" || !healthy || this.hadDeath, String(error));
    }
  }

  kill(name: string, death: Death): void {
    const dying = this.around.get(name);
    if (dying === undefined) return;
    dying.death = death;
    this.hadDeath = true;
  }
}

async function step(run: Run, canKill: boolean): Promise<void> {
  const { prng } = run;
  const mode = prng.pick(["access", "recovery", "failFast"] as const);
  const kind = prng.below(canKill ? 11 : 10);
  if (kind < 3) await run.read(mode);
  else if (kind < 6)
    await run.write(prng.pick(["access", "recovery", "recovery", "failFast"] as const));
  else if (kind === 6) run.leg.inject(run.range(), { latent: prng.chance(0.5) });
  else if (kind === 7) {
    const { leg } = run;
    const fault = prng.pick(["refuses", "transient", "partial"] as const);
    run.faulty.add(leg.identity.name);
    leg.setFault({ ...run.range(), kind: fault, on: true });
  } else if (kind === 8) await run.flush();
  else if (kind === 9) await run.reopen();
  else if (run.kind.mayDie.length > 0 && run.isAlive)
    run.kill(prng.pick(run.kind.mayDie), prng.pick(["writes", "flushes", "all"] as const));
}

for (const [name, kind] of Object.entries(KINDS)) {
  test(`R1: ${name}: random calls give what was written last, or nothing`, async () => {
    for (let count = 0; count < RUNS; count += 1) {
      const run = new Run(createPrng(seed + count), kind);
      await run.open();
      for (let at = 0; at < STEPS; at += 1) {
        await step(run, count % 2 === 0);
        await run.read("recovery", { offset: 0, length: SIZE });
      }
      await run.reopen();
      await run.read("recovery", { offset: 0, length: SIZE });
      expect(run.checked).toBeGreaterThan(SIZE);
    }
  });
}
