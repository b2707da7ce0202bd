/**
 * control-address: where a server of an image listens for commands: a socket beside the image's list, `IMAGE.theriac.sock`, for its owner alone.
 *
 * The path of a socket has room for 107 bytes. A longer one is reached through a descriptor of its directory.
 */
import { closeSync, constants, openSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { nodeFiles } from "../../os/index.ts";
import { sidecarPath } from "../../poison/index.ts";

/** Longest path that a socket takes, in bytes. */
const PATH_MAX = 107;

/** The socket's path, whatever links lead to the image. */
export function controlPath(image: string): string {
  return `${sidecarPath(nodeFiles.real?.(image) ?? image)}.sock`;
}

/** The same, short enough for a socket while `close` was not called. */
export function reachablePath(path: string): { readonly path: string; close(): void } {
  if (Buffer.byteLength(path) <= PATH_MAX) return { path, close: () => undefined };
  const fd = openSync(dirname(path), constants.O_RDONLY | constants.O_DIRECTORY);
  return { path: join("/proc/self/fd", String(fd), basename(path)), close: () => closeSync(fd) };
}
