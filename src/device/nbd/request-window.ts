/** RequestWindow: how much may be in flight at once. Who comes first goes first. */

/** Requests in flight; servers run sixteen at once and queue the rest. */
const REQUESTS_MAX = 64;
/** Bytes in flight, in either direction. */
const BYTES_MAX = 32 * 1024 * 1024;

interface Waiting {
  readonly bytes: number;
  readonly go: () => void;
}

/** The room that is left. One request is let in whatever its size. */
export class RequestWindow {
  #requests = 0;
  #bytes = 0;
  readonly #waiting: Waiting[] = [];

  /** Waits for room, and takes it. */
  async enter(bytes: number): Promise<void> {
    if (this.#waiting.length === 0 && this.#fits(bytes)) this.#take(bytes);
    else await new Promise<void>((go) => this.#waiting.push({ bytes, go }));
  }

  leave(bytes: number): void {
    this.#requests -= 1;
    this.#bytes -= bytes;
    for (
      let next = this.#waiting[0];
      next !== undefined && this.#fits(next.bytes);
      next = this.#waiting[0]
    ) {
      this.#waiting.shift();
      this.#take(next.bytes);
      next.go();
    }
  }

  #take(bytes: number): void {
    this.#requests += 1;
    this.#bytes += bytes;
  }

  #fits(bytes: number): boolean {
    if (this.#requests === 0) return true;
    return this.#requests < REQUESTS_MAX && this.#bytes + bytes <= BYTES_MAX;
  }
}
