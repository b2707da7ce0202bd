/** pack: caches with their origins and what they read as, in one compressed file: a line of JSON with names and lengths, then the bytes. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, brotliDecompressSync, constants } from "node:zlib";

/** One cache. */
export interface PackedCache {
  readonly name: string;
  /** What follows `writecache` in the row. */
  readonly args: string;
  readonly origin: Uint8Array;
  readonly cache: Uint8Array;
  /** What Linux reads from them after a restart. */
  readonly wanted: Uint8Array;
}

const KINDS = ["origin", "cache", "wanted"] as const;

/** Packs caches of a folder. */
export function packImages(folder: string, names: readonly string[]): Uint8Array {
  const files = names.flatMap((name) =>
    KINDS.map((kind) => readFileSync(join(folder, `${name}.${kind}`))),
  );
  const head = names.map((name, at) => ({
    name,
    args: readFileSync(join(folder, `${name}.args`), "utf8").trim(),
    lengths: files.slice(at * KINDS.length, (at + 1) * KINDS.length).map(({ length }) => length),
  }));
  const all = Buffer.concat([Buffer.from(`${JSON.stringify(head)}\n`), ...files]);
  // a window that holds all of it: the files repeat each other
  return brotliCompressSync(all, {
    params: { [constants.BROTLI_PARAM_LGWIN]: constants.BROTLI_MAX_WINDOW_BITS },
  });
}

/** Unpacks what `packImages` packed. */
export function unpackImages(packed: Uint8Array): PackedCache[] {
  const bytes = brotliDecompressSync(packed);
  const line = bytes.indexOf("\n");
  const head = JSON.parse(bytes.toString("utf8", 0, line)) as {
    readonly name: string;
    readonly args: string;
    readonly lengths: readonly number[];
  }[];
  let at = line + 1;
  return head.map(({ name, args, lengths }) => {
    const [origin, cache, wanted] = lengths.map((length): Uint8Array => {
      at += length;
      return bytes.subarray(at - length, at);
    });
    if (origin === undefined || cache === undefined || wanted === undefined)
      throw new RangeError(`Cannot unpack ${name}: want an origin, a cache and what they read as`);
    return { name, args, origin, cache, wanted };
  });
}
