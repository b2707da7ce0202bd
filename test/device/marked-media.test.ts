/** markedMedia(): a marker is never read as data, whatever is asked for and however often; what is written over it is. `SEED=123` replays. */
import { expect, test } from "vitest";
import { createPrng, RangeSet, type Prng } from "../../src/base/index.ts";
import { createMemoryDevice, type ReadResult } from "../../src/device/index.ts";
import { guardedMedia } from "../../src/device/guarded-media.ts";
import { fillMarker } from "../../src/device/marker.ts";
import { markedMedia } from "../../src/device/marked-media.ts";
import { MediaDevice } from "../../src/device/media-device.ts";
import type { Media } from "../../src/device/media.ts";
import { MemoryMedia } from "../../src/device/memory-media.ts";
import { randomSeed } from "../base/seed.ts";

const SIZE = 64 * 1024 + 512;
const seed = randomSeed();

function mediaOf(bytes: Uint8Array): MemoryMedia {
  const { capabilities } = createMemoryDevice({ size: SIZE, poisonUnit: 1, clearUnit: 1 });
  return new MemoryMedia(bytes, { name: "marked", capabilities });
}

/** The same medium, answering later. */
function later(media: Media): Media {
  return {
    ...guardedMedia(media, () => undefined),
    read: async (into, offset) => media.readSync(into, offset),
  };
}

interface Marked {
  readonly bytes: Uint8Array;
  readonly marked: RangeSet;
}

/** Random bytes with markers of at least 64 aligned bytes, each range byte-exact. */
function draw(random: Prng): Marked {
  const bytes = random.bytes(SIZE);
  const marked = new RangeSet();
  for (let count = 1 + random.below(8); count > 0; count -= 1) {
    const offset = 64 * random.below(SIZE / 64 - 80);
    const length = 64 * (1 + random.below(70));
    marked.add(offset, length);
  }
  for (const { offset, length } of marked)
    fillMarker(bytes.subarray(offset, offset + length), offset);
  return { bytes, marked };
}

function missingOf(read: ReadResult): readonly { offset: number; length: number }[] {
  return [...RangeSet.from(read.missing)];
}

test("R1: reads of any range tell exactly the markers in it as missing", async () => {
  for (let round = 0; round < 150; round += 1) {
    const random = createPrng(seed + round);
    const { bytes, marked } = draw(random);
    const media = markedMedia(random.chance(0.5) ? mediaOf(bytes) : later(mediaOf(bytes)));
    for (let read = 0; read < 40; read += 1) {
      // A device of its own for each read: what the one before found would be on its list.
      const device = new MediaDevice(media);
      const offset = random.below(SIZE);
      const length = 1 + random.below(random.pick([3, 40, 300, SIZE]));
      const into = new Uint8Array(Math.min(length, SIZE - offset));
      const told = missingOf(await device.read(into, offset));
      expect(told, `SEED=${seed + round}: ${offset} + ${into.length}`).toEqual([
        ...marked.within(offset, into.length),
      ]);
    }
  }
});

test("R1: loads of the mapped face tell the markers as well", () => {
  const { bytes, marked } = draw(createPrng(seed));
  const media = markedMedia(mediaOf(bytes));
  const all = new Uint8Array(SIZE);
  expect([...RangeSet.from(media.memory!.load(all, 0))]).toEqual([...marked]);
  expect([...RangeSet.from(media.memory!.load(all, 0))]).toEqual([...marked]);
});

test("what is written over a marker is data again, and its neighbours are not", () => {
  const bytes = new Uint8Array(SIZE);
  fillMarker(bytes.subarray(4096, 4096 + 512), 4096);
  const media = markedMedia(mediaOf(bytes));
  const into = new Uint8Array(8192);
  expect(media.readSync(into, 0)).toEqual([{ offset: 4096, length: 512 }]);
  media.write(new Uint8Array(128).fill(7), 4096 + 128);
  expect(media.readSync(into, 0)).toEqual([
    { offset: 4096, length: 128 },
    { offset: 4096 + 256, length: 256 },
  ]);
  media.memory!.store(new Uint8Array(512).fill(8), 4096);
  expect(media.readSync(into, 0)).toEqual([]);
  expect(into[4096]).toBe(8);
});

test("a read that was on its way while its marker was written over tells no fault", async () => {
  const bytes = new Uint8Array(SIZE);
  fillMarker(bytes.subarray(0, 512), 0);
  const inner = mediaOf(bytes);
  let release: () => void = () => undefined;
  const slow: Media = {
    ...guardedMedia(inner, () => undefined),
    read: async (into, offset) => {
      const faults = inner.readSync(into, offset);
      await new Promise<void>((resolve) => (release = resolve));
      return faults;
    },
  };
  const media = markedMedia(slow);
  const reading = media.read(new Uint8Array(4096), 0);
  media.write(new Uint8Array(512), 0);
  release();
  expect(await reading).toEqual([]);
  expect(media.readSync(new Uint8Array(4096), 0)).toEqual([]);
});

test("isPlain() is told only of pages that were looked through, and not where a marker stands (R1)", () => {
  const bytes = createPrng(1).bytes(SIZE);
  fillMarker(bytes.subarray(8192, 8192 + 128), 8192);
  const { memory } = markedMedia(mediaOf(bytes));
  expect(memory?.isPlain?.(0, 4096)).toBe(false);
  memory?.load(new Uint8Array(16_384), 0);
  expect(memory?.isPlain?.(0, 8192)).toBe(true);
  expect(memory?.isPlain?.(8192, 4096)).toBe(false);
  expect(memory?.isPlain?.(12_288, 4096)).toBe(true);
  const listed = markedMedia(mediaOf(bytes), { loads: false });
  expect(listed.memory?.isPlain?.(0, 4096)).toBe(true);
});
