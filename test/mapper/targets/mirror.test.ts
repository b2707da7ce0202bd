/** mirror: reads from several legs, heals, writes that a leg does not take, what a log says, and what is refused. */
import { describe, expect, test, vi } from "vitest";
import { createMemoryDevice, type SimulatedDevice } from "../../../src/device/index.ts";
import { resyncMirrors } from "../../../src/mapper/index.ts";
import type { MirrorDevice } from "../../../src/mapper/mirror/mirror-device.ts";
import { PoisonList } from "../../../src/poison/index.ts";
import { copiesStack, type CopiesStack } from "../support/copies-map.ts";
import { DyingDevice } from "../support/dying-device.ts";

const SECTOR = 512;
const SIZE = 128 * SECTOR;
const TWO = "0 128 mirror core 2 8 nosync 2 a 0 b 0";
const THREE = "0 128 mirror core 2 8 nosync 3 a 0 b 0 c 0";
const LOGGED = "0 128 mirror disk 2 log 8 2 a 0 b 0";

const content = new Uint8Array(SIZE).map((_, at) => (at * 7) % 251);

/** Sectors that are bad in legs, by name: [first, count]. */
type Bad = Readonly<Record<string, readonly (readonly [number, number])[]>>;

function leafOf(stack: CopiesStack, name: string): SimulatedDevice {
  return stack.leaves.get(name) as SimulatedDevice;
}

async function filled(table: string, bad: Bad = {}, latent = false): Promise<CopiesStack> {
  const stack = await copiesStack(
    { top: table },
    { size: SIZE, poisonUnit: SECTOR, clearUnit: SECTOR },
  );
  await stack.top.write(content, 0);
  for (const [name, ranges] of Object.entries(bad))
    for (const [first, count] of ranges)
      leafOf(stack, name).inject({ offset: first * SECTOR, length: count * SECTOR }, { latent });
  return stack;
}

function mirrorOf({ table }: CopiesStack): MirrorDevice {
  const target = table.rows[0]?.target;
  if (target?.kind !== "device") throw new Error("want a mirror");
  return target.device as MirrorDevice;
}

async function readAll(stack: CopiesStack): Promise<readonly number[]> {
  const into = new Uint8Array(SIZE);
  const { missing } = await stack.top.read(into, 0, "recovery");
  const want = content.slice();
  for (const { offset, length } of missing) {
    into.fill(0, offset, offset + length);
    want.fill(0, offset, offset + length);
  }
  expect(into).toEqual(want);
  return missing.flatMap(({ offset, length }) =>
    Array.from({ length: length / SECTOR }, (_, index) => offset / SECTOR + index),
  );
}

function badIn(stack: CopiesStack, name: string): number {
  const { poisoned, lost } = leafOf(stack, name).poison.totals();
  return (poisoned + lost) / SECTOR;
}

describe("reads", () => {
  test.each([true, false])(
    "S40: what leg 0 cannot give comes from leg 1, is written over it and read again (latent: %s)",
    async (latent) => {
      const stack = await filled(TWO, { a: [[10, 2]] }, latent);
      expect(await readAll(stack)).toEqual([]);
      expect(badIn(stack, "a")).toBe(0);
      expect(mirrorOf(stack).healedBytes).toBe(1024);
      const into = new Uint8Array(1024);
      await leafOf(stack, "a").read(into, 10 * SECTOR);
      expect(into).toEqual(content.slice(10 * SECTOR, 12 * SECTOR));
    },
  );

  test("S40: where the rewrite fails the leg's list stays, and it is not tried at every read", async () => {
    const stack = await filled(TWO, { a: [[10, 2]] });
    const a = leafOf(stack, "a");
    a.setFault({ offset: 10 * SECTOR, length: SECTOR * 2, kind: "refuses", on: true });
    const heal = vi.spyOn(a, "heal");
    for (let count = 0; count < 3; count += 1) expect(await readAll(stack)).toEqual([]);
    expect(badIn(stack, "a")).toBe(2);
    expect(heal).toHaveBeenCalledTimes(1);
  });

  test.each<readonly [string, string, Bad, readonly number[]]>([
    ["S57", TWO, { a: [[125, 1]], b: [[126, 1]] }, []],
    ["S58", TWO, { a: [[125, 2]], b: [[126, 2]] }, [126]],
    [
      "S59",
      THREE,
      {
        a: [[125, 2]],
        b: [[126, 2]],
        c: [
          [125, 1],
          [127, 1],
        ],
      },
      [],
    ],
    ["S62", TWO, { a: [[7, 3]], b: [[7, 3]] }, [7, 8, 9]],
    ["S63", TWO, { a: [[0, 64]], b: [[64, 64]] }, []],
  ])("%s: each unit comes from a leg that has it", async (...row) => {
    const [, table, bad, missing] = row;
    for (const latent of [false, true]) {
      const stack = await filled(table, bad, latent);
      expect(await readAll(stack)).toEqual(missing);
      expect(badIn(stack, "a")).toBe(missing.length);
      // a read heals what it met; what other legs' lists name is a resync's
      await mirrorOf(stack).resync();
      if (latent) continue;
      for (const name of Object.keys(bad)) expect(badIn(stack, name)).toBe(missing.length);
    }
  });

  test("S60: two parts, each bad at other places in every copy", async () => {
    const spots = [999, 1002, 1004, 1006, 1008, 1010].map((at) => [at - 990, 1] as const);
    const stack = await copiesStack(
      {
        left: THREE,
        right: "0 128 mirror core 2 8 nosync 3 d 0 e 0 f 0",
        top: "0 128 linear left 0\n128 128 linear right 0",
      },
      { size: SIZE, poisonUnit: SECTOR, clearUnit: SECTOR },
    );
    await stack.top.write(content, 0);
    const bad: Bad = {
      a: [[10, 118]],
      e: [[10, 118]],
      b: spots,
      d: spots,
      c: [[0, 4]],
      f: [[0, 4]],
    };
    for (const [name, ranges] of Object.entries(bad))
      for (const [first, count] of ranges)
        leafOf(stack, name).inject({ offset: first * SECTOR, length: count * SECTOR });
    expect(stack.top.poison.empty).toBe(true);
    expect(await readAll(stack)).toEqual([]);
    await resyncMirrors(stack.table);
    for (const name of ["a", "b", "c"]) expect(badIn(stack, name)).toBe(0);
  });

  test("S61: three copies, no sector good in all of them", async () => {
    const stack = await filled(THREE, {
      a: [[0, 64]],
      b: [[32, 64]],
      c: [
        [0, 32],
        [64, 64],
      ],
    });
    expect(await readAll(stack)).toEqual([]);
    await resyncMirrors(stack.table);
    for (const name of ["a", "b", "c"]) expect(badIn(stack, name)).toBe(0);
  });

  test("S62: bad in every leg is told after one read of each leg", async () => {
    const around = new Map<string, DyingDevice>();
    const { top, leaves } = await copiesStack(
      { top: THREE },
      {
        size: SIZE,
        around: (leaf) => {
          const dying = new DyingDevice(leaf);
          around.set(leaf.identity.name, dying);
          return dying;
        },
      },
    );
    for (const leaf of leaves.values()) leaf.inject({ offset: 4096, length: 512 });
    const { missing } = await top.read(new Uint8Array(512), 4096);
    expect(missing).toEqual([{ offset: 4096, length: 512, state: "poisoned" }]);
    expect([...around.values()].map(({ reads }) => reads)).toEqual([1, 1, 1]);
  });

  test("failFast is one plain attempt a leg, and heals nothing", async () => {
    const stack = await filled(TWO, { a: [[10, 1]], b: [[20, 1]] });
    const into = new Uint8Array(SIZE);
    const { missing } = await stack.top.read(into, 0, "failFast");
    expect(missing).toEqual([{ offset: 20 * SECTOR, length: 108 * SECTOR, state: "unread" }]);
    expect(into.subarray(0, 20 * SECTOR)).toEqual(content.subarray(0, 20 * SECTOR));
    expect(badIn(stack, "a")).toBe(1);
  });

  test("R6: with empty lists nothing is looked up; with a list the first leg looks once", async () => {
    const stack = await filled(TWO);
    const asked = (["bad", "states", "hasBad"] as const).map((name) =>
      vi.spyOn(PoisonList.prototype, name),
    );
    const count = (): number => asked.reduce((sum, spy) => sum + spy.mock.calls.length, 0);
    await stack.top.read(new Uint8Array(4096), 0);
    await stack.top.write(new Uint8Array(4096), 0);
    expect(count()).toBe(0);
    leafOf(stack, "a").inject({ offset: 64_000, length: 64 });
    leafOf(stack, "b").inject({ offset: 64_000, length: 64 });
    for (const spy of asked) spy.mockClear();
    await stack.top.read(new Uint8Array(4096), 0);
    expect(count()).toBe(1);
    vi.restoreAllMocks();
  });
});

describe("writes", () => {
  test("a leg that cannot clear stays listed, the write works on the other, and its old bytes never come back", async () => {
    const stack = await filled(TWO, { a: [[10, 1]] });
    const a = leafOf(stack, "a");
    a.setFault({ offset: 10 * SECTOR, length: SECTOR, kind: "refuses", on: true });
    const data = new Uint8Array(4 * SECTOR).fill(0xee);
    await stack.top.write(data, 9 * SECTOR);
    expect(a.poison.totals()).toMatchObject({ poisoned: SECTOR, lost: 3 * SECTOR });
    const again = await copiesStack({ top: TWO }, { size: SIZE, leaves: stack.leaves });
    const into = new Uint8Array(4 * SECTOR);
    expect((await again.top.read(into, 9 * SECTOR)).missing).toEqual([]);
    expect(into).toEqual(data);
  });

  test("R2: a part of a leg's bad unit is put together from the write and the other leg", async () => {
    const stack = await filled(TWO, { a: [[10, 1]], b: [[11, 1]] });
    await stack.top.write(new Uint8Array(512).fill(0xee), 10 * SECTOR + 256);
    expect([badIn(stack, "a"), badIn(stack, "b")]).toEqual([0, 0]);
    for (const name of ["a", "b"]) {
      const into = new Uint8Array(1024);
      await leafOf(stack, name).read(into, 10 * SECTOR);
      const want = content.slice(10 * SECTOR, 12 * SECTOR);
      expect(into).toEqual(want.fill(0xee, 256, 768));
    }
  });

  test("a mirror that is open for reading heals nothing, and takes no write", async () => {
    const stack = await filled(TWO, { a: [[10, 1]] });
    const leg = stack.leaves.get("a") as SimulatedDevice;
    const b = leafOf(stack, "b");
    const readOnly = { ...leg.capabilities, readOnly: true };
    const { top } = await copiesStack(
      { top: TWO },
      {
        size: SIZE,
        leaves: stack.leaves,
        around: (leaf) =>
          new Proxy(leaf, {
            get: (target, key) => {
              if (key === "capabilities") return readOnly;
              const value: unknown = Reflect.get(target, key, target);
              return typeof value === "function" ? value.bind(target) : value;
            },
          }),
      },
    );
    const into = new Uint8Array(SIZE);
    expect((await top.read(into, 0)).missing).toEqual([]);
    expect(badIn(stack, "a")).toBe(1);
    expect(b.poison.empty).toBe(true);
    expect(() => top.write(into, 0)).toThrow("EACCES");
  });
});

describe("the log", () => {
  test("what a log calls apart comes from the first leg alone, until a resync", async () => {
    const stack = await copiesStack({ top: LOGGED }, { size: SIZE });
    leafOf(stack, "a").write(content, 0);
    leafOf(stack, "a").inject({ offset: 0, length: 64 });
    const into = new Uint8Array(SIZE);
    expect((await stack.top.read(into, 0)).missing).toEqual([
      { offset: 0, length: 64, state: "poisoned" },
    ]);
    // the legs differ: leg b holds zeros, which are not the mirror's
    expect(await mirrorOf(stack).resync()).toEqual({ copied: SIZE - 64, healed: 0, left: 64 });
    leafOf(stack, "a").inject({ offset: 8192, length: 64 });
    expect((await stack.top.read(into, 0)).missing).toHaveLength(1);
    expect(into.subarray(64)).toEqual(content.subarray(64));
    await stack.top.close();
    const again = await copiesStack({ top: LOGGED }, { size: SIZE, leaves: stack.leaves });
    // the region that holds what nobody gives stays apart; the others do not
    leafOf(again, "a").inject({ offset: 4096, length: 64 });
    expect((await again.top.read(into.subarray(4096), 4096)).missing).toEqual([]);
    expect((await again.top.read(into.subarray(0, 4096), 0)).missing).toHaveLength(1);
  });

  test("is dm-log's, byte for byte, and is written by the first write only", async () => {
    const stack = await copiesStack({ top: LOGGED }, { size: SIZE });
    const log = new Uint8Array(2048);
    await leafOf(stack, "log").read(log, 0);
    expect(log.every((byte) => byte === 0)).toBe(true);
    await stack.top.write(new Uint8Array(512), 4096);
    await leafOf(stack, "log").read(log, 0);
    const header = "7252694d020000001000000000000000";
    expect(Buffer.from(log.subarray(0, 16)).toString("hex")).toBe(header);
    expect(log.subarray(1024).every((byte) => byte === 0)).toBe(true);
    const nosync = await copiesStack(
      { top: "0 128 mirror disk 3 log 8 nosync 2 a 0 b 0" },
      { size: SIZE },
    );
    await nosync.top.write(new Uint8Array(512), 4096);
    await leafOf(nosync, "log").read(log, 0);
    expect(Buffer.from(log.subarray(1024, 1028)).toString("hex")).toBe("fdff0000");
    await nosync.top.flush();
    await leafOf(nosync, "log").read(log, 0);
    expect(Buffer.from(log.subarray(1024, 1028)).toString("hex")).toBe("ffff0000");
  });

  test("a region whose bit cannot be read is apart, and a log of another version is refused", async () => {
    const log = createMemoryDevice({ size: SIZE, name: "log" });
    const bytes = Buffer.alloc(2048);
    bytes.write("7252694d020000001000000000000000", "hex");
    bytes.fill(0xff, 1024, 1026);
    log.write(bytes, 0);
    log.inject({ offset: 1024, length: 64 });
    const leaves = new Map([["log", log]]);
    const { top } = await copiesStack({ top: LOGGED }, { size: SIZE, leaves });
    leaves.get("a")?.inject({ offset: 0, length: 64 });
    expect((await top.read(new Uint8Array(64), 0)).missing).toHaveLength(1);
    log.write(Buffer.from("03000000", "hex"), 4);
    await expect(copiesStack({ top: LOGGED }, { size: SIZE, leaves })).rejects.toThrow(
      "incompatible disk log version: want 2: got 3",
    );
  });
});

test.each([
  ["", "Insufficient mirror log arguments"],
  ["core x", "Invalid mirror log argument count"],
  ["core 3 8", "Insufficient mirror log arguments: want 3: got 1"],
  ["user 1 8 2 a 0 b 0", 'want core or disk: got "user"'],
  ["core 1 7 2 a 0 b 0", "invalid region size 7"],
  ["core 1 256 2 a 0 b 0", "invalid region size 256"],
  ["core 2 8 maybe 2 a 0 b 0", "unrecognised sync argument"],
  ["core 0 2 a 0 b 0", "wrong number of arguments to dirty region log"],
  ["disk 1 8 2 a 0 b 0", "wrong number of arguments to disk dirty region log"],
  ["core 1 8 1 a 0", 'Invalid number of mirrors: want 2 to 9: got "1"'],
  ["core 1 8 2 a 0 b", "Too few mirror arguments"],
  ["core 1 8 2 a 0 b x", "Invalid offset"],
  ["core 1 8 2 a 0 a 0", "used twice"],
  ["core 1 8 2 a 0 b 0 1 fast", "Unrecognised feature requested"],
  ["core 1 8 2 a 0 b 0 1 keep_log", "requires the handle_errors"],
  ["core 1 8 2 a 0 b 0 2 handle_errors", "Not enough arguments"],
  ["core 1 8 2 a 0 b 0 0 more", "Too many mirror arguments"],
  ["core 1 8 2 a 0 b 8", "too small for target"],
])("mirror %s is refused: %s", async (args, message) => {
  await expect(copiesStack({ top: `0 128 mirror ${args}` }, { size: SIZE })).rejects.toThrow(
    message,
  );
});

test("mirror takes the features that dmsetup prints", async () => {
  const { top } = await copiesStack(
    { top: "0 128 mirror core 2 8 nosync 2 a 0 b 0 2 handle_errors keep_log" },
    { size: SIZE },
  );
  expect(top.size).toBe(SIZE);
});

test("inject() and setFault() make a range bad in every copy, so that the mirror cannot give it", async () => {
  const stack = await filled(THREE);
  const mirror = mirrorOf(stack);
  expect(mirror.canFail).toBe(true);
  expect(mirror.inject({ offset: 3 * SECTOR + 7, length: SECTOR }, { latent: true })).toEqual({
    offset: 3 * SECTOR,
    length: 2 * SECTOR,
  });
  mirror.setFault({ offset: 9 * SECTOR, length: SECTOR, kind: "poison", on: true });
  expect(await readAll(stack)).toEqual([3, 4, 9]);
  expect(["a", "b", "c"].map((name) => badIn(stack, name))).toEqual([3, 3, 3]);
});
