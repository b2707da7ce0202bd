/** DurableText: small text files that are replaced in one step, so that a crash leaves the old one or the new one, whole. */
import { StorageError } from "../base/index.ts";
import type { HostFiles } from "../os/index.ts";

/**
 * Writes a text under a temporary name, syncs it, and renames it over `path`. Durable on return.
 *
 * @throws {StorageError} ENOSPC and others: then the old text stands
 */
export function replaceText(
  files: HostFiles,
  path: string,
  text: string | Iterable<string | Uint8Array>,
): void {
  const temporary = `${path}.new`;
  files.remove(temporary);
  const file = files.open(temporary, { access: "create" });
  try {
    let offset = 0;
    for (const piece of buffered(typeof text === "string" ? [text] : text)) {
      const bytes = typeof piece === "string" ? Buffer.from(piece) : piece;
      if (bytes.length > 0) file.writeSync(bytes, offset);
      offset += bytes.length;
    }
    file.sync();
  } catch (error) {
    file.close();
    files.remove(temporary);
    throw error;
  }
  file.close();
  files.rename(temporary, path);
  files.syncDirectoryOf(path);
}

/** The same text in pieces of at least 256 KiB, because each is one write; bytes as they are. */
function* buffered(pieces: Iterable<string | Uint8Array>): Generator<string | Uint8Array> {
  let gathered = "";
  for (const piece of pieces) {
    if (typeof piece !== "string") {
      yield gathered;
      gathered = "";
      yield piece;
      continue;
    }
    gathered += piece;
    if (gathered.length < 256 * 1024) continue;
    yield gathered;
    gathered = "";
  }
  yield gathered;
}

/** Reads a text. @throws {StorageError} EBADMSG where it is longer than `most` bytes */
export function readText(files: HostFiles, path: string, most: number): string {
  const file = files.open(path);
  try {
    const size = file.size();
    if (size > most)
      throw new StorageError(
        "EBADMSG",
        `Cannot read "${path}": ${size} bytes are more than ${most}`,
        { path },
      );
    const bytes = new Uint8Array(size);
    return Buffer.from(bytes.buffer, 0, file.readSync(bytes, 0)).toString("utf8");
  } finally {
    file.close();
  }
}
