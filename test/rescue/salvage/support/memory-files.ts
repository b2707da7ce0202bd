/** memory-files: files in memory that forget nothing and model nothing, for tests of what is read, not of what survives. */
import { StorageError } from "../../../../src/base/index.ts";
import type { HostFile, HostFiles } from "../../../../src/os/index.ts";

/** Files with their content. */
export interface MemoryFiles extends HostFiles {
  content(path: string): Uint8Array;
}

/** Makes an empty world. */
export function memoryFiles(): MemoryFiles {
  const contents = new Map<string, Uint8Array>();
  const bytesOf = (path: string): Uint8Array => {
    const bytes = contents.get(path);
    if (bytes === undefined) throw new StorageError("ENOENT", `There is no ${path}`, { path });
    return bytes;
  };
  const resize = (path: string, size: number): void => {
    const before = bytesOf(path);
    const after = new Uint8Array(size);
    after.set(before.subarray(0, size));
    contents.set(path, after);
  };
  const open = (
    path: string,
    { access = "read" }: { access?: "read" | "write" | "create" } = {},
  ): HostFile => {
    if (access === "create") contents.set(path, new Uint8Array());
    bytesOf(path);
    const readSync = (into: Uint8Array, offset: number): number => {
      const part = bytesOf(path).subarray(offset, offset + into.length);
      into.set(part);
      return part.length;
    };
    return {
      path,
      size: () => bytesOf(path).length,
      read: readSync,
      readSync,
      writeSync: (from, offset) => {
        if (offset + from.length > bytesOf(path).length) resize(path, offset + from.length);
        bytesOf(path).set(from, offset);
      },
      truncate: (size) => resize(path, size),
      sync: () => undefined,
      close: () => undefined,
    };
  };
  return {
    open,
    content: bytesOf,
    info: (path) => {
      const bytes = contents.get(path);
      if (bytes === undefined) return undefined;
      return { kind: "file", size: bytes.length, modifiedNs: 0n };
    },
    rename: (from, to) => {
      contents.set(to, bytesOf(from));
      contents.delete(from);
    },
    remove: (path) => void contents.delete(path),
    syncDirectoryOf: () => undefined,
  };
}
