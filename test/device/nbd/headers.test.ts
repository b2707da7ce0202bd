/** Requests and replies as bytes. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  getChunk,
  getExtendedChunk,
  getExtendedRequest,
  getRequest,
  getSimpleReply,
  isErrorChunk,
  putChunk,
  putExtendedChunk,
  putExtendedRequest,
  putRequest,
  putSimpleReply,
  type ChunkHeader,
  type RequestHeader,
} from "../../../src/device/index.ts";

const u16 = fc.nat({ max: 0xffff });
const u32 = fc.nat({ max: 0xffff_ffff });
const u64 = fc.maxSafeNat();
const common = { flags: u16, type: u16, cookieHigh: u32, cookieLow: u32, offset: u64 };
const emptyRequest = (): RequestHeader => ({
  flags: 0,
  type: 0,
  cookieHigh: 0,
  cookieLow: 0,
  offset: 0,
  length: 0,
});

describe("putRequest()", () => {
  test("gives the 28 bytes of the specification", () => {
    const bytes = Buffer.alloc(28);
    const header = { ...emptyRequest(), flags: 4, cookieLow: 0x0102, offset: 512, length: 4096 };
    putRequest(bytes, 0, header);
    expect(bytes.toString("hex")).toBe(
      "25609513 0004 0000 0000000000000102 0000000000000200 00001000".replaceAll(" ", ""),
    );
  });

  test("is undone by getRequest(), and its extended form by getExtendedRequest()", () => {
    fc.assert(
      fc.property(fc.record({ ...common, length: u32 }), u64, (header, length) => {
        const bytes = Buffer.alloc(33);
        const read = emptyRequest();
        putRequest(bytes, 1, header);
        expect(getRequest(bytes, 1, read)).toBe(true);
        expect(read).toEqual(header);
        putExtendedRequest(bytes, 1, { ...header, length });
        expect(getRequest(bytes, 1, read)).toBe(false);
        expect(getExtendedRequest(bytes, 1, read)).toBe(true);
        expect(read).toEqual({ ...header, length });
      }),
    );
  });
});

describe("putSimpleReply()", () => {
  test("gives the 16 bytes of the specification", () => {
    const bytes = Buffer.alloc(16);
    const reply = { cookieHigh: 0xdead_beef, cookieLow: 1, errno: 5 };
    putSimpleReply(bytes, 0, reply);
    expect(bytes.toString("hex")).toBe("67446698 00000005 deadbeef00000001".replaceAll(" ", ""));
    const read = { cookieHigh: 0, cookieLow: 0, errno: 0 };
    getSimpleReply(bytes, 0, read);
    expect(read).toEqual(reply);
  });
});

describe("putChunk()", () => {
  test("is undone by getChunk(), and its extended form by getExtendedChunk()", () => {
    fc.assert(
      fc.property(fc.record({ ...common, length: u32 }), u64, (header, length) => {
        const bytes = Buffer.alloc(32);
        const read: ChunkHeader = emptyRequest();
        putChunk(bytes, 0, header);
        getChunk(bytes, 0, read);
        expect(read).toEqual({ ...header, offset: 0 });
        putExtendedChunk(bytes, 0, { ...header, length });
        getExtendedChunk(bytes, 0, read);
        expect(read).toEqual({ ...header, length });
      }),
    );
  });
});

describe("isErrorChunk()", () => {
  test("is true for every type with bit 15, known or not", () => {
    expect([0, 1, 5, 0x8001, 0x8002, 0x8123].map(isErrorChunk)).toEqual([
      false,
      false,
      false,
      true,
      true,
      true,
    ]);
  });
});
