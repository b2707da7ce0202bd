/** Connections that are lost: what is sent again, what must not pass for durable, and what is not tried again. */
import { afterEach, describe, expect, test } from "vitest";
import { StorageError, type MaybePromise } from "../../../src/base/index.ts";
import {
  createMemoryDevice,
  NBD_CHUNK,
  NBD_COMMAND,
  NBD_ERROR,
  NBD_EXPORT,
  openNbd,
  type OpenNbdOptions,
  type RemoteDevice,
} from "../../../src/device/index.ts";
import {
  LoopbackServer,
  type LoopbackOptions,
  type ServedRequest,
} from "./support/loopback-server.ts";

const SIZE = 65_536;
const servers: LoopbackServer[] = [];
const devices: RemoteDevice[] = [];
afterEach(async () => {
  for (const device of devices.splice(0)) await codeOf(device.close());
  for (const server of servers.splice(0)) await server.stop();
});

async function serve(options: Partial<LoopbackOptions> = {}): Promise<LoopbackServer> {
  const device = options.device ?? createMemoryDevice({ size: SIZE });
  const server = await LoopbackServer.start({ ...options, device });
  servers.push(server);
  return server;
}

async function open(server: LoopbackServer, options: OpenNbdOptions = {}): Promise<RemoteDevice> {
  const device = await openNbd(server.uri, { access: "write", retryDelaysMs: [0, 0], ...options });
  devices.push(device);
  return device;
}

async function codeOf(promise: MaybePromise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof StorageError) return error.message;
    throw error;
  }
  return "works";
}

/** Drops the first connection at the first request of a type. */
function dropAt(type: number): (request: ServedRequest) => boolean {
  return (request) => {
    if (request.type !== type || request.connection > 0) return false;
    request.socket.destroy();
    return true;
  };
}

describe("NbdSession", () => {
  test("sends reads again that were in flight when the connection was lost", async () => {
    const source = createMemoryDevice({ size: SIZE });
    source.write(new Uint8Array(SIZE).fill(3), 0);
    const server = await serve({ device: source, onRequest: dropAt(NBD_COMMAND.READ) });
    const device = await open(server);
    const into = Array.from({ length: 20 }, () => new Uint8Array(1000));
    await Promise.all(into.map(async (bytes, index) => await device.read(bytes, index * 1000)));
    expect(into.every((bytes) => bytes.every((byte) => byte === 3))).toBe(true);
    expect(server.connections).toBe(2);
  });

  test("sends a read again as it was to a server that refuses what it offers for it", async () => {
    const flags = NBD_EXPORT.HAS_FLAGS | NBD_EXPORT.SEND_DF;
    const server = await serve({
      flags,
      onRequest: (request) => {
        if (request.type !== NBD_COMMAND.READ) return false;
        if (request.connection === 0) request.socket.destroy();
        else if (request.flags !== 0) request.simple(NBD_ERROR.EINVAL);
        return request.connection === 0 || request.flags !== 0;
      },
    });
    const device = await open(server);
    expect((await device.read(new Uint8Array(10), 0)).missing).toEqual([]);
    expect((await device.read(new Uint8Array(10), 0)).missing).toEqual([]);
    const reads = server.seen.filter(({ type }) => type === NBD_COMMAND.READ);
    expect(reads.map((read) => read.flags)).toEqual([0, 4, 0, 0]);
  });

  test("R4: sends a write again that was in flight, and its flush vouches for it", async () => {
    const source = createMemoryDevice({ size: SIZE });
    const server = await serve({ device: source, onRequest: dropAt(NBD_COMMAND.WRITE) });
    const device = await open(server);
    await device.write(new Uint8Array(100).fill(5), 10);
    await device.flush();
    const into = new Uint8Array(100);
    source.readSync(into, 10);
    expect(into.every((byte) => byte === 5)).toBe(true);
  });

  test("R4: fails the flush of a write that the lost connection had taken, and writes nothing after it", async () => {
    const server = await serve();
    const device = await open(server);
    await device.write(new Uint8Array(100), 0);
    server.drop();
    expect(await codeOf(device.flush())).toMatch(
      /^EIO: Cannot flush .*: the connection was lost after writes that were not flushed/,
    );
    expect(await codeOf(device.write(new Uint8Array(1), 0))).toMatch(
      /^EIO: .*an earlier flush failed/,
    );
    expect(await codeOf(device.flush())).toMatch(/^EIO: Cannot flush/);
    expect((await device.read(new Uint8Array(100), 0)).missing).toEqual([]);
  });

  test("R4: fails the flush although a newer write went over the new connection", async () => {
    const server = await serve();
    const device = await open(server);
    await device.write(new Uint8Array(100), 0);
    server.drop();
    await device.write(new Uint8Array(100), 200);
    expect(await codeOf(device.flush())).toMatch(/^EIO: Cannot flush/);
  });

  test("R4: a flush that is lost itself is made again where nothing was lost with it", async () => {
    const server = await serve({ onRequest: dropAt(NBD_COMMAND.FLUSH) });
    const device = await open(server);
    await device.flush();
    expect(server.connections).toBe(2);
  });

  test("R4: heals again where the connection was lost between write and flush", async () => {
    const flags = NBD_EXPORT.HAS_FLAGS | NBD_EXPORT.SEND_FLUSH;
    const server = await serve({ flags, onRequest: dropAt(NBD_COMMAND.FLUSH) });
    const device = await open(server);
    device.recordBad({ offset: 512, length: 512 }, "poisoned");
    await device.write(new Uint8Array(512).fill(1), 512);
    expect(device.poison.empty).toBe(true);
    const writes = server.seen.filter(({ type }) => type === NBD_COMMAND.WRITE);
    expect(writes.map(({ connection }) => connection)).toEqual([0, 1]);
  });

  test("takes ESHUTDOWN for a lost connection", async () => {
    const server = await serve({
      onRequest: (request) => {
        if (request.type !== NBD_COMMAND.READ || request.connection > 0) return false;
        request.simple(NBD_ERROR.ESHUTDOWN);
        return true;
      },
    });
    const device = await open(server);
    expect((await device.read(new Uint8Array(10), 0)).missing).toEqual([]);
    expect(server.connections).toBe(2);
  });

  test("refuses an export that comes back with another size", async () => {
    const server = await serve({ sizeOf: (connection) => (connection === 0 ? SIZE : SIZE / 2) });
    const device = await open(server);
    server.drop();
    const message = await codeOf(device.read(new Uint8Array(10), 0));
    expect(message).toMatch(/^ESTALE: .*it had 65536 bytes, and has 32768 since/);
    expect(await codeOf(device.read(new Uint8Array(10), 0))).toBe(message);
  });

  test("gives up after the tries it was given, and says where", async () => {
    const server = await serve({
      onConnection: (socket, connection) => {
        if (connection > 0) socket.destroy();
        return connection > 0;
      },
    });
    const device = await open(server);
    server.drop();
    expect(await codeOf(device.read(new Uint8Array(10), 0))).toMatch(
      /^ECONNRESET: Cannot reach nbd\+unix:.*The server closed the connection$/,
    );
    expect(server.connections).toBe(3);
  });

  test("gives up on a request that loses every connection", async () => {
    const server = await serve({
      onRequest: (request) => {
        if (request.type === NBD_COMMAND.READ) request.socket.destroy();
        return request.type === NBD_COMMAND.READ;
      },
    });
    const device = await open(server);
    expect(await codeOf(device.read(new Uint8Array(10), 0))).toMatch(/^ECONNRESET/);
    expect(server.connections).toBe(3);
  });

  test("ends a connection that breaks the protocol, with what was broken, and opens no other", async () => {
    const server = await serve({
      onRequest: (request) => {
        if (request.type !== NBD_COMMAND.READ) return false;
        request.chunk(NBD_CHUNK.NONE, new Uint8Array(0), { done: true });
        return true;
      },
    });
    const device = await open(server);
    const read = (): Promise<string> => codeOf(device.read(new Uint8Array(10), 0));
    expect(await read()).toMatch(
      /^EPROTO: .*broke the NBD protocol: a read at 0\+10 that ended well/,
    );
    expect(await read()).toMatch(/^EPROTO/);
    expect(server.connections).toBe(1);
  });

  test("gives up on a server that falls silent while it is asked", async () => {
    const server = await serve({ onRequest: ({ type }) => type === NBD_COMMAND.READ });
    const device = await open(server, { silenceMs: 50, retryDelaysMs: [0] });
    expect(await codeOf(device.read(new Uint8Array(10), 0))).toMatch(
      /^ETIMEDOUT: .*No answer for 50 ms$/,
    );
    expect(server.connections).toBe(2);
  });

  test("says goodbye, and is of no use afterwards", async () => {
    const server = await serve();
    const device = await open(server);
    await device.close();
    expect(server.seen.at(-1)?.type).toBe(NBD_COMMAND.DISCONNECT);
    expect(await codeOf(device.read(new Uint8Array(1), 0))).toMatch(/^EIO: .*it is closed$/);
  });
});
