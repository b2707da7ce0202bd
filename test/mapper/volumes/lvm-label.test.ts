/** lvm-label: a physical volume found, its copies of the text, and what cannot be read told with its bytes. */
import { describe, expect, test } from "vitest";
import { lvmChecksum, readPhysicalVolume } from "../../../src/mapper/volumes/lvm-label.ts";
import { fakeDisk } from "../support/fake-disk.ts";
import {
  AREA,
  FIRST_AREA,
  physicalVolume,
  sealArea,
  slowChecksum,
  uuidOf,
} from "./support/lvm-image.ts";

const { plain: uuid } = uuidOf(0);

describe("readPhysicalVolume()", () => {
  test.each([0, 1, 2, 3])("finds the label in sector %i", async (labelSector) => {
    const bytes = physicalVolume({ uuid, texts: ["a"], labelSector });
    expect(await readPhysicalVolume(fakeDisk(bytes))).toEqual({
      kind: "volume",
      volume: { uuid, texts: ["a\0"], problems: [] },
    });
  });

  test("reads a text that goes around the end of its ring", async () => {
    const text = "x".repeat(1000);
    const bytes = physicalVolume({ uuid, texts: [text], textAt: AREA - 300 });
    const answer = await readPhysicalVolume(fakeDisk(bytes));
    expect(answer).toMatchObject({ volume: { texts: [`${text}\0`] } });
  });

  test("a volume without areas, and an area that is ignored, give no text", async () => {
    for (const shape of [{ texts: [] }, { texts: ["old"], flags: 1 }, { texts: [""] }]) {
      const answer = await readPhysicalVolume(fakeDisk(physicalVolume({ uuid, ...shape })));
      expect(answer).toEqual({ kind: "volume", volume: { uuid, texts: [], problems: [] } });
    }
  });

  test("R1: takes the other copy where one cannot be read, and tells which bytes are missing", async () => {
    const bytes = physicalVolume({ uuid, texts: ["one", "two"] });
    const holes = [
      [{ offset: FIRST_AREA + 100, length: 1 }, "Bytes 4096 to 4608 cannot be read"],
      [{ offset: FIRST_AREA + 513, length: 1 }, "Bytes 4609 to 4610 cannot be read"],
    ] as const;
    for (const [hole, problem] of holes) {
      const answer = await readPhysicalVolume(fakeDisk(bytes, [hole]));
      expect(answer).toMatchObject({
        volume: { texts: ["two\0"], problems: [expect.stringContaining(problem)] },
      });
    }
  });

  test("a label that is wrong or cannot be read is unknown, never none", async () => {
    const bytes = physicalVolume({ uuid, texts: ["a"] });
    const unread = await readPhysicalVolume(fakeDisk(bytes, [{ offset: 700, length: 4 }]));
    expect(unread).toMatchObject({
      kind: "unknown",
      reason: expect.stringContaining("Bytes 512 to 1024"),
    });
    bytes[600] = 1;
    expect(await readPhysicalVolume(fakeDisk(bytes))).toMatchObject({ kind: "unknown" });
    expect(await readPhysicalVolume(fakeDisk(new Uint8Array(8192)))).toEqual({ kind: "none" });
    expect(await readPhysicalVolume(fakeDisk(new Uint8Array(100)))).toEqual({ kind: "none" });
  });

  test("a text that does not lie in its area, or whose checksum is wrong, is a problem", async () => {
    const wrong = physicalVolume({ uuid, texts: ["a"] });
    wrong[FIRST_AREA + 512] = 66;
    const far = physicalVolume({ uuid, texts: ["a"] });
    for (const [at, value] of [
      [40, AREA],
      [40, 100],
      [48, 2 ** 40],
      [32, 2 ** 50],
    ] as const) {
      const bytes = far.slice();
      new DataView(bytes.buffer).setBigUint64(FIRST_AREA + at, BigInt(value), true);
      sealArea(bytes, FIRST_AREA);
      const answer = await readPhysicalVolume(fakeDisk(bytes));
      expect(answer).toMatchObject({
        volume: { texts: [], problems: [expect.stringContaining("does not lie in")] },
      });
    }
    expect(await readPhysicalVolume(fakeDisk(wrong))).toMatchObject({
      volume: { texts: [], problems: [expect.stringContaining("checksum")] },
    });
  });
});

describe("lvmChecksum()", () => {
  test("is LVM's own", () => {
    const bytes = Buffer.from("the quick brown fox");
    expect(lvmChecksum(bytes)).toBe(slowChecksum(bytes));
    expect(lvmChecksum(bytes.subarray(5), lvmChecksum(bytes.subarray(0, 5)))).toBe(
      slowChecksum(bytes),
    );
  });
});
