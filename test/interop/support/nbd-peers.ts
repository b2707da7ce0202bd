/** Servers of others with an image behind them, for the NBD client: one `Peers` for each test, which ends all that it started. */
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createPrng, type BadRange } from "../../../src/base/index.ts";
import { openNbd, type OpenNbdOptions, type RemoteDevice } from "../../../src/device/index.ts";

/** Bytes of the image. */
export const SIZE: number = 4 * 1024 * 1024;
/** Of the image's bytes. */
export const seed: number = Number(process.env["SEED"] ?? Date.now() % 2 ** 31);
/** What is in the image. */
export const content: Uint8Array = createPrng(seed).bytes(SIZE);

/** Whether a program is not installed. */
export function missing(...programs: readonly string[]): boolean {
  return programs.some((name) => spawnSync("which", [name]).status !== 0);
}

/** Words of a title for tests that are skipped. */
export function why(isMissing: boolean, name: string): string {
  return isMissing ? ` (skipped: no ${name})` : "";
}

/** Reads all of a device in recovery. */
export async function whole(
  device: RemoteDevice,
): Promise<{ bytes: Uint8Array; missing: readonly BadRange[] }> {
  const bytes = new Uint8Array(device.size);
  const result = await device.read(bytes, 0, "recovery");
  return { bytes, missing: result.missing };
}

/** Whether somebody accepts connections on a Unix socket: asked of Linux, because some servers take one connection only. */
function accepts(socket: string): boolean {
  const line = readFileSync("/proc/net/unix", "utf8")
    .split("\n")
    .find((one) => one.endsWith(` ${socket}`));
  return line?.split(/\s+/)[3] === "00010000";
}

/** Servers and devices of one test. */
export class Peers {
  readonly folder: string = mkdtempSync(join(tmpdir(), "theriac-nbdc-"));
  readonly image: string = join(this.folder, "disk.img");
  readonly #running: ChildProcess[] = [];
  readonly #devices: RemoteDevice[] = [];

  constructor() {
    writeFileSync(this.image, content);
  }

  /** Starts a server that stays in the foreground, and waits until it listens. */
  async start(program: string, args: readonly string[], socket: string): Promise<void> {
    const child = spawn(program, args, { stdio: "ignore" });
    this.#running.push(child);
    while (!accepts(socket) && child.exitCode === null)
      await new Promise<void>((resolve) => {
        setTimeout(resolve, 10);
      });
  }

  /** Starts nbdkit. @returns the URI of its export */
  async nbdkit(...args: readonly string[]): Promise<string> {
    const socket = join(this.folder, "nbdkit");
    await this.start("nbdkit", ["-f", "-U", socket, ...args], socket);
    return `nbd+unix:///disk?socket=${socket}`;
  }

  async open(uri: string, options: OpenNbdOptions = {}): Promise<RemoteDevice> {
    const state = join(this.folder, "state");
    const device = await openNbd(uri, { access: "write", stateDirectory: state, ...options });
    this.#devices.push(device);
    return device;
  }

  async end(): Promise<void> {
    for (const device of this.#devices) await device.close();
    for (const child of this.#running) {
      child.kill();
      await new Promise<void>((resolve) => {
        if (child.exitCode !== null || child.signalCode !== null) resolve();
        else child.once("exit", () => resolve());
      });
    }
    rmSync(this.folder, { recursive: true });
  }
}
