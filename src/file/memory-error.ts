/** MemoryError: what a load or store through a mapping meets where a program would get SIGBUS: a `MediaError` with the signal's fields. */
import { MediaError, type BadRange, type ByteRange } from "../base/index.ts";
import type { MappingEvent } from "./event-ring.ts";

/** What a memory error says beside its event. */
export interface MemoryErrorOptions {
  /** Name of the mapped file. */
  readonly path: string;
  /** Name of the device, as its identity gives it. */
  readonly device: string;
  /** What of the device is bad there. */
  readonly ranges: readonly BadRange[];
  /** Bytes moved before the fault. */
  readonly copied: number;
  /** "load", "store" or "line store". */
  readonly syscall: string;
  readonly cause?: unknown;
}

/** A fault of a mapped access. Code EIO. Of the bytes in `range` none was delivered (R1), none stored. */
export class MemoryError extends MediaError {
  override readonly name = "MemoryError";
  readonly signal = "SIGBUS";
  /** BUS_MCEERR_AR (4), or BUS_ADRERR (2): the device is gone, or a kernel before 6.5 met known poison. */
  readonly siCode: number;
  /** `si_addr`: offset in the mapping of the first byte that could not be reached. */
  readonly address: number;
  /** `si_addr_lsb`: 12, 21 or 30, the size of the mapping; `undefined` with BUS_ADRERR. */
  readonly lsb: number | undefined;
  /** What cannot be reached, in bytes of the mapping: the whole page where its poison is known, else what the hardware named. */
  readonly range: ByteRange;
  /** Bytes moved before the fault, from the start of the request. */
  readonly copied: number;

  constructor(event: MappingEvent, options: MemoryErrorOptions) {
    const { path, copied, syscall } = options;
    super(`Cannot ${syscall} ${path} at offset ${event.address}: ${reasonOf(event)}`, options);
    this.siCode = event.siCode ?? 0;
    this.address = event.address;
    this.lsb = event.lsb;
    this.range = event.range;
    this.copied = copied;
  }
}

function reasonOf({ siCode, lsb, range }: MappingEvent): string {
  const lastByte = range.offset + range.length - 1;
  const unit = lsb === undefined ? "" : `, lsb ${lsb}`;
  return `bytes ${range.offset} to ${lastByte} are bad (SIGBUS, si_code ${siCode}${unit})`;
}
