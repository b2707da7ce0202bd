/** lines: bytes of a stream as lines of text, of a bounded length. */
import { StorageError } from "../../base/index.ts";
import { LINE_MAX } from "./control-messages.ts";

/** Gives each whole line of a stream. @throws {StorageError} EBADMSG for one that is too long */
export async function* linesOf(stream: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  let pieces: Uint8Array[] = [];
  let length = 0;
  for await (const bytes of stream) {
    let from = 0;
    for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10, from)) {
      pieces.push(bytes.subarray(from, end));
      yield Buffer.concat(pieces).toString("utf8");
      pieces = [];
      length = 0;
      from = end + 1;
    }
    if (from === bytes.length) continue;
    pieces.push(bytes.subarray(from));
    length += bytes.length - from;
    if (length > LINE_MAX)
      throw new StorageError(
        "EBADMSG",
        `Cannot read the control socket: want lines of at most ${LINE_MAX} bytes`,
      );
  }
}
