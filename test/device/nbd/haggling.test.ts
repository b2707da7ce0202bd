/** Messages of the handshake, good and hostile. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  decodeContextReply,
  decodeContextRequest,
  decodeGreeting,
  decodeInfo,
  decodeInfoRequest,
  decodeOption,
  decodeOptionReply,
  decodeString,
  encodeContextReply,
  encodeContextRequest,
  encodeGreeting,
  encodeInfo,
  encodeInfoRequest,
  encodeListReply,
  encodeOption,
  encodeOptionReply,
  NBD_OPTION,
  NBD_OPTION_REPLY,
  type ExportInfo,
} from "../../../src/device/index.ts";

const name = fc
  .string({ unit: "grapheme", maxLength: 60 })
  .map((text) => text.replaceAll("\0", "0"));
const u16 = fc.nat({ max: 0xffff });

describe("decodeGreeting()", () => {
  test("reads its own, knows the oldstyle, and refuses what is no server", () => {
    expect(decodeGreeting(encodeGreeting(3))).toBe(3);
    const old = Buffer.from("4e42444d41474943 0000420281861253".replaceAll(" ", ""), "hex");
    expect(decodeGreeting(old)).toBe("oldstyle");
    expect(decodeGreeting(Buffer.from("HTTP/1.1 400 Bad Request\r\n"))).toBeUndefined();
    expect(decodeGreeting(encodeGreeting(3).subarray(0, 17))).toBeUndefined();
  });
});

describe("encodeOption(), encodeOptionReply()", () => {
  test("are undone by decodeOption() and decodeOptionReply()", () => {
    const option = encodeOption(NBD_OPTION.GO, Buffer.from("abc"));
    expect(option.toString("hex")).toBe(
      "49484156454f5054 00000007 00000003 616263".replaceAll(" ", ""),
    );
    expect(decodeOption(option)).toEqual({ option: 7, length: 3 });
    const reply = encodeOptionReply(7, NBD_OPTION_REPLY.ERR_UNKNOWN, Buffer.from("no"));
    expect(reply.toString("hex")).toBe(
      "0003e889045565a9 00000007 80000006 00000002 6e6f".replaceAll(" ", ""),
    );
    expect(decodeOptionReply(reply)).toEqual({ option: 7, type: 0x8000_0006, length: 2 });
  });
});

describe("decodeString()", () => {
  test("refuses NUL, bytes that are not UTF-8, and more than 4096 bytes", () => {
    expect(decodeString(Buffer.from("é"))).toBe("é");
    expect(decodeString(Buffer.from("a\0b"))).toBeUndefined();
    expect(decodeString(Buffer.from([0xc3]))).toBeUndefined();
    expect(decodeString(Buffer.alloc(4097, "a"))).toBeUndefined();
    expect(decodeString(Buffer.alloc(4096, "a"))).toHaveLength(4096);
  });
});

describe("encodeInfoRequest(), encodeContextRequest(), encodeContextReply()", () => {
  test("are undone by their readers", () => {
    fc.assert(
      fc.property(name, fc.array(u16, { maxLength: 9 }), (text, wanted) => {
        const request = { name: text, wanted };
        expect(decodeInfoRequest(encodeInfoRequest(request))).toEqual(request);
      }),
    );
    fc.assert(
      fc.property(name, fc.array(name, { maxLength: 9 }), (text, queries) => {
        const request = { name: text, queries };
        expect(decodeContextRequest(encodeContextRequest(request))).toEqual(request);
      }),
    );
    expect(decodeContextReply(encodeContextReply(7, "a:b"))).toEqual({ id: 7, name: "a:b" });
  });

  test("are refused by their readers when cut anywhere, or with a byte more", () => {
    const info = encodeInfoRequest({ name: "disk", wanted: [1, 3] });
    const context = encodeContextRequest({ name: "disk", queries: ["base:", "x-a:b"] });
    for (let end = 0; end < info.length; end += 1)
      expect(decodeInfoRequest(info.subarray(0, end))).toBeUndefined();
    for (let end = 0; end < context.length; end += 1)
      expect(decodeContextRequest(context.subarray(0, end))).toBeUndefined();
    const more = Buffer.from([0]);
    expect(decodeInfoRequest(Buffer.concat([info, more]))).toBeUndefined();
    expect(decodeContextRequest(Buffer.concat([context, more]))).toBeUndefined();
  });

  test("take a count of 2^32 - 1 queries without making room for them", () => {
    const bytes = encodeContextRequest({ name: "", queries: [] });
    bytes.writeUInt32BE(0xffff_ffff, 4);
    expect(decodeContextRequest(bytes)).toBeUndefined();
  });
});

describe("encodeListReply()", () => {
  test("gives the name behind its length, and the description after it", () => {
    expect(encodeListReply("ab", "c").toString("hex")).toBe("00000002 6162 63".replaceAll(" ", ""));
  });
});

describe("encodeInfo()", () => {
  test("is undone by decodeInfo()", () => {
    const infos: ExportInfo[] = [
      { kind: "export", size: 2 ** 40, flags: 0x0fff },
      { kind: "name", text: "disk" },
      { kind: "description", text: "a disk" },
      { kind: "sizes", minimum: 512, preferred: 4096, maximum: 0xffff_ffff },
    ];
    expect(infos.map((info) => decodeInfo(encodeInfo(info)))).toEqual(infos);
  });

  test("has the lengths 12 and 14 of the specification, and decodeInfo() takes no other", () => {
    const size = encodeInfo({ kind: "export", size: 1, flags: 1 });
    const sizes = encodeInfo({ kind: "sizes", minimum: 1, preferred: 4096, maximum: 4096 });
    expect([size.length, sizes.length]).toEqual([12, 14]);
    expect(decodeInfo(Buffer.concat([size, sizes]))).toBeUndefined();
    expect(decodeInfo(sizes.subarray(0, 13))).toBeUndefined();
    expect(decodeInfo(Buffer.from([0, 9, 1]))).toBe("unknown");
  });
});
