/** Directory: glance(), the short way past a block, against readEntries(), which reads it. */
import { expect, test } from "vitest";
import { createPrng } from "../../../src/base/index.ts";
import { glance, isDotName, readEntries, type EntryRules } from "../../../src/fs/ext4/directory.ts";

const seed = Number(process.env["SEED"] ?? Date.now() % 2 ** 31);
const SIZE = 256;
const INODES = 63;

/** A block of entries that fit, of random inodes up to `INODES`; "." and ".." stand where a name happens to be one. */
function randomBlock(random: ReturnType<typeof createPrng>): Uint8Array {
  const bytes = new Uint8Array(SIZE);
  const view = new DataView(bytes.buffer);
  for (let at = 0; at < SIZE;) {
    const left = SIZE - at;
    const wish = 12 + random.below(8) * 4;
    const length = left - wish < 12 ? left : wish;
    view.setUint32(at, random.below(INODES + 1), true);
    view.setUint16(at + 4, length, true);
    const nameLength = random.below(Math.min(length - 8, 6) + 1);
    bytes[at + 6] = nameLength;
    bytes.fill(random.chance(0.5) ? 0x2e : 0x61, at + 8, at + 8 + nameLength);
    at += length;
  }
  return bytes;
}

test(`glance() says what readEntries() finds (SEED=${seed})`, () => {
  const random = createPrng(seed);
  const counts = { nothing: 0, something: 0, unclear: 0 };
  for (let round = 0; round < 20_000; round += 1) {
    const only = new Uint8Array(8);
    for (let bits = random.below(4); bits > 0; bits -= 1)
      only[random.below(8)]! |= 1 << random.below(8);
    only[0]! &= 0xfe;
    const rules: EntryRules = { inodeCount: INODES, filetype: true, only };
    const bytes = randomBlock(random);
    if (random.chance(0.3)) bytes[random.below(SIZE)] = random.below(256);
    let names = 0;
    const why = readEntries(bytes, rules, ({ nameStart, nameLength }) => {
      if (!isDotName(bytes, nameStart, nameLength)) names += 1;
    });
    const seen = glance(new Uint32Array(bytes.buffer), { at: 0, size: SIZE }, rules);
    counts[seen] += 1;
    if (seen === "nothing") expect([names, why]).toEqual([0, undefined]);
    if (seen === "something") expect(names).toBeGreaterThan(0);
    if (names > 0 && why === undefined) expect(seen).not.toBe("nothing");
  }
  // It would be true of a function that always says "unclear", too.
  expect(Math.min(...Object.values(counts))).toBeGreaterThan(1000);
});
