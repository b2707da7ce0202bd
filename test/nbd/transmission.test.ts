/** Transmission: commands, their flags and their failures, and what each trap of other servers does here. */
import { describe, expect, test } from "vitest";
import { endOf } from "../../src/base/index.ts";
import {
  ALLOCATION_CONTEXT,
  DEVICE_CONTEXT,
  deviceFacts,
  NBD_COMMAND,
  NBD_COMMAND_FLAG,
  NBD_ERROR,
  POISON_CONTEXT,
  RECOVERY_SUFFIX,
} from "../../src/device/index.ts";
import { Peer, servedMemory } from "./support/peer.ts";

const { READ, WRITE, FLUSH, TRIM, CACHE, WRITE_ZEROES, BLOCK_STATUS, DISCONNECT } = NBD_COMMAND;
const { FUA, NO_HOLE, DF, REQ_ONE, FAST_ZERO } = NBD_COMMAND_FLAG;
const { EINVAL, EIO, ENOSPC, EPERM, ENOTSUP, ESHUTDOWN } = NBD_ERROR;
const whole = { offset: 0, length: 65_536 };

describe("writes", () => {
  test("store their bytes; with FUA they are flushed before the answer", async () => {
    const { device, exports } = servedMemory();
    let flushes = 0;
    const flush = device.flush.bind(device);
    device.flush = () => {
      flushes += 1;
      flush();
    };
    const peer = new Peer(exports).go("structured");
    const payload = Buffer.alloc(3000, 0x77);
    expect(await peer.ask(WRITE, { offset: 100, payload })).toMatchObject([
      { type: "simple", errno: 0 },
    ]);
    expect(flushes).toBe(0);
    await peer.ask(WRITE, { offset: 5000, payload, flags: FUA });
    expect(flushes).toBe(1);
    await peer.ask(FLUSH);
    expect(flushes).toBe(2);
    const into = Buffer.alloc(3000);
    await device.read(into, 100);
    expect(into.equals(payload)).toBe(true);
  });

  test("heal whole units, and leave their neighbours (B3, R2)", async () => {
    const { device, bytes, exports } = servedMemory();
    device.inject({ offset: 1536, length: 512 });
    const peer = new Peer(exports).go("structured");
    await peer.ask(WRITE, { offset: 1536, payload: Buffer.alloc(512, 1) });
    expect([...device.poison.bad(whole)]).toEqual([]);
    const [data] = await peer.ask(READ, { offset: 0, length: 4096 });
    expect(data?.bytes?.equals(Buffer.from(bytes.subarray(0, 4096)).fill(1, 1536, 2048))).toBe(
      true,
    );
  });

  test("of good bytes beside poison in one page heal nothing and work (B4)", async () => {
    const { device, exports } = servedMemory();
    device.inject({ offset: 1536, length: 512 });
    const peer = new Peer(exports).go("structured");
    expect(await peer.ask(WRITE, { payload: Buffer.alloc(512, 1) })).toMatchObject([{ errno: 0 }]);
    expect([...device.poison.bad(whole)]).toMatchObject([{ offset: 1536, length: 512 }]);
  });

  test("that cannot heal answer with the offset where they stopped, and what comes before is written (B6, R5)", async () => {
    const { device, exports } = servedMemory();
    device.inject({ offset: 8192, length: 512 });
    device.setFault({ offset: 8192, length: 512, kind: "refuses", on: true });
    const peer = new Peer(exports).go("structured");
    const payload = Buffer.alloc(16_384, 0x33);
    const [failed] = await peer.ask(WRITE, { offset: 4096, payload });
    expect(failed).toMatchObject({ type: "error", errno: EIO, offset: 8192, isDone: true });
    expect([...device.poison.bad(whole)]).toMatchObject([{ offset: 8192 }]);
    const [before] = await peer.ask(READ, { offset: 4096, length: 4096 });
    expect(before?.bytes?.every((byte) => byte === 0x33)).toBe(true);
  });

  test("of a part of a unit fail on NAME, and heal on NAME@recovery, keeping the unit's other bytes (R2, R3)", async () => {
    const { device, bytes, exports } = servedMemory({ unit: 512 });
    device.inject({ offset: 1024, length: 512 });
    const plain = new Peer(exports).go("structured");
    const payload = Buffer.alloc(100, 9);
    expect(await plain.ask(WRITE, { offset: 1100, payload })).toMatchObject([
      { type: "error", errno: EIO },
    ]);
    const recovery = new Peer(exports).go("structured", { name: `disk${RECOVERY_SUFFIX}` });
    expect(await recovery.ask(WRITE, { offset: 1100, payload })).toMatchObject([{ errno: 0 }]);
    const chunks = await plain.ask(READ, { offset: 512, length: 1536 });
    expect(chunks.filter(({ type }) => type === "error").map(({ offset }) => offset)).toEqual([
      1024, 1200,
    ]);
    const written = chunks.find(({ offset, type }) => type === "data" && offset === 1100);
    expect(written?.bytes?.equals(payload)).toBe(true);
    expect(chunks[0]?.bytes?.equals(bytes.subarray(512, 1024))).toBe(true);
  });

  test("reads are alike in both faces", async () => {
    const { device, exports } = servedMemory();
    device.inject({ offset: 512, length: 512 });
    const [plain, recovery] = ["disk", `disk${RECOVERY_SUFFIX}`].map((name) =>
      new Peer(exports).go("structured", { name }),
    );
    expect(await recovery?.ask(READ, whole)).toEqual(await plain?.ask(READ, whole));
  });

  test("larger than a piece come in piece by piece, whatever the splits", async () => {
    const size = 4 * 1024 * 1024;
    const { device, exports } = servedMemory({ size });
    const peer = new Peer(exports).go("structured");
    const payload = Buffer.alloc(2_500_001);
    for (let at = 0; at < payload.length; at += 1) payload[at] = at % 251;
    const request = peer.request(WRITE, { offset: 777, payload });
    for (let at = 0; at < request.length; at += 99_991)
      peer.send(request.subarray(at, at + 99_991));
    expect(await peer.reply()).toMatchObject([{ errno: 0 }]);
    const into = Buffer.alloc(payload.length);
    await device.read(into, 777);
    expect(into.equals(payload)).toBe(true);
  });
});

describe("zeroes, hints and status", () => {
  test("WRITE_ZEROES is data, and heals", async () => {
    const { device, exports } = servedMemory();
    device.inject({ offset: 4096, length: 1024 });
    const peer = new Peer(exports).go("structured");
    expect(
      await peer.ask(WRITE_ZEROES, { offset: 2048, length: 8192, flags: NO_HOLE | FUA }),
    ).toMatchObject([{ errno: 0 }]);
    expect([...device.poison.bad(whole)]).toEqual([]);
    const [data] = await peer.ask(READ, { offset: 2048, length: 8192 });
    expect(data?.bytes?.every((byte) => byte === 0)).toBe(true);
  });

  test("WRITE_ZEROES over more than a payload is no shorter: trap of nbdkit before 1.44", async () => {
    const size = 80 * 1024 * 1024;
    const { device, exports } = servedMemory({ size });
    const peer = new Peer(exports).go("structured");
    expect(await peer.ask(WRITE_ZEROES, { length: size })).toMatchObject([{ errno: 0 }]);
    const last = Buffer.alloc(4096, 1);
    await device.read(last, size - 4096);
    expect(last.every((byte) => byte === 0)).toBe(true);
  });

  test("FAST_ZERO changes nothing and says ENOTSUP", async () => {
    const { bytes, exports } = servedMemory();
    const peer = new Peer(exports).go("structured");
    expect(await peer.ask(WRITE_ZEROES, { length: 4096, flags: FAST_ZERO })).toMatchObject([
      { type: "error", errno: ENOTSUP },
    ]);
    const [data] = await peer.ask(READ, { length: 4096 });
    expect(data?.bytes?.equals(bytes.subarray(0, 4096))).toBe(true);
  });

  test("TRIM drops no record (R4), and CACHE and BLOCK_STATUS touch no latent poison", async () => {
    const { device, exports } = servedMemory();
    device.inject({ offset: 512, length: 512 });
    device.inject({ offset: 8192, length: 512 }, { latent: true });
    const peer = new Peer(exports).go("structured", {
      contexts: [ALLOCATION_CONTEXT, POISON_CONTEXT],
    });
    for (const command of [TRIM, CACHE])
      expect(await peer.ask(command, whole)).toMatchObject([{ errno: 0 }]);
    await peer.ask(BLOCK_STATUS, whole);
    expect([...device.poison.bad(whole)]).toMatchObject([{ offset: 512, length: 512 }]);
  });

  test("S79: both contexts cover the same, and poison is neither a hole nor zero", async () => {
    const { device, exports } = servedMemory();
    device.inject({ offset: 512, length: 512 });
    device.inject({ offset: 4096, length: 512 });
    device.clear({ offset: 4096, length: 512 });
    const peer = new Peer(exports).go("structured", {
      contexts: [ALLOCATION_CONTEXT, POISON_CONTEXT],
    });
    const [allocation, poison] = await peer.ask(BLOCK_STATUS, whole);
    expect(allocation?.extents).toEqual([{ length: 65_536, flags: 0 }]);
    expect(poison?.extents).toEqual([
      { length: 512, flags: 4 },
      { length: 512, flags: 1 },
      { length: 3072, flags: 4 },
      { length: 512, flags: 3 },
      { length: 60_928, flags: 4 },
    ]);
    expect([allocation?.isDone, poison?.isDone]).toEqual([false, true]);
  });

  test("REQ_ONE gives one extent; the device context tells what the device can do", async () => {
    const { device, exports } = servedMemory();
    device.inject({ offset: 512, length: 512 });
    const contexts = [POISON_CONTEXT, DEVICE_CONTEXT];
    const peer = new Peer(exports).go("extended", { contexts });
    const [poison, facts] = await peer.ask(BLOCK_STATUS, { ...whole, flags: REQ_ONE });
    expect(poison?.extents).toEqual([{ length: 512, flags: 4 }]);
    expect(facts?.extents).toHaveLength(1);
    expect(deviceFacts(facts?.extents?.[0]?.flags ?? 0)).toMatchObject({
      poisonUnit: 512,
      recovers: true,
    });
  });

  test("a hole of the image is HOLE and ZERO, up to a bad byte in it (R1)", async () => {
    const { device, exports } = servedMemory();
    device.holeFrom = (offset) =>
      offset < 512 ? 512 - offset : offset >= 1024 ? 65_536 - offset : 0;
    device.inject({ offset: 512, length: 512 });
    const peer = new Peer(exports).go("structured", { contexts: [ALLOCATION_CONTEXT] });
    const [status] = await peer.ask(BLOCK_STATUS, whole);
    expect(status?.extents?.[0]).toEqual({ length: 512, flags: 3 });
    let at = 0;
    for (const { length, flags } of status?.extents ?? []) {
      if (at < 1024 && endOf({ offset: at, length }) > 512) expect(flags).toBe(0);
      at += length;
    }
    expect(at).toBe(65_536);
  });

  test("many extents are cut, never counted wrong: traps CVE-2025-47711 and -47712", async () => {
    const size = 8 * 1024 * 1024;
    const { device, exports } = servedMemory({ size });
    for (let at = 0; at < size; at += 1024)
      device.recordBad({ offset: at, length: 512 }, "poisoned");
    const peer = new Peer(exports).go("structured", { contexts: [POISON_CONTEXT] });
    let at = 0;
    while (at < size) {
      const [status] = await peer.ask(BLOCK_STATUS, { offset: at, length: size - at });
      for (const { length, flags } of status?.extents ?? []) {
        expect(flags).toBe(at % 1024 === 0 ? 1 : 4);
        at += length;
      }
    }
    expect(at).toBe(size);
  });
});

describe("requests that cannot be", () => {
  test.each([
    [
      "a read past the end",
      { command: READ, request: { offset: 65_000, length: 4096 }, errno: EINVAL },
    ],
    [
      "a write past the end",
      { command: WRITE, request: { offset: 65_000, payload: Buffer.alloc(4096) }, errno: ENOSPC },
    ],
    [
      "zeroes past the end",
      { command: WRITE_ZEROES, request: { offset: 65_000, length: 4096 }, errno: ENOSPC },
    ],
    [
      "a trim past the end",
      { command: TRIM, request: { offset: 65_000, length: 4096 }, errno: EINVAL },
    ],
    [
      "an offset above 2^53",
      { command: READ, request: { offset: 2 ** 60, length: 1 }, errno: EINVAL },
    ],
    ["a flush with a place", { command: FLUSH, request: { length: 1 }, errno: EINVAL }],
    ["an unknown command", { command: 99, request: {}, errno: EINVAL }],
    [
      "a flag of another command",
      { command: TRIM, request: { length: 512, flags: DF }, errno: EINVAL },
    ],
    ["an unknown flag", { command: CACHE, request: { length: 512, flags: 0x8000 }, errno: EINVAL }],
    [
      "a status without a context",
      { command: BLOCK_STATUS, request: { length: 512 }, errno: EINVAL },
    ],
    ["a read above 32 MiB", { command: READ, request: { length: 40_000_000 }, errno: EINVAL }],
  ])("%s fails, and the connection goes on", async (_name, { command, request, errno }) => {
    const { exports } = servedMemory();
    const peer = new Peer(exports).go("structured");
    const [failed] = await peer.ask(command, request);
    expect(failed).toMatchObject({ type: "error", errno, isDone: true });
    expect(await peer.ask(READ, { length: 512 })).toMatchObject([{ type: "data" }]);
  });

  test("flags are judged for each command: DF and FUA are good where they are offered", async () => {
    const { exports } = servedMemory();
    const peer = new Peer(exports).go("structured");
    expect(await peer.ask(READ, { length: 512, flags: DF | FUA })).toMatchObject([
      { type: "data" },
    ]);
    expect(await peer.ask(FLUSH, { flags: FUA })).toMatchObject([{ errno: 0 }]);
  });

  test("changes of a read-only export are EPERM, their payload passed over", async () => {
    const { bytes, exports } = servedMemory({ readOnly: true });
    const peer = new Peer(exports).go("structured");
    for (const [command, request] of [
      [WRITE, { payload: Buffer.alloc(70_000) }],
      [TRIM, { length: 512 }],
      [WRITE_ZEROES, { length: 512 }],
    ] as const)
      expect(await peer.ask(command, request)).toMatchObject([{ type: "error", errno: EPERM }]);
    const [data] = await peer.ask(READ, { length: 512 });
    expect(data?.bytes?.equals(bytes.subarray(0, 512))).toBe(true);
    expect(exports.all.map(({ name }) => name)).toEqual(["disk"]);
  });

  test("a payload beyond any reason ends the connection", () => {
    const { exports } = servedMemory();
    const peer = new Peer(exports).go("structured");
    peer.send(peer.request(WRITE, { length: 0x7fff_ffff }));
    expect(peer.ended).toBe(true);
  });

  test("a wrong magic ends the connection", () => {
    const { exports } = servedMemory();
    const peer = new Peer(exports).go("structured");
    peer.send(Buffer.alloc(28, 3));
    expect(peer.ended).toBe(true);
  });

  test("a read of bad media keeps the connection: trap of qemu-nbd 7.2", async () => {
    const { device, exports } = servedMemory();
    device.inject({ offset: 0, length: 65_536 });
    const peer = new Peer(exports).go("structured");
    expect((await peer.ask(READ, whole)).at(-1)).toMatchObject({ type: "none" });
    expect(peer.ended || peer.destroyed).toBe(false);
  });
});

describe("the end", () => {
  test("DISC lets what is under way end, and takes nothing more", async () => {
    const { device, exports } = servedMemory({ isDirect: () => false });
    let finish: (() => void) | undefined;
    const read = device.read.bind(device);
    device.read = async (into, offset, mode) => {
      await new Promise<void>((resolve) => (finish = resolve));
      return read(into, offset, mode);
    };
    const peer = new Peer(exports).go("structured");
    peer.send(
      Buffer.concat([
        peer.request(READ, { length: 512 }),
        peer.request(DISCONNECT),
        peer.request(WRITE, { payload: Buffer.alloc(512) }),
      ]),
    );
    expect(peer.ended).toBe(false);
    finish?.();
    expect(await peer.reply()).toMatchObject([{ type: "data", length: 512 }]);
    expect(peer.ended).toBe(true);
    expect(peer.unread).toBe(0);
  });

  test("after the server began to end requests are ESHUTDOWN", async () => {
    const { exports } = servedMemory();
    const peer = new Peer(exports).go("structured");
    peer.connection.shutDown();
    expect(await peer.ask(READ, { length: 512 })).toMatchObject([
      { type: "error", errno: ESHUTDOWN },
    ]);
    expect(await peer.ask(WRITE, { payload: Buffer.alloc(512) })).toMatchObject([
      { errno: ESHUTDOWN },
    ]);
  });

  test("no more than sixteen requests wait for the device, and the rest waits in the socket", async () => {
    const { device, exports } = servedMemory({ isDirect: () => false });
    const waiting: (() => void)[] = [];
    const read = device.read.bind(device);
    device.read = async (into, offset, mode) => {
      await new Promise<void>((resolve) => waiting.push(resolve));
      return read(into, offset, mode);
    };
    const peer = new Peer(exports).go("structured");
    for (let cookie = 0; cookie < 40; cookie += 1)
      peer.send(peer.request(READ, { cookie, offset: cookie * 512, length: 512 }));
    expect(peer.connection.status.underWay).toBe(16);
    expect(peer.paused).toBe(true);
    for (let done = 0; done < 40; done += 1) {
      while (waiting.length === 0) await new Promise((resolve) => setImmediate(resolve));
      waiting.shift()?.();
      expect(peer.connection.status.underWay).toBeLessThanOrEqual(16);
    }
    const cookies = new Set<number>();
    for (let count = 0; count < 40; count += 1) cookies.add((await peer.reply())[0]?.cookie ?? -1);
    expect(cookies.size).toBe(40);
  });
});
