/** Exports of servers that know nothing of poison: what they fail to give is narrowed, and healed by overwriting. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { MediaError, type ByteRange } from "../../../src/base/index.ts";
import {
  createMemoryDevice,
  encodeError,
  NBD_CHUNK,
  NBD_COMMAND,
  NBD_COMMAND_FLAG,
  NBD_ERROR,
  NBD_EXPORT,
} from "../../../src/device/index.ts";
import {
  asPoisoned,
  BAD,
  content,
  disk,
  Exports,
  missingOf,
  seed,
  SIZE,
} from "./support/foreign-export.ts";
import { dataChunk } from "./support/loopback-server.ts";

let exports = new Exports();
beforeEach(() => {
  exports = new Exports();
});
afterEach(() => exports.end());

describe("NbdDevice over a foreign server", () => {
  test.each(["simple", "structured", "extended"] as const)(
    `R1: gives every byte around bad sectors in the %s form, and the same the second time (SEED=${seed})`,
    async (form) => {
      const server = await exports.serve(disk(BAD), { form });
      const device = await exports.open(server);
      expect(await missingOf(device)).toEqual(asPoisoned(BAD));
      const asked = server.seen.length;
      expect(await missingOf(device, "recovery")).toEqual(asPoisoned(BAD));
      // what is known is not touched again
      expect(server.seen.length - asked).toBe(2);
      expect(device.poison.totals().poisoned).toBe(2560);
    },
  );

  test("asks less of a server that tells where it failed", async () => {
    const [blind, telling] = [
      await exports.serve(disk(BAD)),
      await exports.serve(disk(BAD), { form: "structured" }),
    ];
    await missingOf(await exports.open(blind));
    await missingOf(await exports.open(telling));
    expect(telling.seen.length).toBeLessThan(blind.seen.length / 2);
  });

  test("delivers what failed for once, and lists nothing", async () => {
    const source = disk();
    source.setFault({ offset: 4096, length: 512, kind: "transient", on: true });
    const device = await exports.open(await exports.serve(source));
    expect(await missingOf(device)).toEqual([]);
    source.setFault({ offset: 4096, length: 512, kind: "transient", on: true });
    expect((await device.read(new Uint8Array(512), 4096)).missing).toEqual([]);
    expect(device.poison.empty).toBe(true);
  });

  test("in failFast does not look closer, and lists nothing", async () => {
    const server = await exports.serve(disk(BAD.slice(1)), { form: "structured" });
    const device = await exports.open(server);
    const missing = await missingOf(device, "failFast");
    expect(missing).toEqual([{ offset: 5120, length: SIZE - 5120, state: "unread" }]);
    const reads = server.seen.filter(({ type }) => type === NBD_COMMAND.READ);
    expect([device.poison.empty, reads.length]).toEqual([true, 1]);
  });

  test("R1: believes a padded chunk up to its error, and reads the rest again", async () => {
    let calls = 0;
    const device = await exports.open(
      await exports.serve(disk([{ offset: 1024, length: 512 }]), {
        form: "structured",
        onRequest: (request) => {
          if (request.type !== NBD_COMMAND.READ || calls > 0) return false;
          calls += 1;
          const padded = content.slice();
          padded.fill(0, 1024);
          request.chunk(NBD_CHUNK.OFFSET_DATA, dataChunk(0, padded));
          const error = encodeError({ errno: 5, text: "medium error", offset: 1024 });
          request.chunk(NBD_CHUNK.ERROR_OFFSET, error, { done: true });
          return true;
        },
      }),
    );
    expect(await missingOf(device)).toEqual(asPoisoned([{ offset: 1024, length: 512 }]));
  });

  test("R1: reads around what a server hangs up on, by reads that must not be fragmented", async () => {
    const source = disk(BAD);
    const { HAS_FLAGS, SEND_FLUSH, SEND_DF } = NBD_EXPORT;
    const server = await exports.serve(source, {
      form: "structured",
      flags: HAS_FLAGS | SEND_FLUSH | SEND_DF,
      onRequest: async (request) => {
        const { type, offset, length, flags } = request;
        if (type !== NBD_COMMAND.READ) return false;
        const { missing } = await source.read(new Uint8Array(length), offset);
        if (missing.length === 0) return false;
        const isWhole = (flags & NBD_COMMAND_FLAG.DF) !== 0;
        if (!isWhole) request.socket.destroy();
        const errno = length > 65_536 ? NBD_ERROR.EOVERFLOW : NBD_ERROR.EIO;
        const error = encodeError({ errno, text: "", offset: undefined });
        if (isWhole) request.chunk(NBD_CHUNK.ERROR, error, { done: true });
        return true;
      },
    });
    const device = await exports.open(server);
    expect(await missingOf(device)).toEqual(asPoisoned(BAD));
    // the first failures cost a connection each, until one tells
    expect(server.connections).toBeLessThan(6);
  });

  test("throws what is no failure of media, with the server's words", async () => {
    const device = await exports.open(
      await exports.serve(disk(), {
        form: "structured",
        onRequest: (request) => {
          if (request.type !== NBD_COMMAND.READ) return false;
          const error = encodeError({ errno: 1, text: "not today", offset: undefined });
          request.chunk(NBD_CHUNK.ERROR, error, { done: true });
          return true;
        },
      }),
    );
    await expect(missingOf(device)).rejects.toThrow(
      /^EPERM: Cannot read nbd.* at 0\+262144: the server answers EPERM \("not today"\)$/,
    );
  });

  test("R4: heals by overwriting whole units, durably and read back", async () => {
    const source = disk(BAD);
    const server = await exports.serve(source);
    const device = await exports.open(server);
    await missingOf(device);
    await device.write(content.subarray(5120, 6656), 5120);
    expect(await missingOf(device)).toEqual(asPoisoned([BAD[0], BAD[2]] as ByteRange[]));
    const writes = server.seen.filter(({ type }) => type === NBD_COMMAND.WRITE);
    expect(writes.map(({ flags }) => flags)).toEqual([1]);
    const [one, two] = await device.heal([
      { offset: 0, data: content.subarray(0, 512) },
      { offset: SIZE - 512, data: content.subarray(SIZE - 512) },
    ]);
    expect([one, two]).toEqual([undefined, undefined]);
    expect(await missingOf(device)).toEqual([]);
    expect(device.poison.empty).toBe(true);
  });

  test("R2: refuses a part of a bad unit in every mode, because the rest has no data", async () => {
    const server = await exports.serve(disk(BAD));
    const device = await exports.open(server);
    await missingOf(device);
    for (const mode of ["access", "recovery", "failFast"] as const)
      await expect(device.write(new Uint8Array(511), 5120, mode)).rejects.toThrow(MediaError);
    expect(server.seen.some(({ type }) => type === NBD_COMMAND.WRITE)).toBe(false);
    const [refused, healed] = await device.heal([
      { offset: 5120, data: content.subarray(5120, 5121) },
      { offset: 0, data: content.subarray(0, 512) },
    ]);
    expect([refused instanceof MediaError, healed]).toEqual([true, undefined]);
    expect(await missingOf(device)).toEqual(asPoisoned(BAD.slice(1)));
  });

  test("R5: a heal that does not come back leaves the range bad", async () => {
    const source = disk(BAD);
    const device = await exports.open(
      await exports.serve(source, {
        onRequest: (request) => {
          // a server that takes writes and forgets them
          if (request.type !== NBD_COMMAND.WRITE) return false;
          request.simple(0);
          return true;
        },
      }),
    );
    await missingOf(device);
    await expect(device.write(content.subarray(0, 512), 0)).rejects.toThrow(/does not come back$/);
    expect(await missingOf(device)).toEqual(asPoisoned(BAD));
  });

  test("heals neighbours together, as a disk with larger blocks than it says wants them", async () => {
    const source = createMemoryDevice({
      size: SIZE,
      poisonUnit: 512,
      clearUnit: 4096,
      clear: "overwrite",
    });
    source.write(content, 0);
    source.inject({ offset: 8192, length: 4096 }, { latent: true });
    const server = await exports.serve(source);
    const device = await exports.open(server);
    await missingOf(device);
    const writes = Array.from({ length: 8 }, (_, index) => {
      const offset = 8192 + index * 512;
      return { offset, data: content.subarray(offset, offset + 512) };
    });
    expect(await device.heal(writes)).toEqual(writes.map(() => undefined));
    expect(await missingOf(device)).toEqual([]);
  });

  test("clear() makes a range lost, with a marker in its place, and a write heals it", async () => {
    const source = disk(BAD);
    const device = await exports.open(await exports.serve(source));
    await missingOf(device);
    await device.clear({ offset: 5120, length: 512 });
    const missing = await missingOf(device);
    expect(missing[1]).toEqual({ offset: 5120, length: 512, state: "lost" });
    const marker = new Uint8Array(20);
    source.readSync(marker, 5120);
    expect(Buffer.from(marker).toString()).toBe("theriac: lost bytes\n");
    await device.write(content.subarray(5120, 5632), 5120);
    expect((await missingOf(device))[1]).toEqual({ offset: 5632, length: 1024, state: "poisoned" });
  });

  test("R1: a marker is lost bytes and no data, however a read cuts it, until it is written", async () => {
    const source = disk();
    const marked = await exports.open(await exports.serve(source));
    await marked.clear({ offset: 5120, length: 512 });
    const device = await exports.open(await exports.serve(source));
    const lost = { offset: 5120, length: 512, state: "lost" as const };
    for (const [offset, length] of [
      [5100, 600],
      [5150, 30],
      [5130, 200],
      [5119, 40],
    ] as const) {
      const { missing } = await device.read(new Uint8Array(length), offset);
      const start = Math.max(offset, lost.offset);
      const end = Math.min(offset + length, 5632);
      expect(missing).toEqual([{ offset: start, length: end - start, state: "lost" }]);
    }
    expect(await missingOf(device)).toEqual([lost]);
    await device.write(content.subarray(5120, 5632), 5120);
    expect(await missingOf(device)).toEqual([]);
  });

  test("reads and writes whole blocks of a server that takes no others, and splits what is too long", async () => {
    const source = disk();
    const sizes = { minimum: 4096, preferred: 4096, maximum: 65_536 };
    const server = await exports.serve(source, { sizes, form: "structured" });
    const device = await exports.open(server);
    expect(await missingOf(device)).toEqual([]);
    const data = new Uint8Array(5000).fill(1);
    await device.write(data, 4000);
    const after = content.slice();
    after.set(data, 4000);
    const into = new Uint8Array(100);
    await device.read(into, 3990);
    expect(into).toEqual(after.subarray(3990, 4090));
    const whole = new Uint8Array(SIZE);
    source.readSync(whole, 0);
    expect(Buffer.compare(whole, after)).toBe(0);
    const moved = new Set<number>([NBD_COMMAND.READ, NBD_COMMAND.WRITE]);
    const asked = server.seen.filter(({ type }) => moved.has(type)).map(({ range }) => range);
    const fits = asked.every(
      ({ offset, length }) => offset % 4096 === 0 && length % 4096 === 0 && length <= 65_536,
    );
    expect(fits).toBe(true);
  });

  test("R2: writes no part of a block whose other bytes cannot be read", async () => {
    const sizes = { minimum: 4096, preferred: 4096, maximum: 65_536 };
    const source = disk([{ offset: 4096, length: 512 }]);
    const server = await exports.serve(source, { sizes });
    const device = await exports.open(server);
    await expect(device.write(new Uint8Array(10), 6000)).rejects.toThrow(
      /4096\+1904 beside the write cannot be read$/,
    );
    expect(server.seen.every(({ type }) => type !== NBD_COMMAND.WRITE)).toBe(true);
  });

  test("names where a write stopped, where the server tells it", async () => {
    const device = await exports.open(
      await exports.serve(disk(), {
        form: "structured",
        onRequest: (request) => {
          if (request.type !== NBD_COMMAND.WRITE) return false;
          const error = encodeError({ errno: 5, text: "stopped", offset: 700 });
          request.chunk(NBD_CHUNK.ERROR_OFFSET, error, { done: true });
          return true;
        },
      }),
    );
    const write = device.write(new Uint8Array(1000), 0);
    await expect(write).rejects.toMatchObject({
      ranges: [{ offset: 700, length: 1, state: "unread" }],
    });
    expect(device.poison.empty).toBe(true);
  });

  test("takes a list that came with it, for what nobody has read", async () => {
    const device = await exports.open(await exports.serve(disk()), {
      poison: [{ offset: 4096, length: 4096, state: "poisoned" }],
    });
    expect(await missingOf(device)).toEqual(asPoisoned([{ offset: 4096, length: 4096 }]));
  });

  test("is a device of no UUID, that any program may write to", async () => {
    const server = await exports.serve(disk());
    const device = await exports.open(server);
    expect(device.identity).toEqual({ name: server.uri, uuid: undefined, generation: 0 });
    expect(device.capabilities).toMatchObject({
      poisonUnit: 512,
      clearUnit: 512,
      clear: "overwrite",
      mediated: false,
      readOnly: false,
      recovers: true,
    });
    await expect(Promise.resolve(device.heal([]))).resolves.toEqual([]);
    const overlap = [0, 10].map((offset) => ({ offset, data: new Uint8Array(20) }));
    await expect(device.heal(overlap)).rejects.toThrow(RangeError);
    await expect(device.clear({ offset: 1, length: 512 })).rejects.toThrow(
      /want whole clear units/,
    );
  });
});
