/**
 * transport: a socket to a server, plain or encrypted, within a time limit.
 *
 * TLS begins in the middle of a connection (STARTTLS). What a server sent before it, and nobody asked for, is refused: it would pass as
 * encrypted.
 */
import { existsSync, readFileSync } from "node:fs";
import { connect as connectSocket, type Socket } from "node:net";
import { userInfo } from "node:os";
import { join } from "node:path";
import { connect as connectTls, type ConnectionOptions } from "node:tls";
import { StorageError } from "../../base/index.ts";
import { hostError } from "../../os/index.ts";
import { ByteStream, connectionError } from "./byte-stream.ts";
import { protocolError } from "./pending-reply.ts";
import type { NbdAddress, NbdTls } from "./uri.ts";

/** Opens a socket. @throws {StorageError} ECONNREFUSED, ENOENT of a Unix socket, EHOSTUNREACH, EACCES */
export async function openSocket(address: NbdAddress): Promise<Socket> {
  const { host, port, socket: path } = address;
  const socket =
    path === undefined ? connectSocket({ host, port, noDelay: true }) : connectSocket({ path });
  await new Promise<void>((resolve, reject) => {
    const onError = (error: Error): void => reject(connectionError(error));
    socket.once("error", onError).once("connect", () => {
      socket.off("error", onError);
      resolve();
    });
  });
  return socket;
}

/**
 * Encrypts a connection whose server has agreed to it.
 *
 * @throws {StorageError} EACCES where one side does not trust the other; what reading certificates throws
 */
export async function secure(
  stream: ByteStream,
  address: NbdAddress,
  tls: NbdTls,
): Promise<ByteStream> {
  if (stream.detach().length > 0) throw protocolError("plain bytes behind the agreement on TLS");
  const socket = connectTls({ socket: stream.socket, ...optionsOf(address, tls) });
  // Whatever comes after the first failure has nobody to tell.
  socket.on("error", () => undefined);
  await new Promise<void>((resolve, reject) => {
    const onError = (error: Error): void => reject(tlsError(error));
    const onEnd = (): void => reject(tlsError(new Error("the server closed the connection")));
    socket
      .once("error", onError)
      .once("close", onEnd)
      .once("secureConnect", () => {
        socket.off("error", onError).off("close", onEnd);
        resolve();
      });
  });
  return new ByteStream(socket);
}

function tlsError(error: Error): StorageError {
  return new StorageError("EACCES", `Cannot agree on TLS: ${error.message}`, {
    syscall: "connect",
    cause: error,
  });
}

function optionsOf(address: NbdAddress, tls: NbdTls): ConnectionOptions {
  if (tls.pskFile !== undefined) return pskOptions(tls.pskFile, tls.user ?? userInfo().username);
  const host = tls.hostname ?? (address.socket === undefined ? address.host : undefined);
  if (host === undefined && tls.verifyPeer)
    throw new StorageError(
      "EINVAL",
      `Cannot check who answers at ${address.uri}: want tls-hostname=NAME, or tls-verify-peer=0`,
    );
  // A name in an address is no server name of TLS.
  const isName = host !== undefined && !/^[\d.]+$|:/.test(host);
  return {
    ...certificatesOf(tls.certificates),
    rejectUnauthorized: tls.verifyPeer,
    ...(host === undefined ? {} : { host }),
    ...(isName ? { servername: host } : {}),
    ...(tls.verifyPeer ? {} : { checkServerIdentity: () => undefined }),
  };
}

/** As libnbd has it: `ca-cert.pem`, `client-cert.pem` and `client-key.pem`. */
function certificatesOf(folder: string | undefined): ConnectionOptions {
  if (folder === undefined) return {};
  const read = (name: string): Buffer => readHost(join(folder, name));
  const ca = read("ca-cert.pem");
  if (!existsSync(join(folder, "client-cert.pem"))) return { ca };
  return { ca, cert: read("client-cert.pem"), key: read("client-key.pem") };
}

function pskOptions(file: string, user: string): ConnectionOptions {
  const text = readHost(file).toString("utf8");
  const line = text.split("\n").find((one) => one.startsWith(`${user}:`));
  const digits = line?.slice(user.length + 1).trim() ?? "";
  if (!/^([0-9a-f]{2})+$/i.test(digits))
    throw new StorageError("EINVAL", `Cannot use ${file}: want a line ${user}:HEX`, { path: file });
  const psk = Buffer.from(digits, "hex");
  return {
    pskCallback: () => ({ psk, identity: user }),
    ciphers: "PSK",
    checkServerIdentity: () => undefined,
  };
}

function readHost(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw hostError(error, "open", path);
  }
}
