/**
 * sidecar: the PoisonStore in a file beside the image, and the same store without a file for a device in memory.
 *
 * Every durable step is one frame (store-log.ts): what was marked before it, and the step itself. What is marked waits in memory for the
 * next step; where that grows too large to keep, the next step writes the whole state anew instead of a frame.
 * The order inside a step is disk first, memory second, so a step that throws has changed neither: only marks, which promise
 * nothing before `sync`, are in memory at once.
 */
import { checkRange, StorageError, type ByteRange } from "../base/index.ts";
import type { HostFiles } from "../os/index.ts";
import type { PoisonList } from "./poison-list.ts";
import type { FaultChange, Intent, PoisonStore } from "./poison-store.ts";
import { ENTRY, EntryWriter, MAX_PAYLOAD } from "./store-format.ts";
import { corrupt, StoreLog } from "./store-log.ts";
import {
  decodeRecords,
  encodeClosed,
  encodeFaults,
  encodeGeneration,
  encodeIntentBegin,
  encodeIntentEnd,
  encodeSettings,
  encodeStates,
  faultTag,
  stateTag,
  type StateChange,
} from "./store-records.ts";
import { MAX_OPEN_INTENTS, StoreState } from "./store-state.ts";

/** Bytes of waiting marks from which on a sync writes the whole state anew. */
const MAX_WAITING = 16 * 1024 * 1024;
/** Entries of one frame of a whole state. */
const SNAPSHOT_ENTRIES = 65_536;
/** A log is written anew once it is this many bytes, and this many times what it was when it was last written anew. */
const COMPACT_BYTES = 1024 * 1024;
const COMPACT_GROWTH = 3;

/** What a store is created with. */
export interface CreateStoreOptions {
  /** Path of the sidecar: `sidecarPath(image)`, or one in the state directory for a real device. */
  readonly path: string;
  /** Bytes of the image. */
  readonly size: number;
  /** Settings of the device, plain JSON. @default {} */
  readonly settings?: Readonly<Record<string, unknown>>;
}

/** How a store is opened. */
export interface OpenStoreOptions {
  /** Path of the sidecar. */
  readonly path: string;
  /** Bytes of the image as it is now. */
  readonly size: number;
  /** "write" locks it alone; "read" shares it with other readers, and notes made then are forgotten. @default "read" */
  readonly access?: "read" | "write";
}

/** The sidecar of an image: the same name with `.theriac` after it. */
export function sidecarPath(image: string): string {
  return `${image}.theriac`;
}

/**
 * Makes the sidecar of an image, every byte unread, and opens it for writing. Durable on return.
 *
 * @throws {StorageError} EEXIST if there is one; what the files throw
 */
export function createPoisonStore(files: HostFiles, options: CreateStoreOptions): PoisonStore {
  const state = new StoreState(options.size);
  state.settings = structuredClone(options.settings ?? {});
  const uuid = crypto.randomUUID();
  const payloads = snapshot(state);
  const log = StoreLog.create(files, {
    path: options.path,
    identity: { size: options.size, uuid },
    payloads,
  });
  return new Sidecar(state, { uuid, log, readOnly: false });
}

/**
 * Opens the sidecar of an image. Intents that a crash left open are told, and their ranges are lost in the list.
 *
 * @throws {StorageError} ENOENT; EBUSY if it is locked against us; EBADMSG if it is damaged, naming it and the offset;
 *   ESTALE if the image is not of the size that the sidecar is for
 */
export function openPoisonStore(files: HostFiles, options: OpenStoreOptions): PoisonStore {
  const { path, size, access = "read" } = options;
  const log = StoreLog.open(files, path, access);
  try {
    if (log.identity.size !== size) {
      const message = `Cannot use ${path}: want the image it was made for, of ${log.identity.size} bytes: got one of ${size} bytes`;
      throw new StorageError("ESTALE", message, { path });
    }
    const { state, inOrder } = replay(log);
    if (access === "write") {
      log.cutTail();
      // After a session that ended badly nobody knows which frames are on the disk and which only in the page cache: a sync that
      // failed has forgotten its pages. A new log makes all that was read durable before anything stands on it.
      if (!inOrder) log.replace(snapshot(state));
    }
    return new Sidecar(state, { uuid: log.identity.uuid, log, readOnly: access === "read" });
  } catch (error) {
    log.close();
    throw error;
  }
}

/** A store without a file, for a device whose bytes live no longer than the process: its promises of durability are empty. */
export function createMemoryStore(options: Omit<CreateStoreOptions, "path">): PoisonStore {
  const state = new StoreState(options.size);
  state.settings = structuredClone(options.settings ?? {});
  return new Sidecar(state, { uuid: crypto.randomUUID(), log: undefined, readOnly: false });
}

function replay(log: StoreLog): { readonly state: StoreState; readonly inOrder: boolean } {
  const state = new StoreState(log.identity.size);
  let inOrder = false;
  for (const { offset, payload } of log.replay()) {
    try {
      for (const record of decodeRecords(payload, log.identity.size)) {
        state.apply(record);
        inOrder = record.kind === "closed";
      }
    } catch (error) {
      // A whole frame of ours never says nonsense: another program wrote it.
      throw corrupt(log.path, offset, (error as Error).message);
    }
  }
  if (state.settings === undefined)
    throw corrupt(log.path, log.length, "want the settings of the device: got none");
  return { state, inOrder };
}

/** The whole state as payloads: settings, generation, open intents, then states and faults. */
function* snapshot(state: StoreState): Generator<readonly Uint8Array[]> {
  yield [encodeSettings(state.settings ?? {}), encodeGeneration(state.generation)];
  yield* entryFrames(stateEntries(state), encodeStates);
  yield* entryFrames(faultEntries(state), encodeFaults);
  for (const [id, { intent }] of state.intents) yield [encodeIntentBegin(id, intent)];
  // Last, a frame without content: damage to any before it is then told from a crash.
  yield [encodeClosed()];
}

function* stateEntries(state: StoreState): Generator<ByteRange & { tag: number }> {
  const { list } = state;
  for (const part of list.states({ offset: 0, length: list.size })) {
    if (part.state !== "unread")
      yield { offset: part.offset, length: part.length, tag: stateTag(part.state) };
  }
}

function* faultEntries(state: StoreState): Generator<ByteRange & { tag: number }> {
  for (const fault of state.faults())
    yield { offset: fault.offset, length: fault.length, tag: faultTag(fault) };
}

function* entryFrames(
  entries: Iterable<ByteRange & { tag: number }>,
  encode: (entries: Uint8Array) => Uint8Array,
): Generator<readonly Uint8Array[]> {
  const writer = new EntryWriter();
  for (const { offset, length, tag } of entries) {
    writer.add(offset, length, tag);
    if (writer.count < SNAPSHOT_ENTRIES) continue;
    yield [encode(writer.bytes)];
    writer.clear();
  }
  if (writer.count > 0) yield [encode(writer.bytes)];
}

interface SidecarParts {
  readonly uuid: string;
  /** Absent where nothing is to last. */
  readonly log: StoreLog | undefined;
  readonly readOnly: boolean;
}

class Sidecar implements PoisonStore {
  readonly uuid: string;
  readonly readOnly: boolean;
  readonly #state: StoreState;
  readonly #log: StoreLog | undefined;
  readonly #states = new EntryWriter();
  readonly #faults = new EntryWriter();
  #generationWaits = false;
  #bumped = false;
  /** Whether more was noted than waiting lists keep: the next step writes everything. */
  #overflowed = false;
  #wrote = false;
  #closed = false;
  /** Bytes of the log when it was last written anew. */
  #compactLength: number;

  constructor(state: StoreState, parts: SidecarParts) {
    this.#state = state;
    this.#log = parts.log;
    this.uuid = parts.uuid;
    this.readOnly = parts.readOnly;
    this.#compactLength = parts.log?.length ?? 0;
  }

  get list(): PoisonList {
    return this.#state.list;
  }

  get generation(): number {
    return this.#state.generation;
  }

  get settings(): Readonly<Record<string, unknown>> {
    return this.#state.settings ?? {};
  }

  get openIntents(): readonly { readonly id: number; readonly intent: Intent }[] {
    return Array.from(this.#state.intents, ([id, { intent }]) => ({ id, intent }));
  }

  faults(): Iterable<FaultChange> {
    return this.#state.faults();
  }

  mark(changes: readonly StateChange[]): void {
    this.#check();
    for (const change of changes) checkRange(change, this.list.size);
    this.#state.mark(changes);
    // Replay holds back what an open intent holds just as `mark` did, so the changes are noted as they came.
    for (const { offset, length, state } of changes)
      this.#note(this.#states, { offset, length, tag: stateTag(state) });
  }

  setFault(change: FaultChange): void {
    this.#check();
    checkRange(change, this.list.size);
    this.#state.setFault(change);
    this.#note(this.#faults, {
      offset: change.offset,
      length: change.length,
      tag: faultTag(change),
    });
  }

  beginIntent(intent: Intent): number {
    this.#checkWritable();
    for (const range of intent.lost) checkRange(range, this.list.size);
    for (const piece of intent.keep)
      checkRange({ offset: piece.offset, length: piece.data.length }, this.list.size);
    if (this.#state.intents.size >= MAX_OPEN_INTENTS) {
      throw new RangeError(
        `Cannot begin intent: want at most ${MAX_OPEN_INTENTS} open ones: got one more`,
      );
    }
    const id = this.#state.nextIntent;
    // The caller may use its buffers again; ours are kept until the end.
    const kept = {
      lost: intent.lost.map(({ offset, length }) => ({ offset, length })),
      keep: intent.keep.map(({ offset, data }) => ({ offset, data: data.slice() })),
    };
    this.#step(encodeIntentBegin(id, kept));
    this.#state.begin(id, kept);
    return id;
  }

  endIntent(id: number, changes: readonly StateChange[]): void {
    this.#checkWritable();
    for (const change of changes) checkRange(change, this.list.size);
    if (!this.#state.intents.has(id))
      throw new RangeError(`Cannot end intent: want an open one: got ${id}`);
    this.#step(encodeIntentEnd(id, changes));
    this.#state.end(id, changes);
    this.#compactWhereWorth();
  }

  bumpGeneration(): void {
    this.#checkWritable();
    if (this.#bumped) return;
    this.#bumped = true;
    this.#state.generation += 1;
    this.#generationWaits = true;
  }

  sync(): void {
    this.#check();
    if (this.#waits) this.#step();
    this.#compactWhereWorth();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    try {
      this.#log?.checkHealthy();
      if (this.#waits) this.#step();
      this.#compactWhereWorth();
      if (this.#wrote) this.#appendClosed();
    } finally {
      this.#log?.close();
    }
  }

  #appendClosed(): void {
    try {
      this.#log?.append([encodeClosed()]);
    } catch (error) {
      // On a full disk the store does without: everything that was promised is durable already.
      if (!(error instanceof StorageError && this.#log?.healthy)) throw error;
    }
  }

  get #waits(): boolean {
    return (
      this.#overflowed || this.#generationWaits || this.#states.count > 0 || this.#faults.count > 0
    );
  }

  #check(): void {
    if (this.#closed)
      throw new StorageError("EIO", "Cannot use the list of an image after it was closed");
    this.#log?.checkHealthy();
  }

  #checkWritable(): void {
    this.#check();
    if (this.readOnly)
      throw new StorageError(
        "EACCES",
        `Cannot write ${this.#log?.path}: want it open for writing: got read-only`,
      );
  }

  /** Notes an entry for the next step; too many of them are dropped, because memory knows them all. */
  #note(writer: EntryWriter, entry: ByteRange & { tag: number }): void {
    if (this.#log === undefined || this.readOnly || this.#overflowed) return;
    if (entry.length > 0) writer.add(entry.offset, entry.length, entry.tag);
    if ((this.#states.count + this.#faults.count) * ENTRY > MAX_WAITING) {
      this.#overflowed = true;
      this.#states.clear();
      this.#faults.clear();
    }
  }

  /** Makes all that waits, and the last record, durable in one frame. */
  #step(last?: Uint8Array): void {
    if (this.#log === undefined || this.readOnly) return;
    if (last !== undefined && last.length > MAX_PAYLOAD - MAX_WAITING - ENTRY * ENTRY) {
      throw new RangeError(
        `Cannot note intent: want at most ${MAX_PAYLOAD - MAX_WAITING} bytes: got ${last.length}; split the write`,
      );
    }
    if (this.#overflowed) this.#compact();
    const records: Uint8Array[] = [];
    if (this.#states.count > 0) records.push(encodeStates(this.#states.bytes));
    if (this.#faults.count > 0) records.push(encodeFaults(this.#faults.bytes));
    if (this.#generationWaits) records.push(encodeGeneration(this.#state.generation));
    if (last !== undefined) records.push(last);
    if (records.length > 0) this.#log.append(records);
    this.#wrote = true;
    this.#forgetWaiting();
  }

  #forgetWaiting(): void {
    if (this.#states.count > 0) this.#states.clear();
    if (this.#faults.count > 0) this.#faults.clear();
    this.#generationWaits = false;
    this.#overflowed = false;
  }

  #compactWhereWorth(): void {
    if (this.#log === undefined || this.readOnly) return;
    if (this.#log.length < Math.max(COMPACT_BYTES, COMPACT_GROWTH * this.#compactLength)) return;
    try {
      this.#compact();
    } catch (error) {
      // The old log says it all and goes on; only a failed log must be heard of.
      if (!(error instanceof StorageError && this.#log.healthy)) throw error;
      this.#compactLength = this.#log.length;
    }
  }

  #compact(): void {
    this.#log?.replace(snapshot(this.#state));
    this.#compactLength = this.#log?.length ?? 0;
    this.#wrote = true;
    this.#forgetWaiting();
  }
}
