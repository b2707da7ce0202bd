/** SalvageMap: the ddrescue mapfile of a salvage: `+` is in the output, `-` is bad, `?` nobody has copied yet. */
import { RangeSet, type ByteRange } from "../../base/index.ts";
import type { HostFiles } from "../../os/index.ts";
import { formatMapfile, parseMapfile, PoisonList } from "../../poison/index.ts";
import { readText, replaceText } from "../durable-text.ts";

/** Longest map that is read: some ten million blocks. */
const LARGEST = 512 * 1024 * 1024;

/** What a map says. */
export interface MapContent {
  /** Bytes of the source. */
  readonly size: number;
  /** What is in the output, synced. */
  readonly done: Iterable<ByteRange>;
  /** What the source does not give; where it is done all the same, it is done. */
  readonly bad: Iterable<ByteRange>;
}

/** Replaces the map, durable on return. */
export function writeMap(files: HostFiles, path: string, content: MapContent): void {
  const list = new PoisonList(content.size);
  for (const range of content.bad) list.mark(range, "poisoned");
  for (const range of content.done) list.mark(range, "clean");
  replaceText(files, path, formatMapfile(list));
}

/**
 * Reads what is finished.
 *
 * @throws {StorageError} EBADMSG where it is no map, or one of another size
 */
export function readMap(files: HostFiles, path: string, size: number): RangeSet {
  const text = readText(files, path, LARGEST);
  const done = new RangeSet();
  for (const { offset, length, state } of parseMapfile(text, { size, name: `map "${path}"` })
    .ranges) {
    if (state === "clean") done.add(offset, length);
  }
  return done;
}
