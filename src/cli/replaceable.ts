/** Replaceable: what `-o` may write over. An image, a list or a donor under that name must not be lost to a slip of the hand. */
import { StorageError } from "../base/index.ts";
import { nodeFiles } from "../os/index.ts";

/** Bytes of a file that are looked at for its schema. */
const HEAD = 256;

/**
 * Passes where nothing is, or an empty file, or an earlier document of the same schema.
 *
 * @param schema "theriac.plan/1"
 * @throws {StorageError} EEXIST where something else is there
 * @throws {RangeError} where the name is that of a list or log
 */
export function checkReplaceable(path: string, schema: string): void {
  if (/\.theriac(?:\.(?:log|plan|kept))?$/.test(path))
    throw new RangeError(`Cannot write "${path}": names in .theriac belong to lists and logs`);
  const info = nodeFiles.info(path);
  if (info === undefined || (info.kind === "file" && info.size === 0)) return;
  if (info.kind === "file" && headOf(path).includes(`"${schema}"`)) return;
  throw new StorageError("EEXIST", `Cannot write "${path}": it is there, and is no ${schema}`, {
    path,
    syscall: "open",
  });
}

function headOf(path: string): string {
  const file = nodeFiles.open(path);
  try {
    const bytes = new Uint8Array(HEAD);
    return new TextDecoder().decode(bytes.subarray(0, file.readSync(bytes, 0)));
  } finally {
    file.close();
  }
}
