/**
 * uri: where an NBD export is, as the URI specification (doc/uri.md of the NBD project) writes it:
 *
 *     nbd://HOST[:PORT]/NAME      nbd+unix:///NAME?socket=PATH      with TLS: nbds:// and nbds+unix://
 *
 * The name is free text after one slash, percent-encoded. What a URI says and we cannot do is refused by name, never passed over: who gives
 * certificates wants TLS.
 */
import { StorageError } from "../../base/index.ts";
import { NBD_PORT, NBD_STRING_MAX } from "./protocol.ts";

/** How a connection is to be encrypted; parameters are libnbd's. */
export interface NbdTls {
  /** Folder with `ca-cert.pem`, and for servers that ask for it `client-cert.pem` and `client-key.pem`. @default the system's authorities */
  readonly certificates: string | undefined;
  /** File with `USER:HEX` lines: pre-shared keys in place of certificates. */
  readonly pskFile: string | undefined;
  /** Name for pre-shared keys. @default the system's user */
  readonly user: string | undefined;
  /** Name that the server's certificate must have. @default the host of the URI */
  readonly hostname: string | undefined;
  /** Whether the server must prove who it is. */
  readonly verifyPeer: boolean;
}

/** Where an export is. */
export interface NbdAddress {
  /** The URI as it was given: what messages call it. */
  readonly uri: string;
  /** The export's name, decoded. */
  readonly exportName: string;
  readonly host: string;
  readonly port: number;
  /** Path of a Unix socket; host and port are not used then. A NUL at its start means the abstract name space. */
  readonly socket: string | undefined;
  /** `undefined` for a plain connection. */
  readonly tls: NbdTls | undefined;
}

/** Longest URI that is read; an export's name alone may have 4096 bytes, each of them three characters. */
const URI_MAX = 32_768;
/** Longest path of a Unix socket on Linux, in bytes. */
const SOCKET_PATH_MAX = 107;

const TLS_PARAMETERS = [
  "tls-certificates",
  "tls-psk-file",
  "tls-hostname",
  "tls-verify-peer",
  "tls-username",
  "tls-type",
];

/** Whether a text is meant as an NBD URI, good or not. */
export function isNbdUri(text: string): boolean {
  return /^nbds?(\+[a-z0-9]+)?:/i.test(text);
}

/**
 * Reads an NBD URI.
 *
 * @throws {StorageError} EINVAL with what is wrong and what was wanted
 */
export function parseNbdUri(uri: string): NbdAddress {
  const form = /^(nbds?(?:\+[a-z0-9]+)?):\/\/([^/?#]*)(\/[^?#]*)?(?:\?([^#]*))?$/i.exec(uri);
  if (uri.length > URI_MAX || form === null)
    throw refusal(uri, "want nbd://HOST[:PORT]/NAME or nbd+unix:///NAME?socket=PATH");
  const [, givenScheme = "", authority = "", path = "", query] = form;
  const scheme = givenScheme.toLowerCase();
  if (!["nbd", "nbds", "nbd+unix", "nbds+unix"].includes(scheme))
    throw refusal(uri, `want nbd, nbds, nbd+unix or nbds+unix: got ${scheme}`);
  const isUnix = scheme.endsWith("+unix");
  const parameters = parametersOf(uri, query);
  const exportName = exportNameOf(uri, path);
  const { user, host, port } = authorityOf(uri, authority);
  if (isUnix && (host !== "" || port !== undefined))
    throw refusal(uri, `want three slashes before the name of a Unix export: got host "${host}"`);
  const socket = parameters.get("socket");
  checkSocket(uri, socket, isUnix);
  return {
    uri,
    exportName,
    host: host === "" ? "localhost" : host,
    port: port ?? NBD_PORT,
    socket,
    tls: tlsOf(uri, { wanted: scheme.startsWith("nbds"), parameters, user }),
  };
}

/** A name for where an export is, whatever way its URI was written. */
export function nbdKey(address: NbdAddress): string {
  const { host, port, socket, exportName } = address;
  const place = socket === undefined ? `${host.toLowerCase()}:${port}` : `unix:${socket}`;
  return JSON.stringify([place, exportName]);
}

function refusal(uri: string, wish: string): StorageError {
  const shown = uri.length > 200 ? `${uri.slice(0, 200)}...` : uri;
  return new StorageError("EINVAL", `Cannot read URI ${shown}: ${wish}`, { path: shown });
}

function decoded(uri: string, text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw refusal(uri, `want percent-encoded UTF-8: got "${text}"`);
  }
}

function exportNameOf(uri: string, path: string): string {
  const name = decoded(uri, path.slice(1));
  if (name.includes("\0")) throw refusal(uri, "want an export name without NUL");
  if (Buffer.byteLength(name) > NBD_STRING_MAX)
    throw refusal(uri, `want an export name of at most ${NBD_STRING_MAX} bytes`);
  return name;
}

interface Authority {
  readonly user: string | undefined;
  readonly host: string;
  readonly port: number | undefined;
}

function authorityOf(uri: string, authority: string): Authority {
  const form = /^(?:([^@]*)@)?(\[[0-9a-f:.%]+\]|[^:@[\]]*)(?::(\d*))?$/i.exec(authority);
  if (form === null) throw refusal(uri, `want HOST, HOST:PORT or [IPV6]:PORT: got "${authority}"`);
  const [, user, host = "", digits] = form;
  const port = digits === undefined || digits === "" ? undefined : Number(digits);
  if (port !== undefined && (port < 1 || port > 65_535))
    throw refusal(uri, `want a port from 1 to 65535: got ${digits}`);
  return {
    user: user === undefined || user === "" ? undefined : decoded(uri, user),
    host: host.startsWith("[") ? host.slice(1, -1) : decoded(uri, host),
    port,
  };
}

/** A plus sign is a plus sign: NBD URIs follow RFC 3986, and not what browsers do with forms. */
function parametersOf(uri: string, query: string | undefined): Map<string, string> {
  const parameters = new Map<string, string>();
  for (const part of (query ?? "").split("&")) {
    if (part === "") continue;
    const cut = part.indexOf("=");
    const name = decoded(uri, cut < 0 ? part : part.slice(0, cut));
    if (name !== "socket" && !TLS_PARAMETERS.includes(name))
      throw refusal(uri, `want socket or ${TLS_PARAMETERS.join(", ")}: got parameter "${name}"`);
    if (cut < 0 || cut === part.length - 1) throw refusal(uri, `want a value for ${name}`);
    if (parameters.has(name)) throw refusal(uri, `want ${name} once`);
    parameters.set(name, decoded(uri, part.slice(cut + 1)));
  }
  return parameters;
}

function checkSocket(uri: string, socket: string | undefined, isUnix: boolean): void {
  if (!isUnix) {
    if (socket !== undefined) throw refusal(uri, "want nbd+unix or nbds+unix for a socket");
    return;
  }
  if (socket === undefined) throw refusal(uri, "want ?socket=PATH");
  if (socket.includes("\0", 1)) throw refusal(uri, "want a socket path without NUL");
  if (Buffer.byteLength(socket) > SOCKET_PATH_MAX)
    throw refusal(uri, `want a socket path of at most ${SOCKET_PATH_MAX} bytes`);
}

function tlsOf(
  uri: string,
  given: {
    readonly wanted: boolean;
    readonly parameters: ReadonlyMap<string, string>;
    readonly user: string | undefined;
  },
): NbdTls | undefined {
  const { wanted, parameters, user } = given;
  const named = TLS_PARAMETERS.find((name) => parameters.has(name));
  if (!wanted) {
    if (named !== undefined) throw refusal(uri, `want nbds or nbds+unix with ${named}`);
    if (user !== undefined) throw refusal(uri, "want nbds or nbds+unix with a user");
    return undefined;
  }
  const pskFile = parameters.get("tls-psk-file");
  const certificates = parameters.get("tls-certificates");
  checkTlsType(uri, parameters);
  const name = parameters.get("tls-username");
  if (name !== undefined && user !== undefined && name !== user)
    throw refusal(uri, `want one user: got "${user}" and "${name}"`);
  return {
    certificates,
    pskFile,
    user: user ?? name,
    hostname: parameters.get("tls-hostname"),
    verifyPeer: isTrue(uri, parameters.get("tls-verify-peer") ?? "1"),
  };
}

function checkTlsType(uri: string, parameters: ReadonlyMap<string, string>): void {
  const type = parameters.get("tls-type");
  const hasPsk = parameters.has("tls-psk-file");
  if (type !== undefined && type !== "x509" && type !== "psk")
    throw refusal(uri, `want tls-type x509 or psk: got "${type}"`);
  if (hasPsk && (parameters.has("tls-certificates") || type === "x509"))
    throw refusal(uri, "want certificates or a file of pre-shared keys: got both");
  if (type === "psk" && !hasPsk) throw refusal(uri, "want tls-psk-file=FILE");
}

function isTrue(uri: string, text: string): boolean {
  const value = text.toLowerCase();
  if (["1", "true", "yes", "on"].includes(value)) return true;
  if (["0", "false", "no", "off"].includes(value)) return false;
  throw refusal(uri, `want tls-verify-peer 0 or 1: got "${text}"`);
}
