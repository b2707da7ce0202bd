/**
 * openNbd(): a URI becomes a device. A Theriac server tells units and list of the device behind the export; of another server the unit is its
 * smallest block, at least a sector.
 */
import {
  PAGE,
  SECTOR,
  StorageError,
  systemClock,
  type ByteRange,
  type Clock,
} from "../../base/index.ts";
import { importStates, type StateRange } from "../../poison/index.ts";
import { blockStatus, type BlockStatuses } from "./block-status.ts";
import type { NbdExport } from "./handshake.ts";
import { NbdDevice } from "./nbd-device.ts";
import {
  ALLOCATION_CONTEXT,
  DEVICE_CONTEXT,
  deviceFacts,
  POISON_CONTEXT,
  RECOVERY_SUFFIX,
  type DeviceFacts,
} from "./poison-context.ts";
import { NBD_EXPORT } from "./protocol.ts";
import { NbdReader } from "./reader.ts";
import { RemoteList } from "./remote-list.ts";
import { openSession, type NbdSession, type SessionOptions } from "./session.ts";
import { parseNbdUri, type NbdAddress } from "./uri.ts";
import { NbdWriter } from "./writer.ts";
import { ZeroMap } from "./zero-map.ts";

/** How an export is opened. */
export interface OpenNbdOptions {
  /** "write" wants an export that takes writes. @default "read" */
  readonly access?: "read" | "write";
  /** What a list that came with it says, of bytes that nobody has read. @default nothing */
  readonly poison?: Iterable<StateRange>;
  /** Clock of the pauses between new tries. @default the machine's */
  readonly clock?: Clock;
  /** Milliseconds until a server that was called has an export for us. @default 10,000 */
  readonly handshakeMs?: number;
  /** Milliseconds without a sign of life while something is asked. @default 60,000 */
  readonly silenceMs?: number;
  /** Milliseconds before each new try of a connection that was lost. @default 0, 200, 1000, 3000, 10,000 */
  readonly retryDelaysMs?: readonly number[];
}

const RETRY_DELAYS_MS = [0, 200, 1000, 3000, 10_000];

/**
 * Opens an export.
 *
 * @throws {StorageError} EINVAL of the URI; ENOENT, EACCES, EPROTO of the handshake; ECONNREFUSED, EHOSTUNREACH, ETIMEDOUT of the connection;
 *   EACCES where it is wanted for writing and takes none
 */
export async function openNbd(uri: string, options: OpenNbdOptions = {}): Promise<NbdDevice> {
  const address = parseNbdUri(uri);
  const settings = sessionOptions(options);
  const session = await openSession(address, settings);
  try {
    return await deviceOver(session, options, () => recoverySession(address, settings));
  } catch (error) {
    await session.close();
    throw error;
  }
}

/** Bytes of an export. @throws {StorageError} as `openNbd` */
export async function nbdSize(uri: string, options: OpenNbdOptions = {}): Promise<number> {
  const session = await openSession(parseNbdUri(uri), sessionOptions(options));
  await session.close();
  return session.found.size;
}

function sessionOptions(options: OpenNbdOptions): SessionOptions {
  const { handshakeMs = 10_000, silenceMs = 60_000, retryDelaysMs = RETRY_DELAYS_MS } = options;
  return { handshakeMs, silenceMs, retryDelaysMs, clock: options.clock ?? systemClock };
}

function recoverySession(address: NbdAddress, settings: SessionOptions): Promise<NbdSession> {
  return openSession(
    { ...address, exportName: `${address.exportName}${RECOVERY_SUFFIX}` },
    settings,
  );
}

async function deviceOver(
  session: NbdSession,
  options: OpenNbdOptions,
  openRecovery: () => Promise<NbdSession>,
): Promise<NbdDevice> {
  const { found } = session;
  const readOnly = isReadOnly(session, options);
  const ask = (range: ByteRange): Promise<BlockStatuses> => blockStatus(session, range);
  const whole = { offset: 0, length: found.size };
  const asked = found.contexts.size > 0 && found.size > 0;
  const first: BlockStatuses = asked ? await ask(whole) : new Map();
  const isTold = found.contexts.has(POISON_CONTEXT);
  const facts = isTold ? toldFacts(found, first) : foreignFacts(found);
  const unit = Math.max(facts.poisonUnit, found.minimum);
  const list = new RemoteList({ size: found.size, readOnly, ask: isTold ? ask : undefined, unit });
  await list.sync(whole);
  if (options.poison !== undefined) importStates(list.ledger.list, options.poison);
  const zeros = found.contexts.has(ALLOCATION_CONTEXT) ? new ZeroMap(found.size, ask) : undefined;
  zeros?.note(first);
  const reader = new NbdReader(session, unit);
  const recovery = isTold && facts.recovers && !readOnly ? lazyRecovery(openRecovery) : undefined;
  return new NbdDevice({
    session,
    capabilities: { ...facts, pageSize: PAGE, failedRead: isTold ? "cheap" : "costly", readOnly },
    list,
    zeros,
    reader,
    writer: new NbdWriter(session, reader),
    recovery: recovery?.writer,
    close: async () => {
      await recovery?.close();
      await session.close();
    },
  });
}

/** @throws {StorageError} EACCES where writing is wanted, and the export takes none */
function isReadOnly(session: NbdSession, { access }: OpenNbdOptions): boolean {
  if (access !== "write") return true;
  if ((session.found.flags & NBD_EXPORT.READ_ONLY) === 0) return false;
  const { uri } = session.address;
  const message = `Cannot write ${uri}: the server exports it for reading only`;
  throw new StorageError("EACCES", message, { path: uri, syscall: "open" });
}

/** A disk as far as anybody can tell: what fails is a block of the server's, or a sector, and a full write of it heals. */
function foreignFacts({ minimum }: NbdExport): DeviceFacts {
  const unit = Math.max(minimum, SECTOR);
  return {
    poisonUnit: unit,
    clearUnit: unit,
    clear: "overwrite",
    listsErrors: false,
    mediated: false,
    recovers: true,
  };
}

/** What a server that tells poison says of its device; where it says nothing, its block sizes are all there is. */
function toldFacts(found: NbdExport, statuses: BlockStatuses): DeviceFacts {
  const told = deviceFacts(statuses.get(DEVICE_CONTEXT)?.[0]?.flags ?? 0);
  if (told !== undefined) return told;
  return {
    ...foreignFacts(found),
    poisonUnit: found.minimum,
    clearUnit: Math.max(found.preferred, found.minimum),
  };
}

/** The second connection of a device, for its writes in recovery: opened when the first of them comes. */
function lazyRecovery(open: () => Promise<NbdSession>): {
  readonly writer: () => Promise<NbdWriter>;
  readonly close: () => Promise<void>;
} {
  let opening: Promise<NbdSession> | undefined;
  const writer = async (): Promise<NbdWriter> => {
    opening ??= open().catch((error: unknown) => {
      opening = undefined;
      throw error;
    });
    const session = await opening;
    return new NbdWriter(session, new NbdReader(session, session.found.minimum));
  };
  const close = async (): Promise<void> => {
    await (await opening)?.close();
  };
  return { writer, close };
}
