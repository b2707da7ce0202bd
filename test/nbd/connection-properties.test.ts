/** Connection: random requests over random poison, in random pieces, against a model of bytes. */
import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { createPrng, endOf, type Prng } from "../../src/base/index.ts";
import { NBD_COMMAND, NBD_ERROR, type SimulatedDevice } from "../../src/device/index.ts";
import { randomSeed } from "../base/seed.ts";
import { Peer, servedMemory, type Chunk } from "./support/peer.ts";
import { converse, opening, readProblems, requests, type Ask } from "./support/session.ts";

const SIZE = 65_536;
const { READ, WRITE, WRITE_ZEROES, TRIM, CACHE, FLUSH, BLOCK_STATUS } = NBD_COMMAND;

function poison(device: SimulatedDevice, prng: Prng): void {
  for (let count = prng.below(6); count > 0; count -= 1) {
    const range = { offset: prng.below(SIZE / 512) * 512, length: 512 };
    device.inject(range, { latent: prng.below(3) === 0 });
    if (prng.below(4) === 0) device.clear(range);
  }
}

function randomAsk(prng: Prng): Ask {
  const command = [READ, READ, READ, WRITE, WRITE, WRITE_ZEROES, TRIM, CACHE, FLUSH, BLOCK_STATUS][
    prng.below(10)
  ] as number;
  if (command === FLUSH) return { command, flags: 0, offset: 0, length: 0 };
  const unit = prng.below(2) === 0 ? 512 : 1;
  const offset = prng.below(SIZE / unit) * unit;
  const length = Math.min(SIZE - offset, (1 + prng.below(8192 / unit)) * unit);
  const flags = prng.below(8) === 0 ? 1 : 0;
  return command === WRITE
    ? { command, flags, offset, length, payload: Buffer.from(prng.bytes(length)) }
    : { command, flags, offset, length };
}

/** The same where no two requests that are under way at once can meet: what they would see of each other is not defined. */
function apart(ask: Ask, index: number): Ask {
  const isChange = ask.command === WRITE || ask.command === WRITE_ZEROES;
  if (!isChange) return { ...ask, offset: ask.offset % 16_384, length: Math.min(ask.length, 8192) };
  const length = Math.min(ask.length, 2048);
  const payload = ask.payload?.subarray(0, length);
  const moved = { ...ask, offset: SIZE / 2 + index * 2560, length };
  return payload === undefined ? moved : { ...moved, payload };
}

/** Bytes as pieces of random lengths. */
function split(bytes: Buffer, prng: Prng): Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = 0; at < bytes.length;) {
    const length = 1 + prng.below([3, 40, 5000][prng.below(3)] as number);
    pieces.push(bytes.subarray(at, at + length));
    at += length;
  }
  return pieces;
}

function digest(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** What a reader may see: the bytes, and which of them are gone. */
class Model {
  readonly bytes: Buffer;
  readonly bad = new Set<number>();

  constructor(bytes: Buffer) {
    this.bytes = Buffer.from(bytes);
  }

  noteBad(device: SimulatedDevice): void {
    this.bad.clear();
    for (const bad of device.poison.bad({ offset: 0, length: SIZE }))
      for (let byte = bad.offset; byte < endOf(bad); byte += 1) this.bad.add(byte);
  }

  /** Takes a write, or the part of one before the place where it stopped: what lies behind that is as it was, or as it was to be, and whole. */
  async write(
    ask: Ask,
    done: { readonly device: SimulatedDevice; readonly failed: Chunk | undefined },
  ): Promise<string[]> {
    const { device, failed } = done;
    const data = ask.payload ?? Buffer.alloc(ask.length);
    const length = failed === undefined ? ask.length : (failed.offset ?? ask.offset) - ask.offset;
    data.copy(this.bytes, ask.offset, 0, length);
    if (failed === undefined) {
      return [...device.poison.bad(ask)].map(({ offset }) => `still bad at ${offset}`);
    }
    const now = Buffer.alloc(SIZE);
    const { missing } = await device.read(now, 0);
    let at = 0;
    for (const hole of [...missing, { offset: SIZE, length: 0 }]) {
      now.copy(this.bytes, at, at, hole.offset);
      at = endOf(hole);
    }
    return length < 0 ? [`stopped at ${failed.offset}`] : [];
  }

  /** Takes what a read showed. @returns what of it cannot be */
  check(ask: Ask, chunks: readonly Chunk[]): string[] {
    const problems = readProblems(ask, chunks);
    for (const chunk of chunks) {
      if (chunk.type !== "data") continue;
      const at = chunk.offset ?? 0;
      if (chunk.bytes?.equals(this.bytes.subarray(at, at + (chunk.length ?? 0))) !== true)
        problems.push(`other bytes at ${at}`);
      for (let byte = at; byte < at + (chunk.length ?? 0); byte += 1)
        if (this.bad.has(byte)) problems.push(`R1: ${byte} is bad`);
    }
    return problems;
  }
}

describe("Connection", () => {
  test("reads give exactly what is good, by the rules of the protocol, whatever was written meanwhile (R1, R2)", async () => {
    const prng = createPrng(randomSeed());
    for (let round = 0; round < 150; round += 1) {
      const { device, bytes, exports } = servedMemory({
        size: SIZE,
        isDirect: () => round % 2 === 0,
      });
      poison(device, prng);
      const name = round % 3 === 0 ? "disk@recovery" : "disk";
      const peer = new Peer(exports).go(round % 4 === 1 ? "extended" : "structured", {
        name,
        contexts: ["x-theriac:poison"],
      });
      const model = new Model(bytes);
      for (let step = 0; step < 25; step += 1) {
        const ask = randomAsk(prng);
        model.noteBad(device);
        const chunks = await peer.ask(ask.command, ask);
        const failed = chunks.find(({ type, errno }) => type === "error" || (errno ?? 0) > 0);
        const isChange = ask.command === WRITE || ask.command === WRITE_ZEROES;
        const problems = ask.command === READ ? model.check(ask, chunks) : [];
        if (isChange) problems.push(...(await model.write(ask, { device, failed })));
        expect(problems).toEqual([]);
        expect(failed?.errno ?? NBD_ERROR.EIO).toBe(NBD_ERROR.EIO);
      }
    }
  });

  test("the same bytes in other pieces get the same answers and leave the same device", async () => {
    const prng = createPrng(randomSeed());
    for (let round = 0; round < 150; round += 1) {
      const form = (["simple", "structured", "extended"] as const)[round % 3] ?? "simple";
      const asks = Array.from({ length: 12 }, (_, index) => apart(randomAsk(prng), index));
      const bytes = Buffer.concat([opening(form), requests(asks, form === "extended")]);
      const seed = prng.below(2 ** 31);
      const runs = await Promise.all(
        [[bytes], split(bytes, prng), split(bytes, prng)].map(async (pieces) => {
          const { device, exports } = servedMemory({ size: SIZE });
          poison(device, createPrng(seed));
          const { out } = await converse(exports, pieces);
          const content = Buffer.alloc(SIZE);
          const { missing } = await device.read(content, 0);
          return { out: out.length, content: digest(content), missing };
        }),
      );
      expect(runs[1]).toEqual(runs[0]);
      expect(runs[2]).toEqual(runs[0]);
    }
  });
});
