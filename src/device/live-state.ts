/**
 * LiveState: where Theriac keeps what it knows of a real device, or of a file on one: in the state directory, by what names it for sure, never on
 * the device that is damaged.
 */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { StorageError } from "../base/index.ts";
import { nodeFiles, sysfsText, type BlockNode } from "../os/index.ts";
import { createPoisonStore, openPoisonStore, type PoisonStore } from "../poison/index.ts";
import type { FileShape, ShapeKeeper } from "./live-media.ts";
import { makeStateDirectory, stateDirectory } from "./nbd/remembered-list.ts";

/** What names a block device for sure, in words: its WWID, serial number or namespace UUID; of one that has none its number. */
export function blockIdentity(node: BlockNode): string {
  const from = (...paths: readonly string[]): string | undefined => {
    for (const path of paths) {
      const text = sysfsText(join(node.diskFolder, path));
      if (text !== undefined) return `${path} ${text}`;
    }
    return undefined;
  };
  const told = from("wwid", "device/wwid", "uuid", "device/uuid", "dm/uuid", "md/uuid", "serial");
  const disk = told ?? from("device/serial") ?? `number ${node.number} ${node.name}`;
  return node.partition === undefined ? disk : `${disk} partition ${node.partition}`;
}

/** Path of the list of a block device. */
export function blockStatePath(node: BlockNode): string {
  return statePath("block", `${blockIdentity(node)} ${node.size}`);
}

/** Path of the list of a file: by its device, its inode, when that was made, and its size in blocks. */
export function fileStatePath(
  node: BlockNode,
  file: { readonly inode: number; readonly bornNs: bigint; readonly size: number },
): string {
  return statePath("file", `${blockIdentity(node)} ${file.inode} ${file.bornNs} ${file.size}`);
}

function statePath(kind: string, key: string): string {
  const name = createHash("sha256").update(key).digest("hex").slice(0, 32);
  return join(stateDirectory(), `${kind}-${name}.theriac`);
}

/** The list of a live target: as it is remembered, and how to begin one. */
export interface LiveState {
  readonly path: string;
  readonly store: PoisonStore | undefined;
  readonly createStore: () => PoisonStore;
}

/**
 * Opens what is remembered of a live target.
 *
 * @param path of `blockStatePath` or `fileStatePath`
 * @throws {StorageError} EBUSY where another process writes to it; EBADMSG where it is damaged
 */
export function openLiveState(
  path: string,
  options: {
    readonly size: number;
    readonly access: "read" | "write";
    /** What people call the target. */
    readonly name: string;
  },
): LiveState {
  const { size, access, name } = options;
  const isThere = nodeFiles.info(path) !== undefined;
  return {
    path,
    store: isThere ? openPoisonStore(nodeFiles, { path, size, access }) : undefined,
    createStore: () => {
      makeStateDirectory();
      return createPoisonStore(nodeFiles, { path, size, settings: { kind: "live", name } });
    },
  };
}

/** The keeper of a file's shape, in a file beside its list. */
export function shapeKeeper(path: string): ShapeKeeper & {
  /** The shape that a crash left to be put back; `undefined` where there is none. @throws {StorageError} EBADMSG */
  left(): FileShape | undefined;
} {
  const own = `${path}.shape`;
  return {
    begin({ size, accessedNs, modifiedNs }) {
      makeStateDirectory();
      nodeFiles.remove(own);
      const file = nodeFiles.open(own, { access: "create" });
      try {
        file.writeSync(Buffer.from(`${size} ${accessedNs} ${modifiedNs}\n`), 0);
        file.sync();
      } finally {
        file.close();
      }
      nodeFiles.syncDirectoryOf(own);
    },
    end() {
      nodeFiles.remove(own);
      nodeFiles.syncDirectoryOf(own);
    },
    left() {
      if (nodeFiles.info(own) === undefined) return undefined;
      const file = nodeFiles.open(own);
      try {
        const bytes = new Uint8Array(128);
        const text = Buffer.from(bytes.subarray(0, file.readSync(bytes, 0))).toString();
        // Torn before it was durable: then nothing was written yet.
        const match = /^(\d{1,16}) (-?\d{1,24}) (-?\d{1,24})\n$/.exec(text);
        if (match === null) return undefined;
        const [, size = "0", accessed = "0", modified = "0"] = match;
        return { size: Number(size), accessedNs: BigInt(accessed), modifiedNs: BigInt(modified) };
      } catch (error) {
        throw new StorageError("EBADMSG", `Cannot read ${own}`, { path: own, cause: error });
      } finally {
        file.close();
      }
    },
  };
}
