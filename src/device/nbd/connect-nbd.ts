/**
 * connectNbd(): the work of `openNbd`. A Theriac server tells units and list of the device behind the export; of another server the unit is its
 * smallest block, at least a sector.
 */
import { PAGE, SECTOR, systemClock, type ByteRange } from "../../base/index.ts";
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
import { RemoteList, type RemoteListOptions } from "./remote-list.ts";
import { openSession, type NbdSession, type SessionOptions } from "./session.ts";
import type { OpenNbdOptions } from "./open-nbd.ts";
import { rememberedList, stateDirectory } from "./remembered-list.ts";
import { parseNbdUri, type NbdAddress } from "./uri.ts";
import { NbdWriter } from "./writer.ts";
import { ZeroMap } from "./zero-map.ts";

const RETRY_DELAYS_MS = [0, 200, 1000, 3000, 10_000];

/** As `openNbd`. */
export async function connectNbd(uri: string, options: OpenNbdOptions): Promise<NbdDevice> {
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

/** As `nbdSize`. */
export async function connectedSize(uri: string, options: OpenNbdOptions): Promise<number> {
  const session = await openSession(parseNbdUri(uri), sessionOptions(options));
  await session.close();
  return session.found.size;
}

function sessionOptions(options: OpenNbdOptions): SessionOptions {
  const { handshakeMs = 10_000, silenceMs = 60_000, retryDelaysMs = RETRY_DELAYS_MS } = options;
  return { handshakeMs, silenceMs, retryDelaysMs, clock: options.clock ?? systemClock };
}

/** The face that heals, of an export that may have been named by it. */
function recoverySession(address: NbdAddress, settings: SessionOptions): Promise<NbdSession> {
  const name = address.exportName;
  const exportName = name.endsWith(RECOVERY_SUFFIX) ? name : `${name}${RECOVERY_SUFFIX}`;
  return openSession({ ...address, exportName }, settings);
}

async function deviceOver(
  session: NbdSession,
  options: OpenNbdOptions,
  openRecovery: () => Promise<NbdSession>,
): Promise<NbdDevice> {
  const { found } = session;
  const readOnly = options.access !== "write" || (found.flags & NBD_EXPORT.READ_ONLY) !== 0;
  const ask = (range: ByteRange): Promise<BlockStatuses> => blockStatus(session, range);
  const asked = found.contexts.size > 0 && found.size > 0;
  const first: BlockStatuses = asked ? await ask({ offset: 0, length: found.size }) : new Map();
  const isTold = found.contexts.has(POISON_CONTEXT);
  const facts = isTold ? toldFacts(found, first) : foreignFacts(found);
  const unit = Math.max(facts.poisonUnit, found.minimum);
  const list = await listOf(session, options, { unit, ask: isTold ? ask : undefined });
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

/** The list of an export: the server's, or what the state directory remembers; and what was given with it. */
async function listOf(
  { address, found: { size } }: NbdSession,
  options: OpenNbdOptions,
  told: Pick<RemoteListOptions, "ask" | "unit">,
): Promise<RemoteList> {
  const { access = "read", stateDirectory: folder = stateDirectory() } = options;
  const remembered =
    told.ask === undefined ? rememberedList(address, { size, access, folder }) : {};
  const list = new RemoteList({ size, readOnly: access === "read", ...told, ...remembered });
  try {
    await list.sync({ offset: 0, length: size });
    if (options.poison !== undefined) list.takeGiven(options.poison);
    return list;
  } catch (error) {
    list.ledger.close();
    throw error;
  }
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
