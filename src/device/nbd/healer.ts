/** healer: writes over what is bad, and the end of poison without data, over an export. nbd-device.ts has the rules. */
import {
  alignOut,
  endOf,
  intersect,
  MediaError,
  RangeSet,
  StorageError,
  type ByteRange,
} from "../../base/index.ts";
import type { Capabilities, HealWrite } from "../device.ts";
import { fillMarker } from "../marker.ts";
import { inState } from "../states.ts";
import type { NbdReader } from "./reader.ts";
import type { RemoteList } from "./remote-list.ts";
import type { NbdSession } from "./session.ts";
import type { NbdWriter } from "./writer.ts";

/** Bytes of the marker that are written at once. */
const MARKER_PIECE = 1024 * 1024;

/** What healing works with. */
export interface HealerParts {
  readonly session: NbdSession;
  readonly capabilities: Capabilities;
  readonly list: RemoteList;
  readonly reader: NbdReader;
  readonly writer: NbdWriter;
  readonly recovery: (() => Promise<NbdWriter>) | undefined;
}

/** The healing half of a client. Callers hold the ranges alone, and have checked them. */
export class NbdHealer {
  readonly #parts: HealerParts;

  constructor(parts: HealerParts) {
    this.#parts = parts;
  }

  /** Unit that a write reaches as a whole: what is bad beside it in its unit stands in its way. */
  get unit(): number {
    const { clear, clearUnit } = this.#parts.capabilities;
    return clear === "overwrite" ? clearUnit : 1;
  }

  /** A write where nothing is known to be bad. @throws {MediaError} as `NbdWriter.write`; of a server that has a list with what it lists */
  async plain(from: Uint8Array, offset: number): Promise<void> {
    try {
      await this.#parts.writer.write(from, offset);
    } catch (error) {
      throw await this.#explained(error, { offset, length: from.length });
    }
  }

  /** A failure of media with the ranges that the server lists now. */
  async #explained(error: unknown, range: ByteRange): Promise<unknown> {
    const { list, capabilities } = this.#parts;
    if (!list.isTold || !(error instanceof MediaError)) return error;
    const around = alignOut(range, capabilities.clearUnit);
    await list.sync(around);
    const listed = this.error(range, error.message.replace(/^EIO: /, ""));
    return listed.ranges.length === 0 ? error : listed;
  }

  /** @throws {MediaError} if a bad unit is covered in part, and the write is no recovery */
  checkWhole(range: ByteRange): void {
    const { clearUnit } = this.#parts.capabilities;
    if (this.#cutUnits(range, clearUnit).length === 0) return;
    throw this.error(
      range,
      `a write of whole clear units of ${clearUnit} bytes, or in recovery mode, heals`,
    );
  }

  /** Bad units of which a write has a part only. */
  #cutUnits(range: ByteRange, unit: number): ByteRange[] {
    const { size } = this.#parts.session.found;
    return this.#parts.list.inTheWay(range, this.unit).filter((bad) => {
      const units = alignOut(bad, unit);
      return units.offset < range.offset || Math.min(endOf(units), size) > endOf(range);
    });
  }

  /** Heals writes one by one; of a foreign server those that touch together, because its blocks may be larger than they say. */
  async all(writes: readonly HealWrite[]): Promise<readonly (Error | undefined)[]> {
    const results = new Map<HealWrite, Error | undefined>();
    for (const run of this.#runs(writes)) {
      const joined = run.length > 1 ? joinedWrite(run) : undefined;
      if (joined !== undefined && (await this.one(joined)) === undefined) continue;
      for (const write of run) results.set(write, await this.one(write));
    }
    return writes.map((write) => results.get(write));
  }

  #runs(writes: readonly HealWrite[]): HealWrite[][] {
    const sorted = [...writes].sort((one, other) => one.offset - other.offset);
    const runs: HealWrite[][] = [];
    for (const write of sorted) {
      const run = runs.at(-1);
      const last = run?.at(-1);
      const touches = last !== undefined && last.offset + last.data.length === write.offset;
      if (run !== undefined && touches && !this.#parts.list.isTold) run.push(write);
      else runs.push([write]);
    }
    return runs;
  }

  /** @returns why it is still bad, or `undefined`; what is no failure of media is thrown */
  async one(write: HealWrite): Promise<MediaError | undefined> {
    try {
      if (this.#parts.list.isTold) await this.#throughServer(write);
      else await this.#overwrite(write);
      return undefined;
    } catch (error) {
      if (error instanceof MediaError) return error;
      throw error;
    }
  }

  /** The server does it; what it says afterwards is what is so. */
  async #throughServer({ offset, data }: HealWrite): Promise<void> {
    const { list, writer, recovery, capabilities } = this.#parts;
    const range = { offset, length: data.length };
    // The other face does as Linux' block devices do: what it wrote before it failed stays written.
    const hand = recovery === undefined ? writer : await recovery();
    try {
      // What is bad first: where it does not heal, nothing beside it has changed.
      for (const part of this.#badFirst(range)) {
        const from = part.offset - offset;
        await hand.writeDurably(data.subarray(from, from + part.length), part.offset);
      }
    } catch (error) {
      throw await this.#explained(error, range);
    }
    list.healed(range);
    await list.sync(alignOut(range, capabilities.clearUnit));
    if (list.inTheWay(range, 1).length > 0)
      throw this.error(range, "the server took the write, and still lists the range");
  }

  /** A range in parts: the clear units in it that are bad, and then the rest. */
  #badFirst(range: ByteRange): ByteRange[] {
    const units = new RangeSet();
    for (const bad of this.#parts.list.inTheWay(range, 1)) {
      const part = intersect(alignOut(bad, this.#parts.capabilities.clearUnit), range);
      if (part !== undefined) units.add(part.offset, part.length);
    }
    return [...units, ...units.gaps(range.offset, range.length)];
  }

  async #overwrite({ offset, data }: HealWrite): Promise<void> {
    const { list, writer, reader, capabilities } = this.#parts;
    const range = { offset, length: data.length };
    const reach = list.inTheWay(range, this.unit);
    if (reach.some((bad) => bad.offset < range.offset || endOf(bad) > endOf(range)))
      throw this.error(
        range,
        `units of ${capabilities.clearUnit} bytes fail and heal as a whole, and there is no data for the rest of what is bad in one`,
      );
    await writer.writeDurably(data, offset);
    const back = new Uint8Array(data.length);
    const missing = await reader.fetch(back, offset);
    if (missing.length > 0) list.found(await reader.narrow(missing, { bytes: back, offset }));
    if (Buffer.compare(back, data) !== 0)
      throw this.error(range, "what was written does not come back");
    list.healed(range);
    list.ledger.sync();
  }

  /** Ends poison without data: lost before anything is written, and a marker in its place. */
  async clear(range: ByteRange): Promise<void> {
    const { list, writer, session, capabilities } = this.#parts;
    const { clearUnit } = capabilities;
    const { uri } = session.address;
    const end = endOf(range);
    if (range.offset % clearUnit !== 0 || (end % clearUnit !== 0 && end !== session.found.size))
      throw new RangeError(
        `Cannot clear: want whole clear units of ${clearUnit} bytes: got offset ${range.offset}, length ${range.length}`,
      );
    if (list.isTold)
      throw new StorageError(
        "EOPNOTSUPP",
        `Cannot clear on ${uri}: NBD has no word for it; clear where the image is`,
        { path: uri, syscall: "clear" },
      );
    const before = [...list.view.states(range)];
    list.ledger.needStore();
    list.ledger.mark(inState([range], "lost"));
    list.ledger.sync();
    try {
      const bytes = new Uint8Array(Math.min(MARKER_PIECE, range.length));
      for (let at = range.offset; at < end; at += MARKER_PIECE) {
        const piece = bytes.subarray(0, Math.min(MARKER_PIECE, end - at));
        fillMarker(piece, at);
        await writer.writeDurably(piece, at);
      }
    } catch (error) {
      if (!(error instanceof MediaError)) throw error;
      // What was bad is what it was; what was good may be gone.
      list.ledger.mark(before.filter(({ state }) => state === "poisoned"));
      throw error;
    }
  }

  /** A failure that names what is bad. */
  error(range: ByteRange, wish: string): MediaError {
    const { list, session } = this.#parts;
    const { uri } = session.address;
    const whole = { offset: 0, length: session.found.size };
    const reach = intersect(alignOut(range, this.unit), whole) ?? range;
    const ranges = [...list.view.bad(reach)];
    const at = ranges[0]?.offset ?? range.offset;
    return new MediaError(`Cannot write ${uri}: bad at offset ${at}: ${wish}`, {
      device: uri,
      path: uri,
      syscall: "write",
      ranges,
    });
  }
}

function joinedWrite(run: readonly HealWrite[]): HealWrite | undefined {
  const first = run[0];
  return first === undefined
    ? undefined
    : { offset: first.offset, data: Buffer.concat(run.map(({ data }) => data)) };
}
