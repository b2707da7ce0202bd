/** NbdServer: real sockets: who gets in, who is dropped, and how it ends. */
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createMemoryDevice, NBD_COMMAND, NBD_ERROR } from "../../src/device/index.ts";
import { NbdServer, type NbdServerOptions } from "../../src/nbd/index.ts";
import { servedMemory } from "./support/peer.ts";
import { opening, requests } from "./support/session.ts";

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "theriac-nbd-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let count = 0;

/** A server on a socket of its own, with what connects to it. */
async function served(options: Partial<NbdServerOptions> = {}) {
  const memory = servedMemory({ size: 1024 * 1024 });
  const exports = [{ name: "disk", device: memory.device, isDirect: () => true }];
  const server = new NbdServer({ exports, farewellMs: 200, ...options });
  const path = join(folder, `s${(count += 1)}`);
  const uris = await server.listen({ kind: "unix", path });
  return { ...memory, server, path, uris };
}

/** A connected socket that keeps what comes. */
async function client(
  path: string,
): Promise<{ socket: Socket; came: () => Buffer; over: Promise<void> }> {
  const pieces: Buffer[] = [];
  const socket = connect({ path });
  socket.on("data", (bytes: Buffer) => pieces.push(bytes));
  socket.on("error", () => undefined);
  const over = new Promise<void>((resolve) => socket.on("close", () => resolve()));
  await new Promise((resolve) => socket.once("connect", resolve));
  return { socket, came: () => Buffer.concat(pieces), over };
}

async function until(what: () => boolean): Promise<void> {
  while (!what()) await new Promise((resolve) => setTimeout(resolve, 2));
}

describe("NbdServer", () => {
  test("listen() answers with the URI of each export, and close() takes the socket away", async () => {
    const { server, path, uris } = await served();
    expect(uris).toEqual([
      `nbd+unix:///disk?socket=${path}`,
      `nbd+unix:///disk%40recovery?socket=${path}`,
    ]);
    await server.close();
    expect(statSync(path, { throwIfNoEntry: false })).toBeUndefined();
  });

  test("listen() replaces the socket of a dead server, and leaves that of a living one (EBUSY)", async () => {
    const first = await served();
    const exports = [{ name: "d", device: createMemoryDevice({ size: 4096 }) }];
    const address = { kind: "unix", path: first.path } as const;
    await expect(new NbdServer({ exports }).listen(address)).rejects.toMatchObject({
      code: "EBUSY",
    });
    await first.server.close();
    const path = join(folder, "dead");
    const dead = createServer().listen(path);
    await new Promise((resolve) => dead.once("listening", resolve));
    (dead as unknown as { _handle: { unref(): void } })._handle.unref();
    writeFileSync(join(folder, "file"), "not a socket");
    await expect(
      new NbdServer({ exports }).listen({ kind: "unix", path: join(folder, "file") }),
    ).rejects.toMatchObject({ code: "EBUSY" });
    dead.close();
  });

  test("listen() names the folder that is not there (ENOENT)", async () => {
    const exports = [{ name: "d", device: createMemoryDevice({ size: 4096 }) }];
    const path = join(folder, "nowhere", "socket");
    await expect(new NbdServer({ exports }).listen({ kind: "unix", path })).rejects.toMatchObject({
      code: "ENOENT",
      message: expect.stringContaining("its folder is not there") as string,
    });
  });

  test("a client past the cap is turned away; one that leaves makes room", async () => {
    const { server, path } = await served({ clientsMax: 2 });
    const [one, two] = [await client(path), await client(path)];
    await until(() => one.came().length === 18 && two.came().length === 18);
    const three = await client(path);
    await three.over;
    expect(three.came()).toHaveLength(0);
    one.socket.destroy();
    await until(() => server.connections.length === 1);
    const four = await client(path);
    await until(() => four.came().length === 18);
    await server.close();
  });

  test("a client that does not finish its handshake is dropped: trap CVE-2024-7409", async () => {
    const { server, path } = await served({ handshakeMs: 50 });
    const idle = await client(path);
    const busy = await client(path);
    busy.socket.write(opening("structured"));
    await idle.over;
    expect(server.connections).toHaveLength(1);
    expect(busy.socket.destroyed).toBe(false);
    await server.close();
  });

  test("clients that vanish in every phase leave nothing behind: trap CVE-2013-7441", async () => {
    const { server, path } = await served();
    const bytes = Buffer.concat([
      opening("structured"),
      requests([{ command: NBD_COMMAND.READ, flags: 0, offset: 0, length: 1024 * 1024 }], false),
    ]);
    for (const length of [0, 3, 20, 60, 150, bytes.length - 5, bytes.length]) {
      const { socket, over } = await client(path);
      socket.write(bytes.subarray(0, length));
      socket.destroy();
      await over;
    }
    await until(() => server.connections.length === 0);
    expect(server.served).toBe(7);
    await server.close();
  });

  test("a client that takes nothing holds little memory, and does not stop others", async () => {
    const { server, path, bytes } = await served();
    const slow = await client(path);
    slow.socket.pause();
    const reads = Array.from({ length: 500 }, () => ({
      command: NBD_COMMAND.READ,
      flags: 0,
      offset: 0,
      length: 1024 * 1024,
    }));
    slow.socket.write(Buffer.concat([opening("structured"), requests(reads, false)]));
    const other = await client(path);
    other.socket.write(Buffer.concat([opening("structured"), requests(reads.slice(0, 3), false)]));
    await until(() => other.came().length > 3 * 1024 * 1024);
    const [slowStatus] = server.connections;
    expect(slowStatus?.requests).toBeLessThan(20);
    expect(other.came().subarray(-1000).equals(bytes.subarray(-1000))).toBe(true);
    await server.close();
  });

  test("a slow zone of one client does not slow another", async () => {
    const device = createMemoryDevice({ size: 1024 * 1024 });
    const read = device.read.bind(device);
    let finish: (() => void) | undefined;
    device.read = async (into, offset, mode) => {
      if (offset === 0) await new Promise<void>((resolve) => (finish = resolve));
      return read(into, offset, mode);
    };
    const server = new NbdServer({ exports: [{ name: "disk", device }] });
    const path = join(folder, "slow");
    await server.listen({ kind: "unix", path });
    const ask = (offset: number): Buffer =>
      Buffer.concat([
        opening("structured"),
        requests([{ command: 0, flags: 0, offset, length: 512 }], false),
      ]);
    const [slow, quick] = [await client(path), await client(path)];
    slow.socket.write(ask(0));
    await until(() => finish !== undefined);
    quick.socket.write(ask(4096));
    await until(() => quick.came().length > 512);
    expect(slow.came().length).toBeLessThan(512);
    finish?.();
    await until(() => slow.came().length > 512);
    await server.close();
  });

  test("close() lets what is under way end, refuses what comes then, and lets clients leave", async () => {
    const device = createMemoryDevice({ size: 4096 });
    const read = device.read.bind(device);
    let finish: (() => void) | undefined;
    device.read = async (into, offset, mode) => {
      await new Promise<void>((resolve) => (finish = resolve));
      return read(into, offset, mode);
    };
    const server = new NbdServer({ exports: [{ name: "disk", device }], farewellMs: 20 });
    const path = join(folder, "ending");
    await server.listen({ kind: "unix", path });
    const one = await client(path);
    const flush = { command: NBD_COMMAND.FLUSH, flags: 0, offset: 0, length: 0 };
    one.socket.write(Buffer.concat([opening("structured"), requests([flush], false)]));
    await until(() => one.came().includes(Buffer.from([0x67, 0x44, 0x66, 0x98])));
    one.socket.write(requests([{ command: 0, flags: 0, offset: 0, length: 512 }], false));
    await until(() => finish !== undefined);
    const before = one.came().length;
    const closed = server.close();
    one.socket.write(
      requests([{ command: NBD_COMMAND.FLUSH, flags: 0, offset: 0, length: 0 }], false),
    );
    await until(() => one.came().length > before);
    const refused = one.came().subarray(before);
    expect(refused.readUInt16BE(6)).toBe(0x8001);
    expect(refused.readUInt32BE(20)).toBe(NBD_ERROR.ESHUTDOWN);
    finish?.();
    await closed;
    await one.over;
    expect(one.came().length - before).toBeGreaterThan(512);
  });

  test("a server with nothing to do sleeps", async () => {
    const { server, path } = await served();
    const one = await client(path);
    one.socket.write(
      Buffer.concat([
        opening("structured"),
        requests([{ command: 0, flags: 0, offset: 0, length: 512 }], false),
      ]),
    );
    await until(() => one.came().length > 700);
    await new Promise((resolve) => setTimeout(resolve, 20));
    let turns = 0;
    const immediate = setImmediate;
    globalThis.setImmediate = ((...args: Parameters<typeof setImmediate>) => {
      turns += 1;
      return immediate(...args);
    }) as typeof setImmediate;
    await new Promise((resolve) => setTimeout(resolve, 20));
    globalThis.setImmediate = immediate;
    expect(turns).toBe(0);
    await server.close();
  });
});
