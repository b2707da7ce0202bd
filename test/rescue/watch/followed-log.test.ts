/** followed-log: kernel lines become events where they name a target, and are told once. */
import { afterAll, describe, expect, test } from "vitest";
import type { LogSource } from "../../../src/rescue/index.ts";
import { removeTemporary } from "../support/tree.ts";
import { inject, told, watchedImage, watchThrough, write, type Step } from "../support/watching.ts";

afterAll(removeTemporary);

/** A log that a test writes. */
class Log implements LogSource {
  #text = "";
  isClosed = false;
  isLost = false;

  line(text: string): Step {
    return () => (this.#text += `[ 12.5] ${text}\n`);
  }

  read(): { text: string; lost: boolean } {
    const text = this.#text;
    this.#text = "";
    const lost = this.isLost;
    this.isLost = false;
    return { text, lost };
  }

  close(): void {
    this.isClosed = true;
  }
}

const error = (sector: number, disk = "sda"): string =>
  `I/O error, dev ${disk}, sector ${sector} op 0x0:(READ) flags 0x0 phys_seg 1 prio class 2`;

describe("FollowedLog", () => {
  test("look() tells of a line that names the target, with the file, once", async () => {
    const { path, at } = await watchedImage();
    const log = new Log();
    const line = log.line(error(at / 512));
    const events = await watchThrough([path], [line, line], { log, logDevice: "sda" });
    expect(told(events)).toEqual([
      "watching",
      `reported ${at}+512 poisoned /docs/report.txt (kernel log)`,
    ]);
    expect(events[1]?.why).toBe(error(at / 512));
    expect(log.isClosed).toBe(true);
  });

  test("look() tells nothing of another disk, and nothing that a list names", async () => {
    const { path, at } = await watchedImage();
    const log = new Log();
    const steps = [log.line(error(8, "sdb")), inject(path, at), log.line(error(at / 512))];
    const events = await watchThrough([path], steps, { log, logDevice: "sda" });
    expect(told(events).map((line) => line.split(" ")[0])).toEqual(["watching", "appeared"]);
  });

  test("look() tells the same again after an hour", async () => {
    const { path, at } = await watchedImage();
    const log = new Log();
    const line = log.line(error(at / 512));
    const events = await watchThrough([path], [line, line, line], {
      log,
      logDevice: "sda",
      intervalMs: 1_800_000,
      owners: false,
    });
    expect(told(events).slice(1)).toEqual([
      `reported ${at}+512 poisoned (kernel log)`,
      `reported ${at}+512 poisoned (kernel log)`,
    ]);
  });

  test("look() places nothing on an image whose name in the log nobody told", async () => {
    const { path, at } = await watchedImage();
    const log = new Log();
    const events = await watchThrough([path], [log.line(error(at / 512))], { log });
    expect(told(events)).toEqual(["watching"]);
  });

  test("look() tells again what was healed and fails again", async () => {
    const { path, at } = await watchedImage();
    const log = new Log();
    const line = log.line(error(at / 512));
    const steps = [line, inject(path, at), write(path, at), line];
    const events = await watchThrough([path], steps, { log, logDevice: "sda", owners: false });
    expect(told(events).map((text) => text.split(" ")[0])).toEqual([
      "watching",
      "reported",
      "appeared",
      "healed",
      "reported",
    ]);
  });

  test("takeLost() is told: a log that was overwritten is not a whole list", async () => {
    const { path } = await watchedImage();
    const log = new Log();
    const events = await watchThrough([path], [() => (log.isLost = true), () => undefined], {
      log,
      logDevice: "sda",
    });
    expect(events.map(({ target, change }) => [target, change])).toEqual([
      [path, "watching"],
      ["kernel log", "failed"],
    ]);
  });
});
