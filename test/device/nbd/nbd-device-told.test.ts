/** Exports of a server that has the list: the copy here, how it stays true, and writes through the export of recovery. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  createMemoryDevice,
  encodeBlockStatus,
  encodeExtendedStatus,
  NBD_CHUNK,
  NBD_COMMAND,
  NBD_EXPORT,
  poisonFlags,
  type SimulatedDevice,
} from "../../../src/device/index.ts";
import { Exports, SIZE } from "./support/foreign-export.ts";
import type { LoopbackOptions } from "./support/loopback-server.ts";

const TOLD: Partial<LoopbackOptions> = { form: "structured", theriac: true };
let exports = new Exports();
let source: SimulatedDevice;
beforeEach(() => {
  exports = new Exports();
  source = createMemoryDevice({ size: SIZE, poisonUnit: 64, clearUnit: 256, clear: "firmware" });
});
afterEach(() => exports.end());

describe("NbdDevice over a server that has the list", () => {
  test("R7: begins with the server's states and units", async () => {
    source.inject({ offset: 1024, length: 64 });
    source.recordBad({ offset: 4096, length: 256 }, "lost");
    source.recordRead({ offset: 0, length: 1024 });
    const device = await exports.open(await exports.serve(source, TOLD));
    expect(device.poison.totals()).toEqual(source.poison.totals());
    expect(device.capabilities).toMatchObject({
      poisonUnit: 64,
      clearUnit: 256,
      clear: "firmware",
      mediated: source.capabilities.mediated,
    });
  });

  test("takes a list that comes in many replies, in both forms", async () => {
    for (const form of ["structured", "extended"] as const) {
      const server = await exports.serve(source, {
        ...TOLD,
        form,
        onRequest: (request) => {
          if (request.type !== NBD_COMMAND.BLOCK_STATUS) return false;
          const bad = poisonFlags(request.offset % 32_768 === 0 ? "lost" : "clean");
          const extents = [{ length: 16_384, flags: bad }];
          const isExtended = form === "extended";
          const encode = isExtended ? encodeExtendedStatus : encodeBlockStatus;
          const type = isExtended ? NBD_CHUNK.BLOCK_STATUS_EXT : NBD_CHUNK.BLOCK_STATUS;
          request.chunk(type, encode(8, extents), { done: true });
          return true;
        },
      });
      const device = await exports.open(server);
      expect(device.poison.totals()).toMatchObject({ clean: SIZE / 2, lost: SIZE / 2 });
    }
  });

  test("asks a read again as it was when a connection is lost: what is told must not become less", async () => {
    const { HAS_FLAGS, SEND_DF } = NBD_EXPORT;
    const server = await exports.serve(source, {
      ...TOLD,
      flags: HAS_FLAGS | SEND_DF,
      onRequest: (request) => {
        if (request.type !== NBD_COMMAND.READ || request.connection > 0) return false;
        request.socket.destroy();
        return true;
      },
    });
    const device = await exports.open(server);
    expect((await device.read(new Uint8Array(100), 0)).missing).toEqual([]);
    expect(server.seen.every(({ flags }) => flags === 0)).toBe(true);
  });

  test("R4: gives in recovery what another client has healed since", async () => {
    source.inject({ offset: 1024, length: 64 });
    const device = await exports.open(await exports.serve(source, TOLD));
    expect((await device.read(new Uint8Array(64), 1024)).missing).toHaveLength(1);
    source.write(new Uint8Array(256).fill(4), 1024);
    const into = new Uint8Array(64);
    expect((await device.read(into, 1024, "recovery")).missing).toEqual([]);
    expect([into[0], device.poison.empty]).toEqual([4, true]);
  });

  test("R4: keeps what was recorded here, whatever the server says, until it is written", async () => {
    const device = await exports.open(await exports.serve(source, TOLD));
    device.recordBad({ offset: 512, length: 256 }, "lost");
    const read = async (): Promise<unknown> =>
      (await device.read(new Uint8Array(1024), 0, "recovery")).missing;
    expect(await read()).toEqual([{ offset: 512, length: 256, state: "lost" }]);
    await device.write(new Uint8Array(256), 512, "recovery");
    expect(await read()).toEqual([]);
  });

  test("writes in recovery through the export of recovery, durably, and others through its own", async () => {
    source.inject({ offset: 1024, length: 64 });
    const server = await exports.serve(source, TOLD);
    const device = await exports.open(server);
    await device.write(new Uint8Array(10), 0);
    await device.write(new Uint8Array(64), 1024, "recovery");
    const writes = server.seen.filter(({ type }) => type === NBD_COMMAND.WRITE);
    expect(writes.map(({ connection, flags }) => [connection, flags])).toEqual([
      [0, 0],
      [1, 1],
    ]);
    expect([source.poison.empty, device.poison.empty]).toEqual([true, true]);
  });

  test("R5: believes a heal only where the server lists nothing there afterwards", async () => {
    source.inject({ offset: 1024, length: 64 });
    const server = await exports.serve(source, {
      ...TOLD,
      onRequest: (request) => {
        if (request.type !== NBD_COMMAND.WRITE) return false;
        request.chunk(NBD_CHUNK.NONE, new Uint8Array(0), { done: true });
        return true;
      },
    });
    const device = await exports.open(server);
    const [error] = await device.heal([{ offset: 1024, data: new Uint8Array(64) }]);
    expect(error?.message).toMatch(/the server took the write, and still lists the range$/);
    expect(device.poison.totals().poisoned).toBe(64);
  });

  test("refuses clear(), for which NBD has no word, and what has no recovery", async () => {
    const device = await exports.open(await exports.serve(source, TOLD));
    await expect(device.clear({ offset: 0, length: 256 })).rejects.toThrow(
      /^EOPNOTSUPP: Cannot clear/,
    );
    expect(device.poison.empty).toBe(true);
  });
});
