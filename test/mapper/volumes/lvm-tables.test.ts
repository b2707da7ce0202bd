/** lvm-tables: logical volumes in the words in which LVM activates them. */
import { describe, expect, test } from "vitest";
import { mapperName } from "../../../src/mapper/volumes/lvm-tables.ts";
import { groupText, logicalVolume, physicalVolume, stripes, uuidOf } from "./support/lvm-image.ts";
import { readOf, textOf } from "./support/read-rows.ts";

const HIDDEN = '"READ", "WRITE"';
const image = (name: string, pv: string, extent = 0): string =>
  logicalVolume(name, [stripes(0, 4, [[pv, extent]])], HIDDEN);
const segment = (type: string, rest: string): string =>
  `start_extent = 0\nextent_count = 4\ntype = "${type}"\n${rest}`;
const RAID = [
  logicalVolume("r", [
    segment("raid1", 'device_count = 2\nregion_size = 1024\nraids = ["m0", "i0", "m1", "i1"]'),
  ]),
  image("m0", "pv0"),
  image("i0", "pv0", 4),
  image("m1", "pv1"),
  image("i1", "pv1", 4),
].join("");

async function tablesOf(volume: string, volumes: string, present = [0, 1, 2]): Promise<string[]> {
  const images = Object.fromEntries(
    present.map((n) => [
      `d${n}`,
      physicalVolume({ uuid: uuidOf(n).plain, texts: [groupText(volumes)] }),
    ]),
  );
  return textOf((await readOf(`lvm vg/${volume}`, images)).tables);
}

describe("logicalVolumeTables()", () => {
  test("linear and striped segments are rows", async () => {
    const text = logicalVolume("a", [
      stripes(0, 3, [["pv0", 2]]),
      stripes(3, 6, [
        ["pv1", 0],
        ["pv2", 1],
      ]),
    ]);
    expect(await tablesOf("a", text)).toEqual([
      "v: 0 24 linear d0 80",
      "v: 24 48 striped 2 4 d1 64 d2 72",
    ]);
  });

  test("mirror and raid1 stand over tables of their images", async () => {
    const mirror = [
      logicalVolume("x", [
        segment(
          "mirror",
          'mirror_count = 2\nmirror_log = "x_mlog"\nregion_size = 16\nmirrors = ["x0", 0, "x1", 0]',
        ),
      ]),
      image("x_mlog", "pv2"),
      image("x0", "pv0"),
      image("x1", "pv1"),
    ].join("");
    expect(await tablesOf("x", mirror)).toEqual([
      "v/vg-x0: 0 32 linear d0 64",
      "v/vg-x1: 0 32 linear d1 64",
      "v/vg-x_mlog: 0 32 linear d2 64",
      "v: 0 32 mirror disk 2 v/vg-x_mlog 16 2 v/vg-x0 0 v/vg-x1 0 1 handle_errors",
    ]);
    const rows = await tablesOf("r", RAID.replace('"VISIBLE"', '"VISIBLE", "NOTSYNCED"'));
    expect(rows.at(-1)).toBe(
      "v: 0 32 raid raid1 4 0 nosync region_size 1024 2 v/vg-m0 v/vg-i0 v/vg-m1 v/vg-i1",
    );
  });

  test("R1: a leg that is to be rebuilt, or read last, is marked so", async () => {
    const marked = RAID.replace(
      'i0 {\nid = "x"\nstatus = [',
      'i0 {\nid = "x"\nstatus = ["WRITEMOSTLY", ',
    )
      .replace('i1 {\nid = "x"\nstatus = [', 'i1 {\nid = "x"\nstatus = ["REBUILD", ')
      .replace("region_size = 1024", "region_size = 1024\nwritebehind = 256");
    expect((await tablesOf("r", marked)).at(-1)).toBe(
      "v: 0 32 raid raid1 9 0 rebuild 1 write_mostly 0 max_write_behind 256 region_size 1024 2 v/vg-m0 v/vg-i0 v/vg-m1 v/vg-i1",
    );
  });

  test("R1: what is missing is errors, and a leg that is not whole is none", async () => {
    const linear = logicalVolume("a", [stripes(0, 3, [["pv1", 2]])]);
    expect(await tablesOf("a", linear, [0])).toEqual([
      "v/vg-a-missing_0_0: 0 24 error",
      "v: 0 24 linear v/vg-a-missing_0_0 0",
    ]);
    const rows = await tablesOf("r", RAID, [0, 2]);
    expect(rows.at(-1)).toBe("v: 0 32 raid raid1 3 0 region_size 1024 2 v/vg-m0 v/vg-i0 - -");
  });

  test.each([
    ["thin", segment("thin", ""), 'logical volume vg/a: segment1: segment type "thin" is not read'],
    ["raid5", segment("raid5", ""), 'segment type "raid5" is not read'],
    [
      "circle",
      stripes(0, 1, [["a", 0]]),
      "want no circle, and at most 8 volumes inside one another: got a -> a",
    ],
    [
      "stranger",
      stripes(0, 1, [["b", 0]]),
      "vg/b: want a logical volume of the group, which has 1: a",
    ],
    ["past the end", stripes(0, 4, [["pv0", 17]]), "want extents below 20 of pv0: got 17 + 4"],
    ["huge", stripes(0, 2 ** 50, [["pv0", 0]]), "want extents below 20"],
    [
      "odd",
      stripes(0, 3, [
        ["pv0", 0],
        ["pv1", 0],
      ]),
      "want extents that divide by 2 stripes: got 3",
    ],
    [
      "short list",
      stripes(0, 2, [["pv0", 0]]).replace("stripe_count = 1", "stripe_count = 4000000000"),
      "want 4000000000 pairs",
    ],
    [
      "no type",
      "start_extent = 0\nextent_count = 1",
      "want a string at vg/logical_volumes/a/segment1/type",
    ],
    [
      "a device's name",
      'start_extent = 0\nextent_count = 1\ntype = "linear"\nstripe_count = 1\nstripes = [3, 0]',
      "want a name in stripes: got 3",
    ],
  ])("%s is EBADMSG", async (_, text, message) => {
    await expect(tablesOf("a", logicalVolume("a", [text]))).rejects.toThrow("EBADMSG: Cannot use ");
    await expect(tablesOf("a", logicalVolume("a", [text]))).rejects.toThrow(message);
  });

  test("a snapshot and what it keeps its blocks in are refused, its origin is not", async () => {
    const text = [
      logicalVolume("o", [stripes(0, 1, [["pv0", 0]])]),
      logicalVolume("c", [stripes(0, 1, [["pv0", 1]])]),
      logicalVolume("snapshot0", [
        segment("snapshot", 'chunk_size = 8\norigin = "o"\ncow_store = "c"'),
      ]),
    ].join("");
    expect(await tablesOf("o", text)).toEqual(["v: 0 8 linear d0 64"]);
    await expect(tablesOf("c", text)).rejects.toThrow('segment type "snapshot" of snapshot0');
    const merging = text.replace("cow_store", "merging_store");
    await expect(tablesOf("o", merging)).rejects.toThrow("a snapshot is being merged into it");
  });

  test("another group, no label, and an unreadable one are told", async () => {
    const pv = physicalVolume({ uuid: uuidOf(0).plain, texts: [groupText("")] });
    await expect(readOf("lvm vx/a", { d0: pv })).rejects.toThrow("describe vg: want vx");
    await expect(readOf("lvm vg/a", { d0: new Uint8Array(4096) })).rejects.toThrow(
      "d0 has no label",
    );
    const hole = { d0: [{ offset: 512, length: 512 }] };
    await expect(readOf("lvm vg/a", { d0: pv }, { poison: hole })).rejects.toThrow(
      "d0: Bytes 512 to 1024 cannot be read, where the label may be: want them healed",
    );
  });
});

describe("mapperName()", () => {
  test("doubles hyphens, as device-mapper's names have them", () => {
    expect(mapperName("my-vg", "a-b")).toBe("my--vg-a--b");
  });
});
