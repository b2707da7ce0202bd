/**
 * markedMedia: a medium whose markers are faults. Where a list is lost, or is another image's, the marker is all that tells that bytes are gone,
 * and without this rule it would be read as data (R1).
 *
 * What a read gave is looked through; a page that was looked through whole costs a bit test from then on. Nothing more is read for it, but the 64 bytes
 * of a pattern that a read cuts, where what it got of them looks like one. What is written is data again: a marker under it is forgotten.
 */
import { isPromise, PAGE, RangeSet, roundDown, roundUp, type ByteRange } from "../base/index.ts";
import { findMarkers, isPieceOfMarker, MARKER_SIZE, mayHoldMarker } from "./marker.ts";
import { NO_FAULTS, type Faults, type Media, type MediaMemory } from "./media.ts";

/** How a medium is looked through. */
export interface MarkedMediaOptions {
  /**
   * Whether loads of the mapped face are looked through as well. Where a list is beside the image, it is asked before a load, and a load has no time for more.
   *
   * @default true
   */
  readonly loads?: boolean;
}

/** The same medium; reads fail where a marker stands. Reading back does not: it proves what was written. */
export function markedMedia(media: Media, options: MarkedMediaOptions = {}): Media {
  const markers = new Markers(media);
  const { loads = true } = options;
  const { memory } = media;
  return {
    name: media.name,
    size: media.size,
    capabilities: media.capabilities,
    read: (into, offset) => {
      const { writes } = markers;
      const faults = media.read(into, offset);
      return isPromise(faults)
        ? markers.later(faults, { into, offset, writes })
        : markers.join(faults, into, offset);
    },
    readSync: (into, offset) => markers.join(media.readSync(into, offset), into, offset),
    readBack: (into, offset) => media.readBack(into, offset),
    holeFrom: (offset) => media.holeFrom?.(offset) ?? 0,
    write: (from, offset) => {
      markers.forget({ offset, length: from.length });
      media.write(from, offset);
    },
    clear: (range) => media.clear(range),
    storeLine: (line, offset) => {
      markers.forget({ offset, length: line.length });
      return media.storeLine?.(line, offset) ?? false;
    },
    flush: () => media.flush(),
    ...(memory === undefined ? {} : { memory: markedMemory(memory, markers, loads) }),
    close: () => media.close(),
  };
}

function markedMemory(memory: MediaMemory, markers: Markers, loads: boolean): MediaMemory {
  return {
    view: (range) => memory.view(range),
    isPlain: (offset, length) =>
      (!loads || markers.isClean(offset, length)) && memory.isPlain?.(offset, length) === true,
    load: loads
      ? (into, offset) => markers.join(memory.load(into, offset), into, offset)
      : (into, offset) => memory.load(into, offset),
    store: (from, offset) => {
      markers.forget({ offset, length: from.length });
      memory.store(from, offset);
    },
    isData: (view, offset) => markers.join(NO_FAULTS, view, offset).length === 0,
    ...(memory.bringIn === undefined
      ? {}
      : { bringIn: async (range: ByteRange) => memory.bringIn?.(range) ?? true }),
  };
}

/** What is known of the markers of one medium. */
class Markers {
  readonly #media: Media;
  /** A bit for each page that was looked through. */
  readonly #seen: Uint8Array;
  readonly #found = new RangeSet();
  /** Counts writes: a read that was on its way meanwhile says nothing about what is there now. */
  writes = 0;

  constructor(media: Media) {
    this.#media = media;
    this.#seen = new Uint8Array(Math.ceil(media.size / PAGE / 8));
  }

  /** Forgets what a write replaces. */
  forget({ offset, length }: ByteRange): void {
    this.writes += 1;
    if (this.#found.size > 0) this.#found.delete(offset, length);
  }

  /** The faults of a read that ended later, with the markers in it; `writes` is what it was when the read began. */
  async later(
    answer: Promise<Faults>,
    {
      into,
      offset,
      writes,
    }: { readonly into: Uint8Array; readonly offset: number; readonly writes: number },
  ): Promise<Faults> {
    const known = await answer;
    if (this.writes === writes) return this.join(known, into, offset);
    const now = new Uint8Array(into.length);
    this.join(this.#media.readSync(now, offset), now, offset);
    return this.#withFound(known, { offset, length: into.length });
  }

  /** Faults of a read, with the markers in what it gave. */
  join(faults: Faults, into: Uint8Array, offset: number): Faults {
    if (!this.#isSeen(offset, into.length)) this.#look(faults, into, offset);
    return this.#found.size === 0
      ? faults
      : this.#withFound(faults, { offset, length: into.length });
  }

  /** Whether a range was looked through whole, and no marker is in it. */
  isClean(offset: number, length: number): boolean {
    return this.#isSeen(offset, length) && !this.#found.intersects(offset, length);
  }

  #withFound(faults: Faults, { offset, length }: ByteRange): Faults {
    if (!this.#found.intersects(offset, length)) return faults;
    const all = RangeSet.from(faults);
    for (const marker of this.#found.within(offset, length)) all.add(marker.offset, marker.length);
    return [...all];
  }

  #isSeen(offset: number, length: number): boolean {
    const end = offset + length;
    for (let page = Math.floor(offset / PAGE); page * PAGE < end; page += 1)
      if ((this.#seen[page >>> 3]! & (1 << (page & 7))) === 0) return false;
    return true;
  }

  #look(faults: Faults, into: Uint8Array, offset: number): void {
    if (faults.length > 0) {
      for (const gap of RangeSet.from(faults).gaps(offset, into.length)) {
        const from = gap.offset - offset;
        this.#search(into.subarray(from, from + gap.length), gap.offset);
      }
      return;
    }
    // Whole patterns, as nearly every read has them: then no view is made.
    const isWhole = offset % MARKER_SIZE === 0 && into.length % MARKER_SIZE === 0;
    if (!isWhole || mayHoldMarker(into)) this.#search(into, offset);
    const end = offset + into.length;
    const last = end === this.#media.size ? roundUp(end, PAGE) : end;
    for (let page = Math.ceil(offset / PAGE); (page + 1) * PAGE <= last; page += 1)
      this.#seen[page >>> 3]! |= 1 << (page & 7);
  }

  #search(bytes: Uint8Array, offset: number): void {
    const start = Math.min(bytes.length, roundUp(offset, MARKER_SIZE) - offset);
    const end = Math.max(start, roundDown(offset + bytes.length, MARKER_SIZE) - offset);
    const whole = bytes.subarray(start, end);
    if (mayHoldMarker(whole)) {
      const found = findMarkers(whole, offset + start);
      for (const marker of found) this.#found.add(marker.offset, marker.length);
      // A range may begin inside the pattern before, of which only its end was there to see.
      if (found[0]?.offset === offset + start) this.#readAround(offset + start - MARKER_SIZE);
    }
    const head = bytes.subarray(0, start);
    if (isPieceOfMarker(head, offset)) this.#readAround(offset + start - MARKER_SIZE);
    const tail = bytes.subarray(end);
    if (isPieceOfMarker(tail, offset + end)) this.#readAround(offset + end);
  }

  /** Looks at a pattern that a read cut, and at the one behind it, which tells that this one's end is one. */
  #readAround(offset: number): void {
    if (offset < 0) return;
    const around = new Uint8Array(Math.min(2 * MARKER_SIZE, this.#media.size - offset));
    if (this.#media.readSync(around, offset).length > 0) return;
    for (const marker of findMarkers(around, offset)) this.#found.add(marker.offset, marker.length);
  }
}
