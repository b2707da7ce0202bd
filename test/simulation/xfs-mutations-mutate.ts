/** Mutate: harms an XFS image at random, aimed at the fields that steer a reader of it. The image is put back by `restore`. */
import type { ByteRange, Prng } from "../../src/base/index.ts";
import type { Structure, XfsFixture } from "../fs/xfs/support/fixture.ts";
import type { Mutation } from "../support/mutated-source.ts";

/** Values that readers stumble over. */
const NUMBERS = [
  0, 1, 2, 3, 16, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x1f_ffff, 0x7fff_ffff, 0x8000_0000,
  0xffff_fff0, 0xffff_ffff,
];

/** Fields of a tree of an AG: magic, level, records, siblings, address, owner. */
const AG_TREE = [0, 4, 6, 8, 12, 16, 20, 48];
const DIRECTORY = [0, 8, 12, 40, 44, 48, 50];
const LEAF = [0, 4, 8, 10, 20, 48, 52, 56, 58, 60];

/** Offsets of fields that steer a reader, by what a structure is. */
const FIELDS: Readonly<Record<string, readonly number[]>> = {
  superblock: [
    0, 4, 8, 12, 16, 24, 32, 48, 52, 56, 60, 64, 72, 80, 84, 88, 96, 100, 102, 104, 106, 120, 121,
    122, 123, 124, 126, 160, 168, 176, 192, 193, 194, 200, 208, 212, 216, 220, 232, 248,
  ],
  "superblock-backup": [0, 4, 8, 12, 48, 56, 60, 84, 88, 102, 104, 106, 124, 126, 192, 216],
  "free-space-header": [
    0, 4, 8, 12, 16, 20, 24, 28, 32, 36, 40, 44, 48, 52, 56, 64, 80, 84, 88, 92,
  ],
  "inode-header": [0, 4, 8, 12, 16, 20, 24, 28, 32, 36, 40, 296, 328, 332],
  "free-list": [0, 4, 8, 36, 40, 44],
  inode: [
    0, 2, 4, 5, 6, 16, 20, 24, 28, 56, 60, 64, 72, 76, 78, 80, 82, 83, 90, 92, 120, 124, 152, 156,
    100, 102, 104, 108, 112, 116, 176, 178, 180, 184, 188, 192, 196, 200,
  ],
  "free-space-tree": AG_TREE,
  "inode-tree": AG_TREE,
  "reverse-map-tree": AG_TREE,
  "reference-count-tree": AG_TREE,
  "extent-tree": [0, 4, 6, 8, 12, 16, 20, 24, 28, 56, 60],
  "directory-block": DIRECTORY,
  "directory-index": LEAF,
  "xattr-block": LEAF,
  "journal-log": [0, 4, 8, 12, 16, 24, 32, 40, 44, 320],
};

/** First byte behind the header, v4 and v5: records, names, extents. */
const BODIES: Readonly<Record<string, readonly [number, number]>> = {
  "free-space-tree": [16, 56],
  "inode-tree": [16, 56],
  "reverse-map-tree": [16, 56],
  "reference-count-tree": [16, 56],
  "extent-tree": [24, 72],
  "directory-block": [16, 64],
  "directory-index": [16, 64],
  "xattr-block": [32, 80],
  inode: [100, 176],
};

/** One structure that is being changed. */
interface Edit {
  readonly structure: Structure;
  readonly bytes: Uint8Array;
  readonly view: DataView;
}

function bodyOf(fixture: XfsFixture, what: string): number {
  return BODIES[what]?.[fixture.checksummed ? 1 : 0] ?? 0;
}

/** Where a structure is harmed: its fields, its first records, the end of its names, anywhere. */
function placeIn(random: Prng, fixture: XfsFixture, { structure, bytes }: Edit): number {
  const { what } = structure;
  const fields = FIELDS[what];
  const body = bodyOf(fixture, what);
  const kind = random.below(10);
  if (kind < 5 && fields !== undefined) return Math.min(random.pick(fields), bytes.length - 1);
  if (kind < 8) return Math.min(body + 4 * random.below(60), bytes.length - 1);
  if (kind === 8) return bytes.length - 1 - random.below(Math.min(64, bytes.length));
  return random.below(bytes.length);
}

/** A number that is another place's: a block of some structure in its AG, on the volume, or as media number it; or an inode. */
function pointer(random: Prng, { structures, superblock }: XfsFixture): number {
  const { agBlocks, blockSize, agBlockBits } = superblock;
  const aim = random.pick(structures);
  const block = Math.floor(aim.offset / blockSize);
  const within = block - aim.ag * agBlocks;
  return random.pick([within, block, aim.ag * 2 ** agBlockBits + within, aim.inode ?? 1]);
}

function setNumber(random: Prng, fixture: XfsFixture, edit: Edit): string {
  const { bytes, view } = edit;
  const at = placeIn(random, fixture, edit);
  const width = Math.min(random.pick([1, 2, 4, 4, 8]), bytes.length - at);
  let now = 0;
  for (let byte = 0; byte < Math.min(4, width); byte += 1)
    now = now * 256 + view.getUint8(at + byte);
  const value = random.pick([
    random.pick(NUMBERS),
    now + 1,
    now - 1,
    now * 2,
    now ^ (1 << random.below(32)),
    random.below(3000),
    pointer(random, fixture),
    pointer(random, fixture),
  ]);
  for (let byte = 0; byte < width; byte += 1)
    bytes[at + byte] = Math.floor(value / 2 ** (8 * (width - 1 - byte))) & 0xff;
  return `${at}+${width}=${value}`;
}

/** Copies a record, a child or a name over another one: what was told once is told twice, out of order, or in a circle. */
function repeat(random: Prng, fixture: XfsFixture, { structure, bytes }: Edit): string {
  const body = bodyOf(fixture, structure.what);
  const size = random.pick([4, 8, 12, 16, 24, 64]);
  const most = Math.max(1, Math.floor((bytes.length - body - size) / size));
  const [from, to] = [random.below(Math.min(most, 40)), random.below(most)];
  const times = random.pick([1, 1, 2, 100]);
  for (let index = 0; index < times && to + index < most; index += 1)
    bytes.copyWithin(body + (to + index) * size, body + from * size, body + (from + 1) * size);
  return `${times} times ${size} at ${body} from ${from} to ${to}`;
}

/** Puts a byte into a name that no name may hold. */
function hostileName(random: Prng, { bytes }: Edit): string {
  const letters: number[] = [];
  for (const [at, byte] of bytes.entries()) if (byte >= 0x61 && byte <= 0x7a) letters.push(at);
  if (letters.length === 0) return "no name";
  const at = random.pick(letters);
  bytes[at] = random.pick([0, 0x2f, 0x2e, 0xff, 0x0a]);
  return `name at ${at}: ${bytes[at]}`;
}

/** Another structure's bytes: misdirected, stale, or of another kind. */
function foreign(random: Prng, fixture: XfsFixture, { structure, bytes }: Edit): string {
  const from = random.pick(
    fixture.of(random.chance(0.7) ? structure.what : random.pick(fixture.whats)),
  );
  const length = Math.min(bytes.length, from.length);
  bytes.set(fixture.image.read(from.offset, length));
  return `bytes of ${from.what} at ${from.offset}`;
}

function harm(random: Prng, fixture: XfsFixture, edit: Edit): string {
  const kind = random.below(12);
  if (kind < 7) return setNumber(random, fixture, edit);
  const at = random.below(edit.bytes.length);
  if (kind === 7) {
    edit.bytes[at]! ^= 1 << random.below(8);
    return `a bit at ${at}`;
  }
  if (kind === 8) {
    const noise = random.bytes(Math.min(1 + random.below(64), edit.bytes.length - at));
    edit.bytes.set(noise, at);
    return `noise ${at}+${noise.length}`;
  }
  if (kind === 9) return repeat(random, fixture, edit);
  return kind === 10 ? hostileName(random, edit) : foreign(random, fixture, edit);
}

function harmOnce(random: Prng, fixture: XfsFixture, how: { readonly mended: boolean }): string {
  // Each kind of structure as often as any other, however many there are.
  const structure = random.pick(fixture.of(random.pick(fixture.whats)));
  const bytes = fixture.image.read(structure.offset, structure.length);
  const view = new DataView(bytes.buffer);
  const texts: string[] = [];
  for (let count = random.pick([1, 1, 1, 2, 4]); count > 0; count -= 1)
    texts.push(harm(random, fixture, { structure, bytes, view }));
  const deep = random.chance(0.5);
  if (how.mended) fixture.mend(bytes, structure, deep);
  fixture.image.change(structure.offset, bytes);
  return `${structure.what} at ${structure.offset}${how.mended && deep ? " (deep)" : ""}: ${texts.join(", ")}`;
}

function poisonAt(random: Prng, fixture: XfsFixture): ByteRange[] {
  const ranges: ByteRange[] = [];
  for (let count = random.pick([1, 1, 2, 5]); count > 0; count -= 1) {
    const aim = random.chance(0.9)
      ? random.pick(fixture.of(random.pick(fixture.whats)))
      : undefined;
    const start = aim === undefined ? 512 * random.below(fixture.image.length / 512) : aim.offset;
    const offset = start + random.pick([0, 64 * random.below((aim?.length ?? 512) / 64)]);
    ranges.push({ offset, length: random.pick([64, 512, 1024, 4096]) });
  }
  ranges.sort((one, other) => one.offset - other.offset);
  const apart: ByteRange[] = [];
  for (const range of ranges) {
    const last = apart.at(-1);
    if (last === undefined || range.offset > last.offset + last.length) apart.push(range);
  }
  return apart;
}

/** Harms an image. Deterministic by the random numbers given. */
export function mutate(random: Prng, fixture: XfsFixture): Mutation {
  const mended = random.chance(0.6);
  const kind = random.below(12);
  const texts: string[] = [];
  if (kind < 10)
    for (let count = random.pick([1, 1, 1, 2, 5]); count > 0; count -= 1)
      texts.push(harmOnce(random, fixture, { mended }));
  const size = kind === 10 ? 512 * random.below(fixture.image.length / 512) : fixture.image.length;
  const poison = kind === 11 || random.chance(0.1) ? poisonAt(random, fixture) : [];
  if (size < fixture.image.length) texts.push(`cut at ${size}`);
  for (const { offset, length } of poison) texts.push(`poison ${offset}+${length}`);
  const edited = kind < 10;
  return { story: texts.join("; "), mended: mended && edited, edited, size, poison };
}
