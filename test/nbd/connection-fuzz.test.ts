/**
 * Connection: bytes of anybody. Inputs begin as the corpus, are changed at random, and those that get an answer of a new kind are changed further.
 *
 * FUZZ=1000000 runs as many inputs; CORPUS=write keeps two hundred of the kinds that were found in fixtures/corpus.txt, the shortest input of each.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { createPrng, type Prng } from "../../src/base/index.ts";
import { NBD_COMMAND } from "../../src/device/index.ts";
import { randomSeed } from "../base/seed.ts";
import { servedMemory } from "./support/peer.ts";
import { converse, opening, requests } from "./support/session.ts";

const CORPUS = join(import.meta.dirname, "fixtures/corpus.txt");
const INPUTS = Number(process.env["FUZZ"] ?? 4000);
const SIZE = 16_384;
const INTERESTING = [0, 1, 3, 7, 8, 0x7f, 0x80, 0xff];

/** Conversations that are right, to begin with. */
function seeds(): Buffer[] {
  const asks = [
    { command: NBD_COMMAND.READ, flags: 0, offset: 0, length: 4096 },
    {
      command: NBD_COMMAND.WRITE,
      flags: 1,
      offset: 512,
      length: 100,
      payload: Buffer.alloc(100, 7),
    },
    { command: NBD_COMMAND.WRITE_ZEROES, flags: 2, offset: 1024, length: 2048 },
    { command: NBD_COMMAND.BLOCK_STATUS, flags: 8, offset: 0, length: SIZE },
    { command: NBD_COMMAND.TRIM, flags: 0, offset: 0, length: 512 },
    { command: NBD_COMMAND.CACHE, flags: 0, offset: 0, length: 512 },
    { command: NBD_COMMAND.FLUSH, flags: 0, offset: 0, length: 0 },
    { command: NBD_COMMAND.DISCONNECT, flags: 0, offset: 0, length: 0 },
  ];
  return (["simple", "structured", "extended"] as const).map((form) =>
    Buffer.concat([opening(form), requests(asks, form === "extended")]),
  );
}

function corpus(): Buffer[] {
  return readFileSync(CORPUS, "utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => Buffer.from(line, "base64"));
}

/** A few changes of an input: bits, bytes, numbers, pieces taken out, doubled, or from another input. */
function mutated(input: Buffer, other: Buffer, prng: Prng): Buffer {
  let bytes = Buffer.from(input);
  for (let changes = 1 + prng.below(4); changes > 0; changes -= 1) {
    const at = prng.below(Math.max(1, bytes.length));
    const length = prng.below(40);
    const kind = prng.below(7);
    if (kind === 0 && bytes.length > 0) bytes[at] = (bytes[at] ?? 0) ^ (1 << prng.below(8));
    else if (kind === 1 && bytes.length > 0) bytes[at] = prng.pick(INTERESTING);
    else if (kind === 2 && bytes.length > at + 4)
      bytes.writeUInt32BE(
        prng.pick([0, 1, 0xffff, 0x1_0000, 0x200_0000, 0x7fff_ffff, 0xffff_ffff, SIZE]),
        at,
      );
    else if (kind === 3)
      bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length)]);
    else if (kind === 4)
      bytes = Buffer.concat([bytes.subarray(0, at + length), bytes.subarray(at)]);
    else if (kind === 5)
      bytes = Buffer.concat([
        bytes.subarray(0, at),
        other.subarray(prng.below(Math.max(1, other.length))),
      ]);
    else bytes = Buffer.concat([bytes.subarray(0, at), prng.bytes(length), bytes.subarray(at)]);
  }
  return bytes.subarray(0, 8192);
}

/** What kind of an answer it is: the numbers in its heads, without data. */
function kindOf(out: Buffer, ended: boolean): string {
  const marks: string[] = [ended ? "end" : "open"];
  for (let at = 18; at + 16 <= out.length && marks.length < 40;) {
    const magic = out.readUInt32BE(at);
    if (magic === 0x0003_e889 && at + 20 <= out.length) {
      marks.push(`o${out.readUInt32BE(at + 8)}:${out.readUInt32BE(at + 12)}`);
      at += 20 + out.readUInt32BE(at + 16);
    } else if (magic === 0x6744_6698) {
      marks.push(`s${out.readUInt32BE(at + 4)}`);
      at += 16;
    } else if (magic === 0x668e_33ef && at + 20 <= out.length) {
      marks.push(`c${out.readUInt16BE(at + 6)}`);
      at += 20 + out.readUInt32BE(at + 16);
    } else if (magic === 0x6e8a_278c && at + 32 <= out.length) {
      marks.push(`e${out.readUInt16BE(at + 6)}`);
      at += 32 + out.readUInt32BE(at + 28);
    } else at += 1;
  }
  return [...new Set(marks)].join(" ");
}

describe("Connection", () => {
  test(`takes ${INPUTS} inputs of anybody, in pieces, and neither throws, hangs nor writes outside its export`, async () => {
    const prng = createPrng(randomSeed());
    const pool = [...seeds(), ...corpus()];
    const found = new Map<string, Buffer>();
    const inputs = pool.length;
    for (let count = 0; count < INPUTS; count += 1) {
      const input =
        count < inputs
          ? (pool[count] ?? Buffer.alloc(0))
          : mutated(prng.pick(pool), prng.pick(pool), prng);
      const cut = prng.below(input.length + 1);
      const pieces = prng.below(2) === 0 ? [input] : [input.subarray(0, cut), input.subarray(cut)];
      const { device, exports } = servedMemory({ size: SIZE, isDirect: () => count % 2 === 0 });
      device.inject({ offset: 1536, length: 512 }, { latent: count % 3 === 0 });
      const { out, ended } = await converse(exports, pieces);
      const { total, clean, unread, poisoned, lost } = device.poison.totals();
      if (total !== SIZE || clean + unread + poisoned + lost !== SIZE)
        expect.fail("R7: the states do not add up");
      const kind = kindOf(out, ended);
      const known = found.get(kind);
      if (known === undefined && pool.length < 4000) pool.push(input);
      if (known === undefined || input.length < known.length) found.set(kind, input);
    }
    if (process.env["CORPUS"] === "write") {
      // From short to long, so that every phase of a connection has its share.
      const kinds = [...found.values()].sort((one, other) => one.length - other.length);
      const step = Math.max(1, Math.ceil(kinds.length / 200));
      const lines = kinds.filter((_, index) => index % step === 0).slice(0, 200);
      writeFileSync(CORPUS, `${lines.map((bytes) => bytes.toString("base64")).join("\n")}\n`);
    }
    expect(found.size).toBeGreaterThan(10);
    console.log(`${INPUTS} inputs, ${found.size} kinds of answers`);
  }, 3_600_000);
});
