/**
 * store: a write to an export, by Linux' block table or by the flag, which tells where it stopped.
 *
 * Tried as a whole first: that is one intent and one set of syncs for all it heals. Where that fails, piece by piece, so that everything
 * before the place that cannot be written is written: as a bio, page by page; with `RWF_RECOVERY_DATA` down to one clear unit.
 */
import {
  endOf,
  isPromise,
  MediaError,
  roundDown,
  roundUp,
  type ByteRange,
  type MaybePromise,
} from "../base/index.ts";
import { nextHeal, shorterHeal } from "../dax/index.ts";
import type { NbdExport } from "./export.ts";
import { failureOf } from "./failures.ts";
import type { Failure } from "./replies.ts";

/** Writes bytes. They must not change before the answer is there. @returns why and where it stopped; `undefined` where all is written */
export function store(
  face: NbdExport,
  bytes: Uint8Array,
  offset: number,
): MaybePromise<Failure | undefined> {
  try {
    if (storeDirect(face, bytes, offset)) return undefined;
    const written = face.device.write(bytes, offset, face.mode);
    if (!isPromise(written)) return undefined;
    return written.then(
      () => undefined,
      (error: unknown) => storePieces(error, { face, bytes, offset }),
    );
  } catch (error) {
    return storePieces(error, { face, bytes, offset });
  }
}

/** Stores through the mapping where no byte is known to be bad. @returns whether it did */
function storeDirect(face: NbdExport, bytes: Uint8Array, offset: number): boolean {
  if (face.mode !== "access") return false;
  const direct = face.direct();
  if (direct === undefined || !isClean(face, offset, bytes.length)) return false;
  direct.store(bytes, offset);
  return true;
}

/** Whether no page of a range has a byte that is known to be bad: the one look-up of a request (R6). */
export function isClean(face: NbdExport, offset: number, length: number): boolean {
  const { device } = face;
  if (device.poison.empty) return true;
  const { pageSize } = device.capabilities;
  const page = Math.floor(offset / pageSize);
  const pages = Math.floor((offset + length - 1) / pageSize) - page + 1;
  return device.direct?.probe(page, pages, "access") === pages;
}

interface Write {
  readonly face: NbdExport;
  readonly bytes: Uint8Array;
  readonly offset: number;
}

/** Writes as much from the start as can be, after the whole failed. @throws what is no failure of the media */
function storePieces(error: unknown, write: Write): MaybePromise<Failure | undefined> {
  if (!(error instanceof MediaError)) return failureOf(error, write.offset);
  return write.face.mode === "recovery" ? storeUnits(write) : storePages(write);
}

/** As a bio: what lies before the first page that cannot be healed is written. */
async function storePages({ face, bytes, offset }: Write): Promise<Failure | undefined> {
  const { device } = face;
  const unit = Math.max(device.capabilities.pageSize, device.capabilities.clearUnit);
  const end = offset + bytes.length;
  for (let at = offset; at < end;) {
    const step = pageStep(face, { offset: at, length: end - at }, unit);
    try {
      await device.write(bytes.subarray(at - offset, at - offset + step), at, "access");
    } catch (error) {
      return failureOf(error, placeOf(error, { offset: at, length: step }));
    }
    at += step;
  }
  return undefined;
}

/** Bytes up to the first page with a known bad byte, or that page. */
function pageStep(face: NbdExport, rest: ByteRange, unit: number): number {
  for (const bad of face.device.poison.bad(rest)) {
    const page = Math.max(rest.offset, roundDown(bad.offset, unit));
    if (page > rest.offset) return page - rest.offset;
    return Math.min(rest.length, roundUp(rest.offset + 1, unit) - rest.offset);
  }
  return Math.min(rest.length, roundUp(rest.offset + 1, unit) - rest.offset);
}

/** With the flag: down to single clear units. */
async function storeUnits({ face, bytes, offset }: Write): Promise<Failure | undefined> {
  const { device } = face;
  let failure: unknown;
  for (let done = 0, step = bytes.length; done < bytes.length;) {
    try {
      await device.write(bytes.subarray(done, done + step), offset + done, "recovery");
      done += step;
      step = nextHeal({ offset: offset + done, length: bytes.length - done }, step, device);
    } catch (error) {
      failure ??= error;
      if (!(error instanceof MediaError)) return failureOf(error, offset + done);
      step = shorterHeal(error, { offset: offset + done, length: step }, device);
      if (step === 0) return failureOf(failure, offset + done);
    }
  }
  return undefined;
}

/** Where inside a step a failure is: its first bad byte there, or the step's begin. */
function placeOf(error: unknown, step: ByteRange): number {
  const first = error instanceof MediaError ? error.ranges[0]?.offset : undefined;
  return first !== undefined && first > step.offset && first < endOf(step) ? first : step.offset;
}
