/** theriac serve: what it says, what it refuses, and commands on an image while it is served. */
import { spawn, type ChildProcess } from "node:child_process";
import { connect } from "node:net";
import { mkdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { MAIN, theriac, theriacJson, useWorkplace } from "../support/theriac.ts";

const place = useWorkplace();
let child: ChildProcess | undefined;

/** Serves until the test ends. @returns what it printed first */
async function serve(...args: readonly string[]): Promise<string> {
  const running = spawn(process.execPath, [MAIN, "serve", ...args], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  child = running;
  return new Promise((resolve, reject) => {
    running.stdout.once("data", (text: Buffer) => resolve(String(text)));
    running.stderr.on("data", (text: Buffer) => reject(new Error(String(text))));
  });
}

/** Ends it. @returns its exit code */
async function stop(signal: NodeJS.Signals = "SIGTERM"): Promise<number | null> {
  const running = child;
  child = undefined;
  if (running === undefined || running.exitCode !== null) return running?.exitCode ?? null;
  const ended = new Promise<number | null>((resolve) => running.once("close", resolve));
  running.kill(signal);
  return ended;
}
afterEach(async () => {
  await stop("SIGKILL");
});

async function makeImage(name: string, folder = place.folder): Promise<string> {
  const path = join(folder, name);
  await theriac(["create", path, "--size", "256K"]);
  return path;
}

describe("theriac serve", () => {
  test("prints the URIs of all exports when it is ready, and ends with 0 by a signal", async () => {
    const [one, two] = [await makeImage("one"), await makeImage("two")];
    const socket = join(place.folder, "s1");
    const text = await serve(one, two, "--name", "first", "--listen", `unix:${socket}`);
    expect(text.trim().split("\n")).toEqual([
      `nbd+unix:///first?socket=${socket}`,
      `nbd+unix:///first%40recovery?socket=${socket}`,
      `nbd+unix:///two?socket=${socket}`,
      `nbd+unix:///two%40recovery?socket=${socket}`,
    ]);
    expect(await stop()).toBe(0);
    expect(statSync(socket, { throwIfNoEntry: false })).toBeUndefined();
  });

  test("listens on loopback where nothing else is said, and tells the port that it got", async () => {
    const image = await makeImage("tcp");
    const text = await serve(image, "--listen", "tcp:0");
    const port = Number(/^nbd:\/\/127\.0\.0\.1:(\d+)\/tcp$/m.exec(text)?.[1]);
    const greeting = await new Promise<string>((resolve) => {
      connect({ host: "127.0.0.1", port }).once("data", (bytes) =>
        resolve(bytes.subarray(0, 8).toString()),
      );
    });
    expect(greeting).toBe("NBDMAGIC");
  });

  test.each([
    [["--listen", "nowhere"], /want unix:PATH or tcp:HOST:PORT/],
    [["--tls-verify-peer"], /want it with --tls-certificates/],
    [["--tls-psk", "a", "--tls-certificates", "b"], /want one of them/],
    [["--name", "a", "--name", "b"], /want one --name for each image/],
    [["--name", "x@recovery"], /are taken/],
  ])("%j is wrong usage, said in words, 2", async (args, words) => {
    const image = await makeImage("usage").catch(() => join(place.folder, "usage"));
    const run = await theriac(["serve", image, "--listen", "tcp:0", ...args]);
    expect(run.stderr).toMatch(words);
    expect(run.code).toBe(2);
  });

  test("a missing image is 3, an image that is served already 4, and so is its address", async () => {
    expect((await theriac(["serve", join(place.folder, "nope")])).code).toBe(3);
    const image = await makeImage("busy");
    const socket = join(place.folder, "s2");
    await serve(image, "--listen", `unix:${socket}`);
    expect(await theriacJson(["serve", image, "--listen", "tcp:0"])).toMatchObject({
      code: 4,
      document: { code: "EBUSY" },
    });
    const other = await makeImage("other");
    expect(await theriacJson(["serve", other, "--listen", `unix:${socket}`])).toMatchObject({
      code: 4,
      document: { code: "EBUSY" },
    });
  });

  test("inject, list, scrub and status of a served image ask its server, and repair is refused", async () => {
    const image = await makeImage("live");
    await serve(image, "--listen", `unix:${join(place.folder, "s3")}`);
    expect(statSync(`${image}.theriac.sock`).mode & 0o777).toBe(0o600);
    const injected = await theriacJson(["inject", image, "--at", "4096", "--length", "512"]);
    expect(injected).toMatchObject({
      code: 0,
      document: { bytes: 512, ranges: [{ offset: 4096, length: 512 }] },
    });
    const latent = await theriacJson([
      "inject",
      image,
      "--at",
      "8192",
      "--length",
      "512",
      "--latent",
    ]);
    expect(latent.document["totals"]).toMatchObject({ poisoned: 512 });
    const listed = await theriacJson(["list", image]);
    expect(listed.document["ranges"]).toEqual([{ offset: 4096, length: 512, state: "poisoned" }]);
    const scrubbed = await theriacJson(["scrub", image]);
    expect(scrubbed).toMatchObject({
      code: 1,
      document: { foundBytes: 512, found: [{ offset: 8192 }] },
    });
    const status = await theriacJson(["status", image]);
    expect(status.document).toMatchObject({
      served: true,
      readOnly: false,
      clients: [],
      totals: { poisoned: 1024 },
    });
    const drawn = await theriacJson(["inject", image, "--random", "5", "--count", "3"]);
    expect(drawn.document["plan"]).toMatchObject({ seed: 5 });
    expect((await theriac(["inject", image, "--at", "1G", "--length", "1"])).code).toBe(2);
    expect((await theriac(["survey", image])).code).toBe(4);
    await stop();
    const after = await theriacJson(["list", image]);
    expect(after.document["ranges"]).toContainEqual({
      offset: 4096,
      length: 512,
      state: "poisoned",
    });
    expect((await theriacJson(["status", image])).document).toMatchObject({ served: false });
  });

  test("a server that was killed leaves nothing in the way", async () => {
    const image = await makeImage("killed");
    const socket = join(place.folder, "s4");
    await serve(image, "--listen", `unix:${socket}`);
    await theriac(["inject", image, "--at", "0", "--length", "512"]);
    await stop("SIGKILL");
    expect((await theriac(["list", image])).stdout).toMatch(/ 0 +512 +poisoned/);
    expect(await serve(image, "--listen", `unix:${socket}`)).toContain(socket);
  });

  test("a path too long for a socket is no hindrance to commands on the image", async () => {
    const folder = join(place.folder, "x".repeat(120));
    mkdirSync(folder);
    const image = await makeImage("far", folder);
    await serve(image, "--listen", `unix:${join(place.folder, "s5")}`);
    expect((await theriacJson(["status", image])).document).toMatchObject({ served: true });
  });

  test("--read-only serves an image that others read too, and its faults stay as they are", async () => {
    const image = await makeImage("shared");
    const text = await serve(image, "--read-only", "--listen", `unix:${join(place.folder, "s6")}`);
    expect(text).not.toContain("recovery");
    expect((await theriac(["survey", image])).code).toBe(0);
    expect(await theriacJson(["inject", image, "--at", "0", "--length", "512"])).toMatchObject({
      code: 3,
      document: { code: "EACCES" },
    });
  });

  test("a plain file is served, and cannot be injected into", async () => {
    const image = join(place.folder, "plain");
    writeFileSync(image, Buffer.alloc(8192, 1));
    await serve(image, "--listen", `unix:${join(place.folder, "s7")}`);
    expect(await theriacJson(["inject", image, "--at", "0", "--length", "512"])).toMatchObject({
      code: 3,
      document: { code: "EOPNOTSUPP" },
    });
  });
});
