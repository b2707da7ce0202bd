/** Watching: a watch whose time is the test's: each pause runs the next step of a script, and the last one ends it. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "../../../src/base/index.ts";
import { adoptImage, openDevice, type SimulatedDevice } from "../../../src/device/index.ts";
import { watch, type WatchEvent, type WatchOptions } from "../../../src/rescue/index.ts";
import { memoryTarget, placeOf, temporary, treeImage } from "./tree.ts";

/** Something that is done while the watch waits. */
export type Step = () => unknown;

/** A clock whose `sleep` does the next step, and which aborts when there is none. */
export class ScriptClock implements Clock {
  readonly abort: AbortController = new AbortController();
  readonly #steps: Step[];
  #now = Date.UTC(2026, 0, 1);

  constructor(steps: readonly Step[]) {
    this.#steps = [...steps];
  }

  now(): number {
    return this.#now;
  }

  /** Lets time pass. */
  add(delayMs: number): void {
    this.#now += delayMs;
  }

  async sleep(delayMs: number): Promise<void> {
    this.#now += delayMs;
    const step = this.#steps.shift();
    if (step === undefined) this.abort.abort();
    else await step();
  }
}

/** Watches while the steps are done, one between two looks, and gives all events. */
export async function watchThrough(
  paths: readonly string[],
  steps: readonly Step[],
  options: WatchOptions = {},
): Promise<readonly WatchEvent[]> {
  const clock = new ScriptClock(steps);
  const events: WatchEvent[] = [];
  const { signal } = clock.abort;
  for await (const event of watch(paths, { clock, signal, ...options })) events.push(event);
  return events;
}

/** What a test compares of events. */
export function told(events: readonly WatchEvent[]): readonly string[] {
  return events.map(({ change, ranges, files, source }) =>
    [
      change,
      ...ranges.map(({ offset, length, state }) => `${offset}+${length} ${state}`),
      ...files,
      ...(source === undefined ? [] : [`(${source})`]),
    ].join(" "),
  );
}

/** The image of the tree as a file with a list, and the place of a file in it. */
export async function watchedImage(name = "disk.img"): Promise<{
  readonly path: string;
  readonly folder: string;
  readonly at: number;
}> {
  const folder = temporary();
  const path = join(folder, name);
  writeFileSync(path, treeImage());
  const { map } = await memoryTarget(treeImage());
  adoptImage(path, { poisonUnit: 512, clearUnit: 512 }).close();
  return { path, folder, at: await placeOf(map, "/docs/report.txt") };
}

/** Opens an image as another process would, does something, and closes it. */
export function withImage(path: string, work: (device: SimulatedDevice) => unknown): Step {
  return async () => {
    const device = openDevice(path, { access: "write" }) as SimulatedDevice;
    try {
      await work(device);
    } finally {
      device.close();
    }
  };
}

/** Poisons a range of an image. */
export function inject(path: string, offset: number, length = 512): Step {
  return withImage(path, (device) => device.inject({ offset, length }));
}

/** Writes zeros over a range of an image, which heals it. */
export function write(path: string, offset: number, length = 512): Step {
  return withImage(path, (device) => device.write(new Uint8Array(length), offset));
}
