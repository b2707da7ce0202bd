/** Sections: errors collected for a stretch of code, counted where the ring is full, and never dropped. */
import { expect, test } from "vitest";
import { BUS_MCEERR_AR, daxDeviceOf } from "../../src/dax/index.ts";
import { mapFile, MemoryError, type MappedFile } from "../../src/file/index.ts";
import { content, expectBytes, PAGE, testFile } from "../dax/support/dax-file.ts";

/** A mapping whose pages 1 and 3 are bad. */
function mappingOf(): MappedFile {
  const file = testFile();
  file.device.inject({ offset: PAGE, length: 1 });
  file.device.inject({ offset: PAGE * 3 + 128, length: 1 }, { latent: true });
  return mapFile(file);
}

test("beginSection() makes loads return the count, with an event, and end() gives what happened", () => {
  const mapping = mappingOf();
  const section = mapping.beginSection();
  const into = new Uint8Array(PAGE);
  expect(mapping.load(into, 100)).toBe(PAGE - 100);
  expectBytes(into.subarray(0, PAGE - 100), content(100, PAGE - 100));
  expect(mapping.load(into, PAGE * 2)).toBe(PAGE);
  expect(section.failed).toBe(1);
  expect(mapping.load(into, PAGE * 3)).toBe(128);
  expect(mapping.store(into, PAGE - 5)).toBe(5);
  const result = section.end();
  expect(result).toMatchObject({ failed: 3, overflow: 0, overflowRange: undefined });
  expect(
    result.events.map(({ kind, siCode, address, range }) => [kind, siCode, address, range]),
  ).toEqual([
    ["required", BUS_MCEERR_AR, PAGE, { offset: PAGE, length: PAGE }],
    ["required", BUS_MCEERR_AR, PAGE * 3 + 128, { offset: PAGE * 3 + 128, length: 64 }],
    ["required", BUS_MCEERR_AR, PAGE, { offset: PAGE, length: PAGE }],
  ]);
  expect(section.end()).toBe(result);
  expect(section.failed).toBe(3);
  expect(() => mapping.load(into, PAGE)).toThrow(MemoryError);
  expect(mapping.takeEvents().events).toEqual([]);
});

test("section() gives the code's value, and zero failures where all was data", () => {
  const mapping = mappingOf();
  const good = mapping.section(() => mapping.load(new Uint8Array(10), 0));
  expect(good).toEqual({ value: 10, failed: 0, events: [], overflow: 0, overflowRange: undefined });
  const bad = mapping.section(() => mapping.load(new Uint8Array(10), PAGE));
  expect(bad).toMatchObject({ value: 0, failed: 1 });
});

test("section() whose code throws ends, and its events go to the ring around it", () => {
  const mapping = mappingOf();
  const code = (): never => {
    mapping.load(new Uint8Array(1), PAGE);
    throw new Error("of the program");
  };
  expect(() => mapping.section(code)).toThrow("of the program");
  expect(mapping.takeEvents().events.map(({ kind }) => kind)).toEqual(["required"]);
  const outer = mapping.section(() => {
    expect(() => mapping.section(code)).toThrow("of the program");
  });
  expect(outer.failed).toBe(1);
});

test("section() whose code throws with a section of its own open ends both, and throws what the code threw", () => {
  const mapping = mappingOf();
  const around = mapping.beginSection({ capacity: 1 });
  expect(() =>
    mapping.section(() => {
      mapping.beginSection({ capacity: 1 });
      for (let time = 0; time < 3; time += 1) mapping.load(new Uint8Array(1), PAGE);
      throw new Error("of the program");
    }),
  ).toThrow("of the program");
  const { events, failed, overflow, overflowRange } = around.end();
  expect([events.length, failed, overflow]).toEqual([1, 3, 2]);
  expect(overflowRange).toEqual({ offset: PAGE, length: PAGE });
  expect(() => mapping.load(new Uint8Array(1), PAGE)).toThrow(MemoryError);
});

test("section() that leaves a section open is told so, and both end", () => {
  const mapping = mappingOf();
  expect(() => mapping.section(() => mapping.beginSection())).toThrow(RangeError);
  expect(() => mapping.load(new Uint8Array(1), PAGE)).toThrow(MemoryError);
});

test("a full ring keeps the first events, counts the others, and tells where they lay", () => {
  const mapping = mappingOf();
  const section = mapping.beginSection({ capacity: 2 });
  for (const offset of [PAGE, PAGE, PAGE * 3 + 200, PAGE + 5])
    mapping.load(new Uint8Array(1), offset);
  // A byte behind the latent line is good; the second time its page is loaded over the line.
  mapping.load(new Uint8Array(PAGE), PAGE * 3);
  const { events, failed, overflow, overflowRange } = section.end();
  expect(events.length).toBe(2);
  expect([failed, overflow]).toEqual([4, 2]);
  expect(overflowRange).toEqual({ offset: PAGE, length: PAGE * 2 + 192 });
});

test("sections nest: events go to the innermost, and the one that began last ends first", () => {
  const mapping = mappingOf();
  const outer = mapping.beginSection();
  const inner = mapping.beginSection();
  mapping.load(new Uint8Array(1), PAGE);
  expect(() => outer.end()).toThrow(RangeError);
  expect(inner.end().failed).toBe(1);
  expect(outer.end().failed).toBe(0);
});

test("a section hears of what others meet, and of heals", () => {
  const file = testFile();
  const mapping = mapFile(file);
  const section = mapping.beginSection();
  daxDeviceOf(file.device).memoryFailure({ offset: PAGE, lsb: 8 });
  file.device.write(new Uint8Array(PAGE), PAGE);
  const { events, failed } = section.end();
  expect(events.map(({ kind }) => kind)).toEqual(["optional", "healed"]);
  expect(failed).toBe(0);
});

test("beginSection() checks its capacity", () => {
  const mapping = mappingOf();
  for (const capacity of [0, 1.5, 65_537])
    expect(() => mapping.beginSection({ capacity })).toThrow(RangeError);
  expect(() => mapFile(testFile(), { ringCapacity: 0 })).toThrow(RangeError);
});
