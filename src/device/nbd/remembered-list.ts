/**
 * remembered-list: where the list of an export is kept that no server keeps: in the state directory, by where the export is. Never beside the data: it
 * is another machine's.
 */
import { createHash } from "node:crypto";
import { mkdirSync } from "node:fs";
import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";
import { hostError, nodeFiles } from "../../os/index.ts";
import { createPoisonStore, openPoisonStore, type PoisonStore } from "../../poison/index.ts";
import { nbdKey, type NbdAddress } from "./uri.ts";

/** Where Theriac keeps what belongs to no image: `$XDG_STATE_HOME/theriac`, else `~/.local/state/theriac` (the XDG base directory specification). */
export function stateDirectory(): string {
  const given = process.env["XDG_STATE_HOME"] ?? "";
  return join(isAbsolute(given) ? given : join(homedir(), ".local", "state"), "theriac");
}

/** Makes the state directory where there is none. @throws {StorageError} EACCES and others */
export function makeStateDirectory(folder: string = stateDirectory()): void {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw hostError(error, "mkdir", folder);
  }
}

/** Path of what is kept of an export in the state directory: its list. What belongs to the list stands beside it, as an image's does. */
export function remotePath(address: NbdAddress, folder: string = stateDirectory()): string {
  const name = createHash("sha256").update(nbdKey(address)).digest("hex").slice(0, 32);
  return join(folder, `nbd-${name}.theriac`);
}

/** The list of an export: as it is remembered, and how to begin one. */
export interface RememberedList {
  readonly store: PoisonStore | undefined;
  readonly createStore: () => PoisonStore;
}

/**
 * Opens what is remembered of an export.
 *
 * @throws {StorageError} ESTALE where the export had another size; EBUSY where another process writes to it; EBADMSG where it is damaged
 */
export function rememberedList(
  address: NbdAddress,
  options: { readonly size: number; readonly access: "read" | "write"; readonly folder: string },
): RememberedList {
  const { size, access, folder } = options;
  const path = remotePath(address, folder);
  const isThere = nodeFiles.info(path) !== undefined;
  return {
    store: isThere ? openPoisonStore(nodeFiles, { path, size, access }) : undefined,
    createStore: () => {
      makeStateDirectory(folder);
      const settings = { kind: "nbd", uri: address.uri };
      return createPoisonStore(nodeFiles, { path, size, settings });
    },
  };
}
