/**
 * DirectoryDonor: a backup tree that mirrors the target's root.
 *
 * What can go wrong: a tree may hold symbolic links that lead out of it, names that are no UTF-8, a pipe or a device where a
 * file was, files that change while we read, and bad sectors of its own. So every component of a path is looked at without following links, the
 * open never follows and never waits, the descriptor is asked afterwards where it truly leads, only regular files are
 * offered, a read that fails is narrowed to its bad pages, which are told as missing, and of a file that is written while it is read nothing
 * counts any more. A file may be a copy that is not whole, whose holes read as zeros: whoever opens the tree says where they are.
 */
import { constants, lstatSync, readlinkSync, realpathSync, statSync } from "node:fs";
import { open, type FileHandle } from "node:fs/promises";
import {
  PAGE,
  RangeSet,
  StorageError,
  toStorageError,
  type BadRange,
  type ByteRange,
} from "../base/index.ts";
import { COMPLETE, type ReadResult } from "../device/index.ts";
import type { Donor, DonorFile } from "./donor.ts";
import { pathToBytes } from "./path-bytes.ts";

/** How a tree is opened. */
export interface DirectoryDonorOptions {
  /**
   * The parts of a file of the tree, by its full path and size in bytes, that are no data; may throw a `StorageError`.
   *
   * @default none: every byte counts
   */
  readonly holesOf?: (path: string, size: number) => Iterable<ByteRange>;
}

/** One regular file of a tree, open. */
class DirectoryFile implements DonorFile {
  readonly name: string;
  readonly size: number;
  readonly modifiedNs: bigint;
  readonly #handle: FileHandle;
  readonly #holes: RangeSet;
  #closed = false;

  constructor(
    handle: FileHandle,
    facts: { name: string; size: number; modifiedNs: bigint; holes: RangeSet },
  ) {
    this.#handle = handle;
    this.#holes = facts.holes;
    this.name = facts.name;
    this.size = facts.size;
    this.modifiedNs = facts.modifiedNs;
  }

  async read(into: Uint8Array, offset: number): Promise<ReadResult> {
    const missing: BadRange[] = [];
    await this.#readRange(into, offset, missing);
    if (into.length > 0 && (await this.#isChanged()))
      return { missing: [{ offset, length: into.length, state: "unread" }] };
    const all = this.#withHoles(missing, { offset, length: into.length });
    return all.length === 0 ? COMPLETE : { missing: all };
  }

  lacks(range: ByteRange): readonly BadRange[] {
    return Array.from(this.#holes.within(range.offset, range.length), asBad);
  }

  #withHoles(missing: readonly BadRange[], range: ByteRange): readonly BadRange[] {
    const holes = this.lacks(range);
    if (holes.length === 0) return missing;
    const rest = missing.flatMap(({ offset, length, state }) =>
      Array.from(this.#holes.gaps(offset, length), (gap) => Object.assign(gap, { state })),
    );
    return [...holes, ...rest].sort((one, other) => one.offset - other.offset);
  }

  /** Whether it is another version now than the one that was opened. */
  async #isChanged(): Promise<boolean> {
    const { size, mtimeNs } = await this.#handle.stat({ bigint: true });
    return Number(size) !== this.size || mtimeNs !== this.modifiedNs;
  }

  /** Reads a range; where it fails, its pages one by one, so that a bad sector costs a page and not the file. */
  async #readRange(into: Uint8Array, offset: number, missing: BadRange[]): Promise<void> {
    let done = 0;
    try {
      while (done < into.length) {
        const { bytesRead } = await this.#handle.read(
          into,
          done,
          into.length - done,
          offset + done,
        );
        if (bytesRead === 0) break;
        done += bytesRead;
      }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EIO")
        throw toStorageError(error, { path: this.name, syscall: "read" });
      await this.#readPages(into, offset, { missing, done });
      return;
    }
    if (done < into.length)
      addMissing(missing, { offset: offset + done, length: into.length - done, state: "unread" });
  }

  async #readPages(
    into: Uint8Array,
    offset: number,
    rest: { missing: BadRange[]; done: number },
  ): Promise<void> {
    if (into.length <= PAGE) {
      addMissing(rest.missing, {
        offset: offset + rest.done,
        length: into.length - rest.done,
        state: "poisoned",
      });
      return;
    }
    for (let at = rest.done; at < into.length;) {
      const length = Math.min(PAGE - ((offset + at) % PAGE), into.length - at);
      await this.#readRange(into.subarray(at, at + length), offset + at, rest.missing);
      at += length;
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#handle.close();
  }
}

function asBad({ offset, length }: ByteRange): BadRange {
  return { offset, length, state: "poisoned" };
}

/** Appends, and merges with the last one where both touch in one state. */
function addMissing(missing: BadRange[], range: BadRange): void {
  const last = missing.at(-1);
  if (
    last !== undefined &&
    last.state === range.state &&
    last.offset + last.length === range.offset
  ) {
    missing[missing.length - 1] = { ...last, length: last.length + range.length };
  } else {
    missing.push(range);
  }
}

/**
 * The components of an absolute path as the bytes of their names; `undefined` where it is no path inside a tree.
 * A name that holds "/" or NUL after unescaping, "." and ".." never lead anywhere.
 */
export function components(path: string): readonly Buffer[] | undefined {
  if (!path.startsWith("/")) return undefined;
  const names = path.slice(1).split("/").map(pathToBytes);
  const bad = names.some(
    (name) =>
      name.length === 0 ||
      name.includes(0) ||
      name.includes(0x2f) ||
      name.equals(DOT) ||
      name.equals(DOT_DOT),
  );
  return bad ? undefined : names;
}

const DOT = Buffer.of(0x2e);
const DOT_DOT = Buffer.of(0x2e, 0x2e);
const SLASH = Buffer.from("/");

/** A tree as a donor. */
class DirectoryDonor implements Donor {
  readonly name: string;
  readonly kind = "directory";
  readonly #root: Buffer;
  readonly #options: DirectoryDonorOptions;

  constructor(name: string, root: Buffer, options: DirectoryDonorOptions) {
    this.name = name;
    this.#root = root;
    this.#options = options;
  }

  async file(path: string): Promise<DonorFile | undefined> {
    const names = components(path);
    if (names === undefined) return undefined;
    const full = this.#resolve(names);
    if (full === undefined) return undefined;
    const handle = await openRegular(full);
    if (handle === undefined) return undefined;
    const facts = await handle.stat({ bigint: true });
    if (!facts.isFile() || !this.#holds(handle, full)) {
      await handle.close();
      return undefined;
    }
    const size = Number(facts.size);
    const name = full.toString();
    try {
      const holes = RangeSet.from(this.#options.holesOf?.(name, size) ?? []);
      return new DirectoryFile(handle, { name, size, modifiedNs: facts.mtimeNs, holes });
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  /** The full path, if every component but the last is a directory, and none is a link. */
  #resolve(names: readonly Buffer[]): Buffer | undefined {
    let full = this.#root;
    for (const [index, name] of names.entries()) {
      full = Buffer.concat([full, SLASH, name]);
      try {
        const facts = lstatSync(full);
        if (index < names.length - 1 ? !facts.isDirectory() : !facts.isFile()) return undefined;
      } catch {
        return undefined;
      }
    }
    return full;
  }

  /** Whether the descriptor leads where its path says: a component that was swapped for a link meanwhile does not count. */
  #holds(handle: FileHandle, full: Buffer): boolean {
    try {
      return readlinkSync(`/proc/self/fd/${handle.fd}`, "buffer").equals(full);
    } catch {
      // Without /proc there is nothing to ask; the look at each component stands.
      return true;
    }
  }

  volume(): undefined {
    return undefined;
  }

  close(): void {
    // Files are closed by whoever asked for them.
  }
}

/** Opens without following a link and without waiting for a pipe's other end. */
async function openRegular(path: Buffer): Promise<FileHandle | undefined> {
  try {
    return await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? "";
    if (
      ["ENOENT", "ELOOP", "ENOTDIR", "ENXIO", "EISDIR", "EACCES", "EPERM", "ENAMETOOLONG"].includes(
        code,
      )
    )
      return undefined;
    throw toStorageError(error, { path: path.toString(), syscall: "open" });
  }
}

/**
 * Opens a backup tree.
 *
 * @param name the directory, as the user gave it; the directory itself may be reached through links
 * @throws {StorageError} ENOENT, EACCES, or ENOTDIR where it is no directory
 */
export function openDirectoryDonor(name: string, options: DirectoryDonorOptions = {}): Donor {
  try {
    if (!statSync(name).isDirectory())
      throw new StorageError("ENOTDIR", `Cannot use donor: "${name}" is no directory`, {
        path: name,
      });
    const root = realpathSync(name, "buffer");
    return new DirectoryDonor(name, root.equals(SLASH) ? Buffer.alloc(0) : root, options);
  } catch (error) {
    throw toStorageError(error, { path: name, syscall: "open" });
  }
}
