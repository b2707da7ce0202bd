/** scanLog(), replayLog(), decodeJournalSuperblock(): logs made by hand against a model of transactions. */
import { describe, expect, test } from "vitest";
import { createPrng, crc32c, type BadRange, type Prng } from "../../../src/base/index.ts";
import { crc32BigEndian } from "../../../src/fs/ext4/checksums.ts";
import { replayLog } from "../../../src/fs/ext4/journal-replay.ts";
import { isLater, scanLog, type LogContent } from "../../../src/fs/ext4/journal-scan.ts";
import {
  decodeJournalSuperblock,
  JOURNAL_MAGIC,
  type JournalSuperblock,
} from "../../../src/fs/ext4/journal-superblock.ts";

const BLOCK = 1024;
const seed = Number(process.env["SEED"] ?? 11);

type Version = 0 | 1 | 2 | 3;

function journalOf(checksum: Version, changes: Partial<JournalSuperblock> = {}): JournalSuperblock {
  const base = {
    length: 64,
    first: 1,
    last: 64,
    sequence: 10,
    start: 1,
    wide: true,
    asyncCommit: false,
    fastCommit: false,
  };
  return { ...base, checksum, seed: 0x1234, ...changes };
}

/** Writes a log as the kernel does: descriptor, data, revoke, commit. */
class LogWriter {
  readonly journal: JournalSuperblock;
  readonly blocks: Uint8Array[];
  place: number;
  sequence: number;
  #sum = 0xffffffff;

  constructor(journal: JournalSuperblock) {
    this.journal = journal;
    this.blocks = Array.from({ length: journal.length }, () => new Uint8Array(BLOCK));
    this.place = journal.start;
    this.sequence = journal.sequence;
  }

  #put(block: Uint8Array): number {
    const place = this.place;
    this.blocks[place] = block;
    this.place = place + 1 >= this.journal.last ? this.journal.first : place + 1;
    return place;
  }

  #header(type: number): { bytes: Uint8Array; view: DataView } {
    const bytes = new Uint8Array(BLOCK);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, JOURNAL_MAGIC);
    view.setUint32(4, type);
    view.setUint32(8, this.sequence);
    return { bytes, view };
  }

  #tail(bytes: Uint8Array, view: DataView): void {
    if (this.journal.checksum >= 2) view.setUint32(BLOCK - 4, crc32c(bytes, this.journal.seed));
  }

  write(writes: readonly (readonly [number, Uint8Array])[]): number[] {
    const { checksum, wide } = this.journal;
    const { bytes, view } = this.#header(1);
    let at = 12;
    const contents: Uint8Array[] = [];
    for (const [index, [block, bytesOfBlock]] of writes.entries()) {
      const escaped = new DataView(bytesOfBlock.buffer).getUint32(0) === JOURNAL_MAGIC;
      const stored = bytesOfBlock.slice();
      if (escaped) stored.fill(0, 0, 4);
      contents.push(stored);
      const sequence = new Uint8Array(4);
      new DataView(sequence.buffer).setUint32(0, this.sequence);
      const sum = crc32c(stored, crc32c(sequence, this.journal.seed));
      view.setUint32(at, block % 2 ** 32);
      if (checksum === 3) view.setUint32(at + 12, sum);
      else if (checksum === 2) view.setUint16(at + 4, sum & 0xffff);
      view.setUint16(
        at + 6,
        (escaped ? 1 : 0) | (index > 0 ? 2 : 0) | (index === writes.length - 1 ? 8 : 0),
      );
      if (wide || checksum === 3) view.setUint32(at + 8, Math.floor(block / 2 ** 32));
      at +=
        (checksum === 3 ? 16 : (wide ? 12 : 8) + (checksum === 2 ? 2 : 0)) + (index > 0 ? 0 : 16);
    }
    this.#tail(bytes, view);
    this.#put(bytes);
    this.#sum = crc32BigEndian(bytes, this.#sum);
    return contents.map((stored) => {
      this.#sum = crc32BigEndian(stored, this.#sum);
      return this.#put(stored);
    });
  }

  revoke(blocks: readonly number[]): number {
    const { bytes, view } = this.#header(5);
    const size = this.journal.wide ? 8 : 4;
    view.setUint32(12, 16 + blocks.length * size);
    for (const [index, block] of blocks.entries())
      view.setUint32(16 + index * size + size - 4, block);
    this.#tail(bytes, view);
    return this.#put(bytes);
  }

  commit(timeSeconds: number): number {
    const { bytes, view } = this.#header(2);
    view.setBigUint64(0x30, BigInt(timeSeconds));
    if (this.journal.checksum === 1) {
      bytes[12] = 1;
      bytes[13] = 4;
      view.setUint32(16, this.#sum);
    } else if (this.journal.checksum >= 2) view.setUint32(16, crc32c(bytes, this.journal.seed));
    this.sequence = (this.sequence + 1) >>> 0;
    this.#sum = 0xffffffff;
    return this.#put(bytes);
  }

  async scan(bad: ReadonlySet<number> = new Set()): Promise<LogContent> {
    return scanLog(this.journal, this.reader(bad));
  }

  reader(
    bad: ReadonlySet<number> = new Set(),
  ): (place: number) => Promise<{ bytes: Uint8Array; bad: readonly BadRange[] }> {
    const hole: BadRange = { offset: 0, length: BLOCK, state: "poisoned" };
    return async (place) =>
      bad.has(place)
        ? { bytes: new Uint8Array(BLOCK), bad: [hole] }
        : { bytes: this.blocks[place] ?? new Uint8Array(BLOCK), bad: [] };
  }

  /** Content of blocks after replay, by the journal's own code. */
  async replay(bad: ReadonlySet<number> = new Set()): Promise<Map<number, Uint8Array | "bad">> {
    const scanned = await this.scan(bad);
    const { overlay } = await replayLog({
      journal: this.journal,
      content: scanned,
      read: this.reader(bad),
      physical: (place) => place,
      blockCount: 1e6,
    });
    const blocks = new Map<number, Uint8Array | "bad">();
    for (const block of overlay.blocks()) {
      const entry = overlay.find(block);
      if (entry?.kind !== "block" || bad.has(entry.block)) blocks.set(block, "bad");
      else {
        const bytes = (this.blocks[entry.block] as Uint8Array).slice();
        if (entry.escaped) new DataView(bytes.buffer).setUint32(0, JOURNAL_MAGIC);
        blocks.set(block, bytes);
      }
    }
    return blocks;
  }
}

function randomContent(prng: Prng): Uint8Array {
  const bytes = prng.bytes(BLOCK);
  if (prng.chance(0.3)) new DataView(bytes.buffer).setUint32(0, JOURNAL_MAGIC);
  return bytes;
}

describe("scanLog and replayLog", () => {
  for (const checksum of [0, 1, 2, 3] as const) {
    test(`replayLog() gives what a model of transactions gives, checksum version ${checksum}`, async () => {
      console.log(`SEED=${seed}`);
      const prng = createPrng(seed + checksum);
      for (let round = 0; round < 25; round += 1) {
        const start = 1 + prng.below(62);
        const sequence = prng.pick([1, 10, 0xfffffffe]);
        const writer = new LogWriter(
          journalOf(checksum, { start, sequence, wide: prng.chance(0.5) }),
        );
        const expected = new Map<number, Uint8Array>();
        for (let transaction = 0; transaction < 6; transaction += 1) {
          const blocks = [
            ...new Set(Array.from({ length: 1 + prng.below(4) }, () => 100 + prng.below(10))),
          ];
          const writes = blocks.map((block) => [block, randomContent(prng)] as const);
          const revoked = prng.chance(0.4) ? [100 + prng.below(10), 100 + prng.below(10)] : [];
          writer.write(writes);
          if (revoked.length > 0) writer.revoke(revoked);
          const committed = transaction < 5 || prng.chance(0.5);
          if (!committed) break;
          writer.commit(1000 + transaction);
          // A revoke voids what its own transaction and those before wrote.
          for (const [block, bytes] of writes) expected.set(block, bytes);
          for (const block of revoked) expected.delete(block);
        }
        const replayed = await writer.replay();
        expect((await writer.scan()).broken).toBeUndefined();
        expect([...replayed].sort(([one], [other]) => one - other)).toEqual(
          [...expected].sort(([one], [other]) => one - other),
        );
      }
    });
  }

  test("R1: an unreadable block of content makes its target bad, not old", async () => {
    const writer = new LogWriter(journalOf(3));
    const [place] = writer.write([[7, createPrng(1).bytes(BLOCK)]]);
    writer.commit(1);
    expect((await writer.replay(new Set([place as number]))).get(7)).toBe("bad");
  });

  test("replayLog() makes a target bad whose content has a wrong checksum", async () => {
    for (const checksum of [2, 3] as const) {
      const writer = new LogWriter(journalOf(checksum));
      const [place] = writer.write([[7, createPrng(1).bytes(BLOCK)]]);
      writer.commit(1);
      (writer.blocks[place as number] as Uint8Array)[100]! ^= 1;
      expect((await writer.replay()).get(7)).toBe("bad");
    }
  });

  test("scanLog() keeps what was complete before an unreadable block, and says that the log is broken", async () => {
    for (const checksum of [0, 1, 2, 3] as const) {
      const writer = new LogWriter(journalOf(checksum));
      writer.write([[7, createPrng(1).bytes(BLOCK)]]);
      writer.commit(1);
      const next = writer.place;
      writer.write([[8, createPrng(2).bytes(BLOCK)]]);
      writer.commit(2);
      const scanned = await writer.scan(new Set([next]));
      expect(scanned.broken).toMatch(/unreadable/);
      expect(scanned.tags.map(({ block }) => block)).toEqual([7]);
    }
  });

  test("R1: scanLog() says that a log is broken which ends before a later commit", async () => {
    for (const checksum of [0, 1, 2, 3] as const) {
      const writer = new LogWriter(journalOf(checksum));
      const first = writer.place;
      writer.write([[7, createPrng(1).bytes(BLOCK)]]);
      writer.commit(1);
      (writer.blocks[first] as Uint8Array).fill(0, 0, 12);
      const scanned = await writer.scan();
      expect(scanned.broken).toMatch(/was committed/);
      expect(scanned.tags).toEqual([]);
    }
  });

  test("scanLog() tells a stale wrong transaction from a corrupt one by its time, as jbd2 does", async () => {
    for (const time of [5, 500]) {
      const writer = new LogWriter(journalOf(3));
      writer.write([[7, createPrng(1).bytes(BLOCK)]]);
      writer.commit(100);
      const descriptor = writer.place;
      writer.write([[8, createPrng(2).bytes(BLOCK)]]);
      writer.commit(time);
      (writer.blocks[descriptor] as Uint8Array)[600]! ^= 1;
      const scanned = await writer.scan();
      expect(scanned.tags.map(({ block }) => block)).toEqual([7]);
      expect(scanned.broken === undefined).toBe(time === 5);
    }
  });

  test("scanLog() takes a wrong last commit for an interrupted one where commits are asynchronous", async () => {
    for (const [asyncCommit, more] of [
      [true, false],
      [true, true],
      [false, false],
    ] as const) {
      const writer = new LogWriter(journalOf(1, { asyncCommit }));
      writer.write([[7, createPrng(1).bytes(BLOCK)]]);
      writer.commit(100);
      const [place] = writer.write([[8, createPrng(2).bytes(BLOCK)]]);
      writer.commit(101);
      if (more) {
        writer.write([[9, createPrng(3).bytes(BLOCK)]]);
        writer.commit(102);
      }
      (writer.blocks[place as number] as Uint8Array)[0]! ^= 1;
      const scanned = await writer.scan();
      expect(scanned.tags.map(({ block }) => block)).toEqual([7]);
      expect(scanned.broken === undefined).toBe(asyncCommit && !more);
    }
  });

  test("scanLog() ends on a log that leads round the ring for ever", async () => {
    const writer = new LogWriter(journalOf(0));
    for (let count = 0; count < 63; count += 1) {
      const bytes = new Uint8Array(BLOCK);
      const view = new DataView(bytes.buffer);
      view.setUint32(0, JOURNAL_MAGIC);
      view.setUint32(4, 1);
      view.setUint32(8, 10);
      view.setUint16(12 + 6, 8 | 2);
      writer.blocks[1 + count] = bytes;
    }
    expect((await writer.scan()).broken).toMatch(/no end/);
  });

  test("scanLog() ends on random bytes behind right headers", async () => {
    const prng = createPrng(seed);
    for (let round = 0; round < 80; round += 1) {
      const writer = new LogWriter(journalOf(prng.pick([0, 1, 2, 3] as const)));
      for (let place = 1; place < 64; place += 1) {
        const bytes = prng.bytes(BLOCK);
        const view = new DataView(bytes.buffer);
        view.setUint32(0, JOURNAL_MAGIC);
        view.setUint32(4, prng.pick([1, 2, 5]));
        view.setUint32(8, 10 + prng.below(2));
        writer.blocks[place] = bytes;
      }
      const scanned = await writer.scan();
      expect(scanned.tags.length).toBeLessThanOrEqual(64);
    }
  });

  test("isLater() goes round at 2^32", () => {
    expect(isLater(1, 0xffffffff)).toBe(true);
    expect(isLater(0xffffffff, 1)).toBe(false);
    expect(isLater(5, 5)).toBe(false);
  });
});

describe("decodeJournalSuperblock", () => {
  function made(fields: readonly (readonly [number, number])[] = []): Uint8Array {
    const bytes = new Uint8Array(BLOCK);
    const view = new DataView(bytes.buffer);
    const base = [
      [0, JOURNAL_MAGIC],
      [4, 4],
      [0x0c, BLOCK],
      [0x10, 64],
      [0x14, 1],
      [0x18, 5],
      [0x1c, 9],
    ] as const;
    for (const [offset, value] of [...base, ...fields]) view.setUint32(offset, value);
    return bytes;
  }

  test("decodeJournalSuperblock() reads the fields", () => {
    expect(decodeJournalSuperblock(made(), BLOCK, 64).journal).toMatchObject({
      length: 64,
      first: 1,
      last: 64,
      sequence: 5,
      start: 9,
    });
    expect(
      decodeJournalSuperblock(
        made([
          [4, 3],
          [0x28, 0xffff],
        ]),
        BLOCK,
        64,
      ).journal,
    ).toMatchObject({ checksum: 0, wide: false });
  });

  const refused: readonly (readonly [string, readonly (readonly [number, number])[], RegExp])[] = [
    ["no magic number", [[0, 1]], /magic/],
    ["another type", [[4, 1]], /type 1/],
    ["another block size", [[0x0c, 4096]], /block size/],
    ["more blocks than its inode", [[0x10, 65]], /65 blocks/],
    ["a log that begins at 0", [[0x14, 0]], /log from/],
    ["a start outside the log", [[0x1c, 64]], /outside/],
    ["unknown features", [[0x28, 0x100]], /unknown features/],
    ["two checksums of blocks", [[0x28, 0x18]], /at once/],
    ["checksums of an unknown type", [[0x28, 0x10]], /unknown type/],
    [
      "a wrong checksum",
      [
        [0x28, 0x10],
        [0x50, 0x04000000],
      ],
      /wrong checksum/,
    ],
  ];
  for (const [what, fields, why] of refused) {
    test(`decodeJournalSuperblock() refuses ${what}`, () => {
      expect(decodeJournalSuperblock(made(fields), BLOCK, 64).why).toMatch(why);
    });
  }
});
