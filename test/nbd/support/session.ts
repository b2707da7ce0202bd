/** session: whole conversations as bytes: a client's, given to a connection in any pieces, and what came back, read by the rules of the protocol. */
import { endOf, RangeSet, type ByteRange } from "../../../src/base/index.ts";
import {
  encodeContextRequest,
  encodeInfoRequest,
  encodeOption,
  NBD_COMMAND,
  NBD_OPTION,
  putExtendedRequest,
  putRequest,
} from "../../../src/device/index.ts";
import { Connection, type ExportList, type WireReceiver } from "../../../src/nbd/index.ts";
import type { Chunk } from "./peer.ts";

/** What a conversation left behind. */
export interface Outcome {
  readonly out: Buffer;
  readonly ended: boolean;
}

/** Longest answer that a conversation may get, in bytes. */
const OUT_MAX = 64 * 1024 * 1024;

/** Lets the event loop turn until something is so. @throws {Error} where it never is */
export async function turnsUntil(what: () => boolean): Promise<void> {
  for (let turns = 0; !what(); turns += 1) {
    if (turns > 1_000_000) throw new Error("It hangs");
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Gives pieces to a new connection, one after another as it takes them, and waits until nothing is under way. */
export async function converse(
  exports: ExportList,
  pieces: readonly Uint8Array[],
): Promise<Outcome> {
  const out: Buffer[] = [];
  let length = 0;
  let receiver: WireReceiver | undefined;
  let [isPaused, ended] = [false, false];
  const came = (bytes: Buffer): void => {
    out.push(bytes);
    length += bytes.length;
    if (length > OUT_MAX) throw new Error("The answer knows no bound");
  };
  const end = (): void => void (ended = true);
  const connection = new Connection(
    {
      open: (given) => {
        receiver = given;
        return {
          backlog: 0,
          send: (parts) => came(Buffer.concat(parts)),
          sendKept: (head, data, release) => {
            came(Buffer.concat([head, data]));
            release();
          },
          pause: () => void (isPaused = true),
          resume: () => void (isPaused = false),
          end,
          destroy: end,
        };
      },
    },
    { exports, handshakeMs: 60_000, onClose: () => undefined },
  );
  const isIdle = (): boolean => !isPaused && connection.status.underWay === 0;
  for (const piece of pieces) {
    if (ended) break;
    receiver?.receive(piece);
    await turnsUntil(() => ended || isIdle());
  }
  receiver?.ended();
  await turnsUntil(() => connection.status.underWay === 0);
  connection.destroy();
  return { out: Buffer.concat(out), ended };
}

/** A request as a test has it. */
export interface Ask extends ByteRange {
  readonly command: number;
  readonly flags: number;
  readonly payload?: Buffer;
}

/** A client's bytes up to the transmission. */
export function opening(form: "simple" | "structured" | "extended", name = ""): Buffer {
  const options = {
    simple: [],
    structured: [encodeOption(NBD_OPTION.STRUCTURED_REPLY)],
    extended: [encodeOption(NBD_OPTION.EXTENDED_HEADERS)],
  }[form];
  const queries = ["base:allocation", "x-theriac:poison"];
  return Buffer.concat([
    Buffer.from([0, 0, 0, 3]),
    encodeOption(NBD_OPTION.LIST),
    ...options,
    encodeOption(NBD_OPTION.SET_META_CONTEXT, encodeContextRequest({ name, queries })),
    encodeOption(NBD_OPTION.GO, encodeInfoRequest({ name, wanted: [0, 1, 2, 3] })),
  ]);
}

/** Requests as bytes, with their place in the list as cookie. */
export function requests(asks: readonly Ask[], isExtended: boolean): Buffer {
  return Buffer.concat(
    asks.flatMap(({ command, flags, offset, length, payload }, index) => {
      const bytes = Buffer.alloc(isExtended ? 32 : 28);
      const withPayload = isExtended && command === NBD_COMMAND.WRITE ? 0x20 : 0;
      (isExtended ? putExtendedRequest : putRequest)(bytes, 0, {
        flags: flags | withPayload,
        type: command,
        cookieHigh: 0xffff_fffe,
        cookieLow: index,
        offset,
        length,
      });
      return payload === undefined ? [bytes] : [bytes, payload];
    }),
  );
}

/**
 * Checks the chunks of a read by the rules of the specification (doc/proto.md, "Structured reply types"): inside the request, apart, no offset told twice,
 * DONE at the end alone, and every byte either content or told as missing.
 *
 * @returns what is wrong; empty where nothing is
 */
export function readProblems(ask: ByteRange, chunks: readonly Chunk[]): string[] {
  const problems = chunks.flatMap((chunk, index) =>
    chunk.isDone === (index === chunks.length - 1) ? [] : [`DONE at ${index}`],
  );
  const content = new RangeSet();
  for (const chunk of chunks) {
    if (chunk.type !== "data" && chunk.type !== "hole") continue;
    const range = { offset: chunk.offset ?? -1, length: chunk.length ?? 0 };
    if (range.length === 0) problems.push("empty content");
    if (range.offset < ask.offset || endOf(range) > endOf(ask)) problems.push("content outside");
    if (content.intersects(range.offset, range.length)) problems.push("content twice");
    content.add(range.offset, range.length);
  }
  const errors = chunks.filter(({ type }) => type === "error").map(({ offset }) => offset ?? -1);
  if (new Set(errors).size < errors.length) problems.push("an offset told twice");
  const gaps = [...content.gaps(ask.offset, ask.length)];
  for (const error of errors)
    if (!gaps.some((gap) => error >= gap.offset && error < endOf(gap)))
      problems.push(`an error at ${error} in content`);
  for (const gap of gaps)
    if (!errors.includes(gap.offset)) problems.push(`nothing said of ${gap.offset}`);
  return problems;
}
