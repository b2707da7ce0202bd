/**
 * openNbd(): a URI becomes a device. What it needs is loaded with the first of them: most commands open none, and sockets and TLS take their time.
 */
import type { Clock } from "../../base/index.ts";
import type { StateRange } from "../../poison/index.ts";
import type { ManagedDevice } from "../device.ts";

/** How an export is opened. */
export interface OpenNbdOptions {
  /**
   * "write" writes to an export that takes writes, and remembers in the state directory what is found bad; of one that takes none only that.
   *
   * @default "read"
   */
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
  /** Folder of the lists of exports of foreign servers. @default `$XDG_STATE_HOME/theriac`, else `~/.local/state/theriac` */
  readonly stateDirectory?: string;
}

/** A device over an export. */
export interface RemoteDevice extends ManagedDevice {
  /** Whether the server keeps the list, and tells it: what is marked here it never learns. */
  readonly isTold: boolean;
  /** Takes what a list says that came with it, of bytes that nobody has read. */
  takeGiven(list: Iterable<StateRange>): void;
}

/** Whether a device is one over an export. */
export function isRemoteDevice(device: object): device is RemoteDevice {
  return "takeGiven" in device;
}

/**
 * Opens an export.
 *
 * @throws {StorageError} EINVAL of the URI; ENOENT, EACCES, EPROTO of the handshake; ECONNREFUSED, EHOSTUNREACH, ETIMEDOUT of the connection;
 *   of its list in the state directory what `openPoisonStore` throws
 */
export async function openNbd(uri: string, options: OpenNbdOptions = {}): Promise<RemoteDevice> {
  const { connectNbd } = await import("./connect-nbd.ts");
  return connectNbd(uri, options);
}

/** Bytes of an export. @throws {StorageError} as `openNbd` */
export async function nbdSize(uri: string, options: OpenNbdOptions = {}): Promise<number> {
  const { connectedSize } = await import("./connect-nbd.ts");
  return connectedSize(uri, options);
}
