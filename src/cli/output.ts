/** Output: text to a stream with its back-pressure kept; a reader that went away (EPIPE) ends it quietly. */

/** Pieces of text, all at once or as they come. */
export type TextPieces = string | Iterable<string> | AsyncIterable<string>;

/**
 * Writes everything, or up to where the reader went away.
 *
 * @returns false where the reader went away
 * @throws Node's error where the stream fails otherwise: a full disk
 */
export async function writePieces(
  stream: NodeJS.WritableStream,
  pieces: TextPieces,
): Promise<boolean> {
  for await (const piece of typeof pieces === "string" ? [pieces] : pieces) {
    if (piece !== "" && !(await writePiece(stream, piece))) return false;
  }
  return true;
}

function writePiece(stream: NodeJS.WritableStream, piece: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    stream.write(piece, (error) => {
      if (!error) resolve(true);
      else if ((error as NodeJS.ErrnoException).code === "EPIPE") resolve(false);
      else reject(error);
    });
  });
}

/** Keeps a broken pipe from becoming an uncaught exception: the callbacks of `write` tell of errors. */
export function ignoreStreamErrors(stream: NodeJS.WritableStream): void {
  stream.on("error", () => {});
}
