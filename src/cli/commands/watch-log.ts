/** watch-log: where `watch --log` gets its lines: a file that is followed, or stdin as it comes. */
import { FollowedFile, type FollowedText, type LogSource } from "../../rescue/index.ts";

/** Characters of stdin that wait at most; whoever writes more waits until they were looked at. */
const WAITING_MAX = 8 * 1024 * 1024;

/** The source that a name means: a file, `/dev/kmsg`, or "-". @throws {StorageError} ENOENT, EACCES */
export function logSource(name: string): LogSource {
  return name === "-" ? new StreamedLog(process.stdin) : new FollowedFile(name);
}

/** Lines of a stream, kept until they are taken. */
class StreamedLog implements LogSource {
  readonly #stream: NodeJS.ReadableStream;
  #waiting = "";

  constructor(stream: NodeJS.ReadableStream) {
    this.#stream = stream;
    stream.setEncoding("utf8");
    stream.on("data", (piece: string) => {
      this.#waiting += piece;
      if (this.#waiting.length > WAITING_MAX) stream.pause();
    });
    // a log that ends is no reason to end: lists are watched on
    stream.on("error", () => {});
  }

  read(): FollowedText {
    const text = this.#waiting;
    this.#waiting = "";
    this.#stream.resume();
    return { text, lost: false };
  }

  close(): void {
    this.#stream.pause();
  }
}
