/** Handshake: the haggling of the fixed newstyle, option by option. */
import { describe, expect, test } from "vitest";
import {
  decodeContextReply,
  decodeOptionReply,
  decodeInfo,
  encodeContextRequest,
  encodeInfoRequest,
  encodeOption,
  NBD_INFO,
  NBD_OPTION,
  NBD_OPTION_REPLY,
  putU32,
  RECOVERY_SUFFIX,
} from "../../src/device/index.ts";
import { Handshake } from "../../src/nbd/index.ts";
import { Peer, servedMemory } from "./support/peer.ts";

const { ACK, SERVER, INFO, META_CONTEXT } = NBD_OPTION_REPLY;
const { ERR_INVALID, ERR_UNKNOWN, ERR_UNSUP, ERR_TOO_BIG, ERR_SHUTDOWN } = NBD_OPTION_REPLY;
const { ERR_EXT_HEADER_REQD, ERR_TLS_REQD } = NBD_OPTION_REPLY;
const { exports } = servedMemory();

function greeted(flags = 3): Peer {
  const peer = new Peer(exports);
  peer.greet(flags);
  return peer;
}

const typesOf = (replies: readonly { readonly type: number }[]): number[] =>
  replies.map(({ type }) => type);

describe("Handshake", () => {
  test("greets with fixed newstyle and no zeroes", () => {
    expect(new Peer(exports).greet()).toBe(3);
  });

  test.each([0, 4, 0x8000_0001])("client flags %i end the connection", (flags) => {
    expect(greeted(flags).ended).toBe(true);
  });

  test("LIST names every export, with its description", () => {
    const replies = greeted().option(NBD_OPTION.LIST);
    expect(typesOf(replies)).toEqual([SERVER, SERVER, ACK]);
    expect(replies[0]?.payload.toString()).toBe("\0\0\0\u{4}diskmemory");
  });

  test.each([
    ["LIST", NBD_OPTION.LIST],
    ["STRUCTURED_REPLY", NBD_OPTION.STRUCTURED_REPLY],
    ["EXTENDED_HEADERS", NBD_OPTION.EXTENDED_HEADERS],
    ["STARTTLS", NBD_OPTION.STARTTLS],
  ])("%s with a payload is ERR_INVALID, and the haggling goes on", (_name, option) => {
    const peer = greeted();
    expect(typesOf(peer.option(option, Buffer.from("x")))).toEqual([ERR_INVALID]);
    expect(typesOf(peer.option(NBD_OPTION.LIST))).toContain(ACK);
  });

  test("an option that nobody knows is ERR_UNSUP, its payload passed over", () => {
    const peer = greeted();
    expect(typesOf(peer.option(5000, Buffer.alloc(1000)))).toEqual([ERR_UNSUP]);
    expect(typesOf(peer.option(4))).toEqual([ERR_UNSUP]);
    expect(typesOf(peer.option(NBD_OPTION.LIST))).toContain(ACK);
  });

  test("STARTTLS without TLS is ERR_UNSUP", () => {
    expect(typesOf(greeted().option(NBD_OPTION.STARTTLS))).toEqual([ERR_UNSUP]);
  });

  test("ABORT is acknowledged, and ends", () => {
    const peer = greeted();
    expect(typesOf(peer.option(NBD_OPTION.ABORT, Buffer.from("bye")))).toEqual([ACK]);
    expect(peer.ended).toBe(true);
  });

  test("INFO tells what is asked for, and the same size as GO: trap of nbd-server 3.24", () => {
    const wanted = [NBD_INFO.NAME, NBD_INFO.DESCRIPTION, NBD_INFO.BLOCK_SIZE];
    const peer = greeted();
    const [info, go] = [NBD_OPTION.INFO, NBD_OPTION.GO].map((option) => {
      const replies = peer.option(option, encodeInfoRequest({ name: "", wanted }));
      expect(typesOf(replies)).toEqual([INFO, INFO, INFO, INFO, ACK]);
      return replies.slice(0, -1).map(({ payload }) => decodeInfo(payload));
    });
    expect(info).toEqual(go);
    expect(info).toContainEqual({ kind: "name", text: "disk" });
    expect(info).toContainEqual({
      kind: "sizes",
      minimum: 1,
      preferred: 4096,
      maximum: 33_554_432,
    });
    expect(info?.at(-1)).toMatchObject({ kind: "export", size: 65_536 });
  });

  test("GO of an unknown export is ERR_UNKNOWN; of a broken request ERR_INVALID", () => {
    const peer = greeted();
    const request = encodeInfoRequest({ name: "nope", wanted: [] });
    expect(typesOf(peer.option(NBD_OPTION.GO, request))).toEqual([ERR_UNKNOWN]);
    expect(typesOf(peer.option(NBD_OPTION.GO, request.subarray(1)))).toEqual([ERR_INVALID]);
    expect(typesOf(peer.option(NBD_OPTION.INFO, Buffer.alloc(0)))).toEqual([ERR_INVALID]);
  });

  test("EXPORT_NAME answers with 124 zeroes unless both sides can do without", () => {
    for (const [flags, length] of [
      [1, 134],
      [3, 10],
    ] as const) {
      const peer = greeted(flags);
      peer.send(encodeOption(NBD_OPTION.EXPORT_NAME, Buffer.from("disk")));
      expect(peer.unread).toBe(length);
      expect(peer.take(length).readBigUInt64BE(0)).toBe(65_536n);
    }
  });

  test("EXPORT_NAME of an unknown export ends the connection, and nothing else: trap CVE-2013-7441", () => {
    const peer = greeted();
    peer.send(encodeOption(NBD_OPTION.EXPORT_NAME, Buffer.from("nope")));
    expect(peer.ended).toBe(true);
    expect(peer.unread).toBe(0);
    expect(typesOf(greeted().option(NBD_OPTION.LIST))).toContain(ACK);
  });

  test("structured replies come once; extended headers bar them", () => {
    const peer = greeted();
    expect(typesOf(peer.option(NBD_OPTION.STRUCTURED_REPLY))).toEqual([ACK]);
    expect(typesOf(peer.option(NBD_OPTION.STRUCTURED_REPLY))).toEqual([ERR_INVALID]);
    expect(typesOf(peer.option(NBD_OPTION.EXTENDED_HEADERS))).toEqual([ACK]);
    expect(typesOf(peer.option(NBD_OPTION.EXTENDED_HEADERS))).toEqual([ERR_INVALID]);
    expect(typesOf(peer.option(NBD_OPTION.STRUCTURED_REPLY))).toEqual([ERR_EXT_HEADER_REQD]);
    peer.send(encodeOption(NBD_OPTION.EXPORT_NAME, Buffer.from("disk")));
    expect(peer.ended).toBe(true);
  });

  test("contexts want structured replies first", () => {
    const request = encodeContextRequest({ name: "", queries: [] });
    for (const option of [NBD_OPTION.LIST_META_CONTEXT, NBD_OPTION.SET_META_CONTEXT])
      expect(typesOf(greeted().option(option, request))).toEqual([ERR_INVALID]);
  });

  test.each([
    [[], ["base:allocation", "x-theriac:poison", "x-theriac:device"]],
    [["base:"], ["base:allocation"]],
    [["x-theriac:"], ["x-theriac:poison", "x-theriac:device"]],
    [["x-theriac:poison", "x-theriac:poison"], ["x-theriac:poison"]],
    [["qemu:dirty-bitmap:b", "base:allocation"], ["base:allocation"]],
  ])("LIST_META_CONTEXT of %j gives %j", (queries, names) => {
    const peer = greeted();
    peer.option(NBD_OPTION.STRUCTURED_REPLY);
    const replies = peer.option(
      NBD_OPTION.LIST_META_CONTEXT,
      encodeContextRequest({ name: "disk", queries }),
    );
    expect(replies.at(-1)?.type).toBe(ACK);
    expect(replies.slice(0, -1).map(({ payload }) => decodeContextReply(payload)?.name)).toEqual(
      names,
    );
  });

  test("SET_META_CONTEXT takes whole names alone, and of no query none", () => {
    const peer = greeted();
    peer.option(NBD_OPTION.STRUCTURED_REPLY);
    const set = (queries: readonly string[]): number[] =>
      typesOf(
        peer.option(NBD_OPTION.SET_META_CONTEXT, encodeContextRequest({ name: "", queries })),
      );
    expect(set(["base:", "x-theriac:"])).toEqual([ACK]);
    expect(set([])).toEqual([ACK]);
    expect(set(["x-theriac:poison"])).toEqual([META_CONTEXT, ACK]);
  });

  test("a selection that fails leaves none behind", async () => {
    const peer = greeted();
    peer.option(NBD_OPTION.STRUCTURED_REPLY);
    const name = "disk";
    peer.option(
      NBD_OPTION.SET_META_CONTEXT,
      encodeContextRequest({ name, queries: ["base:allocation"] }),
    );
    expect(typesOf(peer.option(NBD_OPTION.SET_META_CONTEXT, Buffer.from("?")))).toEqual([
      ERR_INVALID,
    ]);
    peer.option(NBD_OPTION.GO, encodeInfoRequest({ name, wanted: [] }));
    const [status] = await peer.ask(7, { length: 512 });
    expect(status).toMatchObject({ type: "error", errno: 22 });
  });

  test("contexts are bound to the export that they were selected for", async () => {
    const peer = greeted();
    peer.option(NBD_OPTION.STRUCTURED_REPLY);
    const queries = ["base:allocation"];
    peer.option(NBD_OPTION.SET_META_CONTEXT, encodeContextRequest({ name: "disk", queries }));
    const other = encodeInfoRequest({ name: `disk${RECOVERY_SUFFIX}`, wanted: [] });
    peer.option(NBD_OPTION.GO, other);
    expect((await peer.ask(7, { length: 512 }))[0]).toMatchObject({ type: "error", errno: 22 });
  });

  test("many queries get one answer each context: trap of a server that writes while its client still does", () => {
    const peer = greeted();
    peer.option(NBD_OPTION.STRUCTURED_REPLY);
    const queries = Array.from({ length: 2000 }, (_, index) =>
      index % 2 === 0 ? "base:allocation" : "x-theriac:poison",
    );
    const replies = peer.option(
      NBD_OPTION.SET_META_CONTEXT,
      encodeContextRequest({ name: "", queries }),
    );
    expect(typesOf(replies)).toEqual([META_CONTEXT, META_CONTEXT, ACK]);
  });

  test("an option too long is passed over and ERR_TOO_BIG; one of 4 GB ends: trap CVE-2017-15119", () => {
    const peer = greeted();
    expect(typesOf(peer.option(NBD_OPTION.LIST_META_CONTEXT, Buffer.alloc(100_000)))).toEqual([
      ERR_TOO_BIG,
    ]);
    expect(typesOf(peer.option(NBD_OPTION.LIST))).toContain(ACK);
    const huge = Buffer.from(encodeOption(NBD_OPTION.LIST));
    putU32(huge, 12, 0xffff_ffff);
    peer.send(huge);
    expect(peer.ended).toBe(true);
  });

  test("a wrong magic ends the connection", () => {
    const peer = greeted();
    peer.send(Buffer.alloc(16, 1));
    expect(peer.ended).toBe(true);
  });

  test("a server that ends refuses options, and lets go", () => {
    const replies: Buffer[] = [];
    const handshake = new Handshake({
      exports,
      send: (bytes) => replies.push(Buffer.from(bytes)),
      isEnding: () => true,
    });
    handshake.take(Buffer.from([0, 0, 0, 3]), 0);
    expect(handshake.take(encodeOption(NBD_OPTION.LIST), 0).outcome).toBeUndefined();
    expect(decodeOptionReply(replies[0] ?? Buffer.alloc(0))?.type).toBe(ERR_SHUTDOWN);
    expect(handshake.take(encodeOption(NBD_OPTION.ABORT), 0).outcome).toEqual({ kind: "close" });
  });

  test("with TLS wanted every option but STARTTLS and ABORT is ERR_TLS_REQD", () => {
    const replies: Buffer[] = [];
    const send = (bytes: Uint8Array): void => void replies.push(Buffer.from(bytes));
    const handshake = new Handshake({ exports, send, tls: "wanted" });
    handshake.take(Buffer.from([0, 0, 0, 3]), 0);
    handshake.take(encodeOption(NBD_OPTION.LIST), 0);
    expect(decodeOptionReply(replies[0] ?? Buffer.alloc(0))?.type).toBe(ERR_TLS_REQD);
    const name = encodeOption(NBD_OPTION.EXPORT_NAME, Buffer.from("disk"));
    expect(handshake.take(name, 0).outcome).toEqual({ kind: "close" });
    const tls = handshake.take(encodeOption(NBD_OPTION.STARTTLS), 0);
    expect(tls.outcome).toEqual({ kind: "starttls" });
    const after = Handshake.afterTls({ exports, send }, handshake);
    after.take(encodeOption(NBD_OPTION.STARTTLS), 0);
    expect(decodeOptionReply(replies.at(-1) ?? Buffer.alloc(0))?.type).toBe(ERR_INVALID);
  });

  test("takes everything byte by byte as well", () => {
    const peer = new Peer(exports);
    peer.take(18);
    const bytes = Buffer.concat([
      Buffer.from([0, 0, 0, 3]),
      encodeOption(NBD_OPTION.STRUCTURED_REPLY),
      encodeOption(NBD_OPTION.GO, encodeInfoRequest({ name: "disk", wanted: [] })),
    ]);
    for (const byte of bytes) peer.send(Uint8Array.of(byte));
    expect(peer.connection.status).toMatchObject({ export: "disk", form: "structured" });
  });
});
