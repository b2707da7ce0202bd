/** md-member: superblocks of every form found where they stand, and what cannot be read told with its bytes. */
import { describe, expect, test } from "vitest";
import { readMdMember } from "../../../src/mapper/volumes/md-member.ts";
import { fakeDisk } from "../support/fake-disk.ts";
import { mdMember, sealSuperblock, superblockAt, type MemberShape } from "./support/md-image.ts";

const VERSIONS = ["0.90", "1.0", "1.1", "1.2"] as const;
const shape = (version: MemberShape["version"]): MemberShape => ({
  version,
  level: 1,
  raidDisks: 2,
  number: 1,
  events: 2 ** 33 + 7,
});

describe("readMdMember()", () => {
  test.each(VERSIONS)("reads a superblock of %s", async (version) => {
    const events = version === "0.90" ? 77 : 2 ** 33 + 7;
    const answer = await readMdMember(fakeDisk(mdMember({ ...shape(version), events })));
    expect(answer).toMatchObject({
      kind: "member",
      superblock: {
        version,
        uuid: "11".repeat(16),
        level: 1,
        raidDisks: 2,
        number: 1,
        events,
        componentSectors: 64,
        chunk: 8,
        dataOffset: version === "0.90" ? 0 : 16,
        resyncOffset: Infinity,
        recoveryOffset: Infinity,
        refusal: "",
      },
    });
  });

  test.each(VERSIONS)(
    "R1: %s that cannot be read or is not whole is unknown, never none",
    async (version) => {
      const size = 131_072;
      const at = superblockAt(version, size);
      const bytes = mdMember(
        shape(version).version === "0.90" ? { ...shape(version), events: 1 } : shape(version),
      );
      for (const hole of [0, 30, 255]) {
        const answer = await readMdMember(fakeDisk(bytes, [{ offset: at + hole, length: 1 }]));
        expect(answer).toMatchObject({
          kind: "unknown",
          reason: expect.stringContaining(`Bytes ${at} to ${at + 4096}`),
        });
      }
      bytes[at + 20] = 0x77;
      expect(await readMdMember(fakeDisk(bytes))).toMatchObject({
        kind: "unknown",
        reason: expect.stringContaining("checksum is wrong"),
      });
    },
  );

  test("takes the array that was made last, where an old superblock was left", async () => {
    const bytes = Buffer.from(mdMember({ ...shape("0.90"), events: 500, uuid: 0x22 }));
    const made = mdMember(shape("1.2"));
    bytes.set(made.subarray(4096, 8192), 4096);
    bytes.writeUInt32LE(2000, 4096 + 64);
    sealSuperblock(bytes, 4096);
    expect(await readMdMember(fakeDisk(bytes))).toMatchObject({ superblock: { version: "1.2" } });
  });

  test("a superblock of another place, a device without one, and tiny ones are none", async () => {
    const moved = Buffer.alloc(131_072);
    moved.set(mdMember(shape("1.2")).subarray(4096, 8192), 0);
    for (const bytes of [moved, new Uint8Array(131_072), new Uint8Array(1), new Uint8Array(4096)])
      expect(await readMdMember(fakeDisk(bytes))).toEqual({ kind: "none" });
  });

  test("names what an array does that no table says", async () => {
    for (const [features, refusal] of [
      [4, "reshape"],
      [16, "replacement"],
      [512, "journal"],
      [2 ** 20, "feature map 1048576"],
    ] as const) {
      const bytes = mdMember({ ...shape("1.2"), features });
      expect(await readMdMember(fakeDisk(bytes))).toMatchObject({ superblock: { refusal } });
    }
  });
});
