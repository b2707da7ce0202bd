/** A socket as the handshake reads it. */
import { PassThrough } from "node:stream";
import { describe, expect, test } from "vitest";
import { ByteStream, connectionError } from "../../../src/device/nbd/byte-stream.ts";

async function settle(): Promise<void> {
  await new Promise<void>((resolve) => {
    setImmediate(resolve);
  });
}

describe("ByteStream", () => {
  test("gives the bytes that are asked for, however they come, and hands on the rest", async () => {
    const socket = new PassThrough();
    const stream = new ByteStream(socket);
    const five = stream.read(5);
    socket.write("ab");
    socket.write("cdefg");
    expect((await five).toString()).toBe("abcde");
    expect(stream.detach().toString()).toBe("fg");
  });

  test("ends what waits when the server hangs up, and gives what came before", async () => {
    const socket = new PassThrough();
    const stream = new ByteStream(socket);
    socket.end("abc");
    await settle();
    expect((await stream.read(3)).toString()).toBe("abc");
    await expect(stream.read(1)).rejects.toThrow(/^ECONNRESET: The server closed/);
  });

  test("keeps a mebibyte that nobody asked for, and no more", async () => {
    const socket = new PassThrough();
    const stream = new ByteStream(socket);
    socket.write(Buffer.alloc(1024 * 1024));
    await settle();
    expect(await stream.read(1)).toHaveLength(1);
    socket.write(Buffer.alloc(2));
    await settle();
    await expect(stream.read(2 * 1024 * 1024)).rejects.toThrow(
      /^EPROTO: .*more than it was asked for$/,
    );
  });
});

describe("connectionError()", () => {
  test("takes Node's codes of connections for ours, and what is none for EPROTO", () => {
    const codes = ["EPIPE", "ENOTFOUND", "ENETUNREACH", "ERR_SSL_WRONG_VERSION_NUMBER"];
    const ours = codes.map((code) => connectionError(Object.assign(new Error("x"), { code })).code);
    expect(ours).toEqual(["ECONNRESET", "EHOSTUNREACH", "EHOSTUNREACH", "EPROTO"]);
  });
});
