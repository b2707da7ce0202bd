/** md-tables, md-raid10: rows that map as the kernel's own arithmetic does, written here from its source, chunk by chunk. */
import { describe, expect, test } from "vitest";
import { createPrng } from "../../../src/base/index.ts";
import { randomSeed } from "../../base/seed.ts";
import { mdMember, type MemberShape } from "./support/md-image.ts";
import { placesOf, readOf, textOf, type Images } from "./support/read-rows.ts";

const OFFSET = 16;
const seed = randomSeed();

function images(
  count: number,
  shape: Omit<MemberShape, "number" | "raidDisks" | "version">,
  sizes?: readonly number[],
): Images {
  return Object.fromEntries(
    Array.from({ length: count }, (_, number) => {
      const dataSectors = sizes?.[number] ?? shape.component ?? 64;
      const made = { ...shape, version: "1.2" as const, raidDisks: count, number, dataSectors };
      return [`d${number}`, mdMember(made)];
    }),
  );
}

/** raid0: every sector of the array in order, zone by zone; `turn` says whether a zone's first chunk is the array's count or its own. */
function raid0Places(sizes: readonly number[], chunk: number, isAlternate: boolean): string[] {
  const whole = sizes.map((size) => size - (size % chunk));
  const places: string[] = [];
  const ends = [...new Set(whole)].sort((one, other) => one - other);
  let begin = 0;
  for (const end of ends) {
    const members = whole.flatMap((size, member) => (size > begin ? [member] : []));
    const zoneStart = places.length;
    for (let at = 0; at < (end - begin) * members.length; at += 1) {
      const counted = Math.floor((isAlternate ? at : zoneStart + at) / chunk);
      const row = Math.floor(at / (chunk * members.length));
      places.push(
        `d${members[counted % members.length]} ${OFFSET + begin + row * chunk + (at % chunk)}`,
      );
    }
    begin = end;
  }
  return places;
}

describe("arrayTables()", () => {
  test(`raid0: every sector of uneven members is where the kernel has it, in both layouts; SEED=${seed}`, async () => {
    const prng = createPrng(seed);
    for (let round = 0; round < 60; round += 1) {
      const chunk = prng.pick([1, 2, 3, 8]);
      const sizes = Array.from({ length: 1 + prng.below(5) }, () => chunk + prng.below(60));
      const layout = 1 + prng.below(2);
      const members = images(sizes.length, { level: 0, chunk, layout, features: 4096 }, sizes);
      const { tables } = await readOf("md", members);
      const want = raid0Places(sizes, chunk, layout === 2);
      const got = want.map((_, sector) => placesOf(tables, "v", sector)[0]);
      expect(got, `round ${round}, sizes ${sizes.join(" ")}, chunk ${chunk}`).toEqual(want);
      expect(placesOf(tables, "v", want.length)).toEqual([]);
    }
  });

  test("raid0: a layout that nobody noted is refused where it matters, and not where it does not", async () => {
    const shape = { level: 0, chunk: 8 };
    await expect(readOf("md", images(3, shape, [16, 32, 32]))).rejects.toThrow(
      "does not say which kernel wrote it (layout none)",
    );
    expect(textOf((await readOf("md", images(2, shape, [16, 32]))).tables)).toEqual([
      "v: 0 32 striped 2 8 d0 16 d1 16",
      "v: 32 16 linear d1 32",
    ]);
    expect(textOf((await readOf("md", images(2, shape, [20, 23]))).tables)).toEqual([
      "v: 0 32 striped 2 8 d0 16 d1 16",
    ]);
  });

  test("linear and raid0 want every member", async () => {
    for (const level of [-1, 0]) {
      const { d1: _, ...rest } = images(3, { level });
      await expect(readOf("md", rest)).rejects.toThrow(
        "want all 3 members of an array that keeps one copy: missing 1",
      );
    }
    expect(textOf((await readOf("md", images(2, { level: -1, chunk: 0 }, [9, 7]))).tables)).toEqual(
      ["v: 0 9 linear d0 16", "v: 9 7 linear d1 16"],
    );
  });

  test("R1: after a crash one member serves where they may differ", async () => {
    const rows = async (facts: Partial<MemberShape>): Promise<string[]> =>
      textOf((await readOf("md", images(2, { level: 1, ...facts }))).tables);
    const both = "mirror core 2 32 nosync 2 d0 16 d1 16";
    expect(await rows({})).toEqual(["v: 0 64 mirror core 2 64 nosync 2 d0 16 d1 16"]);
    expect(await rows({ resyncOffset: 32 })).toEqual([`v: 0 32 ${both}`, "v: 32 32 linear d0 48"]);
    const bitmap = { bits: [0b0100], chunk: 16, events: 10 };
    expect(await rows({ resyncOffset: 0, bitmap })).toEqual([
      `v: 0 32 ${both}`,
      "v: 32 16 linear d0 48",
      "v: 48 16 mirror core 2 16 nosync 2 d0 64 d1 64",
    ]);
    const old = { ...bitmap, events: 9 };
    expect(await rows({ resyncOffset: 0, bitmap: old })).toEqual(["v: 0 64 linear d0 16"]);
  });

  test("R1: what md's own list names bad is not read from that member", async () => {
    const members = images(2, { level: 1 });
    members["d1"]?.set(mdMember({ ...SHAPE, number: 1, badBlocks: [[24, 8]] }));
    expect(textOf((await readOf("md", members)).tables)).toEqual([
      "v: 0 8 mirror core 2 8 nosync 2 d0 16 d1 16",
      "v: 8 8 linear d0 24",
      "v: 16 48 mirror core 2 32 nosync 2 d0 32 d1 32",
    ]);
    members["d0"]?.set(mdMember({ ...SHAPE, number: 0, badBlocks: [[28, 1]] }));
    expect(textOf((await readOf("md", members)).tables).slice(1, 4)).toEqual([
      "v: 8 4 linear d0 24",
      "v: 12 1 error",
      "v: 13 3 linear d0 29",
    ]);
    const hole = { d1: [{ offset: 4096 + 3 * 512, length: 8 }] };
    const { notes } = await readOf("md", members, { poison: hole });
    expect(notes).toContainEqual("d1: Its list of bad blocks cannot be read: it is not used");
  });
});

const SHAPE: Omit<MemberShape, "number"> = { version: "1.2", level: 1, raidDisks: 2 };

/** Every copy of a sector, as `__raid10_find_phys` finds it. */
function raid10Places(
  sector: number,
  geometry: {
    n: number;
    near: number;
    far: number;
    chunk: number;
    stride: number;
    set: number;
    isOffset: boolean;
  },
): string[] {
  const { n, near, far, chunk, stride, set, isOffset } = geometry;
  const lastSetStart = (Math.floor(n / set) - 1) * set;
  const lastSetSize = set + (n % set);
  const slot = Math.floor(sector / chunk) * near;
  let dev = slot % n;
  let base = Math.floor(slot / n) * (isOffset ? far : 1) * chunk + (sector % chunk);
  const places: string[] = [];
  for (let copy = 0; copy < near; copy += 1) {
    let d = dev;
    let s = base;
    places.push(`d${d} ${OFFSET + s}`);
    for (let run = 1; run < far; run += 1) {
      const which = Math.floor(d / set);
      d += near;
      if (n % set !== 0 && d > lastSetStart) d = ((d - lastSetStart) % lastSetSize) + lastSetStart;
      else d = (d % set) + set * which;
      s += stride;
      places.push(`d${d} ${OFFSET + s}`);
    }
    dev += 1;
    if (dev >= n) {
      dev = 0;
      base += chunk;
    }
  }
  return places;
}

function gcd(one: number, other: number): number {
  return other === 0 ? one : gcd(other, one % other);
}

describe("raid10Tables()", () => {
  test(`every copy of every sector is where the kernel has it; SEED=${seed}`, async () => {
    const prng = createPrng(seed);
    for (let round = 0; round < 60; round += 1) {
      const near = 1 + prng.below(3);
      const n = prng.chance(0.5) ? near * (1 + prng.below(4)) : near + prng.below(6);
      const far = 1 + prng.below(Math.min(3, Math.floor(n / near)));
      const isInSets = far > 1 && prng.chance(0.5);
      const isOffset = far > 1 && n % near === 0 && prng.chance(0.5);
      const chunk = prng.pick([1, 2, 8]);
      const component = chunk * (far + prng.below(12)) + prng.below(chunk);
      const layout = near + far * 256 + (isOffset ? 2 ** 16 : 0) + (isInSets ? 2 ** 18 : 0);
      const set = isInSets ? far * near : n;
      const rows = Math.floor(Math.floor(component / chunk) / far);
      const stride = isOffset ? chunk : rows * chunk;
      const geometry = { n, near, far, chunk, set, stride, isOffset };
      const { tables } = await readOf("md", images(n, { level: 10, layout, chunk, component }));
      const size = Math.floor((rows * n) / near) * chunk;
      // a position of one sector has no room for a mirror's region
      const cycle = n / gcd(near, n);
      const isTiny = (sector: number): boolean =>
        chunk === 1 && (sector % cycle) + cycle >= size && near * far > 1;
      for (let sector = 0; sector < size; sector += 1)
        expect(
          new Set(placesOf(tables, "v", sector)),
          `round ${round} sector ${sector} ${JSON.stringify(geometry)}`,
        ).toEqual(
          new Set(
            isTiny(sector)
              ? raid10Places(sector, geometry).slice(0, 1)
              : raid10Places(sector, geometry),
          ),
        );
      expect(placesOf(tables, "v", size)).toEqual([]);
    }
  });

  test("a missing member leaves the other copies, and errors where there are none", async () => {
    const { d1: _, ...one } = images(4, { level: 10, layout: 0x102 });
    expect(textOf((await readOf("md", one, { missing: 1 })).tables)).toEqual([
      "v/0: 0 64 linear d0 16",
      "v/1: 0 64 mirror core 2 64 nosync 2 d2 16 d3 16",
      "v: 0 128 striped 2 8 v/0 0 v/1 0",
    ]);
    const { d0: __, ...none } = one;
    expect(textOf((await readOf("md", none, { missing: 2 })).tables)[0]).toBe("v/0: 0 64 error");
  });

  test.each([
    ["near 2 on 3 members", { n: 3, layout: 0x102, bad: 48 }],
    ["two far copies, offset", { n: 4, layout: 0x1_02_01, bad: 64 }],
  ])("%s: what a member lists as bad is read from the other copy", async (_, given) => {
    const { n, layout, bad } = given;
    const shape = { version: "1.2", level: 10, layout, chunk: 8, raidDisks: n } as const;
    const members = images(n, { level: 10, layout, chunk: 8, component: 80 });
    const places = (sector: number, tables: Parameters<typeof placesOf>[0]): string[] =>
      placesOf(tables, "v", sector);
    const { tables: before } = await readOf("md", members);
    members["d1"]?.set(
      mdMember({ ...shape, component: 80, dataSectors: 80, number: 1, badBlocks: [[bad, 5]] }),
    );
    const { tables: after } = await readOf("md", members);
    const listed = new Set(Array.from({ length: 5 }, (__, index) => `d1 ${bad + index}`));
    for (let sector = 0; places(sector, before).length > 0; sector += 1)
      expect(places(sector, after), `sector ${sector}`).toEqual(
        places(sector, before).filter((place) => !listed.has(place)),
      );
  });

  test.each([
    [5, 0x1_02_02, "near 2, far 2, offset"],
    [4, 0, "is none that the kernel knows"],
    [2, 0x303, "is none that the kernel knows"],
    [4, 0x7_02_01, "is none that the kernel knows"],
  ])("%i members of layout %i are refused", async (n, layout, message) => {
    await expect(readOf("md", images(n, { level: 10, layout }))).rejects.toThrow(message);
  });
});
