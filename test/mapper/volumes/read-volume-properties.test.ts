/** read-volume, mutated: whatever members say of themselves, the answer is rows that can be loaded, or one failure with a reason; nothing hangs. */
import { describe, expect, test } from "vitest";
import { createPrng, StorageError, type Prng } from "../../../src/base/index.ts";
import type { StackTable } from "../../../src/mapper/index.ts";
import { randomSeed } from "../../base/seed.ts";
import {
  FIRST_AREA,
  groupText,
  logicalVolume,
  physicalVolume,
  sealArea,
  sealLabel,
  slowChecksum,
  stripes,
  uuidOf,
} from "./support/lvm-image.ts";
import { mdMember, sealSuperblock, superblockAt, type MemberShape } from "./support/md-image.ts";
import { readOf, type Images } from "./support/read-rows.ts";

const seed = randomSeed();
const ROUNDS = Number(process.env["MUTATIONS"] ?? 3000) / 2;
const NUMBERS = [
  "0",
  "1",
  "7",
  "4294967295",
  "9007199254740993",
  "-1",
  "1.5",
  '"pv0"',
  "[]",
  "{}",
  '"a"',
  '"r"',
];

const VOLUMES = [
  logicalVolume("a", [
    stripes(0, 4, [["pv0", 0]]),
    stripes(4, 4, [
      ["pv1", 0],
      ["pv2", 0],
    ]),
  ]),
  logicalVolume("r", [
    'start_extent = 0\nextent_count = 4\ntype = "raid1"\ndevice_count = 2\nregion_size = 8\nraids = ["m", "i", "n", "j"]',
  ]),
  ...["m", "i", "n", "j"].map((name, index) =>
    logicalVolume(name, [stripes(0, 4, [["pv0", 4 * index]])]),
  ),
].join("");

/** A text with some of its values, words or characters changed. */
function mutatedText(prng: Prng): string {
  let text = groupText(VOLUMES, { seqno: prng.below(3) });
  for (let change = prng.below(6); change > 0; change -= 1) {
    const places = [...text.matchAll(/= ([^\n[]+)$|"(?:pv\d|[a-z])"/gm)];
    const place = prng.pick(places);
    if (prng.chance(0.8)) {
      const word = place[0].startsWith("=")
        ? `= ${prng.pick(NUMBERS)}`
        : prng.pick(['"a"', '"r"', '"pv1"', '"i"']);
      text = text.slice(0, place.index) + word + text.slice(place.index + place[0].length);
    } else {
      const at = prng.below(text.length);
      text =
        text.slice(0, at) +
        prng.pick(["{", "}", "[", '"', "#", "\0", ""]) +
        text.slice(at + prng.below(20));
    }
  }
  return text.slice(0, 7000);
}

function mutatedGroup(prng: Prng): Images {
  const text = mutatedText(prng);
  return Object.fromEntries(
    [0, 1, 2].map((n) => {
      const texts = [prng.chance(0.8) ? text : mutatedText(prng)];
      const bytes = physicalVolume({ uuid: uuidOf(n).plain, texts });
      if (prng.chance(0.3)) {
        poke(prng, bytes, [prng.pick([512, 560, FIRST_AREA, FIRST_AREA + 32]), 64]);
        if (prng.chance(0.8)) sealLabel(bytes, 512);
        if (prng.chance(0.8)) sealArea(bytes, FIRST_AREA);
      }
      return [`d${n}`, bytes];
    }),
  );
}

function mutatedArray(prng: Prng): Images {
  const version = prng.pick(["0.90", "1.0", "1.1", "1.2"] as const);
  const level = prng.pick([-1, 0, 1, 10, 10]);
  const raidDisks = 1 + prng.below(4);
  const shape: Omit<MemberShape, "number"> = {
    version,
    level,
    raidDisks,
    layout: level === 10 ? prng.pick([0x101, 0x102, 0x201]) : 1,
    features: level === 0 ? 4096 : 0,
    ...(prng.chance(0.3) ? { resyncOffset: prng.below(64) } : {}),
    ...(prng.chance(0.3) ? { badBlocks: [[prng.below(200), prng.below(1024)]] } : {}),
    ...(prng.chance(0.3) ? { bitmap: { bits: [prng.below(256)], chunk: 8, events: 10 } } : {}),
  };
  return Object.fromEntries(
    Array.from({ length: raidDisks }, (_, number) => {
      const bytes = mdMember({ ...shape, number, events: 9 + prng.below(3) });
      const at = superblockAt(version, bytes.length);
      if (prng.chance(0.7)) {
        poke(prng, bytes, [at + prng.below(260), 8]);
        if (prng.chance(0.3)) poke(prng, bytes, [at + 3 * 128 + prng.below(2048), 300]);
        if (prng.chance(0.9)) sealed(bytes, at);
      }
      return [`d${number}`, bytes];
    }),
  );
}

/** A header that counts too many members has no checksum to make right. */
function sealed(bytes: Uint8Array, at: number): void {
  const members = new DataView(bytes.buffer, bytes.byteOffset + at).getUint32(220, true);
  if (members <= 1920) sealSuperblock(bytes, at);
}

/** Changes some bytes of a place. */
function poke(prng: Prng, bytes: Uint8Array, place: readonly [from: number, span: number]): void {
  const [from, span] = place;
  for (let change = 1 + prng.below(4); change > 0; change -= 1)
    bytes[Math.min(from + prng.below(span), bytes.length - 1)] = prng.pick([
      0,
      1,
      0x7f,
      0x80,
      0xff,
      prng.below(256),
    ]);
}

function checkTables(tables: readonly StackTable[], images: Images): void {
  const known = new Set(Object.keys(images));
  for (const { name, rows } of tables) {
    let next = 0;
    for (const row of rows) {
      next = row.start + row.length;
      expect(Number.isSafeInteger(next * 512)).toBe(true);
      for (const word of row.args.filter((one) => /^d\d|^v/.test(one)))
        expect(known).toContain(word);
    }
    known.add(name);
  }
  expect(tables.at(-1)?.name).toBe("v");
}

describe("readVolume() of mutated members", () => {
  test.each([
    ["LVM2", mutatedGroup, ["lvm vg/a", "lvm vg/r"]],
    ["md", mutatedArray, ["md"]],
  ] as const)(
    `%s: R1: gives rows over known devices, or one reason; SEED=${seed}`,
    async (_, make, whats) => {
      const prng = createPrng(seed);
      let read = 0;
      for (let round = 0; round < ROUNDS; round += 1) {
        const images = make(prng);
        const places = [0, 512, 600, 4096, 4200, 4700, 5632, 65_000];
        const hole = { offset: prng.pick(places), length: 1 + prng.below(500) };
        const poison = prng.chance(0.2) ? { [prng.pick(Object.keys(images))]: [hole] } : {};
        try {
          const { tables } = await readOf(prng.pick(whats), images, { poison });
          checkTables(tables, images);
          read += 1;
        } catch (error) {
          if (!(error instanceof StorageError)) throw new Error(`round ${round}`, { cause: error });
          expect(error.code).toBe("EBADMSG");
          expect(error.message.length).toBeLessThan(4000);
        }
      }
      // mutations that refuse everything would show nothing
      expect(read).toBeGreaterThan(ROUNDS / 20);
      expect(read).toBeLessThan(ROUNDS);
    },
  );

  test("a text of random bytes behind right checksums never ends the process", async () => {
    const prng = createPrng(seed);
    for (let round = 0; round < 300; round += 1) {
      const text = Buffer.from(prng.bytes(2000)).toString("latin1");
      const bytes = physicalVolume({ uuid: uuidOf(0).plain, texts: [text] });
      expect(slowChecksum(bytes.subarray(532, 1024))).toBe(
        new DataView(bytes.buffer, bytes.byteOffset).getUint32(528, true),
      );
      await expect(readOf("lvm vg/a", { d0: bytes })).rejects.toThrow("EBADMSG");
    }
  });
});
