/**
 * target-suite: the contract of a device-mapper target as tests, for every target and every stack of them. A stack runs the device's own
 * suite and that of direct access, and these: where every byte lies, and that poison crosses the stack both ways to the byte.
 *
 *     targetSuite({ describe, test }, "striped", { make: () => tableSubject("0 256 striped 2 8 a 0 b 0", ["a", "b"]) });
 */
import { strict as assert } from "node:assert";
import { createPrng, isPromise, type ByteRange, type MaybePromise } from "../base/index.ts";
import type { SimulatedDevice } from "../device/index.ts";
import type { PoisonState } from "../poison/index.ts";
import { Context, type DeviceSubject } from "./device-suite-context.ts";
import { deviceSuite, type SuiteApi } from "./device-suite.ts";
import { directAccessSuite } from "./direct-access-suite.ts";

/** Where one byte is kept. */
export interface LeafPlace {
  readonly leaf: SimulatedDevice;
  readonly offset: number;
}

/** A stack under test. */
export interface TargetSubject extends DeviceSubject {
  /** The leaves below it. */
  readonly leaves: readonly SimulatedDevice[];
  /** Where the byte at an address is kept, every copy, by the target's rule and not by its code. */
  placesOf(offset: number): readonly LeafPlace[];
  /** What the target keeps of its own on the leaves: not looked at. @default nothing */
  readonly own?: readonly (ByteRange & { readonly leaf: SimulatedDevice })[];
  /** Whether a byte that is bad in one copy is bad. @default true */
  readonly badInOne?: boolean;
}

/** One test of a stack. */
type TargetCheck = readonly [
  title: string,
  body: (it: Context, subject: TargetSubject) => MaybePromise<void>,
];

/** The state of every byte of a device. */
function statesOf(device: DeviceSubject["device"]): PoisonState[] {
  const states: PoisonState[] = [];
  for (const { length, state } of device.poison.states({ offset: 0, length: device.size }))
    for (let at = 0; at < length; at += 1) states.push(state);
  return states;
}

function isBad(state: PoisonState | undefined): boolean {
  return state === "poisoned" || state === "lost";
}

/** What the states of the stack should be, by those of the leaves. */
function wantedBad(subject: TargetSubject): boolean[] {
  const below = new Map(subject.leaves.map((leaf) => [leaf, statesOf(leaf)]));
  return Array.from({ length: subject.device.size }, (_, offset) => {
    const copies = subject.placesOf(offset).map(({ leaf, offset: at }) => below.get(leaf)?.[at]);
    return (subject.badInOne ?? true) ? copies.some(isBad) : copies.every(isBad);
  });
}

function checkLists(subject: TargetSubject): void {
  const wanted = wantedBad(subject);
  const states = statesOf(subject.device);
  const wrong = states.findIndex((state, offset) => isBad(state) !== wanted[offset]);
  assert.equal(wrong, -1, `R1: byte ${wrong} is ${states[wrong]} above`);
  const { poison, size } = subject.device;
  const bad = new Uint8Array(size);
  let end = -1;
  for (const range of poison.bad({ offset: 0, length: size })) {
    assert.ok(range.offset >= end, "bad ranges ascend");
    end = range.offset + range.length;
    bad.fill(1, range.offset, end);
  }
  assert.ok(
    wanted.every((flag, offset) => flag === (bad[offset] === 1)),
    "bad() and states() say the same",
  );
  const { poisoned, lost, total } = poison.totals();
  assert.equal(poisoned + lost, wanted.filter(Boolean).length, "R7");
  assert.equal(total, size, "R7");
  assert.equal(poison.empty, poisoned + lost === 0, "R6");
}

async function leafBytes(leaf: SimulatedDevice): Promise<Uint8Array> {
  const bytes = new Uint8Array(leaf.size);
  await leaf.read(bytes, 0);
  return bytes;
}

/** Random ranges of whole units of the leaves become bad, seen from below. */
function poisonLeaves(it: Context, subject: TargetSubject): ByteRange[] {
  return subject.leaves.flatMap((leaf) =>
    Array.from({ length: 4 }, () => {
      const { poisonUnit } = leaf.capabilities;
      const offset = it.prng.below(leaf.size / poisonUnit) * poisonUnit;
      return leaf.inject({ offset, length: 1 + it.prng.below(leaf.size - offset) / 8 });
    }),
  );
}

const CHECKS: readonly TargetCheck[] = [
  [
    "every byte lies where the target's rule says, and no other byte of a leaf is touched",
    async (it, subject) => {
      for (const leaf of subject.leaves) leaf.write(new Uint8Array(leaf.size).fill(0xee), 0);
      await it.fill();
      const wanted = new Map(
        subject.leaves.map((leaf) => [leaf, new Uint8Array(leaf.size).fill(0xee)]),
      );
      for (let offset = 0; offset < it.device.size; offset += 1) {
        for (const place of subject.placesOf(offset)) {
          const bytes = wanted.get(place.leaf) as Uint8Array;
          bytes[place.offset] = it.content[offset] as number;
        }
      }
      for (const [leaf, bytes] of wanted) {
        const got = await leafBytes(leaf);
        for (const { leaf: owner, offset, length } of subject.own ?? [])
          if (owner === leaf) bytes.set(got.subarray(offset, offset + length), offset);
        assert.equal(Buffer.compare(got, bytes), 0, leaf.identity.name);
      }
    },
  ],
  [
    "R1: poison of a leaf shows at the addresses of its bytes and at no other",
    async (it, subject) => {
      await it.fill();
      checkLists(subject);
      poisonLeaves(it, subject);
      checkLists(subject);
      const wanted = wantedBad(subject);
      const { missing } = await it.all();
      assert.deepEqual(
        Array.from(missing, (flag) => flag === 1),
        wanted,
      );
    },
  ],
  [
    "R4: marks go down to the bytes that they name",
    async (it, subject) => {
      await it.fill();
      const third = { offset: it.unit * 3, length: it.unit * 9 };
      it.device.recordBad(third, "lost");
      checkLists(subject);
      assert.deepEqual(it.statesOf(third), ["lost"]);
      assert.equal(it.device.poison.totals().lost, third.length);
      it.device.recordRead({ offset: 0, length: it.device.size });
      checkLists(subject);
      assert.equal(it.device.poison.totals().unread, 0);
    },
  ],
  [
    "R2, R4: a heal of everything leaves nothing bad above, and below only what is outside",
    async (it, subject) => {
      if (!it.heals) return;
      await it.fill();
      poisonLeaves(it, subject);
      const outside = subject.leaves.map((leaf) => statesOf(leaf).map(isBad));
      for (let offset = 0; offset < it.device.size; offset += 1) {
        for (const { leaf, offset: at } of subject.placesOf(offset))
          (outside[subject.leaves.indexOf(leaf)] as boolean[])[at] = false;
      }
      it.content = it.prng.bytes(it.device.size);
      assert.deepEqual(await it.device.heal([{ offset: 0, data: it.content }]), [undefined]);
      await it.expect([]);
      assert.deepEqual(
        subject.leaves.map((leaf) => statesOf(leaf).map(isBad)),
        outside,
      );
    },
  ],
  [
    "read() across every boundary gives what reads of single bytes give",
    async (it, subject) => {
      await it.fill();
      poisonLeaves(it, subject);
      for (let turn = 0; turn < 6; turn += 1) {
        const offset = it.prng.below(it.device.size);
        const length = 1 + it.prng.below(Math.min(9000, it.device.size - offset));
        const whole = new Uint8Array(length);
        const { missing } = await it.device.read(whole, offset);
        const single = new Uint8Array(length);
        const wanted = new Uint8Array(length);
        for (let at = 0; at < length; at += 1) {
          const answer = it.device.read(single.subarray(at, at + 1), offset + at);
          wanted[at] = (isPromise(answer) ? await answer : answer).missing.length;
        }
        const got = new Uint8Array(length);
        for (const hole of missing)
          got.fill(1, hole.offset - offset, hole.offset - offset + hole.length);
        assert.equal(Buffer.compare(got, wanted), 0);
        assert.equal(Buffer.compare(whole, single), 0);
      }
    },
  ],
];

/** Registers the suites of a stack. `make` gives a fresh one for every test: leaves of zeros, 64 KiB or less in all, nothing bad. */
export function targetSuite(
  api: SuiteApi,
  name: string,
  options: {
    readonly make: () => MaybePromise<TargetSubject>;
    readonly seed?: number;
    /** Whether it has direct access: then that suite runs too, and fails where it has none. @default true */
    readonly direct?: boolean;
  },
): void {
  deviceSuite(api, name, options);
  if (options.direct ?? true) directAccessSuite(api, name, options);
  api.describe(`target contract: ${name}`, () => {
    for (const [title, body] of CHECKS) {
      api.test(title, async () => {
        const subject = await options.make();
        try {
          await body(new Context(subject, createPrng(options.seed ?? 1)), subject);
        } finally {
          await subject.dispose?.();
        }
      });
    }
  });
}
