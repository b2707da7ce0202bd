/**
 * resync(): makes stale parts of legs fresh with the bytes of those that are fresh, a piece at a time, each while its range is held; then heals what
 * is on a leg's list and another leg has. Bounded: a byte is read once a leg that needs it and written once, and memory is one piece. What no
 * fresh leg can give stays stale, and old bytes stay where they are: nothing is called alike that is not.
 */
import {
  MediaError,
  RangeSet,
  StorageError,
  type ByteRange,
  type MaybePromise,
} from "../../base/index.ts";
import type { Copies, MirrorLeg } from "./copies.ts";
import type { LegHealer } from "./leg-heal.ts";
import { gather } from "./mirror-read.ts";

/** Bytes copied at once. */
const PIECE = 1024 * 1024;

/** How a resync is run. */
export interface ResyncOptions {
  /** Ends it between two pieces; what is done stays done. */
  readonly signal?: AbortSignal;
  /** Called after each piece; bytes of all legs. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** What a resync did, in bytes over all legs. */
export interface ResyncResult {
  /** Copied, and fresh now. */
  readonly copied: number;
  /** On a leg's list before, and good now. */
  readonly healed: number;
  /** Still stale: nobody gives these bytes, or the leg does not take them. */
  readonly left: number;
}

/** Runs a step while a range is held. */
type Exclusively = (range: ByteRange, step: () => Promise<void>) => MaybePromise<void>;

/** Copies what is stale. */
export async function resync(
  copies: Copies,
  options: ResyncOptions & { readonly exclusively: Exclusively; readonly healer: LegHealer },
): Promise<ResyncResult> {
  const { signal, onProgress, exclusively } = options;
  const stale = copies.legs.map((leg) => ({ leg, set: copies.staleOf(leg).clone() }));
  const total = stale.reduce((sum, { set }) => sum + set.byteLength, 0);
  let done = 0;
  for (const { leg, set } of stale) {
    for (const { offset, length } of set) {
      for (let at = 0; at < length; at += PIECE) {
        if (signal?.aborted === true) break;
        const piece = { offset: offset + at, length: Math.min(PIECE, length - at) };
        await exclusively(piece, () => copyPiece(copies, leg, piece));
        done += piece.length;
        onProgress?.(done, total);
      }
    }
  }
  const left = copies.legs.reduce((sum, leg) => sum + copies.staleOf(leg).byteLength, 0);
  return { copied: total - left, healed: await healListed(copies, options), left };
}

/** Heals what legs' lists name. @returns bytes healed */
async function healListed(
  copies: Copies,
  { signal, exclusively, healer }: Parameters<typeof resync>[1],
): Promise<number> {
  let healed = 0;
  for (const leg of copies.legs) {
    const area = { offset: leg.offset, length: copies.size };
    for (const bad of leg.device.poison.bad(area)) {
      for (let at = 0; at < bad.length; at += PIECE) {
        if (signal?.aborted === true) return healed;
        const offset = bad.offset - leg.offset + at;
        const fault = { ...bad, leg, offset, length: Math.min(PIECE, bad.length - at) };
        if (healer.worth([fault]).length === 0) continue;
        await exclusively(fault, async () => {
          healed += await healer.heal([fault]);
        });
      }
    }
  }
  return healed;
}

async function copyPiece(copies: Copies, leg: MirrorLeg, piece: ByteRange): Promise<void> {
  const into = new Uint8Array(piece.length);
  const { missing } = await gather(copies, {
    into,
    offset: piece.offset,
    mode: "recovery",
    except: leg,
  });
  for (const good of RangeSet.from(missing).gaps(piece.offset, piece.length)) {
    const from = good.offset - piece.offset;
    if (await isWritten(leg, good, into.subarray(from, from + good.length)))
      copies.setFresh(leg, good);
  }
}

async function isWritten(leg: MirrorLeg, range: ByteRange, data: Uint8Array): Promise<boolean> {
  const { device } = leg;
  const offset = leg.offset + range.offset;
  try {
    await device.write(data, offset);
    return true;
  } catch (error) {
    if (!(error instanceof StorageError)) throw error;
    if (!(error instanceof MediaError) || !device.capabilities.recovers) return false;
  }
  const [failure] = await device.heal([{ offset, data }]);
  return failure === undefined;
}
