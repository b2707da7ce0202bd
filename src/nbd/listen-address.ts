/** listen-address: where a server listens, as text and as URIs of the NBD project (doc/uri.md). */
import { NBD_PORT } from "../device/index.ts";

/** A place to listen at. */
export type ListenAddress =
  | { readonly kind: "unix"; readonly path: string }
  | { readonly kind: "tcp"; readonly host: string; readonly port: number }
  /** A descriptor that whoever started the process listens on. */
  | { readonly kind: "descriptor"; readonly fd: number };

/**
 * Reads `unix:PATH`, `tcp:HOST:PORT`, `tcp:PORT` or `tcp:HOST`; a host in brackets is an IPv6 address. Without a host it is loopback, without a
 * port NBD's.
 *
 * @throws {RangeError} with the forms that are wanted
 */
export function parseListenAddress(text: string): ListenAddress {
  if (text.startsWith("unix:") && text.length > 5) return { kind: "unix", path: text.slice(5) };
  const match =
    /^tcp:(?:(\[[0-9a-fA-F:.]+\]|[^:[\]]*[^:[\]0-9][^:[\]]*|[0-9.]+(?=:)):?)?(\d{1,5})?$/.exec(
      text,
    );
  const port = Number(match?.[2] ?? NBD_PORT);
  if (match === null || text === "tcp:" || port > 65_535)
    throw new RangeError(`Cannot listen at "${text}": want unix:PATH or tcp:HOST:PORT`);
  return { kind: "tcp", host: (match[1] ?? "127.0.0.1").replace(/^\[|\]$/g, ""), port };
}

/** The URI of an export at an address; `port` is the one that the system gave where 0 was asked for. */
export function uriOf(
  address: ListenAddress,
  options: { readonly name: string; readonly tls: boolean; readonly port?: number },
): string {
  const { name, tls } = options;
  const scheme = tls ? "nbds" : "nbd";
  const path = name === "" ? "/" : `/${encodeURIComponent(name)}`;
  if (address.kind === "unix")
    return `${scheme}+unix://${path}?socket=${encodeURIComponent(address.path).replaceAll("%2F", "/")}`;
  if (address.kind === "descriptor")
    return `${scheme}+unix://${path}?socket=/proc/self/fd/${address.fd}`;
  const port = options.port ?? address.port;
  const host = address.host.includes(":") ? `[${address.host}]` : address.host;
  return `${scheme}://${host}${port === NBD_PORT ? "" : `:${port}`}${path}`;
}

/** Whether only programs of this machine reach an address. */
export function isLocal(address: ListenAddress): boolean {
  return (
    address.kind !== "tcp" ||
    address.host === "localhost" ||
    address.host === "::1" ||
    address.host.startsWith("127.")
  );
}

/** First descriptor that is handed over by the rules of sd_listen_fds(3). */
const FIRST_DESCRIPTOR = 3;

/** The socket that whoever started this process listens on for it (socket activation); `undefined` where there is none. */
export function activatedSocket(
  environment: NodeJS.ProcessEnv,
  pid: number,
): ListenAddress | undefined {
  const count = Number(environment["LISTEN_FDS"] ?? 0);
  if (Number(environment["LISTEN_PID"]) !== pid || !(count >= 1)) return undefined;
  return { kind: "descriptor", fd: FIRST_DESCRIPTOR };
}
