/** Holes of an export, which a scan passes over. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  encodeBlockStatus,
  encodeError,
  NBD_CHUNK,
  NBD_COMMAND,
} from "../../../src/device/index.ts";
import { disk, Exports, missingOf, SIZE } from "./support/foreign-export.ts";

let exports = new Exports();
beforeEach(() => {
  exports = new Exports();
});
afterEach(() => exports.end());

describe("holeFrom()", () => {
  test("knows holes from block status, in time, and forgets them where it writes", async () => {
    const flagsOf = (offset: number): number => (offset < 131_072 ? 0 : 3);
    const server = await exports.serve(disk(), {
      form: "structured",
      onRequest: (request) => {
        if (request.type !== NBD_COMMAND.BLOCK_STATUS) return false;
        const { offset } = request;
        const length = Math.min(request.length, 65_536);
        const status = encodeBlockStatus(7, [{ length, flags: flagsOf(offset) }]);
        request.chunk(NBD_CHUNK.BLOCK_STATUS, status, { done: true });
        return true;
      },
    });
    const device = await exports.open(server);
    const ask = async (offset: number): Promise<number | undefined> => {
      for (let tries = 0; tries < 10_000; tries += 1) {
        if ((device.holeFrom?.(offset) ?? 0) > 0) break;
        await device.read(new Uint8Array(1), 0);
      }
      return device.holeFrom?.(offset);
    };
    expect(await ask(0)).toBe(0);
    expect(await ask(131_072)).toBeGreaterThanOrEqual(65_536);
    expect(await ask(200_000)).toBe(SIZE - 200_000);
    await device.write(new Uint8Array(512), 200_192);
    expect(device.holeFrom?.(200_000)).toBe(192);
    device.recordBad({ offset: 199_680, length: 512 }, "poisoned");
    expect(device.holeFrom?.(199_000)).toBe(680);
  });

  test("a server that fails block status is read whole", async () => {
    const server = await exports.serve(disk(), {
      form: "structured",
      onRequest: (request) => {
        if (request.type !== NBD_COMMAND.BLOCK_STATUS) return false;
        const error = encodeError({ errno: 5, text: "", offset: undefined });
        request.chunk(NBD_CHUNK.ERROR, error, { done: true });
        return true;
      },
    });
    const device = await exports.open(server);
    expect(device.holeFrom?.(0)).toBe(0);
    expect(await missingOf(device)).toEqual([]);
  });
});
