/** Markers: what stands where bytes are gone is found again, wherever the range begins and ends. */
import { expect, test } from "vitest";
import { createPrng } from "../../src/base/index.ts";
import { fillMarker, findMarkers, MARKER_SIZE } from "../../src/device/marker.ts";

const seed = Number(process.env["SEED"] ?? Date.now() % 2 ** 31);
console.log(`SEED=${seed}`);

test("findMarkers() finds exactly the whole patterns, in random bytes", () => {
  const prng = createPrng(seed);
  for (let round = 0; round < 200; round += 1) {
    const offset = prng.below(1000) * 512;
    const bytes = prng.bytes(8192);
    const start = prng.below(64) * MARKER_SIZE;
    const length = (1 + prng.below(32)) * MARKER_SIZE;
    fillMarker(bytes.subarray(start, start + length), offset + start);
    expect(findMarkers(bytes, offset)).toEqual([{ offset: offset + start, length }]);
  }
});

test("findMarkers() finds a range that begins and ends between patterns", () => {
  const bytes = new Uint8Array(1024);
  fillMarker(bytes.subarray(100, 300), 4096 + 100);
  expect(findMarkers(bytes, 4096)).toEqual([{ offset: 4196, length: 200 }]);
});

test("findMarkers() finds a marker that was copied to another place, and nothing in other bytes", () => {
  const bytes = new Uint8Array(256);
  fillMarker(bytes.subarray(64, 128), 1_000_000 * 64);
  expect(findMarkers(bytes, 0)).toEqual([{ offset: 64, length: 64 }]);
  expect(findMarkers(new Uint8Array(4096), 0)).toEqual([]);
  expect(findMarkers(new TextEncoder().encode("theriac: lost ".repeat(100)), 0)).toEqual([]);
  expect(findMarkers(new Uint8Array(3), 61)).toEqual([]);
});
