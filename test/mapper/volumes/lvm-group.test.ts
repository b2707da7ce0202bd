/** lvm-group: which text is the newest, and which physical volumes are there. */
import { describe, expect, test } from "vitest";
import { readVolumeGroups } from "../../../src/mapper/volumes/lvm-group.ts";
import { groupText, uuidOf } from "./support/lvm-image.ts";

function member(n: number, texts: readonly string[], problems: readonly string[] = []) {
  return { word: `d${n}`, volume: { uuid: uuidOf(n).plain, texts, problems } };
}

describe("readVolumeGroups()", () => {
  test("R1: the highest seqno is the group, whichever volume has it, and older texts are told", () => {
    const [old, now] = [groupText("", { seqno: 3 }), groupText("", { seqno: 4 })];
    for (const texts of [
      [[old], [now], []],
      [[now, old], [], [old]],
      [[], [old], [now]],
    ]) {
      const [group] = readVolumeGroups(texts.map((list, n) => member(n, list)));
      expect(group?.seqno).toBe(4);
      expect(new Set(group?.notes.map((note) => note.slice(4)))).toEqual(
        new Set(["A metadata text is of seqno 3: that of the newest, 4, is used"]),
      );
      expect([...(group?.parts.values() ?? [])].map(({ word }) => word)).toEqual([
        "d0",
        "d1",
        "d2",
      ]);
    }
  });

  test("refuses two texts of one seqno, two groups of one name, one volume twice", () => {
    const text = groupText("");
    const other = text.replace("pe_count = 20", "pe_count = 21");
    expect(() => readVolumeGroups([member(0, [text]), member(1, [other])])).toThrow(
      "d0 and d1 have different texts of seqno 1",
    );
    const stranger = text.replace('"group"', '"another"');
    expect(() => readVolumeGroups([member(0, [text]), member(1, [stranger])])).toThrow(
      "two groups",
    );
    expect(() => readVolumeGroups([member(0, [text]), { ...member(0, []), word: "copy" }])).toThrow(
      "d0 and copy are the same physical volume",
    );
  });

  test("R1: a volume that was missing while the group changed is not used", () => {
    const text = groupText("", { flags: ["", '"MISSING"'] });
    const [group] = readVolumeGroups([member(0, [text]), member(1, [])]);
    expect([...(group?.parts.values() ?? [])].map(({ word }) => word)).toEqual([
      "d0",
      undefined,
      undefined,
    ]);
    expect(group?.notes).toEqual([
      "Physical volume pv1 (d1) was missing while its group changed: it is not used",
      expect.stringContaining("pv2"),
    ]);
  });

  test("tells the groups of several, and a text that is none", () => {
    const other = groupText("").replaceAll("vg {", "vh {");
    const groups = readVolumeGroups([member(0, [groupText("")]), member(1, [other, "{"])]);
    expect(groups.map(({ name }) => name)).toEqual(["vg", "vh"]);
    expect(groups[0]?.notes).toContainEqual(
      expect.stringContaining("d1: The metadata text cannot"),
    );
  });

  test.each([
    [
      "extent_size = 8",
      "extent_size = 0",
      "want a whole number from 1 on at vg/extent_size: got 0",
    ],
    ["extent_size = 8", "", "got nothing"],
    ["pe_start = 64", "pe_start = 1.5", "vg/physical_volumes/pv0/pe_start: got 1.5"],
    ["seqno = 1", 'seqno = "1"', 'vg/seqno: got "1"'],
    ["physical_volumes {", "physical_volumes { x = 1", "want a section at vg/physical_volumes/x"],
  ])("%j as %j is EBADMSG: %s", (from, to, message) => {
    const text = groupText("").replace(from, to);
    expect(() => readVolumeGroups([member(0, [text])])).toThrow(`EBADMSG: Cannot use d0: `);
    expect(() => readVolumeGroups([member(0, [text])])).toThrow(message);
  });
});
