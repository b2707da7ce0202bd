/**
 * DigestTree: takes the digests of a tree, at backup time, as a stream of lines (digest-file.ts).
 *
 * A file that cannot be read, or that changed while it was read, gets no digest and is told: a wrong digest would later
 * refuse a good donor, or prove a bad one.
 */
import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { open, opendir, type FileHandle } from "node:fs/promises";
import { toStorageError } from "../base/index.ts";
import {
  blockHash,
  BLOCK_HASH_BYTES,
  DIGEST_HEAD,
  DIGEST_NAME,
  digestBlockSize,
  digestLine,
  type FileDigest,
} from "./digest-file.ts";
import { bytesToPath } from "./path-bytes.ts";

/** What is told while a tree is read. */
export interface DigestOptions {
  /** Called for every file that gets no digest, with why. */
  readonly onSkip?: (path: string, why: string) => void;
  /** Called after every file with the sums so far. */
  readonly onProgress?: (result: DigestResult) => void;
  /** Called between files; throws to end the work. */
  readonly checkpoint?: () => Promise<void>;
}

/** What was read. */
export interface DigestResult {
  readonly files: number;
  readonly bytes: number;
  readonly skipped: number;
}

const CHUNK = 4 * 1024 * 1024;

/**
 * The digest of every regular file of a tree, as the text of the document, piece by piece; links and special files have none.
 *
 * @param root the tree
 * @returns the sums, when all is read
 * @throws {StorageError} if the root cannot be read
 */
export async function* digestTree(
  root: string,
  options: DigestOptions = {},
): AsyncGenerator<string, DigestResult> {
  const sums = { files: 0, bytes: 0, skipped: 0 };
  const skip = (path: string, why: string): void => {
    sums.skipped += 1;
    options.onSkip?.(path, why);
  };
  yield `${DIGEST_HEAD}\n`;
  for await (const { full, path } of walk(root, skip)) {
    await options.checkpoint?.();
    const file = await digestFile(full, path).catch((error: unknown) =>
      skip(path, error instanceof Error ? error.message : String(error)),
    );
    if (file === undefined) continue;
    yield (sums.files === 0 ? "" : ",\n") + digestLine(file);
    sums.files += 1;
    sums.bytes += file.size;
    options.onProgress?.(sums);
  }
  yield `${sums.files === 0 ? "" : "\n"}]}\n`;
  return sums;
}

/** Regular files below a directory, without following links; names as bytes, sorted within a directory. */
async function* walk(
  root: string,
  skip: (path: string, why: string) => void,
): AsyncGenerator<{ full: Buffer; path: string }> {
  const pending: { full: Buffer; path: string }[] = [{ full: Buffer.from(root), path: "" }];
  for (let directory = pending.pop(); directory !== undefined; directory = pending.pop()) {
    const entries = await list(directory.full).catch((error: unknown) => {
      if (directory?.path === "") throw toStorageError(error, { path: root, syscall: "opendir" });
      skip(directory?.path ?? "", String(error));
      return [];
    });
    for (const { name, kind } of entries) {
      const full = Buffer.concat([directory.full, Buffer.from("/"), name]);
      const path = `${directory.path}/${bytesToPath(name)}`;
      if (kind === "directory") pending.push({ full, path });
      else if (path !== `/${DIGEST_NAME}`) yield { full, path };
    }
  }
}

async function list(
  directory: Buffer,
): Promise<readonly { name: Buffer; kind: "file" | "directory" }[]> {
  const entries: { name: Buffer; kind: "file" | "directory" }[] = [];
  // Node's types know names as text only; asked for "buffer" they are bytes.
  for await (const entry of await opendir(
    directory.toString("latin1") === directory.toString() ? directory.toString() : directory,
    { encoding: "buffer" as "utf8" },
  )) {
    const name = entry.name as unknown as Buffer;
    if (entry.isFile()) entries.push({ name, kind: "file" });
    if (entry.isDirectory()) entries.push({ name, kind: "directory" });
  }
  return entries.sort((one, other) => Buffer.compare(one.name, other.name));
}

async function digestFile(full: Buffer, path: string): Promise<FileDigest | undefined> {
  const handle = await open(full, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const before = await handle.stat({ bigint: true });
    const size = Number(before.size);
    const blockSize = digestBlockSize(size);
    const digests = await hashBlocks(handle, { size, blockSize });
    const after = await handle.stat({ bigint: true });
    if (after.size !== before.size || after.mtimeNs !== before.mtimeNs)
      throw new Error("it changed while it was read");
    return { path, size, modifiedNs: before.mtimeNs, blockSize, ...digests };
  } finally {
    await handle.close();
  }
}

async function hashBlocks(
  handle: FileHandle,
  file: { size: number; blockSize: number },
): Promise<{ sha256: string; blocks: Uint8Array }> {
  const whole = createHash("sha256");
  const blocks = new Uint8Array(Math.ceil(file.size / file.blockSize) * BLOCK_HASH_BYTES);
  const step = Math.max(file.blockSize, CHUNK - (CHUNK % file.blockSize));
  const buffer = new Uint8Array(Math.min(step, file.size));
  for (let at = 0; at < file.size; at += step) {
    const part = buffer.subarray(0, Math.min(step, file.size - at));
    for (let done = 0; done < part.length;) {
      const { bytesRead } = await handle.read(part, done, part.length - done, at + done);
      if (bytesRead === 0) throw new Error("it became shorter while it was read");
      done += bytesRead;
    }
    whole.update(part);
    for (let from = 0; from < part.length; from += file.blockSize) {
      blocks.set(
        blockHash(part.subarray(from, from + file.blockSize)),
        ((at + from) / file.blockSize) * BLOCK_HASH_BYTES,
      );
    }
  }
  return { sha256: whole.digest("hex"), blocks };
}
