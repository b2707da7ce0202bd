/** Sidecars that are not what they were: damage is always told, never a shorter list, and nothing hangs or runs out of memory. */
import { crc32 } from "node:zlib";
import { describe, expect, test } from "vitest";
import { createPrng, StorageError, type Prng } from "../../src/base/index.ts";
import { createPoisonStore, openPoisonStore, type PoisonStore } from "../../src/poison/index.ts";
import { createCrashFiles, type CrashFiles } from "../../src/testing/index.ts";

const SIZE = 1024 * 1024;
const PATH = "/images/disk.theriac";
const seed = Number(process.env["SEED"] ?? Date.now() % 2 ** 31);

/** A sidecar of several frames, closed in order unless `crashed`. */
function sidecar(crashed = false): Uint8Array {
  const files = createCrashFiles();
  const store = createPoisonStore(files, { path: PATH, size: SIZE, settings: { poisonUnit: 64 } });
  for (let round = 0; round < 4; round += 1) {
    store.mark([{ offset: round * 4096, length: 64, state: "poisoned" }]);
    store.setFault({ offset: round * 4096, length: 64, kind: "refuses", on: true });
    store.sync();
  }
  const keep = [{ offset: 64, data: new Uint8Array(700).fill(7) }];
  const id = store.beginIntent({ lost: [{ offset: 0, length: 64 }], keep });
  store.endIntent(id, [{ offset: 0, length: 64, state: "clean" }]);
  store.beginIntent({ lost: [{ offset: 4096, length: 64 }], keep });
  if (!crashed) store.close();
  return bytesOf(files.crash("everything"));
}

function bytesOf(files: CrashFiles): Uint8Array {
  const file = files.open(PATH);
  const bytes = new Uint8Array(file.size());
  file.readSync(bytes, 0);
  return bytes;
}

function worldOf(bytes: Uint8Array): CrashFiles {
  const files = createCrashFiles();
  const file = files.open(PATH, { access: "create" });
  file.writeSync(bytes, 0);
  file.close();
  files.settle();
  return files;
}

function openBytes(bytes: Uint8Array, size = SIZE): PoisonStore {
  return openPoisonStore(worldOf(bytes), { path: PATH, size, access: "write" });
}

function errorOf(act: () => unknown): StorageError | undefined {
  try {
    act();
  } catch (error) {
    if (error instanceof StorageError) return error;
    throw error;
  }
  return undefined;
}

function badParts(store: PoisonStore): string {
  return Array.from(
    store.list.states({ offset: 0, length: SIZE }),
    (part) => `${part.state}${part.offset}`,
  ).join(" ");
}

describe("openPoisonStore() of a damaged sidecar", () => {
  test("names the file, the offset and the wish where a frame in the middle is damaged", () => {
    const bytes = sidecar();
    for (let frame = 512; frame < bytes.length - 512; frame += 512) {
      const damaged = bytes.slice();
      damaged[frame + 8] = (damaged[frame + 8] ?? 0) ^ 1;
      const error = errorOf(() => openBytes(damaged));
      expect(error?.code).toBe("EBADMSG");
      expect(error?.message).toMatch(
        /Cannot read \/images\/disk\.theriac at offset \d+: want frame \d+ whole/,
      );
    }
  });

  test("R4: sees a zeroed or exchanged sector anywhere but in the closing frame", () => {
    const bytes = sidecar();
    const whole = badParts(openBytes(bytes));
    for (let sector = 0; sector < bytes.length; sector += 512) {
      const damaged = bytes.slice();
      damaged.fill(0, sector, sector + 512);
      const other = (sector + 1024) % bytes.length;
      const exchanged = bytes.slice();
      exchanged.set(bytes.subarray(other, other + 512), sector);
      exchanged.set(bytes.subarray(sector, sector + 512), other);
      for (const each of [damaged, exchanged]) {
        const last = sector >= bytes.length - 512;
        const error = errorOf(() => expect(badParts(openBytes(each))).toBe(whole));
        expect([last ? undefined : "EBADMSG", "EBADMSG"]).toContain(error?.code);
      }
    }
  });

  test("cuts off a torn last frame, and the store goes on from there", () => {
    const bytes = sidecar(true);
    const world = worldOf(bytes.slice(0, bytes.length - 512));
    const store = openPoisonStore(world, { path: PATH, size: SIZE, access: "write" });
    expect(store.openIntents).toEqual([]);
    store.mark([{ offset: 8192, length: 64, state: "lost" }]);
    store.close();
    const again = openPoisonStore(world, { path: PATH, size: SIZE });
    expect(badParts(again)).toBe(
      "clean0 unread64 poisoned4096 unread4160 lost8192 unread8256 poisoned12288 unread12352",
    );
  });

  test("refuses a sidecar of a later version with a wish", () => {
    const bytes = sidecar();
    const view = new DataView(bytes.buffer);
    view.setUint32(8, 2, true);
    view.setUint32(508, crc32(bytes.subarray(0, 508)), true);
    const error = errorOf(() => openBytes(bytes));
    expect(error?.code).toBe("EBADMSG");
    expect(error?.message).toMatch(
      /want version 1: got 2; use the version of Theriac that wrote it/,
    );
  });

  test("refuses an empty, a short and a foreign file", () => {
    for (const bytes of [
      new Uint8Array(0),
      sidecar().slice(0, 511),
      sidecar().slice(0, 512),
      new Uint8Array(8192).fill(65),
    ]) {
      expect(errorOf(() => openBytes(bytes))?.code).toBe("EBADMSG");
    }
  });

  test("refuses frames of another sidecar that stand at the right place", () => {
    const one = sidecar();
    const other = sidecar();
    one.set(other.subarray(1024, 2048), 1024);
    expect(errorOf(() => openBytes(one))?.code).toBe("EBADMSG");
  });
});

/** Makes the checksums of a frame right again, so that a mutation reaches what is behind them. */
function resum(bytes: Uint8Array, frame: number): void {
  const view = new DataView(bytes.buffer);
  const length = Math.min(view.getUint32(frame + 32, true), bytes.length - frame - 40);
  view.setUint32(frame + 36, crc32(bytes.subarray(frame + 40, frame + 40 + length)), true);
  view.setUint32(frame + 4, crc32(bytes.subarray(frame + 8, frame + 40)), true);
}

function mutate(bytes: Uint8Array, prng: Prng): Uint8Array {
  const cut = prng.chance(0.1) ? prng.below(bytes.length) : bytes.length;
  const result = bytes.slice(0, cut);
  if (result.length === 0) return result;
  const frames = [...Array(Math.floor(result.length / 512)).keys()]
    .map((index) => index * 512)
    .slice(1);
  for (let count = 1 + prng.below(4); count > 0; count -= 1) {
    const frame = prng.chance(0.8) && frames.length > 0 ? prng.pick(frames) : 0;
    const span = prng.chance(0.5) ? 120 : 512;
    const at = Math.min(result.length - 1, frame + prng.below(span));
    const value = prng.pick([0, 1, 255, 128, prng.below(256)]);
    result.fill(value, at, Math.min(result.length, at + prng.pick([1, 1, 4, 8, 64])));
  }
  if (prng.chance(0.8)) {
    const isFrame = (at: number): boolean =>
      at + 40 <= result.length && result[at] === 0x54 && result[at + 1] === 0x46;
    for (const frame of frames.filter(isFrame)) resum(result, frame);
    const view = new DataView(result.buffer);
    if (result.length >= 512) view.setUint32(508, crc32(result.subarray(0, 508)), true);
  }
  return result;
}

describe("50,000 mutated sidecars", () => {
  test(`open, or are refused with EBADMSG or ESTALE (SEED=${seed})`, () => {
    const prng = createPrng(seed);
    const originals = [sidecar(), sidecar(true)];
    const outcomes = new Map<string, number>();
    for (let run = 0; run < 50_000; run += 1) {
      const bytes = mutate(prng.pick(originals), prng);
      const error = errorOf(() => {
        const store = openBytes(bytes);
        const { total, clean, unread, poisoned, lost } = store.list.totals();
        if (clean + unread + poisoned + lost !== total) throw new Error("R7: the sum is wrong");
        for (const { id } of store.openIntents) store.endIntent(id, []);
        store.close();
      });
      const outcome = error?.code ?? "opened";
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    }
    expect([...outcomes.keys()].sort()).toEqual(["EBADMSG", "ESTALE", "opened"]);
    expect(outcomes.get("opened")).toBeGreaterThan(1000);
    expect(outcomes.get("EBADMSG")).toBeGreaterThan(1000);
  });
});
