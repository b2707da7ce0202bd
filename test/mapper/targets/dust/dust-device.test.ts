/** DustDevice: the contracts of device and target, with poison from below and with listed blocks, and what a list does that comes and goes. */
import { describe, expect, test } from "vitest";
import { MediaError, type ByteRange } from "../../../../src/base/index.ts";
import type { MemoryDeviceOptions, ReadResult } from "../../../../src/device/index.ts";
import type { DeviceTarget, MessageAnswer } from "../../../../src/mapper/index.ts";
import { deviceSuite, targetSuite, type DeviceSubject } from "../../../../src/testing/index.ts";
import { randomSeed } from "../../../base/seed.ts";
import {
  memoryStack,
  stackSubject,
  type MemoryStack,
  type Nodes,
} from "../../support/kernel-map.ts";

const seed = randomSeed();
const SIZE = 65_536;

/** Leaves that fail in units of the dust target's blocks, so that both kinds of poison have one unit. */
function leavesOf(unit: number): MemoryDeviceOptions {
  return { size: SIZE, poisonUnit: unit, clearUnit: unit, clear: "overwrite" };
}

/** Tables with a dust target, by kind. */
const TABLES: Readonly<Record<string, Nodes>> = {
  dust: { top: "0 128 dust a 0 512" },
  "dust that begins inside its device": { top: "0 96 dust a 16 512" },
  "dust rows beside a linear one": {
    top: "0 64 dust a 16 512\n64 32 linear b 0\n96 32 dust b 32 512",
  },
  "dust over striped": { low: "0 128 striped 2 8 a 0 b 8", top: "0 128 dust low 0 512" },
  "linear over dust": { low: "0 128 dust a 0 512", top: "0 96 linear low 16" },
  "striped over dust": {
    one: "0 128 dust a 0 512",
    other: "0 128 dust b 0 512",
    top: "0 128 striped 2 8 one 0 other 16",
  },
  "dust over dust": { low: "0 128 dust a 0 512", top: "0 128 dust low 0 512" },
};

for (const [name, nodes] of Object.entries(TABLES)) {
  for (const checked of name === "linear over dust" ? [false, true] : [false]) {
    targetSuite({ describe, test }, checked ? `${name}, every layer checked` : name, {
      seed,
      direct: false,
      make: () => stackSubject(nodes, { ...leavesOf(512), checked }),
    });
  }
}

/** The dust target of a stack's node. */
function dustOf({ nodes }: MemoryStack, name = "top"): DeviceTarget {
  const target = nodes.get(name)?.rows[0]?.target;
  if (target?.kind !== "device") throw new Error(`${name} is no device target`);
  return target;
}

function say(stack: MemoryStack, text: string): MessageAnswer {
  return dustOf(stack).message?.(text.split(" ")) as MessageAnswer;
}

/** Faults that its blocks stand for: known poison is a listed block, a refused clear is one that fails every write. */
function dustySubject(blockSize: number): DeviceSubject {
  const options = leavesOf(blockSize);
  const stack = memoryStack({ top: `0 128 dust a 0 ${blockSize}` }, { ...options, checked: true });
  say(stack, "enable");
  const leaf = stack.leaves.get("a");
  const each = ({ offset, length }: ByteRange, count: number): void => {
    for (let at = offset; at < offset + length; at += blockSize)
      say(stack, `addbadblock ${Math.floor(at / blockSize)} ${count}`);
  };
  return {
    device: stack.top,
    inject: (range, { latent }) => {
      if (latent) leaf?.inject(range, { latent });
      else each(range, 0);
    },
    fault: (range, kind) => {
      if (kind === "transient") leaf?.setFault({ ...range, kind, on: true });
      else {
        for (let at = range.offset; at < range.offset + range.length; at += blockSize)
          say(stack, `removebadblock ${Math.floor(at / blockSize)}`);
        each(range, 255);
      }
    },
    dispose: () => stack.top.close(),
  };
}

for (const blockSize of [512, 4096])
  deviceSuite({ describe, test }, `dust with listed blocks of ${blockSize}`, {
    seed,
    make: () => dustySubject(blockSize),
  });

/** A target of 32 blocks of 512 bytes over bytes that are all 7. */
function blocks(nodes: Nodes = { top: "0 32 dust a 0 512" }): MemoryStack {
  const stack = memoryStack(nodes, { ...leavesOf(512), size: 32 * 512, checked: true });
  stack.leaves.get("a")?.write(new Uint8Array(32 * 512).fill(7), 0);
  return stack;
}

const bytesOf = ({ top }: MemoryStack, block: number, count = 1): Uint8Array => {
  const bytes = new Uint8Array(512 * count);
  const { missing } = top.read(bytes, block * 512, "recovery") as ReadResult;
  for (const { offset, length } of missing)
    bytes.fill(0xbd, offset - block * 512, offset - block * 512 + length);
  return bytes;
};

const badOf = ({ top }: MemoryStack): number[] =>
  Array.from(top.poison.bad({ offset: 0, length: top.size })).flatMap(({ offset, length }) =>
    Array.from({ length: length / 512 }, (_, at) => offset / 512 + at),
  );

describe("DustDevice", () => {
  test("blktests dm/002: add, count, list, clear, add again, enable, write all: none is left", () => {
    const stack = blocks();
    for (const block of [10, 17, 22]) say(stack, `addbadblock ${block}`);
    expect(say(stack, "countbadblocks").reply).toBe("countbadblocks: 3 badblock(s) found");
    expect(say(stack, "listbadblocks").reply).toBe("10\n17\n22\n");
    expect(say(stack, "clearbadblocks").reply).toBe("dust_clear_badblocks: badblocks cleared");
    expect(say(stack, "countbadblocks").reply).toBe("countbadblocks: 0 badblock(s) found");
    for (const block of [10, 17, 22]) say(stack, `addbadblock ${block}`);
    say(stack, "enable");
    expect(badOf(stack)).toEqual([10, 17, 22]);
    void stack.top.write(new Uint8Array(32 * 512), 0);
    expect(say(stack, "countbadblocks").reply).toBe("countbadblocks: 0 badblock(s) found");
    expect(badOf(stack)).toEqual([]);
  });

  test("a block that is added while the target is disabled reads well, and fails once it is enabled", () => {
    const stack = blocks();
    say(stack, "addbadblock 3");
    expect(bytesOf(stack, 3)).toEqual(new Uint8Array(512).fill(7));
    expect(stack.top.poison.empty).toBe(true);
    say(stack, "enable");
    expect(bytesOf(stack, 3)).toEqual(new Uint8Array(512).fill(0xbd));
    expect(stack.top.poison.totals().poisoned).toBe(512);
    say(stack, "disable");
    void stack.top.write(new Uint8Array(512).fill(9), 3 * 512);
    say(stack, "enable");
    expect(badOf(stack)).toEqual([3]);
  });

  test("R5: a block with a write fail count fails so many writes, before any byte moves", () => {
    const stack = blocks();
    say(stack, "addbadblock 5 2");
    say(stack, "enable");
    const write = () => stack.top.write(new Uint8Array(1024).fill(8), 5 * 512);
    expect(write).toThrow(MediaError);
    expect(write).toThrow("block 5 is bad: the block fails this write");
    expect(badOf(stack)).toEqual([5]);
    expect(bytesOf(stack, 6)).toEqual(new Uint8Array(512).fill(7));
    void write();
    expect(badOf(stack)).toEqual([]);
    expect(bytesOf(stack, 5, 2)).toEqual(new Uint8Array(1024).fill(8));
  });

  test("blocks are counted from the beginning of the device below; those outside of the row fail nothing", () => {
    const stack = blocks({ top: "0 8 dust a 8 1024" });
    for (const block of [3, 5, 8]) say(stack, `addbadblock ${block}`);
    say(stack, "enable");
    expect(badOf(stack)).toEqual([2, 3]);
    expect(say(stack, "countbadblocks").reply).toBe("countbadblocks: 3 badblock(s) found");
    expect(stack.top.poison.totals()).toMatchObject({ total: 4096, poisoned: 1024 });
  });

  test("R1: blocks that lie across the row's own fail whole, wherever a read begins", () => {
    const stack = blocks({ top: "0 16 dust a 3 1024" });
    say(stack, "addbadblock 4");
    say(stack, "enable");
    expect(badOf(stack)).toEqual([5, 6]);
    expect(bytesOf(stack, 4, 2).subarray(512)).toEqual(new Uint8Array(512).fill(0xbd));
  });

  test("R1, R3: a recovery write of a part of a block leaves the rest of it lost below", () => {
    const stack = blocks({ top: "0 32 dust a 0 1024" });
    say(stack, "addbadblock 2");
    say(stack, "enable");
    expect(() => stack.top.write(new Uint8Array(512), 2048)).toThrow("in recovery mode, heals");
    void stack.top.write(new Uint8Array(512).fill(8), 2048, "recovery");
    expect(Array.from(stack.top.poison.bad({ offset: 0, length: 16_384 }))).toEqual([
      { offset: 2560, length: 512, state: "lost" },
    ]);
    expect(say(stack, "countbadblocks").reply).toBe("countbadblocks: 0 badblock(s) found");
  });

  test("status() is what dmsetup status prints", () => {
    const stack = blocks();
    expect(dustOf(stack).status?.()).toBe("a bypass verbose");
    say(stack, "enable");
    say(stack, "quiet");
    expect(dustOf(stack).status?.()).toBe("a fail_read_on_bad_block quiet");
  });
});
