/** control-client: commands to the server of an image, for programs of its owner. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { StorageError, toStorageError } from "../../base/index.ts";
import { PoisonList } from "../../poison/index.ts";
import { statSync } from "node:fs";
import { controlPath, reachablePath } from "./control-address.ts";
import {
  errorOf,
  parseLine,
  unpackState,
  type ControlLine,
  type ControlRequest,
  type InjectAnswer,
  type ScrubAnswer,
  type ServedStatus,
} from "./control-messages.ts";
import { linesOf } from "./lines.ts";

/** The server of one image. */
export class ControlClient {
  readonly #socket: Socket;
  readonly #lines: AsyncGenerator<string>;

  /** @param socket a connected one */
  constructor(socket: Socket) {
    this.#socket = socket;
    this.#lines = linesOf(socket);
  }

  /** What the server says of the image and of itself. */
  status(): Promise<ServedStatus> {
    return this.#ask({ op: "status" }) as Promise<ServedStatus>;
  }

  /** The list as it is now. */
  async list(): Promise<PoisonList> {
    const { size } = await this.status();
    const list = new PoisonList(size);
    await this.#ask({ op: "list" }, (line) => {
      if (!("states" in line)) return;
      for (const packed of line.states) {
        const { state, ...range } = unpackState(packed);
        list.mark(range, state);
      }
    });
    return list;
  }

  /** Puts faults on, or ends them; poison is there on return. @throws what the device throws, and RangeError for ranges past the end */
  inject(request: Omit<ControlRequest & { op: "inject" }, "op">): Promise<InjectAnswer> {
    return this.#ask({ op: "inject", ...request }) as Promise<InjectAnswer>;
  }

  /** Follows a plan of faults, given as text or drawn by the server. */
  follow(plan: { text: string } | { seed: number; count: number }): Promise<InjectAnswer> {
    const request: ControlRequest =
      "text" in plan ? { op: "plan", ...plan } : { op: "draw", ...plan };
    return this.#ask(request) as Promise<InjectAnswer>;
  }

  /** Reads everything once, while clients go on. A signal ends it between two reads. */
  async scrub(options: {
    readonly onProgress: (done: number, total: number) => void;
    readonly signal: AbortSignal;
  }): Promise<ScrubAnswer> {
    const leave = (): void => this.close();
    options.signal.addEventListener("abort", leave, { once: true });
    try {
      return (await this.#ask({ op: "scrub" }, (line) => {
        if ("progress" in line) options.onProgress(line.progress.done, line.progress.total);
      })) as ScrubAnswer;
    } catch (error) {
      options.signal.throwIfAborted();
      throw error;
    } finally {
      options.signal.removeEventListener("abort", leave);
    }
  }

  /** Says a request, hands on what comes before its answer. @returns the answer */
  async #ask(request: ControlRequest, onLine?: (line: ControlLine) => void): Promise<unknown> {
    this.#socket.write(`${JSON.stringify(request)}\n`);
    for (;;) {
      const next = await this.#lines.next();
      if (next.done === true)
        throw new StorageError("EIO", "Cannot go on: the server of the image has ended", {
          syscall: "control",
        });
      const line = parseLine(next.value);
      if ("answer" in line) return line.answer;
      if ("error" in line) throw errorOf(line.error);
      onLine?.(line);
    }
  }

  close(): void {
    this.#socket.destroy();
  }
}

/** Connects to the server of an image; `undefined` where nobody serves it. @throws {StorageError} EACCES where somebody else's server does */
export async function connectControl(image: string): Promise<ControlClient | undefined> {
  const path = controlPath(image);
  if (statSync(path, { throwIfNoEntry: false })?.isSocket() !== true) return undefined;
  const reachable = reachablePath(path);
  const socket = connect({ path: reachable.path });
  try {
    await once(socket, "connect");
    return new ControlClient(socket);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // A server that was killed leaves its socket behind.
    if (code === "ECONNREFUSED" || code === "ENOENT") return undefined;
    throw toStorageError(error, { syscall: "connect", path });
  } finally {
    reachable.close();
  }
}
