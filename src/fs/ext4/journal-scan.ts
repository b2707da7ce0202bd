/**
 * Journal scan: walks the log of a journal once and tells what its committed transactions write and revoke.
 *
 * The rules are those of jbd2's recovery (do_one_pass), which e2fsck shares. The log ends, well, at the first block that is not the next
 * one: no magic number, another sequence, or a commit whose checksum is wrong but whose time is older than the last one's (left over from
 * an earlier round). It ends *broken* where more was committed but cannot be read: a block of the log that is poisoned, a wrong checksum of a transaction that
 * is not stale, a later commit behind the end (which jbd2 does not look for). Then what was complete before still counts, and the caller must say that more is missing.
 *
 * Hostile logs: a log is a ring, and nothing stops a descriptor from leading round it for ever; no more blocks are walked than the ring has.
 */
import { crc32c } from "../../base/index.ts";
import { isBad } from "../block-reader.ts";
import { crc32BigEndian } from "./checksums.ts";
import { BLOCK_TYPE, JOURNAL_MAGIC, type JournalSuperblock } from "./journal-superblock.ts";
import type { BlockRead } from "./volume.ts";

const ESCAPE = 1;
const SAME_UUID = 2;
const LAST_TAG = 8;
const HEADER = 12;
const TAIL = 4;
/** Revoked blocks that are remembered; a real log has as many as it has freed metadata blocks. */
const MAX_REVOKES = 2 ** 22;

/** A block that a transaction writes. */
export interface Tag {
  /** Block of the volume. */
  readonly block: number;
  /** Block of the journal that holds its content. */
  readonly place: number;
  readonly escaped: boolean;
  readonly sequence: number;
  /** Stored checksum of the content; 0 where there is none. */
  readonly sum: number;
}

/** What a log holds. */
export interface LogContent {
  /** What committed transactions write, in order. */
  readonly tags: readonly Tag[];
  /** For each revoked block the last transaction that revoked it: what that one and those before wrote there is void. */
  readonly revokes: ReadonlyMap<number, number>;
  readonly transactions: number;
  /** First transaction that is not in the log: fast commits belong to it. */
  readonly next: number;
  /** Why the log is broken; `undefined` where it ended well. */
  readonly broken: string | undefined;
}

/** Reads a block of the journal by its place in it. */
export type ReadPlace = (place: number) => Promise<BlockRead>;

/** Whether transaction `one` is later than `other`: sequence numbers go round (kernel: tid_gt). */
export function isLater(one: number, other: number): boolean {
  return ((one - other) | 0) > 0;
}

/** Walks the log. Never throws for what it finds there. */
export async function scanLog(journal: JournalSuperblock, read: ReadPlace): Promise<LogContent> {
  const scan = new Scan(journal, read);
  await scan.run();
  return scan.content();
}

type Step = "go on" | "end";

class Scan {
  readonly #journal: JournalSuperblock;
  readonly #read: ReadPlace;
  readonly #tags: Tag[] = [];
  readonly #revokes = new Map<number, number>();
  #pendingTags: Tag[] = [];
  #pendingRevokes: number[] = [];
  #place: number;
  #sequence: number;
  #walked = 0;
  #transactions = 0;
  #broken: string | undefined;
  /** A descriptor or revoke block of the current transaction has a wrong checksum: its commit's time tells whether it is stale. */
  #suspect = false;
  #lastCommit = 0n;
  /** The log ended at a transaction of an earlier round: what stands behind it is older still. */
  #stale = false;
  /** Version 1: sum of the current transaction's blocks. */
  #sum = 0xffffffff;
  /** With asynchronous commits: a commit was wrong, and only whether another one follows tells why. */
  #failed = false;

  constructor(journal: JournalSuperblock, read: ReadPlace) {
    this.#journal = journal;
    this.#read = read;
    this.#place = journal.start;
    this.#sequence = journal.sequence;
  }

  content(): LogContent {
    return {
      tags: this.#tags,
      revokes: this.#revokes,
      transactions: this.#transactions,
      next: (this.#journal.sequence + this.#transactions) >>> 0,
      broken: this.#broken,
    };
  }

  async run(): Promise<void> {
    for (let step: Step = "go on"; step === "go on";) {
      const place = this.#advance();
      if (place === undefined) return;
      step = this.#take(place, await this.#read(place));
      if (step === "go on" && this.#journal.checksum === 1) step = await this.#sumBlocks();
      if (step === "end") await this.#lookBehind(place);
    }
  }

  /**
   * Whether the log ended too early: a commit of a transaction that was not read stands behind its end. A commit is written only after all
   * that it commits, so what leads to it was there once. jbd2 does not look; but it need not know whether a repair may trust the map.
   */
  async #lookBehind(end: number): Promise<void> {
    const { first, last, checksum, asyncCommit } = this.#journal;
    if (this.#broken !== undefined || this.#stale || asyncCommit) return;
    const ring = last - first;
    for (let step = 0; step <= ring - this.#walked; step += 1) {
      const read = await this.#read(first + ((end - first + step) % ring));
      if (isBad(read, 0, HEADER)) continue;
      const view = new DataView(read.bytes.buffer, read.bytes.byteOffset, read.bytes.byteLength);
      if (view.getUint32(0) !== JOURNAL_MAGIC || view.getUint32(4) !== BLOCK_TYPE.commit) continue;
      const sequence = view.getUint32(8);
      const ahead = (sequence - this.#sequence) >>> 0;
      if (ahead > ring || (checksum >= 2 && !this.#commitOk(view, read.bytes))) continue;
      this.#broken = `transaction ${sequence} was committed, and what leads to it in the log is damaged`;
      return;
    }
  }

  /** The next place in the ring; `undefined` once the ring was walked whole. */
  #advance(): number | undefined {
    const { first, last } = this.#journal;
    this.#walked += 1;
    if (this.#walked > last - first + 1) {
      this.#broken ??= "the log has no end";
      return undefined;
    }
    const place = this.#place;
    this.#place = place + 1 >= last ? first : place + 1;
    return place;
  }

  #break(why: string): Step {
    if (!this.#failed) this.#broken = why;
    return "end";
  }

  #take(place: number, read: BlockRead): Step {
    if (isBad(read, 0, HEADER)) return this.#break(`block ${place} of the journal is unreadable`);
    const view = new DataView(read.bytes.buffer, read.bytes.byteOffset, read.bytes.byteLength);
    if (view.getUint32(0) !== JOURNAL_MAGIC || view.getUint32(8) !== this.#sequence) return "end";
    const type = view.getUint32(4);
    if (type !== BLOCK_TYPE.descriptor && type !== BLOCK_TYPE.commit && type !== BLOCK_TYPE.revoke)
      return "end";
    if (read.bad.length > 0)
      return this.#break(`block ${place} of the journal is partly unreadable`);
    if (type === BLOCK_TYPE.commit) return this.#commit(view, read.bytes);
    if (this.#journal.checksum >= 2 && !this.#tailOk(view, read.bytes)) this.#suspect = true;
    return type === BLOCK_TYPE.revoke ? this.#revoke(view) : this.#descriptor(view, read.bytes);
  }

  #descriptor(view: DataView, bytes: Uint8Array): Step {
    const { wide, checksum } = this.#journal;
    const size = checksum === 3 ? 16 : (wide ? 12 : 8) + (checksum === 2 ? 2 : 0);
    const end = bytes.length - (checksum >= 2 ? TAIL : 0);
    if (checksum === 1) this.#sum = crc32BigEndian(bytes, this.#sum);
    for (let at = HEADER; at + size <= end;) {
      const flags = view.getUint16(at + 6);
      const place = this.#advance();
      if (place === undefined) return "end";
      this.#pendingTags.push({
        block: view.getUint32(at) + (wide ? view.getUint32(at + 8) * 2 ** 32 : 0),
        place,
        escaped: (flags & ESCAPE) !== 0,
        sequence: this.#sequence,
        sum: checksum === 3 ? view.getUint32(at + 12) : view.getUint16(at + 4),
      });
      at += size + ((flags & SAME_UUID) === 0 ? 16 : 0);
      if ((flags & LAST_TAG) !== 0) break;
    }
    return "go on";
  }

  #summed = 0;

  /** Version 1: adds the content of the tags that came since, in order. */
  async #sumBlocks(): Promise<Step> {
    for (; this.#summed < this.#pendingTags.length; this.#summed += 1) {
      const read = await this.#read((this.#pendingTags[this.#summed] as Tag).place);
      if (read.bad.length > 0)
        return this.#break(
          "a transaction's checksum cannot be computed: the journal is unreadable in it",
        );
      this.#sum = crc32BigEndian(read.bytes, this.#sum);
    }
    return "go on";
  }

  #revoke(view: DataView): Step {
    const { wide, checksum } = this.#journal;
    const size = wide ? 8 : 4;
    const end = view.getUint32(12);
    if (end > view.byteLength - (checksum >= 2 ? TAIL : 0)) {
      return this.#suspect
        ? "go on"
        : this.#break(`a revoke block says that ${end} of its bytes are used`);
    }
    for (let at = 16; at + size <= end; at += size) {
      const high = wide ? view.getUint32(at) * 2 ** 32 : 0;
      this.#pendingRevokes.push(high + view.getUint32(at + size - 4));
    }
    if (this.#pendingRevokes.length > MAX_REVOKES)
      return this.#break("a transaction revokes more blocks than any real one");
    return "go on";
  }

  #commit(view: DataView, bytes: Uint8Array): Step {
    const time = view.getBigUint64(0x30);
    if (this.#failed) {
      // A commit after a wrong one: the wrong one was no interrupted commit.
      if (this.#journal.checksum === 1)
        this.#broken = `transaction ${(this.#sequence - 1) >>> 0} has a wrong checksum`;
      return "end";
    }
    if (this.#suspect || !this.#commitOk(view, bytes)) {
      // Older than the last one: left over from an earlier round of the ring.
      if (time < this.#lastCommit) {
        this.#stale = true;
        return "end";
      }
      if (!this.#journal.asyncCommit || this.#suspect)
        return this.#break(`transaction ${this.#sequence} has a wrong checksum`);
      this.#failed = true;
    } else this.#accept();
    this.#lastCommit = time;
    this.#sequence = (this.#sequence + 1) >>> 0;
    this.#pendingTags = [];
    this.#pendingRevokes = [];
    this.#summed = 0;
    this.#sum = 0xffffffff;
    return this.#revokes.size > MAX_REVOKES
      ? this.#break("the log revokes more blocks than any real one")
      : "go on";
  }

  #accept(): void {
    for (const tag of this.#pendingTags) this.#tags.push(tag);
    for (const block of this.#pendingRevokes) this.#revokes.set(block, this.#sequence);
    this.#transactions += 1;
  }

  #commitOk(view: DataView, bytes: Uint8Array): boolean {
    const stored = view.getUint32(16);
    if (this.#journal.checksum === 1) {
      const type = bytes[12];
      const size = bytes[13];
      return (
        (type === 1 && size === 4 && stored === this.#sum) ||
        (type === 0 && size === 0 && stored === 0)
      );
    }
    if (this.#journal.checksum === 0) return true;
    const copy = bytes.slice();
    copy.fill(0, 16, 20);
    return crc32c(copy, this.#journal.seed) === stored;
  }

  /** Checksum in the last four bytes of a descriptor or revoke block. */
  #tailOk(view: DataView, bytes: Uint8Array): boolean {
    const copy = bytes.slice();
    copy.fill(0, bytes.length - TAIL);
    return crc32c(copy, this.#journal.seed) === view.getUint32(bytes.length - TAIL);
  }
}
