/** served-image: whether an image is served at this moment: then commands on it go to its server, because that holds its lock and its list. */
import { statSync } from "node:fs";
import type { ControlClient } from "../nbd/index.ts";
import { nodeFiles } from "../os/index.ts";
import { sidecarPath } from "../poison/index.ts";

/** The server of an image; `undefined` where nobody serves it. What servers need is loaded only where a socket is. @throws {StorageError} */
export async function serverOf(image: string): Promise<ControlClient | undefined> {
  const path = `${sidecarPath(nodeFiles.real?.(image) ?? image)}.sock`;
  if (statSync(path, { throwIfNoEntry: false })?.isSocket() !== true) return undefined;
  const { connectControl } = await import("../nbd/index.ts");
  return connectControl(image);
}
