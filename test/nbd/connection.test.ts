/** Connection: what is read, kept and waited for between a socket and the requests in it. */
import { describe, expect, test } from "vitest";
import { NBD_COMMAND } from "../../src/device/index.ts";
import { Peer, servedMemory } from "./support/peer.ts";

const { READ, WRITE } = NBD_COMMAND;

describe("Connection", () => {
  test("a write over several pieces lands whole where the device takes its time for each", async () => {
    const size = 4 * 1024 * 1024;
    const { device, exports } = servedMemory({ size, isDirect: () => false });
    const write = device.write.bind(device);
    (device as { write: unknown }).write = async (...args: Parameters<typeof write>) => {
      await new Promise((resolve) => setImmediate(resolve));
      write(...args);
    };
    const peer = new Peer(exports).go("structured");
    const payload = Buffer.alloc(3_500_000);
    for (let at = 0; at < payload.length; at += 1) payload[at] = at % 253;
    const bytes = Buffer.concat([
      peer.request(WRITE, { offset: 1000, payload }),
      peer.request(READ, { cookie: 9, offset: 0, length: 512 }),
    ]);
    peer.send(bytes);
    expect(await peer.reply()).toMatchObject([{ errno: 0, cookie: 7 }]);
    expect(await peer.reply()).toMatchObject([{ type: "data", cookie: 9 }]);
    const into = Buffer.alloc(payload.length);
    await device.read(into, 1000);
    expect(into.equals(payload)).toBe(true);
  });

  test("a write that comes while the client takes nothing lands whole once it does", async () => {
    const { device, exports } = servedMemory({ size: 1024 * 1024 });
    const peer = new Peer(exports).go("structured");
    const payload = Buffer.alloc(500_000);
    for (let at = 0; at < payload.length; at += 1) payload[at] = at % 241;
    const write = peer.request(WRITE, { offset: 5, payload });
    peer.takesNothing = true;
    peer.send(Buffer.concat([peer.request(READ, { length: 512 }), write.subarray(0, 28)]));
    peer.send(write.subarray(28, 100_000));
    peer.send(write.subarray(100_000));
    peer.takesNothing = false;
    peer.drain();
    expect(await peer.reply()).toMatchObject([{ type: "data" }]);
    expect(await peer.reply()).toMatchObject([{ errno: 0 }]);
    const into = Buffer.alloc(payload.length);
    await device.read(into, 5);
    expect(into.equals(payload)).toBe(true);
  });

  test("a client that takes nothing is not read from, and goes on where it takes again", async () => {
    const { exports } = servedMemory();
    const peer = new Peer(exports).go("structured");
    peer.takesNothing = true;
    for (let cookie = 0; cookie < 50; cookie += 1)
      peer.send(peer.request(READ, { cookie, length: 65_536 }));
    expect(peer.unread).toBeLessThan(200_000);
    expect(peer.paused).toBe(true);
    peer.takesNothing = false;
    peer.drain();
    for (let cookie = 0; cookie < 50; cookie += 1)
      expect(await peer.reply()).toMatchObject([{ type: "data", cookie }]);
  });

  test("a client that goes away while a read is under way is closed once that ended", async () => {
    const { device, exports } = servedMemory({ isDirect: () => false });
    let finish: (() => void) | undefined;
    const read = device.read.bind(device);
    device.read = async (into, offset, mode) => {
      await new Promise<void>((resolve) => (finish = resolve));
      return read(into, offset, mode);
    };
    let closed = 0;
    const peer = new Peer(exports, { onClose: () => (closed += 1) }).go("structured");
    peer.send(peer.request(READ, { length: 512 }));
    peer.hangUp();
    peer.hangUp();
    expect(closed).toBe(0);
    finish?.();
    await new Promise((resolve) => setImmediate(resolve));
    expect(closed).toBe(1);
  });

  test("what no device may throw is no answer: it is a bug, and told as one", async () => {
    const { device, exports } = servedMemory({ isDirect: () => false });
    device.read = () => Promise.reject(new TypeError("a bug"));
    const bugs: unknown[] = [];
    const peer = new Peer(exports, { onBug: (error) => bugs.push(error) }).go("structured");
    peer.send(peer.request(READ, { length: 512 }));
    await new Promise((resolve) => setImmediate(resolve));
    expect(bugs).toMatchObject([{ message: "a bug" }]);
    expect(peer.unread).toBe(0);
  });
});
