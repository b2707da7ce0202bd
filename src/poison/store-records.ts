/** store-records: what a frame of a sidecar says, as a closed set of records, to bytes and back. */
import type { ByteRange } from "../base/index.ts";
import type { PoisonState } from "./poison-list.ts";
import type { FaultChange, FaultKind, Intent } from "./poison-store.ts";
import {
  decodeEntries,
  EntryWriter,
  ENTRY,
  getNumber,
  putNumber,
  viewOf,
  type Entry,
} from "./store-format.ts";

const SETTINGS = 1;
const STATES = 2;
const FAULTS = 3;
const INTENT_BEGIN = 4;
const INTENT_END = 5;
const GENERATION = 6;
const CLOSED = 7;

const RECORD_HEADER = 8;
const STATE_NAMES: readonly PoisonState[] = ["clean", "unread", "poisoned", "lost"];
const FAULT_NAMES: readonly FaultKind[] = ["poison", "transient", "refuses", "partial", "slow"];

/** A range with its new state. */
export type StateChange = ByteRange & { readonly state: PoisonState };

/** One record. Ranges come as iterables, because a record may hold millions of them. */
export type StoreRecord =
  | { readonly kind: "settings"; readonly settings: Readonly<Record<string, unknown>> }
  | { readonly kind: "states"; readonly changes: Iterable<StateChange> }
  | { readonly kind: "faults"; readonly changes: Iterable<FaultChange> }
  | { readonly kind: "intentBegin"; readonly id: number; readonly intent: Intent }
  | { readonly kind: "intentEnd"; readonly id: number; readonly changes: Iterable<StateChange> }
  | { readonly kind: "generation"; readonly generation: number }
  | { readonly kind: "closed" };

function record(type: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const bytes = new Uint8Array(RECORD_HEADER + length);
  const view = viewOf(bytes);
  view.setUint32(0, type, true);
  view.setUint32(4, length, true);
  let at = RECORD_HEADER;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

function number(value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  putNumber(viewOf(bytes), 0, value);
  return bytes;
}

/** The tag of a state in an entry. */
export function stateTag(state: PoisonState): number {
  return STATE_NAMES.indexOf(state);
}

/** The tag of a fault change in an entry. */
export function faultTag(change: FaultChange): number {
  return FAULT_NAMES.indexOf(change.kind) * 2 + Number(change.on);
}

/** Every kind of fault, in the order of their tags. */
export const FAULT_KINDS: readonly FaultKind[] = FAULT_NAMES;

/** A record of settings: plain JSON. */
export function encodeSettings(settings: Readonly<Record<string, unknown>>): Uint8Array {
  return record(SETTINGS, Buffer.from(JSON.stringify(settings)));
}

/** A record of state marks, from entries tagged with `stateTag`. */
export function encodeStates(entries: Uint8Array): Uint8Array {
  return record(STATES, entries);
}

/** A record of fault changes, from entries tagged with `faultTag`. */
export function encodeFaults(entries: Uint8Array): Uint8Array {
  return record(FAULTS, entries);
}

/** The begin of an intent: id, count of lost and of kept ranges, their entries, then the kept bytes one after another. */
export function encodeIntentBegin(id: number, intent: Intent): Uint8Array {
  const lost = new EntryWriter();
  for (const range of intent.lost) lost.add(range.offset, range.length, 0);
  const kept = new EntryWriter();
  // Alternating tags keep touching pieces apart: each has its own bytes.
  intent.keep.forEach((piece, index) => kept.add(piece.offset, piece.data.length, index % 2));
  const counts = new Uint8Array(8);
  viewOf(counts).setUint32(0, lost.count, true);
  viewOf(counts).setUint32(4, kept.count, true);
  return record(
    INTENT_BEGIN,
    number(id),
    counts,
    lost.bytes,
    kept.bytes,
    ...intent.keep.map((piece) => piece.data),
  );
}

/** The end of an intent with the new states of its ranges. */
export function encodeIntentEnd(id: number, changes: Iterable<StateChange>): Uint8Array {
  const entries = new EntryWriter();
  for (const change of changes) entries.add(change.offset, change.length, stateTag(change.state));
  return record(INTENT_END, number(id), entries.bytes);
}

/** The generation, absolute. */
export function encodeGeneration(generation: number): Uint8Array {
  return record(GENERATION, number(generation));
}

/** Says that the store was closed in order: the last frame of a file carries no state that damage to it could take. */
export function encodeClosed(): Uint8Array {
  return record(CLOSED);
}

function* stateChanges(entries: Iterable<Entry>): Generator<StateChange> {
  for (const { offset, length, tag } of entries) {
    const state = STATE_NAMES[tag];
    if (state === undefined) throw new RangeError(`want a state from 0 to 3: got ${tag}`);
    yield { offset, length, state };
  }
}

function* faultChanges(entries: Iterable<Entry>): Generator<FaultChange> {
  for (const { offset, length, tag } of entries) {
    const kind = FAULT_NAMES[Math.floor(tag / 2)];
    if (kind === undefined)
      throw new RangeError(`want a fault from 0 to ${FAULT_NAMES.length * 2 - 1}: got ${tag}`);
    yield { offset, length, kind, on: tag % 2 === 1 };
  }
}

function decodeId(body: Uint8Array): number {
  const id = body.length < 8 ? undefined : getNumber(viewOf(body), 0);
  // Half of what a number holds: ids and generations go on growing from what is read here.
  if (id === undefined || id > 2 ** 52)
    throw new RangeError("want a number of at most 2^52: got more, or none");
  return id;
}

function decodeIntentBegin(body: Uint8Array, size: number): StoreRecord {
  const id = decodeId(body);
  if (body.length < 16)
    throw new RangeError(`want an intent of 16 bytes or more: got ${body.length}`);
  const lostEnd = 16 + viewOf(body).getUint32(8, true) * ENTRY;
  const keepEnd = lostEnd + viewOf(body).getUint32(12, true) * ENTRY;
  if (keepEnd > body.length)
    throw new RangeError(`want an intent of ${keepEnd} bytes: got ${body.length}`);
  const lost = Array.from(
    decodeEntries(body.subarray(16, lostEnd), size),
    ({ offset, length }) => ({ offset, length }),
  );
  let at = keepEnd;
  const keep = Array.from(
    decodeEntries(body.subarray(lostEnd, keepEnd), size),
    ({ offset, length }) => {
      if (at + length > body.length)
        throw new RangeError(`want ${length} kept bytes: got ${body.length - at}`);
      at += length;
      return { offset, data: body.slice(at - length, at) };
    },
  );
  return { kind: "intentBegin", id, intent: { lost, keep } };
}

function decodeSettings(body: Uint8Array): StoreRecord {
  const value: unknown = JSON.parse(Buffer.from(body).toString("utf8"));
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new RangeError("want settings as an object: got another value");
  }
  return { kind: "settings", settings: value as Record<string, unknown> };
}

function decodeRecord(type: number, body: Uint8Array, size: number): StoreRecord {
  switch (type) {
    case SETTINGS:
      return decodeSettings(body);
    case STATES:
      return { kind: "states", changes: stateChanges(decodeEntries(body, size)) };
    case FAULTS:
      return { kind: "faults", changes: faultChanges(decodeEntries(body, size)) };
    case INTENT_BEGIN:
      return decodeIntentBegin(body, size);
    case INTENT_END:
      return {
        kind: "intentEnd",
        id: decodeId(body),
        changes: stateChanges(decodeEntries(body.subarray(8), size)),
      };
    case GENERATION:
      return { kind: "generation", generation: decodeId(body) };
    case CLOSED:
      return { kind: "closed" };
    default:
      throw new RangeError(`want a record of type ${SETTINGS} to ${CLOSED}: got ${type}`);
  }
}

/**
 * The records of a payload, one by one.
 *
 * @param size bytes of the image: no range may end past it
 * @throws {RangeError} or `SyntaxError` saying what is wrong, while it is read; the ranges of a record are read only as they are used
 */
export function* decodeRecords(payload: Uint8Array, size: number): Generator<StoreRecord> {
  let at = 0;
  while (at < payload.length) {
    const header = payload.subarray(at, at + RECORD_HEADER);
    if (header.length < RECORD_HEADER)
      throw new RangeError("want a whole record: got its first bytes");
    const length = viewOf(header).getUint32(4, true);
    const body = payload.subarray(at + RECORD_HEADER, at + RECORD_HEADER + length);
    if (body.length < length)
      throw new RangeError(`want a record of ${length} bytes: got ${body.length}`);
    yield decodeRecord(viewOf(header).getUint32(0, true), body, size);
    at += RECORD_HEADER + length;
  }
}
