/** theriac watch: the program, while other processes change what it watches. */
import { spawn, type ChildProcess } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, afterEach, describe, expect, test } from "vitest";
import type { WatchEvent } from "../../../src/rescue/index.ts";
import { removeTemporary, writeTree } from "../../rescue/support/tree.ts";
import { watchedImage } from "../../rescue/support/watching.ts";
import { MAIN, theriac, theriacJson } from "../support/theriac.ts";

let child: ChildProcess | undefined;
afterEach(() => void child?.kill("SIGKILL"));
afterAll(removeTemporary);

/** A running watch: its events one by one, and its end. */
class Watching {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #ended: Promise<number | null>;
  stderr = "";

  constructor(...args: readonly string[]) {
    const running = spawn(process.execPath, [MAIN, "watch", "--interval", "0.05", ...args], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    child = running;
    this.#child = running;
    running.stderr.on("data", (text: Buffer) => (this.stderr += String(text)));
    this.#lines = createInterface({ input: running.stdout })[Symbol.asyncIterator]();
    this.#ended = new Promise((resolve) => running.once("close", resolve));
  }

  /** The next event. */
  async next(): Promise<WatchEvent> {
    const { value, done } = await this.#lines.next();
    if (done === true) throw new Error(`it ended: ${this.stderr}`);
    return JSON.parse(value) as WatchEvent;
  }

  /** The next event of a kind; the ones before it are passed over. */
  async until(change: WatchEvent["change"]): Promise<WatchEvent> {
    for (;;) {
      const event = await this.next();
      if (event.change === change) return event;
    }
  }

  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<number | null> {
    this.#child.kill(signal);
    return this.#ended;
  }
}

// each test starts the program several times: on a busy machine that takes its time
describe("theriac watch", { timeout: 600_000 }, () => {
  test("names the file when another process poisons an image, and ends with 0 by a signal", async () => {
    const { path, at } = await watchedImage();
    const watching = new Watching(path);
    expect(await watching.next()).toMatchObject({ number: 1, change: "watching", bytes: 0 });
    expect((await theriac(["inject", path, "--at", String(at), "--length", "512"])).code).toBe(0);
    expect(await watching.until("appeared")).toMatchObject({
      schema: "theriac.event/1",
      target: path,
      bytes: 512,
      files: ["/docs/report.txt"],
      ranges: [{ offset: at, length: 512, state: "poisoned" }],
    });
    expect(await watching.stop("SIGINT")).toBe(0);
  });

  test("sees what is healed, and that the image goes and comes", async () => {
    const { path, at, folder } = await watchedImage();
    writeTree(join(folder, "backup"));
    await theriac(["inject", path, "--at", String(at), "--length", "512"]);
    const watching = new Watching(path);
    expect(await watching.next()).toMatchObject({ change: "watching", bytes: 512 });
    expect((await theriac(["repair", path, "--from", join(folder, "backup")])).code).toBe(0);
    expect(await watching.until("healed")).toMatchObject({ files: ["/docs/report.txt"] });
    renameSync(path, `${path}.away`);
    expect((await watching.until("gone")).why).toMatch(/ENOENT/);
    renameSync(`${path}.away`, path);
    expect(await watching.until("returned")).toMatchObject({ bytes: 0 });
    expect(await watching.stop()).toBe(0);
  });

  test("sees at once what a server's clients meet", async () => {
    const { path, at, folder } = await watchedImage();
    const server = spawn(
      process.execPath,
      [MAIN, "serve", path, "--listen", `unix:${join(folder, "socket")}`],
      { stdio: ["ignore", "pipe", "inherit"] },
    );
    try {
      await new Promise((resolve) => server.stdout.once("data", resolve));
      const watching = new Watching(path, "--no-owners");
      await watching.until("watching");
      await theriac(["inject", path, "--at", String(at), "--length", "512"]);
      expect(await watching.until("appeared")).toMatchObject({ bytes: 512 });
      await watching.stop();
    } finally {
      server.kill("SIGKILL");
    }
  });

  test("hands each event to a command, whose failure is told", async () => {
    const { path, folder, at } = await watchedImage();
    const script = join(folder, "hook.cjs");
    writeFileSync(
      script,
      `const fs = require("node:fs");
       const event = JSON.parse(fs.readFileSync(0, "utf8"));
       const name = process.argv[2] + "/" + event.change;
       fs.writeFileSync(name + ".new", process.env.THERIAC_TARGET);
       fs.renameSync(name + ".new", name);
       process.exit(event.change === "appeared" ? 9 : 0);`,
    );
    const words = [process.execPath, script, folder].flatMap((word) => ["--exec", word]);
    const watching = new Watching(path, ...words);
    await watching.until("watching");
    await theriac(["inject", path, "--at", String(at), "--length", "512"]);
    const { number } = await watching.until("appeared");
    // its end waits for its commands
    expect(await watching.stop()).toBe(0);
    expect(readFileSync(join(folder, "appeared"), "utf8")).toBe(path);
    expect(existsSync(join(folder, "watching"))).toBe(true);
    expect(watching.stderr).toContain(`event ${number}: ${process.execPath} ended with 9`);
  });

  test("repairs what goes bad from a donor that proves what it has, and refuses one that does not", async () => {
    const { path, folder, at } = await watchedImage();
    writeTree(join(folder, "backup"));
    const digest = join(folder, "digest");
    const unproven = new Watching(path, "--repair", "--from", join(folder, "backup"));
    await unproven.until("watching");
    await theriac(["inject", path, "--at", String(at), "--length", "512"]);
    expect((await unproven.until("refused")).why).toMatch(/refused 512/);
    await unproven.stop();
    await theriac(["digest", join(folder, "backup"), "-o", digest]);
    const from = ["--from", join(folder, "backup"), "--digest", digest];
    const proven = new Watching(path, "--repair", ...from);
    expect(await proven.until("repaired")).toMatchObject({ bytes: 512 });
    expect(await proven.until("healed")).toMatchObject({ files: ["/docs/report.txt"] });
    await proven.stop();
    const { document } = await theriacJson(["log", path]);
    expect(JSON.stringify(document)).toContain('"grade":"proven"');
  });

  test("--once looks once: 0 where nothing is bad, 1 where something is, 3 where a target is not there", async () => {
    const { path, at, folder } = await watchedImage();
    const prom = join(folder, "theriac.prom");
    const once = ["watch", path, "--once", "--prometheus", prom];
    expect(await theriacJson(once)).toMatchObject({
      code: 0,
      document: { schema: "theriac.watch/1", events: 1 },
    });
    expect(readFileSync(prom, "utf8")).toContain(
      `theriac_target_bytes{target="${path}",state="poisoned"} 0\n`,
    );
    await theriac(["inject", path, "--at", String(at), "--length", "512"]);
    expect((await theriac(once)).code).toBe(1);
    expect(readFileSync(prom, "utf8")).toContain('state="poisoned"} 512\n');
    expect((await theriac(["watch", `${path}.none`, "--once"])).code).toBe(3);
  });

  test("prints text for people where it is asked for", async () => {
    const { path } = await watchedImage();
    const { stdout } = await theriac(["watch", path, "--once", "--events", "text"]);
    expect(stdout).toMatch(/^\S+Z .*disk\.img: watching: no byte is known to be bad\n$/);
  });

  test("follows a log, also of what stdin says", async () => {
    const { path, at, folder } = await watchedImage();
    const log = join(folder, "kern.log");
    writeFileSync(log, "");
    const watching = new Watching(path, "--log", log, "--log-device", "sda");
    await watching.until("watching");
    writeFileSync(log, `[ 1.5] I/O error, dev sda, sector ${at / 512} op 0x0:(READ) flags 0x0\n`);
    expect(await watching.until("reported")).toMatchObject({ files: ["/docs/report.txt"] });
    await watching.stop();
  });

  test.each([
    [["--repair"], "want --from DONOR"],
    [["--from", "x"], "want --repair"],
    [["--log", "-"], "want --log-device NAME"],
    [["--log-device", "sda"], "want --log with it"],
    [["--interval", "0"], "Want seconds above 0"],
    [["--jobs", "0"], "Want a whole number from 1 up"],
  ])("refuses options that make no sense: %j", async (args, message) => {
    const { code, stderr } = await theriac(["watch", "some.img", ...args]);
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining(message) });
  });

  test("refuses a figure file that cannot be written, and a log that is not there", async () => {
    const { path, folder } = await watchedImage();
    const prom = join(folder, "no", "x.prom");
    expect(await theriac(["watch", path, "--prometheus", prom])).toMatchObject({ code: 3 });
    mkdirSync(join(folder, "dir"));
    const log = ["--log", join(folder, "none"), "--log-device", "sda"];
    expect(await theriac(["watch", path, ...log])).toMatchObject({ code: 3 });
  });
});
