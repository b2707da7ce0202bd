/**
 * DigestFile: `theriac.digest/1`, the digests of a tree taken when it was known good.
 *
 * One JSON document, written and read as a stream: the head on the first line, then one file on each line, so that a tree of
 * any size needs the memory of one file's line. A file has a digest for each of its blocks, because a repair that joins the
 * target's clean bytes with a donor's then reads one block and not the file. Blocks of large files are larger, so that no
 * line grows past about 1.4 MB.
 *
 *     {"schema":"theriac.digest/1","algorithm":"sha256","blockBytes":16,"files":[
 *     {"path":"/etc/hosts","size":184,"modifiedNs":"1700000000000000000","sha256":"…","blockSize":65536,"blocks":"…"}
 *     ]}
 */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { StorageError, toStorageError } from "../base/index.ts";
import { nodeFiles } from "../os/index.ts";

/** Bytes kept of each block's SHA-256: enough against every accident and any forger. */
export const BLOCK_HASH_BYTES = 16;

/** Smallest block, and most blocks of one file; both bound the digest's size. */
export const SMALLEST_BLOCK = 65536;
const MOST_BLOCKS = 65536;

/** Longest line that is read: a hostile file must not fill memory. */
const LONGEST_LINE = 4 * 1024 * 1024;

/** The name that a digest has at the root of a donor's tree, where it is found without being asked for. */
export const DIGEST_NAME = ".theriac-digest.json";

/** What was known of one file when its digest was taken. */
export interface FileDigest {
  /** Beginning with "/", bytes that are no UTF-8 as `\xHH`, as file maps write them. */
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  /** Nanoseconds since 1970. */
  readonly modifiedNs: bigint;
  /** Of the whole file, in hexadecimal. */
  readonly sha256: string;
  /** Bytes of a block; the last one may be shorter. */
  readonly blockSize: number;
  /** The first `BLOCK_HASH_BYTES` of each block's SHA-256, one after the other. */
  readonly blocks: Uint8Array;
}

/** The block size for a file: the smallest power of two from 64 KiB that needs at most 65,536 blocks. */
export function digestBlockSize(size: number): number {
  let blockSize = SMALLEST_BLOCK;
  while (size / blockSize > MOST_BLOCKS) blockSize *= 2;
  return blockSize;
}

/** The kept part of a block's hash. */
export function blockHash(block: Uint8Array): Uint8Array {
  return createHash("sha256").update(block).digest().subarray(0, BLOCK_HASH_BYTES);
}

/** First line of the document, without its end. */
export const DIGEST_HEAD: string = `{"schema":"theriac.digest/1","algorithm":"sha256","blockBytes":${BLOCK_HASH_BYTES},"files":[`;

/** One file as its line, without comma. */
export function digestLine(file: FileDigest): string {
  const { path, size, modifiedNs, sha256, blockSize, blocks } = file;
  return JSON.stringify({
    path,
    size,
    modifiedNs: String(modifiedNs),
    sha256,
    blockSize,
    blocks: Buffer.from(blocks).toString("base64"),
  });
}

/** What each field of a line must be, and how a person is told. */
const FIELDS: Readonly<Record<string, readonly [(value: unknown) => boolean, string]>> = {
  path: [(value) => typeof value === "string" && value.startsWith("/"), 'to begin with "/"'],
  size: [(value) => Number.isSafeInteger(value) && (value as number) >= 0, "in bytes"],
  modifiedNs: [(value) => typeof value === "string" && /^-?\d{1,25}$/.test(value), "as digits"],
  sha256: [(value) => typeof value === "string" && /^[0-9a-f]{64}$/.test(value), "in hexadecimal"],
  blockSize: [(value) => Number.isSafeInteger(value) && (value as number) >= 512, "in bytes"],
  blocks: [(value) => typeof value === "string", "in base64"],
};

/** Reads one line. @throws {StorageError} EBADMSG if it is not one of ours */
function parseLine(line: string, name: string): FileDigest {
  const fail = (wish: string): never => {
    const message = `Cannot read digest "${name}": want ${wish}: got ${line.slice(0, 60)}`;
    throw new StorageError("EBADMSG", message, { path: name });
  };
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return fail("one file as JSON on each line");
  }
  if (typeof value !== "object" || value === null) return fail("one file as JSON on each line");
  for (const [field, [valid, wish]] of Object.entries(FIELDS)) {
    if (!valid((value as Record<string, unknown>)[field])) return fail(`"${field}" ${wish}`);
  }
  const raw = value as Omit<FileDigest, "modifiedNs" | "blocks"> & {
    modifiedNs: string;
    blocks: string;
  };
  const blocks = Buffer.from(raw.blocks, "base64");
  if (blocks.length !== Math.ceil(raw.size / raw.blockSize) * BLOCK_HASH_BYTES) {
    return fail('one hash in "blocks" for each block');
  }
  const { path, size, sha256, blockSize } = raw;
  return { path, size, modifiedNs: BigInt(raw.modifiedNs), sha256, blockSize, blocks };
}

/** Lines of a file, each bounded. */
async function* lines(name: string): AsyncGenerator<string> {
  // A pipe would never end, and a device never stop.
  nodeFiles.open(name).close();
  let rest = "";
  try {
    for await (const chunk of createReadStream(name, {
      encoding: "utf8",
      highWaterMark: 256 * 1024,
    })) {
      const parts = (rest + String(chunk)).split("\n");
      rest = parts.pop() ?? "";
      if (rest.length > LONGEST_LINE)
        throw new StorageError(
          "EBADMSG",
          `Cannot read digest "${name}": a line is longer than ${LONGEST_LINE} bytes`,
          { path: name },
        );
      yield* parts;
    }
  } catch (error) {
    throw toStorageError(error, { path: name, syscall: "read" });
  }
  if (rest.length > 0) yield rest;
}

/**
 * The files of a digest, one by one.
 *
 * @throws {StorageError} EBADMSG where it is no `theriac.digest/1` as `theriac digest` writes it, or it is cut off
 */
export async function* readDigest(name: string): AsyncGenerator<FileDigest> {
  let head = "";
  let started = false;
  let last = "";
  const wrong = (wish: string): StorageError =>
    new StorageError("EBADMSG", `Cannot read digest "${name}": ${wish}`, { path: name });
  for await (const raw of lines(name)) {
    const line = raw.trim();
    if (line === "") continue;
    if (/^\{\s*"path"/.test(line)) {
      if (!started && !isHead(head))
        throw wrong("want a theriac.digest/1, with one file on each line");
      started = true;
      yield parseLine(line.replace(/,$/, ""), name);
    } else if (!started) head += line;
    if (head.length > LONGEST_HEAD)
      throw wrong("want a theriac.digest/1, with one file on each line");
    last = line;
  }
  if (!started && !(isHead(head) && /"files"\s*:\s*\[\s*\]/.test(head)))
    throw wrong("want a theriac.digest/1, with one file on each line");
  if (!last.endsWith("}") || /^\{\s*"path"/.test(last)) throw wrong("it is cut off");
}

/** Longest text before the first file. */
const LONGEST_HEAD = 4096;

function isHead(text: string): boolean {
  return /"schema"\s*:\s*"theriac\.digest\/1"/.test(text);
}

/** Of a digest the files that are wanted, by path. */
export async function findDigests(
  name: string,
  wanted: ReadonlySet<string>,
): Promise<ReadonlyMap<string, FileDigest>> {
  const found = new Map<string, FileDigest>();
  for await (const file of readDigest(name)) {
    if (wanted.has(file.path)) found.set(file.path, file);
  }
  return found;
}
