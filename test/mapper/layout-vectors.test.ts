/** Layout: the vectors of the kernel's arithmetic, and scenarios with poison at seams and stripes. */
import { describe, expect, test } from "vitest";
import { createMemoryDevice } from "../../src/device/index.ts";
import { openFile } from "../../src/file/index.ts";
import { addressesAbove, layoutOf, walkDown } from "../../src/mapper/index.ts";
import { memoryStack } from "./support/kernel-map.ts";

const PAGE = 4096;
const SIZE = 64 * PAGE;

/** Leaf and page of a page of a table. */
function pageOf(table: string, page: number): readonly [string, number] {
  const { top } = memoryStack({ t: table }, { size: SIZE });
  const [run] = layoutOf(top)?.runs({ offset: page * PAGE, length: 1 }) ?? [];
  return [run?.device.identity.name ?? "", (run?.offset ?? 0) / PAGE];
}

describe("striped", () => {
  test.each([
    [
      2,
      8,
      [
        [0, 0, 0],
        [1, 1, 0],
        [2, 0, 1],
        [3, 1, 1],
        [7, 1, 3],
        [33, 1, 16],
      ],
    ],
    [
      3,
      24,
      [
        [2, 0, 2],
        [3, 1, 0],
        [5, 1, 2],
        [7, 2, 1],
        [16, 2, 4],
        [33, 2, 9],
      ],
    ],
    [
      2,
      128,
      [
        [7, 0, 7],
        [16, 1, 0],
        [33, 0, 17],
      ],
    ],
  ])(
    "of %i legs and chunks of %i sectors puts pages where dm-stripe.c does",
    (count, chunk, vectors) => {
      const legs = ["a", "b", "c"]
        .slice(0, count)
        .map((name) => `${name} 0`)
        .join(" ");
      const table = `0 ${count * chunk * Math.floor(504 / chunk)} striped ${count} ${chunk} ${legs}`;
      for (const [page = 0, stripe = 0, inLeg = 0] of vectors)
        expect(pageOf(table, page), `page ${page}`).toEqual(["abc"[stripe], inLeg]);
    },
  );

  test("a walk down and a walk back up agree at every address", () => {
    const { top, leaves } = memoryStack({ t: "0 48 striped 3 8 a 0 b 0 c 0" }, { size: SIZE });
    for (let offset = 0; offset < top.size; offset += 511) {
      const [leaf] = walkDown(top, offset).below;
      expect(addressesAbove(top, leaf ?? { device: top, offset: 0 })).toEqual([offset]);
    }
    expect(leaves.size).toBe(3);
  });

  test("poison of one leg shows at two addresses: chunks of 8 sectors over three legs, leg 1 bad from sector 13 for 6", () => {
    const { top, leaves } = memoryStack({ t: "0 1488 striped 3 8 a 0 b 0 c 0" }, { size: SIZE });
    leaves.get("b")?.inject({ offset: 13 * 512, length: 6 * 512 });
    const bad = [...top.poison.bad({ offset: 0, length: top.size })];
    expect(bad.map(({ offset, length }) => [offset / 512, length / 512])).toEqual([
      [37, 3],
      [56, 3],
    ]);
  });
});

describe("linear over two devices", () => {
  const seam = { t: "0 16 linear a 0\n16 16 linear b 0" };

  test("poison of the second device at its sector 0 shows behind the first", () => {
    const { top, leaves } = memoryStack(seam, { size: SIZE });
    leaves.get("b")?.inject({ offset: 0, length: 4096 });
    expect([...top.poison.bad({ offset: 0, length: top.size })]).toEqual([
      { offset: 8192, length: 4096, state: "poisoned" },
    ]);
  });

  test("S35: windows end at the seam: a read gives the prefix, a write recovers each side", async () => {
    const { top, leaves } = memoryStack(seam, { size: SIZE });
    const file = await openFile(top);
    leaves.get("b")?.inject({ offset: 0, length: 4096 });
    expect(file.face).toBe("dax");
    expect(file.direct?.preadv2([new Uint8Array(16384)], 0)).toBe(8192);
    expect(() => file.direct?.preadv2([new Uint8Array(8192)], 8192)).toThrow("EIO");
    leaves.get("a")?.inject({ offset: 4096, length: 4096 });
    expect(file.direct?.pwritev2([new Uint8Array(16384).fill(3)], 0)).toBe(16384);
    expect(top.poison.empty).toBe(true);
  });
});

describe("small windows", () => {
  test.each([
    [16, 2, 8192],
    [8, 3, 12288],
  ])(
    "R15, R16: chunks of %i sectors and page %i bad: a read of four pages gives %i bytes",
    async (chunk, page, count) => {
      const { top, leaves } = memoryStack(
        { t: `0 128 striped 2 ${chunk} a 0 b 0` },
        { size: SIZE },
      );
      const [place] = walkDown(top, page * PAGE).below;
      leaves
        .get(place?.device.identity.name ?? "")
        ?.inject({ offset: place?.offset ?? 0, length: 4096 });
      const file = await openFile(top);
      expect(file.direct?.preadv2([new Uint8Array(16384)], 0)).toBe(count);
    },
  );

  test("S36: U12 and W17: an unaligned write of 8092 bytes at 100 over a bad sector in page 1 recovers, chunks of a page", async () => {
    const { top, leaves } = memoryStack({ t: "0 128 striped 2 8 a 0 b 0" }, { size: SIZE });
    leaves.get("b")?.inject({ offset: 3 * 512, length: 512 });
    const file = await openFile(top);
    expect(file.direct?.pwritev2([new Uint8Array(8092).fill(1)], 100)).toBe(8092);
    expect(top.poison.empty).toBe(true);
    const alone = createMemoryDevice({ size: SIZE });
    alone.inject({ offset: PAGE + 3 * 512, length: 512 });
    const bare = await openFile(alone);
    expect(() => bare.direct?.pwritev2([new Uint8Array(8092)], 100)).toThrow("EIO");
  });
});

test("S45: poison of a leg of three stripes shows at the addresses of its chunks, to the sector", () => {
  const { top, leaves } = memoryStack(
    { t: "0 384 striped 3 8 a 0 b 0 c 0" },
    { size: SIZE, poisonUnit: 512, clearUnit: 512 },
  );
  leaves.get("b")?.inject({ offset: 13 * 512, length: 6 * 512 });
  const sectors = Array.from(top.poison.bad({ offset: 0, length: top.size }), (bad) => [
    bad.offset / 512,
    bad.length / 512,
  ]);
  expect(sectors).toEqual([
    [37, 3],
    [56, 3],
  ]);
});

test("direct access is off where pages would lie across the leaf's pages, and where a target has none", () => {
  const direct = (table: string) => memoryStack({ t: table }, { size: SIZE }).top.direct;
  expect(direct("0 64 linear a 4")).toBeUndefined();
  expect(direct("0 96 striped 2 12 a 0 b 0")).toBeUndefined();
  expect(direct("0 64 linear a 8\n64 8 error")).toBeUndefined();
  const cut = direct("0 12 linear a 0\n12 20 linear b 12");
  expect(cut?.probe(0, 4, "access")).toBe(1);
  expect(cut?.probe(1, 1, "access")).toBe(0);
  expect(cut?.probe(2, 4, "access")).toBe(2);
});
