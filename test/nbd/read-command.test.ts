/** ReadCommand: every clean byte and one error with its offset for each bad range, in one reply. */
import { describe, expect, test } from "vitest";
import { NBD_COMMAND, NBD_COMMAND_FLAG, NBD_ERROR } from "../../src/device/index.ts";
import { Peer, servedMemory, type Chunk } from "./support/peer.ts";

const { READ } = NBD_COMMAND;
const shapes = (chunks: readonly Chunk[]): string[] =>
  chunks.map(({ type, offset, length }) =>
    [type, offset, length].filter((part) => part !== undefined).join(" "),
  );

describe("ReadCommand", () => {
  test("later() gives clean bytes, and an error with its offset for each bad range (S78, R1)", async () => {
    const { device, bytes, exports } = servedMemory();
    device.inject({ offset: 512, length: 512 });
    device.inject({ offset: 2048, length: 1024 });
    const peer = new Peer(exports).go("structured");
    const chunks = await peer.ask(READ, { offset: 0, length: 4096 });
    expect(shapes(chunks)).toEqual([
      "data 0 512",
      "error 512",
      "data 1024 1024",
      "error 2048",
      "data 3072 1024",
      "none",
    ]);
    for (const chunk of chunks.filter(({ type }) => type === "data"))
      expect(
        chunk.bytes?.equals(
          bytes.subarray(chunk.offset, (chunk.offset ?? 0) + (chunk.length ?? 0)),
        ),
      ).toBe(true);
    expect(chunks[1]).toMatchObject({
      errno: NBD_ERROR.EIO,
      text: "512 bytes at offset 512 are poisoned; a write heals them",
    });
  });

  test("S76: reads around a bad sector are good", async () => {
    const { device, exports } = servedMemory();
    device.inject({ offset: 512, length: 512 });
    const peer = new Peer(exports).go("structured");
    expect(shapes(await peer.ask(READ, { offset: 0, length: 512 }))).toEqual(["data 0 512"]);
    expect(shapes(await peer.ask(READ, { offset: 512, length: 512 }))).toEqual([
      "error 512",
      "none",
    ]);
    expect(shapes(await peer.ask(READ, { offset: 1024, length: 512 }))).toEqual(["data 1024 512"]);
  });

  test("S77: a read that begins behind a bad sector is good", async () => {
    const { device, exports } = servedMemory();
    device.inject({ offset: 512, length: 512 });
    const peer = new Peer(exports).go("structured");
    expect(shapes(await peer.ask(READ, { offset: 1024, length: 1024 }))).toEqual([
      "data 1024 1024",
    ]);
  });

  test("later() finds latent poison, which is known from then on", async () => {
    const { device, exports } = servedMemory();
    device.inject({ offset: 1024, length: 512 }, { latent: true });
    const peer = new Peer(exports).go("structured");
    expect(device.poison.empty).toBe(true);
    expect(shapes(await peer.ask(READ, { offset: 0, length: 2048 }))).toEqual([
      "data 0 1024",
      "error 1024",
      "data 1536 512",
      "none",
    ]);
    expect([...device.poison.bad({ offset: 0, length: 65_536 })]).toHaveLength(1);
  });

  test("R1: with DF one chunk ends before the first bad byte, which is told behind it", async () => {
    const { device, bytes, exports } = servedMemory();
    device.inject({ offset: 512, length: 512 });
    const peer = new Peer(exports).go("structured");
    const chunks = await peer.ask(READ, { offset: 0, length: 2048, flags: NBD_COMMAND_FLAG.DF });
    expect(shapes(chunks)).toEqual(["data 0 512", "error 512"]);
    expect(chunks[0]?.bytes?.equals(bytes.subarray(0, 512))).toBe(true);
    expect(chunks.map(({ isDone }) => isDone)).toEqual([false, true]);
    const late = await peer.ask(READ, { offset: 512, length: 512, flags: NBD_COMMAND_FLAG.DF });
    expect(shapes(late)).toEqual(["error 512"]);
  });

  test("DF reads of 64 KiB work, and one that is too long is EOVERFLOW", async () => {
    const { exports } = servedMemory({ size: 4 * 1024 * 1024 });
    const peer = new Peer(exports).go("structured");
    const { DF } = NBD_COMMAND_FLAG;
    expect(shapes(await peer.ask(READ, { length: 65_536, flags: DF }))).toEqual(["data 0 65536"]);
    const [tooLong] = await peer.ask(READ, { length: 2 * 1024 * 1024, flags: DF });
    expect(tooLong).toMatchObject({ type: "error", errno: NBD_ERROR.EOVERFLOW });
  });

  test("a client of simple replies gets EIO before any data, and goes on", async () => {
    const { device, bytes, exports } = servedMemory();
    device.inject({ offset: 512, length: 512 });
    device.inject({ offset: 8192, length: 512 }, { latent: true });
    const peer = new Peer(exports).go("simple");
    expect(await peer.ask(READ, { length: 4096 })).toMatchObject([{ errno: NBD_ERROR.EIO }]);
    expect(await peer.ask(READ, { offset: 8192, length: 4096 })).toMatchObject([
      { errno: NBD_ERROR.EIO },
    ]);
    expect(peer.unread).toBe(0);
    const [good] = await peer.ask(READ, { offset: 1024, length: 512 });
    expect(good?.bytes?.equals(bytes.subarray(1024, 1536))).toBe(true);
  });

  test("lost bytes are no data either, and the text says what they are (R1)", async () => {
    const { device, exports } = servedMemory();
    device.inject({ offset: 512, length: 512 });
    device.clear({ offset: 512, length: 512 });
    const peer = new Peer(exports).go("structured");
    const chunks = await peer.ask(READ, { offset: 512, length: 512 });
    expect(chunks[0]).toMatchObject({ type: "error", offset: 512 });
    expect(chunks[0]?.text).toContain("are lost");
  });

  test("a large read goes out in pieces, and waits for a client that takes nothing", async () => {
    const { bytes, exports } = servedMemory({ size: 4 * 1024 * 1024, isDirect: () => false });
    const peer = new Peer(exports).go("structured");
    peer.takesNothing = true;
    peer.send(peer.request(READ, { length: 4 * 1024 * 1024 }));
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(peer.unread).toBeLessThan(1.1 * 1024 * 1024);
    peer.takesNothing = false;
    peer.drain();
    const chunks = await peer.reply();
    expect(Buffer.concat(chunks.map((chunk) => chunk.bytes ?? Buffer.alloc(0))).equals(bytes)).toBe(
      true,
    );
  });

  test("reads in the extended form carry the offset of the request", async () => {
    const { device, exports } = servedMemory();
    device.inject({ offset: 512, length: 512 });
    const peer = new Peer(exports).go("extended");
    expect(shapes(await peer.ask(READ, { length: 2048 }))).toEqual([
      "data 0 512",
      "error 512",
      "data 1024 1024",
      "none",
    ]);
  });

  test("a read of nothing is answered", async () => {
    const { exports } = servedMemory();
    expect(shapes(await new Peer(exports).go("structured").ask(READ))).toEqual(["none"]);
  });
});
