/** md-array: only members that are as new as the newest, and that it calls active, are ever read. */
import { describe, expect, test } from "vitest";
import { mdMember, superblockAt, type MemberShape } from "./support/md-image.ts";
import { readOf, textOf, type Images } from "./support/read-rows.ts";

const MIRROR: Omit<MemberShape, "number"> = { version: "1.2", level: 1, raidDisks: 3 };

function images(changes: readonly Partial<MemberShape>[]): Images {
  return Object.fromEntries(
    changes.map((change, number) => [`d${number}`, mdMember({ ...MIRROR, number, ...change })]),
  );
}

/** Legs of the rows that a mirror of three becomes. */
async function legsOf(
  changes: readonly Partial<MemberShape>[],
): Promise<[string[], readonly string[]]> {
  const { tables, notes } = await readOf("md", images(changes));
  const words = textOf(tables).join(" ").split(" ");
  return [words.filter((word) => /^d\d$/.test(word)), notes];
}

describe("chooseMembers()", () => {
  test("takes members that are one event behind, as after a crash", async () => {
    expect((await legsOf([{}, { events: 11 }, { events: 10 }]))[0]).toEqual(["d0", "d1", "d2"]);
  });

  test("R1: a member that is further behind is never read, whatever the order", async () => {
    for (const stale of [0, 1, 2]) {
      const [legs, notes] = await legsOf([0, 1, 2].map((n) => ({ events: n === stale ? 8 : 10 })));
      expect(legs).toEqual(["d0", "d1", "d2"].filter((word) => word !== `d${stale}`));
      expect(notes[0]).toBe(
        `d${stale}: Its superblock is out of date, of event 8 of 10: it is not used`,
      );
    }
  });

  test("R1: the newest superblock's roles decide, not a member's own", async () => {
    const [legs, notes] = await legsOf([
      { events: 11, roles: [0, 0xfffe, 2] },
      {},
      { roles: [0, 0xfffe, 2] },
    ]);
    expect(legs).toEqual(["d0", "d2"]);
    expect(notes).toContainEqual("d1: It is a faulty member: it is not used");
  });

  test("R1: spares and members that are being rebuilt are not read", async () => {
    const roles = [0, 1, 0xffff];
    const [legs, notes] = await legsOf([{ roles }, { roles, recoveryOffset: 32 }, { roles }]);
    expect(legs).toEqual(["d0"]);
    expect(notes).toEqual([
      "d1: It is being rebuilt, up to sector 32: it is not used",
      "d2: It is a spare member: it is not used",
      "Member 1 is missing",
      "Member 2 is missing",
    ]);
  });

  test("R1: a member whose superblock cannot be read may be the newest: refused", async () => {
    const hole = { d1: [{ offset: superblockAt("1.2", 131_072), length: 512 }] };
    await expect(readOf("md", images([{}, {}, {}]), { poison: hole })).rejects.toThrow(
      "d1 may be its newest member: Bytes 4096 to 8192 cannot be read, where a superblock of md 1.2 may be: want it healed, or this member left out",
    );
  });

  test.each([
    [
      [{}, { uuid: 0x22 }],
      "d0 is of array 11111111111111111111111111111111 (1.2) and d1 of 22222222222222222222222222222222",
    ],
    [[{}, { version: "1.1" }], "want members of one array"],
    [[{}, { number: 0 }], "d0 and d1 are both member 0"],
    [[{ features: 4 }], "with reshape: no table can say that"],
    [[{ raidDisks: 0, roles: [0] }], "counts 0 members"],
    [[{ level: 5 }], "raid level 5 is not read"],
    [[{ dataSectors: 63, raidDisks: 1 }], "want the 32768 that the array uses of each member"],
    [
      [{ events: 8 }, { events: 10, roles: [0xfffe, 0xfffe, 0xfffe] }],
      "want at least one member that is up to date",
    ],
  ] as const)("%j is refused", async (changes, message) => {
    await expect(readOf("md", images(changes))).rejects.toThrow("EBADMSG: Cannot use v: ");
    await expect(readOf("md", images(changes))).rejects.toThrow(message);
  });

  test("R1: a member that is not given and was active may be newer: refused until it is said to be missing", async () => {
    const alone = images([{}, {}]);
    await expect(readOf("md", alone)).rejects.toThrow(
      "d0 was last written while member 2 was active, which may be newer: want it too, or the word missing for each that is gone",
    );
    const { tables, notes } = await readOf("md", alone, { missing: 1 });
    expect(textOf(tables)).toEqual(["v: 0 64 mirror core 2 64 nosync 2 d0 16 d1 16"]);
    expect(notes).toEqual(["Member 2 is missing"]);
    await expect(readOf("md", images([{}]), { missing: 1 })).rejects.toThrow(
      "member 1, 2 was active",
    );
    const known = images([{ roles: [0, 1, 0xfffe] }, { roles: [0, 1, 0xfffe] }]);
    expect((await readOf("md", known)).notes).toEqual(["Member 2 is missing"]);
  });

  test("a device that is no member is refused", async () => {
    await expect(readOf("md", { x: new Uint8Array(131_072) })).rejects.toThrow(
      "x holds no superblock",
    );
  });
});
