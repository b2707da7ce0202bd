/**
 * The crash sweep of the store: a random workload, a crash in every operation of it, and several states that each crash may
 * leave. What was promised holds after every one of them.
 */
import { describe, expect, test } from "vitest";
import { createPrng, StorageError, type Prng } from "../../src/base/index.ts";
import {
  createPoisonStore,
  openPoisonStore,
  type Intent,
  type PoisonState,
  type PoisonStore,
  type StateChange,
} from "../../src/poison/index.ts";
import { CrashError, createCrashFiles, type CrashFiles } from "../../src/testing/index.ts";

const UNIT = 64;
const UNITS = 64;
const SIZE = UNIT * UNITS;
const PATH = "/images/disk.theriac";
const seed = Number(process.env["SEED"] ?? Date.now() % 2 ** 31);

/** What the workload may rely on, kept beside the store: per unit, the states that a reopened store may show. */
class Model {
  /** The state that the last durable step left. */
  durable: PoisonState[] = Array.from({ length: UNITS }, () => "unread");
  /** States noted since, which may or may not have become durable. */
  noted: PoisonState[][] = Array.from({ length: UNITS }, () => []);
  readonly intents = new Map<number, Intent>();
  /** The step under way: what it would make durable. */
  beginning: Intent | undefined;
  ending: { id: number; changes: readonly StateChange[] } | undefined;
  generation = 0;
  notedGeneration = 0;

  note(changes: readonly StateChange[]): void {
    for (const change of changes) {
      for (const unit of unitsOf(change)) {
        if (!this.holds(unit)) this.noted[unit]?.push(change.state);
      }
    }
  }

  holds(unit: number): boolean {
    return [...this.intents.values()].some((intent) =>
      intent.lost.some((range) => unitsOf(range).includes(unit)),
    );
  }

  /** A durable step returned. */
  settle(): void {
    this.noted.forEach((states, unit) => {
      this.durable[unit] = states.at(-1) ?? this.durable[unit] ?? "unread";
      states.length = 0;
    });
    this.generation = this.notedGeneration;
  }
}

function unitsOf(range: { offset: number; length: number }): number[] {
  return Array.from({ length: range.length / UNIT }, (_, index) => range.offset / UNIT + index);
}

function randomRange(prng: Prng): { offset: number; length: number } {
  const first = prng.below(UNITS);
  return { offset: first * UNIT, length: (1 + prng.below(Math.min(8, UNITS - first))) * UNIT };
}

function randomChanges(prng: Prng): StateChange[] {
  return Array.from({ length: 1 + prng.below(3) }, () => ({
    ...randomRange(prng),
    state: prng.pick<PoisonState>(["poisoned", "lost", "poisoned", "unread"]),
  }));
}

/** One random step; the model knows what it promises before and after. */
function step(store: PoisonStore, model: Model, prng: Prng): void {
  const choice = prng.below(10);
  if (choice < 4) {
    const changes = randomChanges(prng);
    model.note(changes);
    store.mark(changes);
  } else if (choice < 5) {
    store.bumpGeneration();
    model.notedGeneration = store.generation;
  } else if (choice < 6) {
    store.sync();
    model.settle();
  } else if (choice < 8 || model.intents.size === 0) {
    const lost = [randomRange(prng)];
    if (unitsOf(lost[0]!).some((unit) => model.holds(unit))) return;
    const keep = [{ offset: 0, data: prng.bytes(1 + prng.below(700)) }];
    model.beginning = { lost, keep };
    const id = store.beginIntent(model.beginning);
    model.settle();
    for (const unit of unitsOf(lost[0]!)) model.durable[unit] = "lost";
    model.intents.set(id, model.beginning);
    model.beginning = undefined;
  } else {
    const [id, intent] = prng.pick([...model.intents]);
    const state = prng.pick<PoisonState>(["clean", "clean", "poisoned", "lost"]);
    const changes = intent.lost.map(({ offset, length }) => ({ offset, length, state }));
    model.ending = { id, changes };
    store.endIntent(id, changes);
    model.settle();
    model.intents.delete(id);
    for (const change of changes) for (const unit of unitsOf(change)) model.durable[unit] = state;
    model.ending = undefined;
  }
}

function run(files: CrashFiles, workSeed: number, steps: number): Model {
  const prng = createPrng(workSeed);
  const model = new Model();
  try {
    const store = createPoisonStore(files, { path: PATH, size: SIZE, settings: { a: 1 } });
    for (let count = 0; count < steps; count += 1) step(store, model, prng);
    store.close();
    model.settle();
  } catch (error) {
    if (!(error instanceof CrashError)) throw error;
  }
  return model;
}

function checkReopened(store: PoisonStore, model: Model): void {
  expect(store.settings).toEqual({ a: 1 });
  expect([model.generation, model.notedGeneration]).toContain(store.generation);
  const open = new Map(store.openIntents.map(({ id, intent }) => [id, intent]));
  const gone = [...model.intents.keys()].filter((id) => !open.has(id));
  expect(
    gone.filter((id) => id !== model.ending?.id),
    "R3: an intent is gone only where its end was under way",
  ).toEqual([]);
  for (const [id, intent] of open) expect(intent).toEqual(model.intents.get(id) ?? model.beginning);
  for (let unit = 0; unit < UNITS; unit += 1) {
    const [part] = store.list.states({ offset: unit * UNIT, length: UNIT });
    expect(part?.length).toBe(UNIT);
    expect(allowedStates(model, { unit, open }), `R3, R4: unit ${unit}`).toContain(part?.state);
  }
}

/** The states that a unit may show after a crash, given the intents that survived it. */
function allowedStates(
  model: Model,
  { unit, open }: { unit: number; open: ReadonlyMap<number, Intent> },
): readonly PoisonState[] {
  const holds = (intent: Intent): boolean =>
    intent.lost.some((range) => unitsOf(range).includes(unit));
  if ([...open.values()].some(holds)) return ["lost"];
  const ended = model.ending !== undefined && !open.has(model.ending.id);
  const change = model.ending?.changes.find((each) => unitsOf(each).includes(unit));
  if (ended && change !== undefined) return [change.state];
  return [model.durable[unit]!, ...model.noted[unit]!];
}

/** Opens what a crash left, for reading and for writing, and crashes again while it is opened for writing. */
function checkWorld(world: CrashFiles, model: Model, created: boolean): void {
  const there = world.info(PATH) !== undefined;
  expect(there || !created, "R3: a sidecar that was promised is there").toBe(true);
  if (!there) return;
  const reader = openPoisonStore(world, { path: PATH, size: SIZE });
  checkReopened(reader, model);
  reader.close();
  const writer = openPoisonStore(world, { path: PATH, size: SIZE, access: "write" });
  checkReopened(writer, model);
  writer.mark([{ offset: 0, length: UNIT, state: "poisoned" }]);
  writer.close();
  // Not what the model holds: the end of an intent that was under way may have become durable.
  const held = writer.openIntents.some(({ intent }) =>
    intent.lost.some((range) => range.offset === 0),
  );
  const again = openPoisonStore(world, { path: PATH, size: SIZE });
  const [first] = again.list.states({ offset: 0, length: UNIT });
  expect(first?.state).toBe(held ? "lost" : "poisoned");
  again.close();
}

describe("a crash in any operation of a random workload", () => {
  const runs = Number(process.env["RUNS"] ?? 4);
  test.for(Array.from({ length: runs }, (_, index) => seed + index))(
    "R3, R4: promised states hold (SEED=%i)",
    (workSeed) => {
      const steps = 40;
      const whole = createCrashFiles({ seed: workSeed });
      run(whole, workSeed, steps);
      expect(whole.operations).toBeGreaterThan(20);
      const createOperations = operationsOfCreate();
      for (let crashAt = 1; crashAt <= whole.operations; crashAt += 1) {
        const files = createCrashFiles({ seed: workSeed });
        files.crashAt(crashAt);
        const model = run(files, workSeed, steps);
        const created = crashAt > createOperations;
        checkWorld(files.crash("nothing"), model, created);
        checkWorld(files.crash("everything"), model, created);
        for (let subset = 0; subset < 4; subset += 1) {
          checkWorld(files.crash(createPrng(workSeed + crashAt * 16 + subset)), model, created);
        }
      }
    },
  );
});

function failureOf(act: () => void): StorageError | undefined {
  try {
    act();
  } catch (error) {
    if (error instanceof StorageError) return error;
    throw error;
  }
  return undefined;
}

function operationsOfCreate(): number {
  const files = createCrashFiles();
  createPoisonStore(files, { path: PATH, size: SIZE });
  return files.operations;
}

describe("a crash while a log is written anew", () => {
  const size = 1024 * 1024;
  const rounds = 4;

  /** Heals one unit a round with much to keep; returns what each unit may be after a crash. */
  function heal(files: CrashFiles): PoisonState[][] {
    const allowed: PoisonState[][] = Array.from({ length: rounds }, () => ["unread"]);
    try {
      const store = createPoisonStore(files, { path: PATH, size });
      const data = new Uint8Array(400 * 1024);
      store.beginIntent({ lost: [{ offset: 0, length: UNIT }], keep: [] });
      for (let round = 0; round < rounds; round += 1) {
        const range = { offset: 512 + round * UNIT, length: UNIT };
        allowed[round] = ["unread", "lost"];
        const id = store.beginIntent({ lost: [range], keep: [{ offset: 0, data }] });
        allowed[round] = ["lost", "clean"];
        store.endIntent(id, [{ ...range, state: "clean" }]);
        allowed[round] = ["clean"];
      }
      store.close();
    } catch (error) {
      if (!(error instanceof CrashError)) throw error;
    }
    return allowed;
  }

  test(`leaves the old one or the new one, which say the same (SEED=${seed})`, () => {
    const whole = createCrashFiles();
    heal(whole);
    expect(whole.counts.rename, "the log was written anew").toBeGreaterThan(1);
    for (let crashAt = operationsOfCreate() + 3; crashAt <= whole.operations; crashAt += 1) {
      const files = createCrashFiles();
      files.crashAt(crashAt);
      const allowed = heal(files);
      for (const how of [
        "nothing",
        "everything",
        createPrng(crashAt),
        createPrng(seed + crashAt),
      ] as const) {
        const store = openPoisonStore(files.crash(how), { path: PATH, size, access: "write" });
        const stateAt = (offset: number): PoisonState | undefined =>
          [...store.list.states({ offset, length: UNIT })][0]?.state;
        expect(store.openIntents[0]?.id).toBe(1);
        expect(stateAt(0)).toBe("lost");
        allowed.forEach((states, round) => expect(states).toContain(stateAt(512 + round * UNIT)));
        const open = allowed.filter((_, round) => stateAt(512 + round * UNIT) === "lost");
        expect(store.openIntents).toHaveLength(1 + open.length);
        store.close();
      }
    }
  });
});

describe("a failure in any operation of a random workload", () => {
  const seeds = Array.from({ length: 2 }, (_, index) => seed + index);
  test.for(seeds)("R4: EIO and ENOSPC change nothing that was promised (SEED=%i)", (workSeed) => {
    const whole = createCrashFiles({ seed: workSeed });
    run(whole, workSeed, 40);
    for (const code of ["EIO", "ENOSPC"] as const) {
      for (let failAt = operationsOfCreate() + 1; failAt <= whole.operations; failAt += 1) {
        const files = createCrashFiles({ seed: workSeed });
        files.failAt(failAt, code);
        const prng = createPrng(workSeed);
        const model = new Model();
        const store = createPoisonStore(files, { path: PATH, size: SIZE, settings: { a: 1 } });
        const error = failureOf(() => {
          for (let count = 0; count < 40; count += 1) step(store, model, prng);
        });
        expect([code, undefined]).toContain(error?.code);
        expect(store.openIntents.map(({ id }) => id)).toEqual([...model.intents.keys()]);
        if (error?.code === "ENOSPC" && error.syscall === "write") {
          // A promise that was not given is not half given: what was to begin is not there, even after a crash.
          model.beginning = undefined;
          model.ending = undefined;
        }
        for (const how of ["nothing", "everything", createPrng(failAt)] as const) {
          checkWorld(files.crash(how), model, true);
        }
      }
    }
  });
});
