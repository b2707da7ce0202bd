/**
 * Journal replay: a dirty journal as an overlay, in memory: for each block that it writes, where in the journal its newest content stands.
 *
 * Only the newest content of each block is kept and checked, and no content is copied, so memory is bounded by the number of blocks that the log names. A block of the journal that cannot be
 * read, or whose checksum is wrong, makes that block of the volume bad, not old: what is in place there is known to be out of date.
 */
import { crc32c } from "../../base/index.ts";
import { littleEndian } from "./checksums.ts";
import type { Overlay, OverlayEntry } from "../block-reader.ts";
import { isLater, type LogContent, type ReadPlace, type Tag } from "./journal-scan.ts";
import type { JournalSuperblock } from "./journal-superblock.ts";

/** What a replay is made from. */
export interface ReplayInput {
  readonly journal: JournalSuperblock;
  readonly content: LogContent;
  readonly read: ReadPlace;
  /** Block of the volume that holds a place of the journal. */
  readonly physical: (place: number) => number | undefined;
  /** Blocks of the volume. */
  readonly blockCount: number;
}

/** The overlay, and what of it cannot be served. */
export interface Replay {
  readonly overlay: JournalOverlay;
  /** Blocks whose newest content is unreadable or wrong. */
  readonly lost: readonly number[];
  /** Whether a tag named a block outside the volume. */
  readonly outside: boolean;
}

/** Newer blocks: a map from the block to twice its place's block, plus one where its first word is escaped; -1 where it is bad. */
export class JournalOverlay implements Overlay {
  readonly #places: ReadonlyMap<number, number>;

  constructor(places: ReadonlyMap<number, number>) {
    this.#places = places;
  }

  get empty(): boolean {
    return this.#places.size === 0;
  }

  /** Number of blocks with newer content. */
  get size(): number {
    return this.#places.size;
  }

  /** The blocks with newer content, in no order. */
  blocks(): IterableIterator<number> {
    return this.#places.keys();
  }

  find(block: number): OverlayEntry | undefined {
    const code = this.#places.get(block);
    if (code === undefined) return undefined;
    if (code < 0) return { kind: "bad" };
    return { kind: "block", block: Math.floor(code / 2), escaped: code % 2 === 1 };
  }
}

function newest(content: LogContent): Map<number, Tag> {
  const tags = new Map<number, Tag>();
  for (const tag of content.tags) {
    const revoked = content.revokes.get(tag.block);
    if (revoked === undefined || isLater(tag.sequence, revoked)) tags.set(tag.block, tag);
  }
  return tags;
}

/** Makes the overlay of a scanned log; reads each newest block once, in the order of the journal. */
export async function replayLog(input: ReplayInput): Promise<Replay> {
  const places = new Map<number, number>();
  const lost: number[] = [];
  let outside = false;
  const tags = [...newest(input.content).values()].sort((one, other) => one.place - other.place);
  for (const tag of tags) {
    if (tag.block >= input.blockCount) {
      outside = true;
      continue;
    }
    const block = input.physical(tag.place);
    const state = block === undefined ? "bad" : await check(input, tag);
    if (state !== "good") lost.push(tag.block);
    // Partly unreadable content is still newer than what is in place: the reader tells which of its bytes are bad.
    places.set(
      tag.block,
      block === undefined || state === "bad" ? -1 : block * 2 + (tag.escaped ? 1 : 0),
    );
  }
  return { overlay: new JournalOverlay(places), lost, outside };
}

async function check(input: ReplayInput, tag: Tag): Promise<"good" | "partly" | "bad"> {
  const { bytes, bad } = await input.read(tag.place);
  if (bad.length > 0) return "partly";
  const { checksum, seed } = input.journal;
  if (checksum < 2) return "good";
  // The sequence is summed as it is written: big-endian (jbd2_block_tag_csum_verify).
  const sum = crc32c(bytes, crc32c(littleEndian(tag.sequence).reverse(), seed));
  return (checksum === 3 ? sum : sum & 0xffff) === tag.sum ? "good" : "bad";
}
