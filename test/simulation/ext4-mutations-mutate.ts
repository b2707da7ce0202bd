/** Mutate: harms an image in memory at random, aimed at its metadata, and puts it back. */
import type { ByteRange, Prng } from "../../src/base/index.ts";
import type { Aim, Fixture } from "./ext4-mutations-fixture.ts";
import type { Mutation } from "../support/mutated-source.ts";

/** What was done to an image that is changed where it is. */
export interface Edited extends Mutation {
  /** Puts the image back. */
  undo(): void;
}

/** Values that parsers stumble over. */
const NUMBERS = [
  0, 1, 2, 3, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_fff0,
  0xffff_ffff, 0xf30a, 1024, 8192,
];

/** Offsets of fields that steer a parser, by what a block is. Inodes: i_mode, sizes, links, flags, i_block, file_acl, extra_isize. */
const FIELDS: Readonly<Record<string, readonly number[]>> = {
  superblock: [
    0x0, 0x4, 0x14, 0x18, 0x1c, 0x20, 0x24, 0x28, 0x38, 0x4c, 0x54, 0x58, 0x5c, 0x60, 0x64, 0xce,
    0xe0, 0xe8, 0xfc, 0xfe, 0x104, 0x150, 0x174, 0x175, 0x240, 0x24c, 0x270, 0x280,
  ],
  "group-descriptors": [0x0, 0x4, 0x8, 0xc, 0xe, 0x12, 0x18, 0x1a, 0x1c, 0x1e, 0x20, 0x24, 0x28],
  inode: [
    0x0, 0x4, 0x14, 0x1a, 0x1c, 0x20, 0x28, 0x2a, 0x2c, 0x2e, 0x30, 0x34, 0x38, 0x3c, 0x40, 0x44,
    0x48, 0x58, 0x5c, 0x60, 0x64, 0x68, 0x6c, 0x80, 0x82, 0xa0, 0xa4,
  ],
  "extent-tree": [0x0, 0x2, 0x4, 0x6, 0x8, 0xc, 0x10, 0x12, 0x14, 0x18, 0x1c, 0x20],
  "journal-superblock": [
    0x0, 0x4, 0x8, 0xc, 0x10, 0x14, 0x18, 0x1c, 0x20, 0x24, 0x28, 0x50, 0x54, 0xfc,
  ],
};

class Edit {
  readonly #fixture: Fixture;
  readonly #saved: { readonly offset: number; readonly bytes: Uint8Array }[] = [];
  readonly story: string[] = [];
  readonly touched: { readonly aim: Aim; readonly at: number }[] = [];

  constructor(fixture: Fixture) {
    this.#fixture = fixture;
  }

  save(aim: Aim, at: number): void {
    const { blockSize, bytes } = this.#fixture;
    const offset = aim.block * blockSize;
    this.#saved.push({ offset, bytes: bytes.slice(offset, offset + blockSize) });
    this.touched.push({ aim, at });
    this.story.push(`${aim.what} at ${at}`);
  }

  undo(): void {
    for (const { offset, bytes } of this.#saved.reverse()) this.#fixture.bytes.set(bytes, offset);
  }
}

function fieldOffset(random: Prng, fixture: Fixture, aim: Aim): number {
  const start = aim.block * fixture.blockSize;
  const fields = FIELDS[aim.what];
  if (fields === undefined || random.chance(0.2)) return start + random.below(fixture.blockSize);
  const unit =
    aim.what === "inode"
      ? fixture.inodeSize
      : aim.what === "group-descriptors"
        ? 64
        : fixture.blockSize;
  const within = unit * random.below(fixture.blockSize / unit) + random.pick(fields);
  // A small inode has not all of the fields.
  return start + (within % fixture.blockSize);
}

function setNumber(random: Prng, fixture: Fixture, at: number): void {
  const width = random.pick([1, 2, 4, 4]);
  const end = Math.min(at + width, at - (at % fixture.blockSize) + fixture.blockSize);
  const now = fixture.view.getUint32(Math.min(at, fixture.bytes.length - 4), true);
  const value = random.pick([
    random.pick(NUMBERS),
    now + 1,
    now - 1,
    now * 2,
    now ^ (1 << random.below(32)),
    random.below(3000),
    random.pick(fixture.aims).block,
  ]);
  for (let byte = at; byte < end; byte += 1)
    fixture.bytes[byte] = Math.floor(value / 2 ** (8 * (byte - at))) & 0xff;
}

function harmOnce(random: Prng, fixture: Fixture, edit: Edit): void {
  // Each kind of structure as often as any other, however many blocks it has.
  const what = random.pick([...new Set(fixture.aims.map((aim) => aim.what))]);
  const aim = random.pick(fixture.aims.filter((other) => other.what === what));
  const start = aim.block * fixture.blockSize;
  if (start + fixture.blockSize > fixture.bytes.length) return;
  const kind = random.below(8);
  const at = kind < 5 ? fieldOffset(random, fixture, aim) : start + random.below(fixture.blockSize);
  edit.save(aim, at);
  if (kind < 5) setNumber(random, fixture, at);
  else if (kind === 5) fixture.bytes[at] = (fixture.bytes[at] as number) ^ (1 << random.below(8));
  else if (kind === 6)
    fixture.bytes.set(
      random.bytes(Math.min(1 + random.below(64), start + fixture.blockSize - at)),
      at,
    );
  else {
    const from = random.pick(fixture.aims).block * fixture.blockSize;
    fixture.bytes.copyWithin(start, from, Math.min(from + fixture.blockSize, fixture.bytes.length));
  }
}

function poisonAt(random: Prng, fixture: Fixture): ByteRange[] {
  const ranges: ByteRange[] = [];
  for (let count = 1 + random.below(5); count > 0; count -= 1) {
    const block = random.chance(0.8)
      ? random.pick(fixture.aims).block
      : random.below(fixture.bytes.length / fixture.blockSize);
    const offset = block * fixture.blockSize + random.pick([0, 64 * random.below(16)]);
    ranges.push({ offset, length: random.pick([64, 512, 1024, 4096]) });
  }
  ranges.sort((one, other) => one.offset - other.offset);
  return ranges.filter(
    (range, at) =>
      at === 0 || range.offset > (ranges[at - 1]?.offset ?? 0) + (ranges[at - 1]?.length ?? 0),
  );
}

/** Harms an image. Deterministic by the random numbers given. */
export function mutate(random: Prng, fixture: Fixture): Edited {
  const edit = new Edit(fixture);
  const mended = random.chance(0.5);
  const kind = random.below(10);
  if (kind < 8)
    for (let count = random.pick([1, 1, 1, 2, 5]); count > 0; count -= 1)
      harmOnce(random, fixture, edit);
  if (mended && fixture.checksummed)
    for (const { aim, at } of [...edit.touched].reverse()) fixture.mend(aim, at);
  const size =
    kind === 8
      ? random.pick([
          random.below(fixture.bytes.length),
          512 * random.below(fixture.bytes.length / 512),
        ])
      : fixture.bytes.length;
  const poison = kind === 9 || random.chance(0.1) ? poisonAt(random, fixture) : [];
  const parts = [
    ...edit.story,
    ...(size < fixture.bytes.length ? [`cut at ${size}`] : []),
    ...poison.map((range) => `poison ${range.offset}+${range.length}`),
  ];
  return {
    story: parts.join(", "),
    mended: mended && edit.touched.length > 0,
    edited: edit.touched.length > 0,
    size,
    poison,
    undo: () => edit.undo(),
  };
}
