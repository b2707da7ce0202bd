/**
 * gather(): a range put together from the legs that are fresh there: what one does not give is asked of the next, piece by piece, so that legs
 * that are bad at different units make a whole. A leg is asked once for a piece, whatever comes of it: reads are bounded.
 *
 * "failFast" is one plain attempt a leg: each goes on where the one before it stopped, and nobody goes back.
 */
import {
  endOf,
  isPromise,
  StorageError,
  type BadRange,
  type ByteRange,
  type MaybePromise,
} from "../../base/index.ts";
import { thoroughMode, type AccessMode, type ReadResult } from "../../device/index.ts";
import { after } from "../after.ts";
import { inTurn } from "../in-turn.ts";
import type { Copies, FreshRun, MirrorLeg } from "./copies.ts";
import { worse } from "./mirror-poison.ts";

/** What is read. */
export interface GatherRequest {
  readonly into: Uint8Array;
  /** Address in the mirror. */
  readonly offset: number;
  readonly mode: AccessMode;
  /** A leg that is not asked. @default all are */
  readonly except?: MirrorLeg;
  /** What the first leg answered already for all of it. @default it is asked */
  readonly first?: MaybePromise<ReadResult> | undefined;
}

/** Bytes that a leg named as bad. */
export interface LegFault extends BadRange {
  readonly leg: MirrorLeg;
}

/** What a read got. */
export interface Gathered {
  /** What no leg gave, ascending, not joined. */
  readonly missing: readonly BadRange[];
  /** What legs named as bad, whether another gave it or not. */
  readonly faults: readonly LegFault[];
}

/** A piece that is still wanted, and why the legs before did not give it. */
interface Piece extends ByteRange {
  readonly state: BadRange["state"] | undefined;
}

/**
 * Reads from the legs.
 *
 * @throws {StorageError} if no leg gives a byte and one has failed: that one's failure
 */
export function gather(copies: Copies, request: GatherRequest): MaybePromise<Gathered> {
  return new Gathering(copies, request).run();
}

class Gathering {
  readonly #copies: Copies;
  readonly #request: GatherRequest;
  readonly #missing: BadRange[] = [];
  readonly #faults: LegFault[] = [];
  #first: MaybePromise<ReadResult> | undefined;
  #failure: StorageError | undefined;

  constructor(copies: Copies, request: GatherRequest) {
    this.#copies = copies;
    this.#request = request;
    this.#first = request.first;
  }

  run(): MaybePromise<Gathered> {
    const { offset, into } = this.#request;
    const range = { offset, length: into.length };
    const runs = [...this.#copies.runs(range)];
    return after(
      inTurn(runs, (run) => this.#readRun(run)),
      () => this.#result(into.length),
    );
  }

  #result(length: number): Gathered {
    const missing = this.#missing.reduce((sum, part) => sum + part.length, 0);
    if (this.#failure !== undefined && missing === length) throw this.#failure;
    return { missing: this.#missing, faults: this.#faults };
  }

  #readRun(run: FreshRun): MaybePromise<void> {
    const { except, mode } = this.#request;
    let wanted: readonly Piece[] = [{ offset: run.offset, length: run.length, state: undefined }];
    const stopped = mode === "failFast" && this.#missing.length > 0;
    const done = inTurn(stopped ? [] : run.legs, (leg) => {
      if (leg === except || wanted.length === 0) return undefined;
      const left: Piece[] = [];
      return after(
        inTurn(wanted, (piece) => this.#readPiece(leg, piece, left)),
        () => {
          wanted = left;
        },
      );
    });
    return after(done, () => {
      for (const { offset, length, state = "unread" } of wanted)
        this.#missing.push({ offset, length, state });
    });
  }

  #readPiece(leg: MirrorLeg, piece: Piece, left: Piece[]): MaybePromise<void> {
    const note = ({ missing }: ReadResult): void => this.#note(leg, { piece, missing, left });
    const failed = (error: unknown): void => {
      if (!(error instanceof StorageError)) throw error;
      this.#failure ??= error;
      left.push({ ...piece, state: "unread" });
    };
    try {
      const answer = this.#ask(leg, piece);
      return isPromise(answer) ? answer.then(note, failed) : note(answer);
    } catch (error) {
      return failed(error);
    }
  }

  #ask(leg: MirrorLeg, { offset, length }: ByteRange): MaybePromise<ReadResult> {
    const given = this.#first;
    this.#first = undefined;
    if (given !== undefined) return given;
    const { into, mode } = this.#request;
    const start = offset - this.#request.offset;
    const how = mode === "recovery" ? thoroughMode(leg.device) : mode;
    return leg.device.read(into.subarray(start, start + length), leg.offset + offset, how);
  }

  /** What a leg did not give of a piece is wanted of the next. */
  #note(
    leg: MirrorLeg,
    answer: {
      readonly piece: Piece;
      readonly missing: readonly BadRange[];
      readonly left: Piece[];
    },
  ): void {
    const { piece, missing, left } = answer;
    const reason = (state: BadRange["state"]): BadRange["state"] =>
      piece.state === undefined ? state : worse(piece.state, state);
    for (const { offset, length, state } of missing) {
      const place = { offset: offset - leg.offset, length };
      if (state !== "unread") this.#faults.push({ ...place, state, leg });
      if (this.#request.mode === "failFast") {
        left.push({ ...place, length: endOf(piece) - place.offset, state: "unread" });
        return;
      }
      left.push({ ...place, state: reason(state) });
    }
  }
}
