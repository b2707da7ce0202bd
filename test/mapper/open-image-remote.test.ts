/** URIs where an image may stand: as targets, with lists, and as members of stacks. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { endOf } from "../../src/base/index.ts";
import { createImage, createMemoryDevice, NBD_COMMAND } from "../../src/device/index.ts";
import { imageSize, openImage, openStack } from "../../src/mapper/index.ts";
import { LoopbackServer } from "../device/nbd/support/loopback-server.ts";

const SIZE = 1024 * 1024;
let folder = "";
const servers: LoopbackServer[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "theriac-remote-"));
  vi.stubEnv("XDG_STATE_HOME", join(folder, "state"));
});
afterEach(async () => {
  for (const server of servers.splice(0)) await server.stop();
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

async function serve(fill: number, theriac = false): Promise<LoopbackServer> {
  const device = createMemoryDevice({
    size: SIZE,
    poisonUnit: 512,
    clearUnit: 512,
    clear: "overwrite",
  });
  device.write(new Uint8Array(SIZE).fill(fill), 0);
  device.inject({ offset: 8192, length: 512 }, { latent: !theriac });
  const server = await LoopbackServer.start({ device, theriac });
  servers.push(server);
  return server;
}

function stack(...lines: readonly string[]): string {
  const path = join(folder, "all.stack");
  writeFileSync(path, `${lines.join("\n")}\n`);
  return path;
}

const BAD = { offset: 8192, length: 512, state: "poisoned" as const };

describe("openImage()", () => {
  test("opens an export by its URI, with the list that came with it", async () => {
    const { uri } = await serve(7);
    expect(await imageSize(uri)).toBe(SIZE);
    const poison = [{ ...BAD, offset: 4096 }];
    const device = await openImage(uri, { poison });
    const { missing } = await device.read(new Uint8Array(SIZE), 0);
    expect(missing).toEqual([...poison, BAD]);
    await device.close();
  });

  test("refuses a URI that is none before it calls anybody", async () => {
    await expect(async () => await openImage("nbd+unix:///x")).rejects.toThrow(/^EINVAL/);
  });
});

describe("openStack()", () => {
  test("R1, R4: exports are members of stacks: poison is translated, and healed through them", async () => {
    const [one, two] = [await serve(1), await serve(2, true)];
    createImage(join(folder, "local.img"), { size: SIZE }).close();
    const path = stack(
      `device one ${one.uri}`,
      `device two ${two.uri}`,
      "device local local.img",
      "all: 0 2048 linear one 0",
      "all: 2048 2048 linear two 0",
      "all: 4096 2048 linear local 0",
    );
    const { device } = await openStack(path, { access: "write" });
    const into = new Uint8Array(SIZE * 3);
    const { missing } = await device.read(into, 0);
    const bad = [BAD, { ...BAD, offset: SIZE + BAD.offset }];
    expect(missing).toEqual(bad);
    expect([into[0], into[SIZE], into[SIZE * 2]]).toEqual([1, 2, 0]);
    const data = new Uint8Array(512).fill(9);
    expect(await device.heal(bad.map(({ offset }) => ({ offset, data })))).toEqual([
      undefined,
      undefined,
    ]);
    expect(device.poison.empty).toBe(true);
    await device.flush();
    await device.read(into, 0);
    expect([into[BAD.offset], into[SIZE + endOf(BAD) - 1]]).toEqual([9, 9]);
    await device.close();
    expect(one.seen.at(-1)?.type).toBe(NBD_COMMAND.DISCONNECT);
  });

  test("a mirror heals an export's leg with another's bytes", async () => {
    const [one, two] = [await serve(3), await serve(3)];
    await two.options.device.write(new Uint8Array(512).fill(3), BAD.offset);
    const path = stack(
      `device one ${one.uri}`,
      `device two ${two.uri}`,
      "all: 0 2048 mirror core 2 1024 nosync 2 one 0 two 0",
    );
    const { device } = await openStack(path, { access: "write" });
    const into = new Uint8Array(SIZE);
    expect((await device.read(into, 0)).missing).toEqual([]);
    expect(into.every((byte) => byte === 3)).toBe(true);
    await device.close();
    const healed = one.options.device.read(new Uint8Array(512), BAD.offset);
    expect((await healed).missing).toEqual([]);
  });

  test("one export by two URIs is opened once, and only what the top stands on", async () => {
    const [one, other] = [await serve(1), await serve(2)];
    const path = stack(
      `device a ${one.uri}`,
      `device b ${one.uri.replace("/disk?", "/d%69sk?")}`,
      `device unused ${other.uri}`,
      "all: 0 1024 linear a 0",
      "all: 1024 1024 linear b 1024",
      "top all",
    );
    const { device } = await openStack(path);
    await device.close();
    expect([one.connections, other.connections]).toEqual([1, 0]);
  });

  test("closes what is open where one export is not there, and names it", async () => {
    const one = await serve(1);
    const gone = `nbd+unix:///disk?socket=${join(folder, "gone")}`;
    const path = stack(
      `device a ${one.uri}`,
      `device b ${gone}`,
      "all: 0 1024 linear a 0",
      "all: 1024 1024 linear b 0",
    );
    await expect(async () => await openStack(path)).rejects.toThrow(`ENOENT: Cannot open ${gone}`);
    await vi.waitFor(() => expect(one.seen.at(-1)?.type).toBe(NBD_COMMAND.DISCONNECT));
  });

  test("refuses a URI behind segment and window, with its line", async () => {
    const path = stack("segment a nbd://host/x", "all: 0 8 linear a 0");
    await expect(async () => await openStack(path)).rejects.toThrow(
      /all\.stack: line 1: want a file for a segment: got the URI "nbd:\/\/host\/x"/,
    );
  });
});
