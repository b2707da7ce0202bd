/**
 * tls-credentials: what TLS is made with: certificates as GnuTLS programs keep them in a directory, or a file of pre-shared keys.
 *
 * File names and forms are those of nbdkit, QEMU and libnbd, so that one set of credentials serves all of them.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createSecureContext, TLSSocket, type TLSSocketOptions } from "node:tls";
import { StorageError, toStorageError } from "../base/index.ts";
import type { TlsUpgrade } from "./wire.ts";

/** How TLS is set up: with certificates, or with keys. */
export interface TlsOptions {
  /** Directory with `server-cert.pem`, `server-key.pem` and, to check clients with, `ca-cert.pem`. */
  readonly certificates?: string;
  /** Whether a client must have a certificate of that authority. @default false */
  readonly verifyPeer?: boolean;
  /** File of lines `USER:HEX`. */
  readonly psk?: string;
}

/** Cipher suites that need no certificate: the only ones that a pre-shared key works with below TLS 1.3. */
const PSK_CIPHERS =
  "TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256:ECDHE-PSK-AES256-CBC-SHA384:ECDHE-PSK-AES128-CBC-SHA256:DHE-PSK-AES256-GCM-SHA384:DHE-PSK-AES128-GCM-SHA256:PSK-AES256-GCM-SHA384:PSK-AES128-GCM-SHA256";

/** Reads the credentials once. @throws {StorageError} ENOENT, EACCES; EBADMSG where a file is not of its form */
export function tlsUpgrade(options: TlsOptions): TlsUpgrade {
  const socketOptions = options.psk === undefined ? certificate(options) : preShared(options.psk);
  return (socket) => new TLSSocket(socket, { ...socketOptions, isServer: true });
}

function certificate({ certificates = "", verifyPeer = false }: TlsOptions): TLSSocketOptions {
  const read = (name: string): Buffer => readCredential(join(certificates, name));
  const [cert, key] = [read("server-cert.pem"), read("server-key.pem")];
  const ca = verifyPeer ? { ca: read("ca-cert.pem") } : {};
  try {
    const secureContext = createSecureContext({ cert, key, ...ca, minVersion: "TLSv1.2" });
    return { secureContext, requestCert: verifyPeer, rejectUnauthorized: verifyPeer };
  } catch (error) {
    throw new StorageError(
      "EBADMSG",
      `Cannot use the certificates in ${certificates}: want a pair of certificate and key in PEM`,
      {
        path: certificates,
        cause: error,
      },
    );
  }
}

function preShared(path: string): TLSSocketOptions {
  const keys = parseKeys(readCredential(path).toString("utf8"), path);
  const secureContext = createSecureContext({ ciphers: PSK_CIPHERS, minVersion: "TLSv1.2" });
  // The option stands beside those of a server in Node's documentation, and its types have it there alone.
  const psk = { pskCallback: (_socket: TLSSocket, user: string) => keys.get(user) ?? null };
  return { secureContext, ...psk };
}

function parseKeys(text: string, path: string): Map<string, Buffer> {
  const keys = new Map<string, Buffer>();
  for (const [index, line] of text.split("\n").entries()) {
    if (line.trim() === "" || line.startsWith("#")) continue;
    const match = /^([^:]+):((?:[0-9a-fA-F]{2})+)\s*$/.exec(line);
    if (match === null)
      throw new StorageError("EBADMSG", `Cannot use ${path}: line ${index + 1}: want USER:HEX`, {
        path,
      });
    keys.set(match[1] as string, Buffer.from(match[2] as string, "hex"));
  }
  if (keys.size === 0)
    throw new StorageError("EBADMSG", `Cannot use ${path}: it has no key`, { path });
  return keys;
}

function readCredential(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw toStorageError(error, { syscall: "open", path });
  }
}
