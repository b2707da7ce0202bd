/**
 * NbdDevice: an export of any server as a device. What can go wrong, and what is promised:
 *
 * - R1: what a server did not give is missing, and its place stays as it was; what is on the list is not asked for.
 * - Of a foreign server the unit that fails is the unit that heals: a full write of it. So a write in recovery has no clean neighbours to keep, and
 *   needs no intent; where a part of a bad unit would be left without data the write is refused, because another program would read garbage (R2).
 * - Over a Theriac server every rule is that server's: it has the list, the intents and the units. A write in recovery goes through its export
 *   `NAME@recovery`; the list here is a copy, taken at the beginning and wherever something failed or healed.
 * - R4: a range leaves the list when data for it is durable and was read back. A flush that cannot vouch for writes of a lost connection fails, and
 *   nothing is written after it (writer.ts).
 */
import {
  alignOut,
  checkRange,
  endOf,
  intersect,
  RangeSet,
  StorageError,
  type BadRange,
  type ByteRange,
} from "../../base/index.ts";
import type { PoisonView, StateRange } from "../../poison/index.ts";
import { merged } from "../careful-read.ts";
import {
  COMPLETE,
  type AccessMode,
  type Capabilities,
  type DeviceIdentity,
  type HealWrite,
  type ReadResult,
} from "../device.ts";
import { anyBad } from "../states.ts";
import { NbdHealer } from "./healer.ts";
import type { RemoteDevice } from "./open-nbd.ts";
import { markersIn } from "./markers-in.ts";
import { NBD_EXPORT } from "./protocol.ts";
import { RangeGate } from "./range-gate.ts";
import type { NbdReader } from "./reader.ts";
import type { RemoteList } from "./remote-list.ts";
import type { NbdSession } from "./session.ts";
import type { NbdWriter } from "./writer.ts";
import type { ZeroMap } from "./zero-map.ts";

/** Reads of what failed for once, in recovery. */
const TRANSIENT_TRIES = 2;

/** What a device over an export is made of. */
export interface NbdDeviceParts {
  readonly session: NbdSession;
  readonly capabilities: Capabilities;
  readonly list: RemoteList;
  readonly zeros: ZeroMap | undefined;
  readonly reader: NbdReader;
  readonly writer: NbdWriter;
  /** Writes with `RWF_RECOVERY_DATA`, where the server takes them. */
  readonly recovery: (() => Promise<NbdWriter>) | undefined;
  /** Called once, at the end. */
  readonly close: () => Promise<void>;
}

/** An export as a device. Made by `openNbd`. */
export class NbdDevice implements RemoteDevice {
  readonly size: number;
  readonly identity: DeviceIdentity;
  readonly capabilities: Capabilities;
  readonly direct: undefined;
  readonly poison: PoisonView;
  readonly #parts: NbdDeviceParts;
  readonly #gate = new RangeGate();
  readonly #healer: NbdHealer;
  #closed: Promise<void> | undefined;

  constructor(parts: NbdDeviceParts) {
    const { session, capabilities, list } = parts;
    this.#parts = parts;
    this.size = session.found.size;
    this.identity = { name: session.address.uri, uuid: list.ledger.store?.uuid, generation: 0 };
    this.capabilities = capabilities;
    this.poison = list.view;
    this.#healer = new NbdHealer(parts);
  }

  get #name(): string {
    return this.identity.name;
  }

  async read(into: Uint8Array, offset: number, mode: AccessMode = "access"): Promise<ReadResult> {
    const range = { offset, length: into.length };
    this.#check(range);
    this.#checkRecovers(mode, "read");
    if (into.length === 0) return COMPLETE;
    return this.#gate.shared(range, () => this.#read(into, offset, mode));
  }

  async #read(into: Uint8Array, offset: number, mode: AccessMode): Promise<ReadResult> {
    const result = await this.#readAround(into, offset, mode);
    const { list, reader } = this.#parts;
    if (list.isTold) return result;
    const given = { bytes: into, offset, missing: result.missing };
    const markers = await markersIn(reader, given, this.size);
    if (markers.length === 0) return result;
    list.lost(markers);
    const holes: BadRange[] = [...result.missing];
    for (const { offset: at, length } of markers) holes.push({ offset: at, length, state: "lost" });
    return resultOf(holes, { offset, length: into.length }, mode);
  }

  async #readAround(into: Uint8Array, offset: number, mode: AccessMode): Promise<ReadResult> {
    const { list, reader } = this.#parts;
    const range = { offset, length: into.length };
    if (list.view.empty) {
      const missing = await reader.fetch(into, offset);
      return missing.length === 0
        ? COMPLETE
        : this.#explain(missing, into, { offset, mode, known: [] });
    }
    // Another client may have healed what we remember.
    if (mode === "recovery" && anyBad(list.view, range)) await list.sync(range);
    const known = [...list.view.bad(range)];
    const first = known[0];
    const end = mode === "failFast" && first !== undefined ? first.offset : endOf(range);
    const missing: ByteRange[] = [];
    for (const part of RangeSet.from(known).gaps(offset, end - offset)) {
      const start = part.offset - offset;
      const bytes = into.subarray(start, start + part.length);
      for (const hole of await reader.fetch(bytes, part.offset)) missing.push(hole);
    }
    if (missing.length === 0 && first === undefined) return COMPLETE;
    return this.#explain(missing, into, { offset, mode, known });
  }

  /** Why bytes did not come; in recovery what can be had after all is delivered. */
  async #explain(
    missing: readonly ByteRange[],
    into: Uint8Array,
    read: {
      readonly offset: number;
      readonly mode: AccessMode;
      readonly known: readonly BadRange[];
    },
  ): Promise<ReadResult> {
    const { list, reader } = this.#parts;
    const { offset, mode, known } = read;
    const request = { bytes: into, offset };
    const holes: BadRange[] = [...known];
    if (list.isTold) {
      for (const range of missing) await list.sync(range);
      for (const hole of await this.#passing(missing, request, mode)) holes.push(hole);
    } else if (mode === "failFast") {
      for (const range of missing) holes.push({ ...range, state: "unread" });
    } else {
      const bad = await reader.narrow(missing, request);
      list.found(bad);
      for (const unit of bad) {
        const part = intersect(unit, { offset, length: into.length });
        if (part !== undefined) for (const hole of list.view.bad(part)) holes.push(hole);
      }
    }
    return resultOf(holes, { offset, length: into.length }, mode);
  }

  /** What a server that has a list did not give: what it lists, and what only failed for once. */
  async #passing(
    missing: readonly ByteRange[],
    into: { readonly bytes: Uint8Array; readonly offset: number },
    mode: AccessMode,
  ): Promise<BadRange[]> {
    const { list, reader } = this.#parts;
    const holes: BadRange[] = [];
    let again: readonly ByteRange[] = missing;
    for (let tries = mode === "recovery" ? TRANSIENT_TRIES : 0; ; tries -= 1) {
      const unlisted: ByteRange[] = [];
      for (const range of again) {
        const bad = [...list.view.bad(range)];
        for (const hole of bad) holes.push(hole);
        for (const gap of RangeSet.from(bad).gaps(range.offset, range.length)) unlisted.push(gap);
      }
      if (unlisted.length === 0) return holes;
      if (tries === 0)
        return [...holes, ...unlisted.map((range) => ({ ...range, state: "unread" as const }))];
      const left: ByteRange[] = [];
      for (const { offset, length } of unlisted) {
        const start = offset - into.offset;
        const bytes = into.bytes.subarray(start, start + length);
        for (const range of await reader.fetch(bytes, offset)) left.push(range);
      }
      for (const range of left) await list.sync(range);
      again = left;
    }
  }

  async write(from: Uint8Array, offset: number, mode: AccessMode = "access"): Promise<void> {
    const range = { offset, length: from.length };
    this.#checkWritable(range);
    this.#checkRecovers(mode, "write");
    if (from.length === 0) return;
    await this.#changing([range], async () => {
      const { list } = this.#parts;
      // A server heals by writes that cover whole units; who wants no healing must know what is bad there now.
      if (mode === "failFast") await list.sync(range);
      const bad = list.inTheWay(range, this.#healer.unit);
      if (bad.length === 0 && mode !== "recovery") return this.#healer.plain(from, offset);
      if (mode === "failFast")
        throw this.#healer.error(range, "the range is bad, and a fail-fast write heals nothing");
      if (mode === "access") this.#healer.checkWhole(range);
      const error = await this.#healer.one({ offset, data: from });
      if (error !== undefined) throw error;
    });
  }

  async heal(writes: readonly HealWrite[]): Promise<readonly (Error | undefined)[]> {
    const ranges = writes.map(({ offset, data }) => ({ offset, length: data.length }));
    for (const range of ranges) this.#checkWritable(range);
    checkApart(ranges);
    if (writes.length === 0) return [];
    if (!this.capabilities.recovers) return writes.map(() => this.#noRecovery("write"));
    return this.#changing(ranges, () => this.#healer.all(writes));
  }

  async clear(range: ByteRange): Promise<void> {
    this.#checkWritable(range);
    this.#checkRecovers("recovery", "clear");
    await this.#changing([range], () => this.#healer.clear(range));
  }

  /** Runs a change of ranges with all the blocks around them held, and forgets what was known of zeros there. */
  #changing<T>(ranges: readonly ByteRange[], change: () => Promise<T>): Promise<T> {
    const { session, zeros } = this.#parts;
    const unit = Math.max(session.found.minimum, this.capabilities.clearUnit);
    const start = Math.min(...ranges.map(({ offset }) => offset));
    const hull = alignOut({ offset: start, length: Math.max(...ranges.map(endOf)) - start }, unit);
    return this.#gate.alone(hull, async () => {
      const { failure } = this.#parts.writer;
      if (failure !== undefined)
        throw new StorageError(
          "EIO",
          `Cannot write ${this.#name}: an earlier flush failed; open it again`,
          { path: this.#name, cause: failure },
        );
      zeros?.touch(hull);
      try {
        return await change();
      } finally {
        zeros?.touch(hull);
      }
    });
  }

  holeFrom(offset: number): number {
    const length = this.#parts.zeros?.from(offset) ?? 0;
    if (length === 0 || this.poison.empty) return length;
    for (const bad of this.poison.bad({ offset, length })) return Math.max(0, bad.offset - offset);
    return length;
  }

  get isTold(): boolean {
    return this.#parts.list.isTold;
  }

  takeGiven(list: Iterable<StateRange>): void {
    this.#parts.list.takeGiven(list);
  }

  recordRead(range: ByteRange): void {
    this.#check(range);
    this.#parts.list.recordRead(range);
  }

  recordBad(range: ByteRange, state: "poisoned" | "lost"): void {
    this.#check(range);
    this.#parts.list.recordBad(range, state);
  }

  async flush(): Promise<void> {
    if (this.#closed !== undefined || this.capabilities.readOnly) return;
    await this.#parts.writer.flush();
    this.#parts.list.ledger.sync();
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    const { writer, list, close } = this.#parts;
    try {
      if (!this.capabilities.readOnly && writer.isDirty) await writer.flush();
      list.ledger.sync();
    } finally {
      try {
        list.ledger.close();
      } finally {
        await close();
      }
    }
  }

  #check(range: ByteRange): void {
    if (this.#closed !== undefined)
      throw new StorageError("EIO", `Cannot use ${this.#name}: it is closed`, { path: this.#name });
    checkRange(range, this.size);
  }

  #checkWritable(range: ByteRange): void {
    this.#check(range);
    if (!this.capabilities.readOnly) return;
    const isOpenOnly = (this.#parts.session.found.flags & NBD_EXPORT.READ_ONLY) === 0;
    const why = isOpenOnly ? "it is open for reading" : "the server exports it for reading only";
    throw new StorageError("EACCES", `Cannot write ${this.#name}: ${why}`, { path: this.#name });
  }

  #checkRecovers(mode: AccessMode, syscall: string): void {
    if (mode === "recovery" && !this.capabilities.recovers) throw this.#noRecovery(syscall);
  }

  #noRecovery(syscall: string): StorageError {
    const message = `Cannot recover on ${this.#name}: the device behind it has no recovery`;
    return new StorageError("EOPNOTSUPP", message, { path: this.#name, syscall });
  }
}

/** In "failFast" the first bad stretch is told as it is, and all behind it is unread. */
function resultOf(holes: BadRange[], range: ByteRange, mode: AccessMode): ReadResult {
  const missing = merged(holes);
  const first = missing[0];
  if (first === undefined) return COMPLETE;
  if (mode !== "failFast") return { missing };
  const rest = {
    offset: endOf(first),
    length: endOf(range) - endOf(first),
    state: "unread" as const,
  };
  return { missing: rest.length === 0 ? [first] : merged([first, rest]) };
}

/** @throws {RangeError} if two ranges share a byte */
function checkApart(ranges: readonly ByteRange[]): void {
  const sorted = [...ranges].sort((one, other) => one.offset - other.offset);
  for (const [index, range] of sorted.entries()) {
    const next = sorted[index + 1];
    if (next !== undefined && next.offset < endOf(range))
      throw new RangeError(
        `Cannot heal: want ranges apart: got ${range.offset}+${range.length} and ${next.offset}+${next.length}`,
      );
  }
}
