/** From a socket to an export: every form, old servers, refusals, and what is no server at all. */
import type { Socket } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { StorageError } from "../../../src/base/index.ts";
import {
  createMemoryDevice,
  encodeGreeting,
  encodeInfo,
  encodeOptionReply,
  nbdSize,
  NBD_OPTION,
  NBD_OPTION_REPLY,
  openNbd,
} from "../../../src/device/index.ts";
import { LoopbackServer, type LoopbackOptions } from "./support/loopback-server.ts";

const servers: LoopbackServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.stop();
});

async function serve(options: Partial<LoopbackOptions> = {}): Promise<LoopbackServer> {
  const device = options.device ?? createMemoryDevice({ size: 8192 });
  const server = await LoopbackServer.start({ ...options, device });
  servers.push(server);
  return server;
}

/** A server that says this to everybody, and nothing more. */
function saying(...bytes: readonly Uint8Array[]): Promise<LoopbackServer> {
  const onConnection = (socket: Socket): boolean => {
    for (const part of bytes) socket.write(part);
    return true;
  };
  return serve({ onConnection });
}

async function failure(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof StorageError) return error.message;
    throw error;
  }
  return "opened";
}

const QUICK = { retryDelaysMs: [] };
const { ACK, INFO, ERR_UNSUP, ERR_TLS_REQD, ERR_POLICY } = NBD_OPTION_REPLY;
const GREETING = encodeGreeting(3);
const no = (option: number, type: number, text = ""): Buffer =>
  encodeOptionReply(option, type, Buffer.from(text));
const SIMPLE = [
  GREETING,
  no(NBD_OPTION.EXTENDED_HEADERS, ERR_UNSUP),
  no(NBD_OPTION.STRUCTURED_REPLY, ERR_UNSUP),
];

describe("openNbd()", () => {
  test.each([
    ["simple", {}],
    ["structured", {}],
    ["extended", {}],
    ["simple", { old: true }],
  ] as const)("speaks the %s form, with options %o", async (form, options) => {
    const source = createMemoryDevice({ size: 8192 });
    source.write(new Uint8Array(8192).fill(7), 0);
    const { uri } = await serve({ ...options, form, device: source });
    const device = await openNbd(uri, { access: "write" });
    await device.write(new Uint8Array(100).fill(9), 50);
    await device.flush();
    const into = new Uint8Array(8192);
    expect((await device.read(into, 0)).missing).toEqual([]);
    expect([into[49], into[50], into[149], into[150]]).toEqual([7, 9, 9, 7]);
    await device.close();
    expect(await nbdSize(uri)).toBe(8192);
  });

  test("names the export that is not there, with the server's words", async () => {
    const { uri } = await serve();
    const other = uri.replace("/disk?", "/other?");
    expect(await failure(openNbd(other, QUICK))).toBe(
      `ENOENT: Cannot open ${other}: The server has no export "other": try disk`,
    );
  });

  test("names what hangs up on an export that is not there", async () => {
    const { uri } = await serve({
      onConnection: (socket) => {
        socket.write(encodeGreeting(0));
        socket.on("data", () => socket.end());
        return true;
      },
    });
    expect(await failure(openNbd(uri, QUICK))).toMatch(
      /^ENOENT: .*no export "disk", or does not want us: it hung up$/,
    );
  });

  test("names a socket that is not there, and one on which nobody listens", async () => {
    const server = await serve();
    const { uri } = server;
    await server.stop();
    servers.length = 0;
    expect(await failure(openNbd(uri, QUICK))).toMatch(/^ENOENT: Cannot open nbd\+unix:/);
    expect(await failure(openNbd("nbd://127.0.0.1:1/x", QUICK))).toMatch(
      /^ECONNREFUSED: Cannot open nbd:\/\/127/,
    );
  });

  test.each([
    ["no server", [Buffer.from("HTTP/1.1 400 Bad Request\r\n\r\n")], /^EPROTO: .*no NBD server/],
    [
      "the oldstyle",
      [Buffer.from("4e42444d414749430000420281861253", "hex")],
      /^EPROTO: .*oldstyle/,
    ],
    ["a reply to another option", [GREETING, no(99, ACK)], /^EPROTO: .*reply to option 99/],
    ["a reply of no form", [GREETING, Buffer.alloc(20, 1)], /^EPROTO: .*no reply to an option/],
    [
      "a reply of 4 GiB",
      [GREETING, no(NBD_OPTION.EXTENDED_HEADERS, ACK).fill(0xff, 16)],
      /^EPROTO: .*a reply of 4294967295 bytes/,
    ],
    ["more than was asked for", [GREETING, Buffer.alloc(3 * 1024 * 1024)], /^EPROTO: /],
    [
      "TLS",
      [GREETING, no(NBD_OPTION.EXTENDED_HEADERS, ERR_TLS_REQD)],
      /^EACCES: .*The server wants TLS: use nbds:/,
    ],
    [
      "policy",
      [...SIMPLE, no(NBD_OPTION.GO, ERR_POLICY, "not you")],
      /^EACCES: .*does not allow it: not you$/,
    ],
    ["no size", [...SIMPLE, no(NBD_OPTION.GO, ACK)], /^EPROTO: .*an export without a size/],
    ...[2 ** 53 + 2, 2 ** 60, 2 ** 63, 2 ** 64 - 2048].map(
      (size) =>
        [
          `${size} bytes`,
          [
            ...SIMPLE,
            encodeOptionReply(NBD_OPTION.GO, INFO, encodeInfo({ kind: "export", size, flags: 1 })),
          ],
          /^EPROTO: .*more than 2\^53 bytes/,
        ] as const,
    ),
    [
      "block sizes that cannot be",
      [
        ...SIMPLE,
        encodeOptionReply(
          NBD_OPTION.GO,
          INFO,
          encodeInfo({ kind: "sizes", minimum: 3, preferred: 4096, maximum: 4096 }),
        ),
      ],
      /^EPROTO: .*block sizes 3, 4096 and 4096/,
    ],
  ] as const)("refuses a server that answers with %s", async (_, bytes, message) => {
    const { uri } = await saying(...bytes);
    expect(await failure(openNbd(uri, QUICK))).toMatch(message);
  });

  test("gives up on a server that says nothing, at the time limit", async () => {
    const { uri } = await saying();
    const opening = openNbd(uri, { ...QUICK, handshakeMs: 50 });
    expect(await failure(opening)).toMatch(/^ETIMEDOUT: .*No export after 50 ms$/);
  });

  test("gives up on a server that says nothing but replies without end", async () => {
    const one = encodeOptionReply(NBD_OPTION.GO, INFO, Buffer.from([0, 9]));
    const { uri } = await saying(...SIMPLE, Buffer.concat(Array.from({ length: 1001 }, () => one)));
    expect(await failure(openNbd(uri, QUICK))).toMatch(/^EPROTO: .*more than 1000 replies/);
  });

  test("refuses a server without TLS where the URI wants it", async () => {
    const { uri } = await serve();
    expect(
      await failure(openNbd(`${uri.replace("nbd+", "nbds+")}&tls-verify-peer=0`, QUICK)),
    ).toMatch(/^EACCES: .*The server has no TLS, which the URI wants$/);
  });

  test("refuses plain bytes that come with the agreement on TLS", async () => {
    const { uri } = await saying(GREETING, no(NBD_OPTION.STARTTLS, ACK), Buffer.from("early"));
    expect(
      await failure(openNbd(`${uri.replace("nbd+", "nbds+")}&tls-verify-peer=0`, QUICK)),
    ).toMatch(/^EPROTO: .*plain bytes behind the agreement on TLS$/);
  });
});
