/**
 * LiveList: the list of a live target, from what the kernel lists now and what is remembered.
 *
 * The kernel's word is the newer one: what it lists is bad, whatever is remembered. What is remembered as poisoned, and the kernel does not list, is
 * read once more before anything may be written: another program may have written there, and its bytes are good.
 */
import { difference, endOf, RangeSet, type ByteRange } from "../../base/index.ts";
import type { MediaDevice, LiveMedia } from "../../device/index.ts";
import type { PoisonState, StateRange } from "../../poison/index.ts";

/** What the list is made of. */
export interface LiveListParts {
  readonly device: MediaDevice;
  readonly media: LiveMedia;
  /** What the kernel lists, in bytes of the target. */
  readonly kernel: readonly ByteRange[];
  /** What a file of `--poison` says, in bytes of the target: for what nobody knows yet. */
  readonly given: readonly StateRange[];
  readonly access: "read" | "write";
}

/** Bytes read again at once. */
const CHUNK = 64 * 1024;

/** Makes the list of an open device. @returns notes for people */
export function takeLiveList(parts: LiveListParts): readonly string[] {
  const { device, kernel, given, access } = parts;
  const remember = access === "write";
  const mended = mendedSince(parts);
  const unread = given
    .filter(({ state }) => state !== "unread")
    .flatMap((range) =>
      [...device.poison.states(range)]
        .filter(({ state }) => state === "unread")
        .map(({ offset, length }) => ({ offset, length, state: range.state })),
    );
  const lost = RangeSet.from(
    [...device.poison.bad({ offset: 0, length: device.size })].filter(
      ({ state }) => state === "lost",
    ),
  );
  // What is lost and listed again is no less lost: a heal ends both.
  const listed = difference(RangeSet.from(kernel), lost);
  const changes = [...inState(mended, "clean"), ...unread, ...inState(listed, "poisoned")];
  if (changes.length > 0) device.takeList(changes, { remember });
  const bytes = mended.reduce((sum, { length }) => sum + length, 0);
  return bytes === 0
    ? []
    : [`${bytes} bytes that were bad before can be read again: another program wrote them`];
}

function inState(ranges: Iterable<ByteRange>, state: PoisonState): StateRange[] {
  return Array.from(ranges, ({ offset, length }) => ({ offset, length, state }));
}

function mendedSince({ device, media, kernel }: LiveListParts): readonly ByteRange[] {
  const poisoned = [...device.poison.bad({ offset: 0, length: device.size })].filter(
    ({ state }) => state === "poisoned",
  );
  const doubtful = RangeSet.from(poisoned);
  for (const { offset, length } of kernel) doubtful.delete(offset, length);
  const good = new RangeSet();
  for (const range of doubtful) {
    for (let at = range.offset; at < endOf(range); at += CHUNK) {
      const piece = { offset: at, length: Math.min(CHUNK, endOf(range) - at) };
      const faults = RangeSet.from(media.readSync(new Uint8Array(piece.length), piece.offset));
      for (const part of faults.gaps(piece.offset, piece.length))
        good.add(part.offset, part.length);
    }
  }
  return [...good];
}
