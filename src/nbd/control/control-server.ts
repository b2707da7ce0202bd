/**
 * control-server: commands on a served image, from programs of its owner: status, list, inject, scrub.
 *
 * They act on the open device, between two requests of clients, so they take effect at once and nothing races with the list beside the image.
 */
import { once } from "node:events";
import { chmodSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { checkRange, StorageError, toStorageError, type ByteRange } from "../../base/index.ts";
import {
  applyFaultPlan,
  drawFaultPlan,
  parseFaultPlan,
  scrub,
  type FaultPlan,
  type FaultyDevice,
  type ManagedDevice,
} from "../../device/index.ts";
import { isFaulty } from "../../mapper/index.ts";
import { describeTarget, survey } from "../../rescue/index.ts";
import { connectControl } from "./control-client.ts";
import { controlPath, reachablePath } from "./control-address.ts";
import {
  errorLine,
  packState,
  parseRequest,
  type ControlLine,
  type ControlRequest,
  type InjectAnswer,
  type ScrubAnswer,
  type ServedStatus,
} from "./control-messages.ts";
import { linesOf } from "./lines.ts";

/** Ranges of one line. */
const STATES_OF_A_LINE = 4096;
/** Milliseconds between two lines of progress. */
const PROGRESS_MS = 100;

/** What is controlled. */
export interface ControlServerOptions {
  /** As the user gave it. */
  readonly image: string;
  readonly device: ManagedDevice;
  /** What the server says of itself. */
  readonly status: () => Pick<ServedStatus, "uris" | "clients" | "clientsSoFar">;
}

/** Listens for commands on one image. */
export class ControlServer {
  readonly #options: ControlServerOptions;
  readonly #path: string;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  /** Listens from `listen` on. */
  constructor(options: ControlServerOptions) {
    this.#options = options;
    this.#path = controlPath(options.image);
    this.#server = createServer((socket) => void this.#serve(socket));
  }

  /**
   * Begins to listen, where no other server of the image does: that one serves it for reading as this one does, or it would hold the lock. A socket that
   * nobody answers at is a dead server's.
   *
   * @throws {StorageError}
   */
  async listen(): Promise<void> {
    const other = await connectControl(this.#options.image);
    other?.close();
    if (other !== undefined) return;
    rmSync(this.#path, { force: true });
    const reachable = reachablePath(this.#path);
    try {
      // Nobody else may connect, not even between its making and a change of its mode.
      const mask = process.umask(0o177);
      this.#server.listen(reachable.path);
      process.umask(mask);
      await once(this.#server, "listening");
      chmodSync(this.#path, 0o600);
    } catch (error) {
      throw toStorageError(error, { syscall: "listen", path: this.#path });
    } finally {
      reachable.close();
    }
  }

  /** Ends; commands under way are cut off. */
  async close(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = once(this.#server, "close");
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
    rmSync(this.#path, { force: true });
  }

  async #serve(socket: Socket): Promise<void> {
    this.#sockets.add(socket);
    const left = new AbortController();
    socket.on("error", () => left.abort());
    socket.on("close", () => {
      this.#sockets.delete(socket);
      left.abort();
    });
    try {
      for await (const line of linesOf(socket)) {
        try {
          await this.#answer(await parseRequest(line), new Speaker(socket, left.signal));
        } catch (error) {
          socket.write(`${JSON.stringify(errorLine(error))}\n`);
        }
      }
    } catch {
      socket.destroy();
    }
  }

  async #answer(request: ControlRequest, speaker: Speaker): Promise<void> {
    const { device } = this.#options;
    switch (request.op) {
      case "status":
        return speaker.answer(this.#status());
      case "list":
        return this.#list(speaker);
      case "inject":
        return speaker.answer(await inject(this.#faulty(), request));
      case "plan":
        return speaker.answer(await this.#follow(parseFaultPlan(request.text, "the plan")));
      case "draw":
        return speaker.answer(await this.#follow(drawFaultPlan(device, request)));
      case "scrub":
        return speaker.answer(await this.#scrub(speaker));
    }
  }

  #status(): ServedStatus {
    const { device, status } = this.#options;
    const { size, poison, capabilities } = device;
    const totals = poison.totals();
    return { pid: process.pid, size, readOnly: capabilities.readOnly, totals, ...status() };
  }

  async #list(speaker: Speaker): Promise<void> {
    const { device } = this.#options;
    let states: [number, number, number][] = [];
    for (const part of device.poison.states({ offset: 0, length: device.size })) {
      if (states.push(packState(part)) < STATES_OF_A_LINE) continue;
      await speaker.say({ states });
      states = [];
    }
    await speaker.say({ states });
    await speaker.answer({ size: device.size });
  }

  async #follow(plan: FaultPlan): Promise<InjectAnswer> {
    const device = this.#faulty();
    const ranges = await applyFaultPlan(device, plan);
    return { ranges, totals: device.poison.totals(), plan };
  }

  async #scrub(speaker: Speaker): Promise<ScrubAnswer> {
    const { device, image } = this.#options;
    let saidMs = 0;
    const { found, foundBytes, totals } = await scrub(device, {
      signal: speaker.signal,
      onProgress: ({ done, total }) => {
        if (performance.now() - saidMs < PROGRESS_MS) return;
        saidMs = performance.now();
        void speaker.say({ progress: { done, total } });
      },
    });
    const { missing } = await survey(await describeTarget(device, { path: image }));
    return { found, foundBytes, totals, missing };
  }

  #faulty(): FaultyDevice {
    const { device, image } = this.#options;
    if (isFaulty(device)) return device;
    throw new StorageError(
      "EOPNOTSUPP",
      `Cannot inject into ${image}: not all of it stands on simulated images`,
      {
        path: image,
        syscall: "inject",
      },
    );
  }
}

/** Speaks to one program. */
class Speaker {
  readonly #socket: Socket;
  readonly signal: AbortSignal;

  constructor(socket: Socket, signal: AbortSignal) {
    this.#socket = socket;
    this.signal = signal;
  }

  /** Says a line, and waits where the other end does not listen. */
  async say(line: ControlLine): Promise<void> {
    if (this.signal.aborted) return;
    const isTaken = this.#socket.write(`${JSON.stringify(line)}\n`);
    if (!isTaken) await once(this.#socket, "drain", { signal: this.signal });
  }

  answer(answer: unknown): Promise<void> {
    return this.say({ answer });
  }
}

async function inject(
  device: FaultyDevice,
  request: ControlRequest & { readonly op: "inject" },
): Promise<InjectAnswer> {
  const { ranges, fault, latent, on } = request;
  for (const range of ranges) checkRange(range, device.size);
  const done: ByteRange[] = [];
  for (const range of ranges) {
    if (fault === "poison" && on) done.push(device.inject(range, { latent }));
    else {
      device.setFault({ ...range, kind: fault, on });
      done.push(range);
    }
    // Each takes syncs: clients go on in between.
    await new Promise((resolve) => setImmediate(resolve));
  }
  await device.flush();
  return { ranges: done, totals: device.poison.totals() };
}
