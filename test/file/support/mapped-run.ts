/** A run of random accesses to a mapped file beside its model: plain arrays of bytes and of poison. */
import { strict as assert } from "node:assert";
import * as fc from "fast-check";
import { ExtentTable, type ExtentKind, type FileExtent } from "../../../src/dax/index.ts";
import { mapFile, MemoryError, type MappedFile } from "../../../src/file/index.ts";
import { expectBytes, PAGE, testFile, type TestFile } from "../../dax/support/dax-file.ts";

const PAGES = 12;
const LINE = 64;
const FILLER = 0xee;

/** What a file is, byte for byte: its content, and the state of its memory. */
interface Model {
  readonly bytes: Uint8Array;
  /** 1 where the medium is bad. */
  readonly bad: Uint8Array;
  /** 1 where that is known. */
  readonly known: Uint8Array;
  readonly kinds: readonly ExtentKind[];
}

/** One step of a run. */
export type Step =
  | { readonly op: "load" | "store" | "copyMc"; readonly offset: number; readonly length: number }
  | { readonly op: "line" | "heal" | "known" | "latent"; readonly line: number };

const lineOf = fc.integer({ min: 0, max: (PAGES * PAGE) / LINE - 1 });
/** Steps of a run. */
export const steps: fc.Arbitrary<readonly Step[]> = fc.array(
  fc.oneof(
    fc.record({
      op: fc.constantFrom("load" as const, "store" as const, "copyMc" as const),
      offset: fc.integer({ min: 0, max: PAGES * PAGE }),
      length: fc.oneof(fc.integer({ min: 0, max: 200 }), fc.integer({ min: 0, max: PAGE * 4 })),
    }),
    fc.record({
      op: fc.constantFrom("line" as const, "heal" as const, "known" as const, "latent" as const),
      line: lineOf,
    }),
  ),
  { minLength: 1, maxLength: 25 },
);

/** Where the pages of a file lie. */
export interface Layout {
  readonly kinds: readonly ExtentKind[];
  readonly places: readonly number[];
}

/** A page each: its kind, and all places of the device in a random order. */
export const layouts: fc.Arbitrary<Layout> = fc.record({
  kinds: fc.array(fc.constantFrom<ExtentKind>("data", "data", "data", "hole", "unwritten"), {
    minLength: PAGES,
    maxLength: PAGES,
  }),
  places: fc.shuffledSubarray(
    Array.from({ length: PAGES }, (_, page) => page),
    { minLength: PAGES, maxLength: PAGES },
  ),
});

/** First index in `[from, to)` that a test holds of; `to` where there is none. */
function firstOf(from: number, to: number, isSo: (at: number) => boolean): number {
  for (let at = from; at < to; at += 1) if (isSo(at)) return at;
  return to;
}

/** One run: the mapping and its model, step by step. */
export class Run {
  readonly #file: TestFile;
  readonly #mapping: MappedFile;
  readonly #model: Model;
  readonly #places: readonly number[];
  #next = 1;

  constructor(layout: Layout) {
    const { kinds, places } = layout;
    const extents = kinds.map((kind, page): FileExtent => ({
      offset: page * PAGE,
      length: PAGE,
      kind,
      ...(kind === "hole" ? {} : { device: (places[page] ?? 0) * PAGE }),
    }));
    const settings = { clear: "atomic", poisonUnit: LINE, clearUnit: LINE } as const;
    const file = testFile({ pages: PAGES, ...settings });
    this.#file = { ...file, extents: new ExtentTable(extents) };
    this.#mapping = mapFile(this.#file);
    this.#places = places;
    const bytes = new Uint8Array(PAGES * PAGE);
    for (const [page, kind] of kinds.entries()) {
      const at = (places[page] ?? 0) * PAGE;
      if (kind === "data") bytes.set(file.bytes.subarray(at, at + PAGE), page * PAGE);
    }
    const none = (): Uint8Array => new Uint8Array(bytes.length);
    this.#model = { bytes, bad: none(), known: none(), kinds };
  }

  step(step: Step): void {
    if (step.op === "load") this.#load(step.offset, step.length);
    else if (step.op === "copyMc") this.#copyMc(step.offset, step.length);
    else if (step.op === "store") this.#store(step.offset, step.length);
    else if ("line" in step) this.#line(step.op, step.line * LINE);
    this.#checkList();
  }

  #kindAt(offset: number): ExtentKind {
    return this.#model.kinds[Math.floor(offset / PAGE)] ?? "hole";
  }

  /** Whether the page of a byte is refused to loads and stores. */
  #isRefused(offset: number): boolean {
    const page = offset - (offset % PAGE);
    return (
      this.#kindAt(offset) === "data" && this.#model.known.subarray(page, page + PAGE).includes(1)
    );
  }

  #load(offset: number, wanted: number): void {
    const length = Math.min(wanted, PAGES * PAGE - offset);
    const { bytes, bad, known } = this.#model;
    const end = offset + length;
    const stop = firstOf(offset, end, (at) => bad[at] === 1 || this.#isRefused(at));
    const isLatent = stop < end && !this.#isRefused(stop);
    const into = new Uint8Array(length).fill(FILLER);
    const count = this.#counted(() => this.#mapping.load(into, offset), stop < end);
    assert.equal(count, stop - offset);
    expectBytes(into.subarray(0, count), bytes.subarray(offset, stop));
    if (!isLatent) {
      assert.equal(
        into.subarray(count).every((byte) => byte === FILLER),
        true,
      );
      return;
    }
    // The memory was asked for all up to the next refused page, and listed what was bad in it.
    const asked = firstOf(stop, end, (at) => this.#isRefused(at) || this.#isApart(stop, at));
    for (let at = stop; at < asked; at += 1) {
      if (bad[at] !== 1) continue;
      assert.equal(into[at - offset], FILLER);
      this.#know(at);
    }
    known.fill(1, stop - (stop % LINE), stop - (stop % LINE) + LINE);
  }

  /** Whether two bytes of the file are in different extents: neighbours on the device are one. */
  #isApart(one: number, other: number): boolean {
    for (let page = Math.floor(one / PAGE); page < Math.floor(other / PAGE); page += 1) {
      const next = this.#places[page + 1];
      if (this.#model.kinds[page + 1] !== "data" || next !== (this.#places[page] ?? 0) + 1)
        return true;
    }
    return false;
  }

  #know(at: number): void {
    const line = at - (at % LINE);
    this.#model.known.fill(1, line, line + LINE);
  }

  /** R1: no byte of poison, and never more or less than up to the first bad byte, or the page that has no address. */
  #copyMc(offset: number, wanted: number): void {
    const length = Math.min(wanted, PAGES * PAGE - offset);
    const { bytes, bad } = this.#model;
    const into = new Uint8Array(length).fill(FILLER);
    const copied = length - this.#mapping.copyMc(into, offset);
    const stop = firstOf(offset, offset + length, (at) => bad[at] === 1);
    assert.ok(copied <= stop - offset);
    expectBytes(into.subarray(0, copied), bytes.subarray(offset, offset + copied));
    if (offset + copied < stop) assert.equal(this.#isRefused(offset + copied), true);
    this.#learn();
  }

  #store(offset: number, wanted: number): void {
    const length = Math.min(wanted, PAGES * PAGE - offset);
    const end = offset + length;
    const data = new Uint8Array(length).fill((this.#next += 1));
    const { bytes } = this.#model;
    if (firstOf(offset, end, (at) => this.#kindAt(at) !== "data") < end) {
      assert.throws(() => this.#mapping.store(data, offset), /EOPNOTSUPP/);
      return;
    }
    const stop = firstOf(offset, end, (at) => this.#isRefused(at));
    const count = this.#counted(() => this.#mapping.store(data, offset), stop < end);
    assert.equal(count, stop - offset);
    bytes.fill(this.#next, offset, stop);
  }

  #line(op: "line" | "heal" | "known" | "latent", offset: number): void {
    if (this.#kindAt(offset) !== "data") return;
    const { bytes, bad, known } = this.#model;
    const at = (this.#places[Math.floor(offset / PAGE)] ?? 0) * PAGE + (offset % PAGE);
    if (op === "known" || op === "latent") {
      this.#file.device.inject({ offset: at, length: LINE }, { latent: op === "latent" });
      bad.fill(1, offset, offset + LINE);
      if (op === "known") known.fill(1, offset, offset + LINE);
      return;
    }
    const data = new Uint8Array(LINE).fill((this.#next += 1));
    if (op === "heal" && known[offset] !== 1) return;
    if (op === "line") assert.equal(this.#mapping.storeLine(data, offset), LINE);
    else this.#file.direct.heal(data, at);
    bytes.fill(this.#next, offset, offset + LINE);
    bad.fill(0, offset, offset + LINE);
    known.fill(0, offset, offset + LINE);
  }

  /** The count of an access, which a fault carries. */
  #counted(call: () => number, isBad: boolean): number {
    try {
      const count = call();
      assert.equal(isBad, false);
      return count;
    } catch (error) {
      if (!(error instanceof MemoryError)) throw error;
      assert.equal(isBad, true);
      assert.ok(error.address >= error.range.offset);
      return error.copied;
    }
  }

  /** Takes over what a copy found. */
  #learn(): void {
    for (const at of this.#listedBytes()) this.#know(at);
  }

  *#listedBytes(): Generator<number> {
    for (const [page, kind] of this.#model.kinds.entries()) {
      if (kind !== "data") continue;
      const device = (this.#places[page] ?? 0) * PAGE;
      for (const bad of this.#file.device.poison.bad({ offset: device, length: PAGE }))
        for (let at = bad.offset; at < bad.offset + bad.length; at += LINE)
          yield page * PAGE + at - device;
    }
  }

  /** The list is what the model knows, and names nothing that is good. */
  #checkList(): void {
    const { bad, known } = this.#model;
    const wanted: number[] = [];
    for (let at = 0; at < known.length; at += LINE) {
      if (known[at] !== 1) continue;
      wanted.push(at);
      assert.equal(bad[at], 1);
    }
    assert.deepEqual([...this.#listedBytes()], wanted);
  }
}
