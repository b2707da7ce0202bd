/** host-text: the texts that stacks are made of, as files of the host: read whole, and of a bounded size. */
import { StorageError } from "../base/index.ts";
import type { HostFiles } from "../os/index.ts";

/** Bytes of a text that are read at most. */
const TEXT_MAX = 16 * 1024 * 1024;

/** A file as text. @throws {StorageError} ENOENT and its kin; EBADMSG where it is longer than 16 MiB */
export function readText(files: HostFiles, path: string): string {
  const file = files.open(path);
  try {
    const length = file.size();
    if (length > TEXT_MAX)
      throw new StorageError(
        "EBADMSG",
        `Cannot load ${path}: want a text of at most ${TEXT_MAX} bytes: got ${length}`,
        { path },
      );
    const bytes = new Uint8Array(length);
    return new TextDecoder().decode(bytes.subarray(0, file.readSync(bytes, 0)));
  } finally {
    file.close();
  }
}
