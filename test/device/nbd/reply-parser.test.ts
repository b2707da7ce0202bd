/** Replies from the bytes of a server: whatever it sends, and wherever the network cuts it. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { StorageError } from "../../../src/base/index.ts";
import {
  encodeBlockStatus,
  encodeError,
  NBD_CHUNK,
  NBD_COMMAND,
  putChunk,
  putExtendedChunk,
  putHole,
  putSimpleReply,
} from "../../../src/device/index.ts";
import {
  PendingReply,
  type NbdRequest,
  type ReplyForm,
} from "../../../src/device/nbd/pending-reply.ts";
import { ReplyParser } from "../../../src/device/nbd/reply-parser.ts";
import { dataChunk } from "./support/loopback-server.ts";

const seed = Number(process.env["SEED"] ?? Date.now() % 2 ** 31);
/** Inputs of anybody; FUZZ=1000000 runs as many. */
const INPUTS = Number(process.env["FUZZ"] ?? 2000);
const COOKIE = 0xfeed;
const START = 1000;

interface Parsed {
  readonly reply: PendingReply;
  readonly ended: boolean;
}

const read = (length: number): NbdRequest => ({
  type: NBD_COMMAND.READ,
  flags: 0,
  offset: START,
  length,
});

/** Pushes bytes, cut into pieces of these lengths, and then whole. */
function parse(
  form: ReplyForm,
  request: NbdRequest,
  given: { readonly bytes: Uint8Array; readonly cuts?: readonly number[] },
): Parsed {
  const ignore = (): void => undefined;
  const reply = new PendingReply(request, { form, resolve: ignore, reject: ignore });
  let ended = false;
  const parser = new ReplyParser(form, {
    find: (high, low) => (high === 1 && low === COOKIE && !ended ? reply : undefined),
    ended: () => {
      ended = true;
    },
  });
  let at = 0;
  for (const cut of given.cuts ?? []) {
    parser.push(given.bytes.subarray(at, at + cut));
    at += cut;
  }
  parser.push(given.bytes.subarray(at));
  return { reply, ended };
}

interface Chunk {
  readonly type: number;
  readonly payload: Uint8Array;
}

function encode(form: ReplyForm, chunks: readonly Chunk[]): Buffer {
  const last = chunks.length - 1;
  return Buffer.concat(
    chunks.flatMap(({ type, payload }, index) => {
      const head = Buffer.alloc(form === "extended" ? 32 : 20);
      const put = form === "extended" ? putExtendedChunk : putChunk;
      const flags = index === last ? 1 : 0;
      const { length } = payload;
      put(head, 0, { flags, type, cookieHigh: 1, cookieLow: COOKIE, offset: START, length });
      return [head, payload];
    }),
  );
}

const data = (offset: number, bytes: Uint8Array): Chunk => ({
  type: NBD_CHUNK.OFFSET_DATA,
  payload: dataChunk(START + offset, bytes),
});

const bad = (offset: number | undefined, errno = 5): Chunk => ({
  type: offset === undefined ? NBD_CHUNK.ERROR : NBD_CHUNK.ERROR_OFFSET,
  payload: encodeError({
    errno,
    text: "bad",
    offset: offset === undefined ? undefined : START + offset,
  }),
});

const hole = (offset: number, length: number): Chunk => {
  const payload = Buffer.alloc(12);
  putHole(payload, 0, { offset: START + offset, length });
  return { type: NBD_CHUNK.OFFSET_HOLE, payload };
};

const NONE: Chunk = { type: NBD_CHUNK.NONE, payload: new Uint8Array(0) };
const bytesOf = (length: number, from = 1): Uint8Array =>
  Uint8Array.from({ length }, (_, index) => (from + index) % 251);

/** What each byte of a read is: data, zeros, or bad. Runs of one kind travel as one chunk. */
const layout = fc.array(
  fc.record({
    kind: fc.constantFrom("data" as const, "hole" as const, "bad" as const),
    length: fc.integer({ min: 1, max: 40 }),
  }),
  { minLength: 1, maxLength: 80 },
);

describe("ReplyParser", () => {
  test(`gives the same for every cut, every order, every form (SEED=${seed})`, () => {
    const order = fc.array(fc.nat(), { maxLength: 30 });
    const cuts = fc.array(fc.nat({ max: 50 }), { maxLength: 60 });
    const form = fc.constantFrom("structured" as const, "extended" as const);
    fc.assert(
      fc.property(fc.record({ runs: layout, swaps: order, lengths: cuts, how: form }), (given) => {
        const { runs, swaps, lengths, how } = given;
        let at = 0;
        const total = runs.reduce((sum, { length }) => sum + length, 0);
        const wanted = new Uint8Array(total).fill(0xa5);
        const chunks: Chunk[] = [];
        const missing = new Uint8Array(total);
        for (const { kind, length } of runs) {
          const bytes = bytesOf(length, at);
          if (kind === "data") chunks.push(data(at, bytes));
          if (kind === "hole") chunks.push(hole(at, length));
          if (kind === "bad") chunks.push(bad(at));
          if (kind === "bad") missing.fill(1, at, at + length);
          else wanted.set(kind === "data" ? bytes : new Uint8Array(length), at);
          at += length;
        }
        for (const [index, swap] of swaps.entries()) {
          const [one, other] = [index % chunks.length, swap % chunks.length];
          [chunks[one], chunks[other]] = [chunks[other] as Chunk, chunks[one] as Chunk];
        }
        const bytes = encode(how, [...chunks, NONE]);
        const { reply, ended } = parse(how, read(total), { bytes, cuts: lengths });
        const into = new Uint8Array(total).fill(0xa5);
        const told = new Uint8Array(total);
        for (const { offset, length } of reply.copyTo(into))
          told.fill(1, offset - START, offset - START + length);
        expect(ended).toBe(true);
        expect(into).toEqual(wanted);
        expect(told).toEqual(missing);
      }),
      { seed, numRuns: 300 },
    );
  });

  test(`takes any bytes: what is no reply is EPROTO, and nothing else (SEED=${seed})`, () => {
    const form = fc.constantFrom("simple" as const, "structured" as const, "extended" as const);
    // Heads that are nearly right reach further than noise does.
    const head = fc.record({
      type: fc.constantFrom(0, 1, 2, 3, 5, 6, 0x8001, 0x8002, 0x8003),
      flags: fc.nat({ max: 3 }),
      length: fc.oneof(fc.nat({ max: 64 }), fc.constantFrom(0xffff_ffff, 2 ** 31, 2 ** 40)),
    });
    const part = fc.oneof(
      fc.uint8Array({ maxLength: 64 }).map((bytes) => ({ bytes, head: undefined })),
      head.map((one) => ({ bytes: undefined, head: one })),
    );
    const type = fc.constantFrom(NBD_COMMAND.READ, NBD_COMMAND.WRITE, NBD_COMMAND.BLOCK_STATUS);
    const cuts = fc.array(fc.nat({ max: 40 }), { maxLength: 20 });
    fc.assert(
      fc.property(
        fc.record({
          how: form,
          command: type,
          parts: fc.array(part, { maxLength: 12 }),
          all: cuts,
        }),
        (given) => {
          const { how, command, parts, all } = given;
          const bytes = Buffer.concat(
            parts.map((one) => {
              if (one.head === undefined) return one.bytes ?? new Uint8Array(0);
              const bytesOfHead = Buffer.alloc(
                how === "extended" ? 32 : how === "simple" ? 16 : 20,
              );
              const fields = { ...one.head, cookieHigh: 1, cookieLow: COOKIE, offset: START };
              if (how === "extended") putExtendedChunk(bytesOfHead, 0, fields);
              else if (how === "structured") putChunk(bytesOfHead, 0, fields);
              else putSimpleReply(bytesOfHead, 0, { ...fields, errno: one.head.type });
              return bytesOfHead;
            }),
          );
          let failure: unknown;
          try {
            parse(how, { ...read(50), type: command }, { bytes, cuts: all });
          } catch (error) {
            failure = error;
          }
          expect(failure === undefined || (failure as StorageError).code === "EPROTO").toBe(true);
        },
      ),
      { seed, numRuns: INPUTS },
    );
  });

  test("takes a simple reply with its data, and an error without", () => {
    const head = Buffer.alloc(16);
    putSimpleReply(head, 0, { cookieHigh: 1, cookieLow: COOKIE, errno: 0 });
    const whole = parse("simple", read(8), { bytes: Buffer.concat([head, bytesOf(8)]) });
    const into = new Uint8Array(8);
    expect([whole.ended, whole.reply.copyTo(into), into]).toEqual([true, [], bytesOf(8)]);
    putSimpleReply(head, 0, { cookieHigh: 1, cookieLow: COOKIE, errno: 5 });
    const failed = parse("simple", read(8), { bytes: head });
    expect(failed.reply.failure).toEqual({ errno: 5, text: "", offset: undefined });
    expect(failed.reply.copyTo(into)).toEqual([{ offset: START, length: 8 }]);
  });

  test("takes a simple error to a structured read, which nbd-server sends", () => {
    const head = Buffer.alloc(16);
    putSimpleReply(head, 0, { cookieHigh: 1, cookieLow: COOKIE, errno: 22 });
    expect(parse("structured", read(8), { bytes: head }).reply.failure?.errno).toBe(22);
  });

  test("keeps nothing for a length that only promises", () => {
    const head = Buffer.alloc(20);
    const type = NBD_CHUNK.BLOCK_STATUS;
    const length = 8 * 1024 * 1024;
    putChunk(head, 0, { flags: 1, type, cookieHigh: 1, cookieLow: COOKIE, offset: 0, length });
    const before = process.memoryUsage().arrayBuffers;
    const request = { ...read(8), type: NBD_COMMAND.BLOCK_STATUS };
    for (let count = 0; count < 100; count += 1) parse("structured", request, { bytes: head });
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(length);
  });
});

describe("PendingReply", () => {
  const failing = (chunks: readonly Chunk[], request = read(16)): string => {
    try {
      parse("structured", request, { bytes: encode("structured", chunks) });
    } catch (error) {
      return (error as StorageError).message.replace(
        /^EPROTO: The server broke the NBD protocol: /,
        "",
      );
    }
    return "taken";
  };

  test("R1: refuses a read that ends well without all its bytes", () => {
    expect(failing([data(0, bytesOf(15))])).toBe(
      "a read at 1000+16 that ended well without all its bytes",
    );
    expect(failing([NONE])).toMatch(/without all its bytes$/);
    expect(failing([data(0, bytesOf(8)), hole(8, 8)])).toBe("taken");
  });

  test("refuses content outside the request, twice, or behind an error at its place", () => {
    expect(failing([data(8, bytesOf(9))])).toBe("content at 1008+9, outside the request");
    expect(failing([data(-1, bytesOf(4))])).toMatch(/outside the request$/);
    expect(failing([data(0, bytesOf(17))])).toMatch(/^a data chunk of 25 bytes for a read of 16/);
    expect(failing([data(0, bytesOf(9)), data(8, bytesOf(8))])).toBe("content at 1008+8 twice");
    expect(failing([data(0, bytesOf(16)), hole(3, 1)])).toBe("content at 1003+1 twice");
    expect(failing([bad(4), data(0, bytesOf(16))])).toBe(
      "content at 1000+16 behind an error there",
    );
  });

  test("refuses errors outside the request or twice at one place", () => {
    expect(failing([bad(16)])).toBe("an error at offset 1016, outside the request");
    expect(failing([bad(3), bad(3)])).toBe("two errors at offset 1003");
  });

  test("refuses chunks of another request's type, of unknown type, and of other lengths", () => {
    const status = {
      type: NBD_CHUNK.BLOCK_STATUS,
      payload: encodeBlockStatus(1, [{ length: 8, flags: 0 }]),
    };
    expect(failing([status])).toBe("a chunk of type 5 for a request of type 0");
    expect(failing([{ type: 7, payload: bytesOf(4) }])).toBe("a chunk of unknown type 7");
    expect(failing([{ ...NONE, payload: bytesOf(1) }])).toBe("a chunk of type 0 with 1 bytes");
    expect(failing([{ type: NBD_CHUNK.OFFSET_HOLE, payload: bytesOf(8) }])).toBe(
      "a hole chunk of 8 bytes",
    );
    expect(failing([hole(0, 0)])).toBe("a hole of no bytes");
    expect(failing([NONE, data(0, bytesOf(16))])).toMatch(/./);
    const asked = { ...read(16), type: NBD_COMMAND.BLOCK_STATUS };
    expect(failing([status, status], asked)).toBe("block status of one context twice");
    expect(failing([status], asked)).toBe("taken");
  });

  test("R1: of a padded chunk with an error inside, believes what stands before the error alone", () => {
    const bytes = encode("structured", [data(0, bytesOf(16)), bad(6)]);
    const { reply } = parse("structured", read(16), { bytes });
    const into = new Uint8Array(16).fill(0xa5);
    expect(reply.copyTo(into)).toEqual([{ offset: START + 6, length: 10 }]);
    expect([...into]).toEqual([...bytesOf(6), ...new Uint8Array(10).fill(0xa5)]);
    expect(reply.failure).toEqual({ errno: 5, text: "bad", offset: START + 6 });
  });

  test("R1: believes nothing of a reply in which one error has no place", () => {
    const bytes = encode("structured", [data(0, bytesOf(8)), bad(8), bad(undefined)]);
    const { reply } = parse("structured", read(16), { bytes });
    const into = new Uint8Array(16).fill(0xa5);
    expect(reply.copyTo(into)).toEqual([{ offset: START, length: 16 }]);
    expect(into).toEqual(new Uint8Array(16).fill(0xa5));
  });

  test("holds thousands of pieces in one copy of the request's length", () => {
    const length = 4000;
    const chunks = Array.from({ length: length / 2 }, (_, index) =>
      data(index * 2, bytesOf(1, index)),
    );
    const errors = Array.from({ length: length / 2 }, (_, index) => bad(index * 2 + 1));
    const bytes = encode("structured", [...chunks, ...errors]);
    const { reply } = parse("structured", read(length), { bytes });
    const into = new Uint8Array(length);
    expect(reply.copyTo(into)).toHaveLength(length / 2);
    expect(into[3998]).toBe(1999 % 251);
  });
});
