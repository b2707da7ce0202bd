/**
 * LegTwin: the other legs of the mirrors that a leaf is a leg of, at the leaf's own addresses: what can heal one leg where its log says that it is
 * in step with others. Only reads; the leaf itself is never asked.
 */
import {
  checkRange,
  endOf,
  intersect,
  intersection,
  RangeSet,
  type BadRange,
  type ByteRange,
} from "../../base/index.ts";
import {
  COMPLETE,
  thoroughMode,
  type Device,
  type DeviceIdentity,
  type ReadResult,
} from "../../device/index.ts";
import { PoisonList } from "../../poison/index.ts";
import { MappedDevice } from "../mapped-device.ts";
import type { MapTarget } from "../target.ts";
import { tablesOf } from "../walk.ts";
import type { MirrorLeg } from "./copies.ts";
import { MirrorDevice } from "./mirror-device.ts";

/** A stretch of the leaf with what another leg holds there. */
interface Part extends ByteRange {
  readonly mirror: MirrorDevice;
  /** The leg that the leaf is. */
  readonly own: MirrorLeg;
  /** First byte in the mirror. */
  readonly inMirror: number;
}

/** A piece of a part, all of it in step. */
interface Piece extends ByteRange {
  readonly part: Part;
  /** Other legs that hold the same bytes, in the order in which they are asked. */
  readonly others: readonly MirrorLeg[];
}

/** The twin of a leaf. */
export class LegTwin implements Device {
  readonly size: number;
  readonly identity: DeviceIdentity;
  readonly capabilities: Device["capabilities"];
  /** What no other leg can give: lost where nothing is in step. As it was when the twin was made; a read may miss more. */
  readonly poison: PoisonList;
  readonly direct: undefined = undefined;
  readonly #parts: readonly Part[];

  constructor(leaf: Device, parts: readonly Part[]) {
    this.size = leaf.size;
    this.#parts = parts.toSorted((one, other) => one.offset - other.offset);
    this.identity = { ...leaf.identity, name: `mirror of ${leaf.identity.name}` };
    this.capabilities = { ...leaf.capabilities, readOnly: true, clear: "none", recovers: false };
    this.poison = this.#lacks();
  }

  /** The mirror that keeps a range alike; `undefined` where some of it is not known to be in step. */
  keeperOf(range: ByteRange): string | undefined {
    const pieces = [...this.#pieces(range)];
    const covered = pieces.reduce((sum, { length }) => sum + length, 0);
    return covered === range.length ? pieces[0]?.part.mirror.identity.name : undefined;
  }

  async read(into: Uint8Array, offset: number): Promise<ReadResult> {
    const range = { offset, length: into.length };
    checkRange(range, this.size);
    const open = RangeSet.from(range.length === 0 ? [] : [range]);
    for (const piece of this.#pieces(range)) {
      for (const leg of piece.others) {
        // taken down first: a read takes what came out of the set
        const wanted = Array.from(open.within(piece.offset, piece.length));
        for (const rest of wanted) {
          const part = into.subarray(rest.offset - offset, endOf(rest) - offset);
          await readLeg(leg, { part, rest, shift: shiftOf(piece, leg), open });
        }
      }
    }
    if (open.size === 0) return COMPLETE;
    const state: BadRange["state"] = "unread";
    return {
      missing: Array.from(open, ({ offset: at, length }) => ({ offset: at, length, state })),
    };
  }

  write(): never {
    throw new TypeError("A twin is only read");
  }

  flush(): void {}

  close(): void {
    // The stack that it was made from is closed by whoever opened it.
  }

  *#pieces(range: ByteRange): Generator<Piece> {
    for (const part of this.#parts) {
      if (part.offset >= endOf(range)) return;
      const shared = intersect(part, range);
      if (shared === undefined) continue;
      const shift = part.inMirror - part.offset;
      for (const run of part.mirror.copies.runs({ ...shared, offset: shared.offset + shift })) {
        if (!run.legs.includes(part.own)) continue;
        const others = run.legs.filter((leg) => leg !== part.own);
        if (others.length > 0)
          yield { part, others, offset: run.offset - shift, length: run.length };
      }
    }
  }

  #lacks(): PoisonList {
    const list = new PoisonList(this.size);
    const whole = { offset: 0, length: this.size };
    const pieces = [...this.#pieces(whole)];
    for (const gap of RangeSet.from(pieces).gaps(0, this.size)) list.mark(gap, "lost");
    for (const piece of pieces) {
      const sets = piece.others.map((leg) => {
        const shift = shiftOf(piece, leg);
        const below = { offset: piece.offset + shift, length: piece.length };
        const bad = leg.device.poison.empty ? [] : [...leg.device.poison.bad(below)];
        return RangeSet.from(bad.map(({ offset, length }) => ({ offset: offset - shift, length })));
      });
      for (const bad of sets.reduce((one, other) => intersection(one, other)))
        list.mark(bad, "poisoned");
    }
    return list;
  }
}

/** What to add to an address of the leaf to get one of another leg's device. */
function shiftOf({ part }: Piece, leg: MirrorLeg): number {
  return part.inMirror - part.offset + leg.offset;
}

/** Reads what one leg has of a range; what came is no longer open. What its list names is not touched. */
async function readLeg(
  { device }: MirrorLeg,
  read: { part: Uint8Array; rest: ByteRange; shift: number; open: RangeSet },
): Promise<void> {
  const { part, rest, shift, open } = read;
  const below = { offset: rest.offset + shift, length: rest.length };
  const bad = device.poison.empty ? [] : [...device.poison.bad(below)];
  for (const clean of RangeSet.from(bad).gaps(below.offset, below.length)) {
    const from = clean.offset - below.offset;
    const into = part.subarray(from, from + clean.length);
    const { missing } = await device.read(into, clean.offset, thoroughMode(device));
    for (const good of RangeSet.from(missing).gaps(clean.offset, clean.length))
      open.delete(good.offset - shift, good.length);
  }
}

/**
 * The twin of a leaf of a stack.
 *
 * @param top the stack's table
 * @param leaf a device that it stands on
 * @returns `undefined` where the leaf is no leg of a mirror
 */
export function legTwin(top: Device, leaf: Device): LegTwin | undefined {
  const parts: Part[] = [];
  for (const { rows } of tablesOf(top)) {
    for (const { target } of rows) {
      if (target.kind !== "device" || !(target.device instanceof MirrorDevice)) continue;
      for (const own of target.device.copies.legs) parts.push(...partsOf(target.device, own, leaf));
    }
  }
  return parts.length === 0 ? undefined : new LegTwin(leaf, parts);
}

function partsOf(mirror: MirrorDevice, own: MirrorLeg, leaf: Device): Part[] {
  const inLeg = { offset: own.offset, length: mirror.size };
  return segmentsOf(own.device, leaf).flatMap(({ at, below, length }) => {
    const shared = intersect({ offset: at, length }, inLeg);
    if (shared === undefined) return [];
    const offset = below + shared.offset - at;
    return [{ mirror, own, inMirror: shared.offset - own.offset, offset, length: shared.length }];
  });
}

/** Bytes of a device, from `at` on, that are those of a leaf from `below` on. */
interface Segment {
  readonly at: number;
  readonly below: number;
  readonly length: number;
}

/** Where a device, through tables of one leg a row, is a leaf; what takes turns or has a mind of its own is left out. */
function segmentsOf(device: Device, leaf: Device): Segment[] {
  if (device === leaf) return [{ at: 0, below: 0, length: device.size }];
  if (!(device instanceof MappedDevice)) return [];
  return device.rows.flatMap(({ begin, length, target }) => {
    if (target.kind !== "map" || target.legs.length > 1) return [];
    return segmentsOf(target.legs[0]?.device as Device, leaf).flatMap((segment) =>
      Array.from(rowSegments(target, { offset: begin, length }, segment)),
    );
  });
}

/** What of a segment of its leg's device a row shows: where its leg has gaps, a segment for each turn. */
function* rowSegments(
  { chunk, step = chunk, legs }: MapTarget,
  row: ByteRange,
  { at, below, length }: Segment,
): Generator<Segment> {
  const start = legs[0]?.offset ?? 0;
  const [bytes, gap] = chunk === Infinity ? [row.length, 0] : [chunk, step - chunk];
  for (let inRow = 0; inRow < row.length; inRow += bytes) {
    const offset = start + inRow + (inRow / bytes) * gap;
    const shared = intersect({ offset: at, length }, { offset, length: bytes });
    if (shared !== undefined)
      yield {
        at: row.offset + inRow + shared.offset - offset,
        below: below + shared.offset - at,
        length: shared.length,
      };
  }
}

/** The leaves that a stack stands on, each once. */
export function leavesOf(top: Device): Device[] {
  const leaves = new Set<Device>();
  for (const { rows } of tablesOf(top)) {
    for (const { target } of rows) {
      for (const { device } of target.areas)
        if (!(device instanceof MappedDevice)) leaves.add(device);
    }
  }
  return [...leaves];
}
