/** Path bytes: names of a file map, which are text, as the bytes that a host's file system wants, and back. */
import { nameToText, textToName } from "../fs/index.ts";

/** The bytes of one name of a path, as file maps write it (`\\xHH` and `\\\\` are escapes). */
export function pathToBytes(name: string): Buffer {
  return Buffer.from(textToName(name));
}

/** The text of one name, as file maps write it: the reverse of `pathToBytes`. */
export function bytesToPath(name: Uint8Array): string {
  return nameToText(name);
}
