/** Salvage: bytes, maps, identities, and every crash of it. */
import { afterAll, describe, expect, test } from "vitest";
import { createPrng, StorageError } from "../../../src/base/index.ts";
import { createMemoryDevice, type SimulatedDevice } from "../../../src/device/index.ts";
import {
  describeTarget,
  fileOfTarget,
  salvage,
  wholeTarget,
  type SalvageSource,
  type Target,
} from "../../../src/rescue/index.ts";
import { CrashError, createCrashFiles, type CrashFiles } from "../../../src/testing/index.ts";
import { parseMapfile } from "../../../src/poison/index.ts";
import { randomSeed } from "../../base/seed.ts";
import {
  FILES,
  memoryTarget,
  placeOf,
  removeTemporary,
  TREE_FILESYSTEMS,
  treeImage,
} from "../support/tree.ts";

const seed = randomSeed();
const OUT = "/disk/out";
afterAll(removeTemporary);

function bytesOf(length: number): Uint8Array {
  const bytes = createPrng(1).bytes(length);
  return bytes.fill(0, length >> 1, (length >> 1) + (length >> 2));
}

async function source(
  bytes = bytesOf(307_200),
  name = "memory",
): Promise<Target & { device: SimulatedDevice }> {
  const device = createMemoryDevice({
    bytes: Uint8Array.from(bytes),
    poisonUnit: 512,
    clearUnit: 512,
    name,
  });
  return { ...(await describeTarget(device, { path: name })), device };
}

/** The whole target without its UUID, which is new for each device in memory: then its content tells who it is. */
function anonymous(target: Target): SalvageSource {
  return { ...wholeTarget(target), names: {} };
}

function content(files: CrashFiles, path: string): Uint8Array {
  const file = files.open(path);
  const bytes = new Uint8Array(file.size());
  file.readSync(bytes, 0);
  file.close();
  return bytes;
}

function blocks(files: CrashFiles, size: number): string {
  const text = Buffer.from(content(files, `${OUT}.map`)).toString();
  return parseMapfile(text, { size })
    .ranges.map(({ offset, length, state }) => `${offset}+${length} ${state}`)
    .join(", ");
}

/** The output must hold what the map calls finished, and the sums must add up. */
function checkMap(files: CrashFiles, original: Uint8Array): number {
  const map = `${OUT}.map`;
  if (files.info(map) === undefined) return 0;
  const text = Buffer.from(content(files, map)).toString();
  const out = files.info(OUT) === undefined ? new Uint8Array() : content(files, OUT);
  let finished = 0;
  for (const { offset, length, state } of parseMapfile(text, { size: original.length }).ranges) {
    if (state !== "clean") continue;
    finished += length;
    expect(
      Buffer.compare(
        out.subarray(offset, offset + length),
        original.subarray(offset, offset + length),
      ),
      `S73: ${offset}+${length} is in the output`,
    ).toBe(0);
  }
  return finished;
}

describe("salvage()", () => {
  test("copies every clean byte, and the map says so (S23, S25)", async () => {
    const bytes = bytesOf(1024 * 1024);
    const target = await source(bytes);
    target.device.inject({ offset: 0x40000, length: 0x200 });
    target.device.inject({ offset: 0x80000, length: 0x10000 }, { latent: true });
    const files = createCrashFiles();
    const result = await salvage(anonymous(target), OUT, { files });
    expect(result).toMatchObject({
      size: 0x100000,
      salvaged: 0x100000 - 0x10200,
      bad: 0x10200,
      resumed: 0,
    });
    expect(result.salvaged + result.bad).toBe(result.size);
    expect(blocks(files, bytes.length)).toBe(
      "0+262144 clean, 262144+512 poisoned, 262656+261632 clean, 524288+65536 poisoned, 589824+458752 clean",
    );
    expect(checkMap(files, bytes)).toBe(result.salvaged);
    expect(
      content(files, OUT)
        .subarray(0x40000, 0x40200)
        .every((byte) => byte === 0),
    ).toBe(true);
    expect(target.device.poison.totals()).toMatchObject({ unread: 0, poisoned: 0x10200 });
  });

  test("never reads a range that is known bad (S24)", async () => {
    const target = await source();
    target.device.inject({ offset: 10_240, length: 1024 });
    const touched: number[] = [];
    const whole = anonymous(target);
    const watched = {
      ...whole,
      read: (into: Uint8Array, offset: number) => (
        touched.push(offset, offset + into.length),
        whole.read(into, offset)
      ),
    };
    await salvage(watched, OUT, { files: createCrashFiles() });
    for (let index = 0; index < touched.length; index += 2) {
      const [from = 0, to = 0] = touched.slice(index, index + 2);
      expect(to <= 10_240 || from >= 11_264 || to - from === 4096).toBe(true);
    }
  });

  test("leaves zeros out of the output", async () => {
    const target = await source();
    const files = createCrashFiles();
    await salvage(anonymous(target), OUT, { files });
    expect(files.counts.write).toBeLessThan(10);
    expect(Buffer.compare(content(files, OUT), bytesOf(307_200))).toBe(0);
  });

  test("goes on where an earlier run ended", async () => {
    const bytes = bytesOf(20_480_000);
    const target = await source(bytes);
    const files = createCrashFiles();
    let turns = 0;
    const checkpoint = async (): Promise<void> => {
      turns += 1;
      if (turns === 4) throw new StorageError("EIO", "stop");
    };
    await expect(
      salvage(anonymous(target), OUT, { files, saveEvery: 1, checkpoint }),
    ).rejects.toThrow("stop");
    expect(checkMap(files, bytes)).toBeGreaterThan(8_000_000);
    const result = await salvage(anonymous(target), OUT, { files });
    expect(result.resumed).toBeGreaterThan(8_000_000);
    expect(checkMap(files, bytes)).toBe(bytes.length);
  });

  test("refuses an output that exists and is none of ours", async () => {
    const target = await source();
    const files = createCrashFiles();
    files.open(OUT, { access: "create" }).close();
    await expect(salvage(anonymous(target), OUT, { files })).rejects.toThrow(
      expect.objectContaining({ code: "EEXIST" }),
    );
  });

  test("refuses the map of another source of equal size (S26)", async () => {
    const files = createCrashFiles();
    await salvage(anonymous(await source()), OUT, { files });
    const other = bytesOf(307_200).map((byte) => byte ^ 0xff);
    const before = content(files, OUT);
    await expect(salvage(anonymous(await source(other)), OUT, { files })).rejects.toThrow(
      expect.objectContaining({ code: "ESTALE" }),
    );
    files.remove(`${OUT}.map.theriac`);
    await expect(salvage(anonymous(await source()), OUT, { files })).rejects.toThrow(
      expect.objectContaining({ code: "ESTALE" }),
    );
    expect(Buffer.compare(content(files, OUT), before)).toBe(0);
  });

  test("refuses a map whose output is gone or of another size", async () => {
    const files = createCrashFiles();
    const target = await source();
    await salvage(anonymous(target), OUT, { files });
    const file = files.open(OUT, { access: "write" });
    file.truncate(5);
    file.close();
    await expect(salvage(anonymous(target), OUT, { files })).rejects.toThrow(
      expect.objectContaining({ code: "ESTALE" }),
    );
    files.remove(OUT);
    await expect(salvage(anonymous(target), OUT, { files })).rejects.toThrow(
      expect.objectContaining({ code: "ESTALE" }),
    );
  });

  test("says that the disk is full, keeps the map true, and goes on when there is room", async () => {
    const bytes = createPrng(2).bytes(12_288_000);
    const target = await source(bytes);
    const files = createCrashFiles({ capacity: 9_000_000 });
    await expect(salvage(anonymous(target), OUT, { files, saveEvery: 1 })).rejects.toThrow(
      expect.objectContaining({ code: "ENOSPC", message: expect.stringContaining("make room") }),
    );
    expect(checkMap(files, bytes)).toBeLessThan(bytes.length);
    files.capacity = Infinity;
    await salvage(anonymous(target), OUT, { files });
    expect(checkMap(files, bytes)).toBe(bytes.length);
  });

  test("S73: whatever the map calls finished is in the output, after a crash or failure at any operation", async () => {
    const bytes = bytesOf(4_505_600);
    const make = async (): Promise<SalvageSource> => {
      const target = await source(bytes);
      target.device.inject({ offset: 1_000_448, length: 700 });
      return anonymous(target);
    };
    const clean = createCrashFiles();
    await salvage(await make(), OUT, { files: clean, saveEvery: 1 });
    for (let at = 1; at <= clean.operations; at += 1) {
      for (const kind of ["crash", "EIO", "ENOSPC"] as const) {
        const files = createCrashFiles({ seed });
        if (kind === "crash") files.crashAt(at);
        else files.failAt(at, kind);
        const error: unknown = await salvage(await make(), OUT, { files, saveEvery: 1 }).then(
          () => undefined,
          (thrown: unknown) => thrown,
        );
        const expected =
          error === undefined || error instanceof CrashError || error instanceof StorageError;
        expect(expected, String(error)).toBe(true);
        for (const how of ["nothing", createPrng(seed + at)] as const) {
          const after = files.crash(how);
          checkMap(after, bytes);
          const second: unknown = await salvage(await make(), OUT, { files: after }).then(
            (result) => result.salvaged,
            (thrown: unknown) => String(thrown),
          );
          expect(second, `${kind} at ${at} of ${clean.operations}`).toBe(bytes.length - 1024);
          checkMap(after, bytes);
        }
      }
    }
  }, 300_000);
});

describe.each(TREE_FILESYSTEMS)("fileOfTarget() on %s", (filesystem) => {
  test("copies one file, its holes as holes, its bad ranges told in offsets of the file", async () => {
    const target = await memoryTarget(treeImage(filesystem));
    target.device.inject({ offset: await placeOf(target.map, "/docs/big.bin", 8192), length: 512 });
    const files = createCrashFiles();
    const result = await salvage(await fileOfTarget(target, "/docs/big.bin"), OUT, { files });
    expect(result).toMatchObject({
      size: 1_500_000,
      bad: 512,
      holes: [{ offset: 8192, length: 512 }],
    });
    const right = Uint8Array.from(FILES.get("/docs/big.bin") ?? []).fill(0, 8192, 8704);
    expect(Buffer.compare(content(files, OUT), right)).toBe(0);
  });

  test.each([
    ["/absent", "ENOENT"],
    ["/docs", "EISDIR"],
    ["/short link", "EOPNOTSUPP"],
  ])("refuses %s with %s", async (path, code) => {
    await expect(fileOfTarget(await memoryTarget(treeImage(filesystem)), path)).rejects.toThrow(
      expect.objectContaining({ code }),
    );
  });
});
