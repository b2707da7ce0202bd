/** The model that range sets are compared with: a bitmap over a window of offsets. */
import { expect } from "vitest";
import type { ByteRange, RangeSet } from "../../src/base/index.ts";

/** One step of a random run; offsets are relative to the window. */
export interface Step {
  readonly kind: "add" | "delete" | "clear" | "look";
  readonly offset: number;
  readonly length: number;
}

/** A set of bytes inside `[base, base + size)`, one cell a byte. */
export class RangeModel {
  readonly base: number;
  readonly cells: Uint8Array;

  constructor(base: number, size: number) {
    this.base = base;
    this.cells = new Uint8Array(size);
  }

  apply(step: Step): void {
    if (step.kind === "clear") this.cells.fill(0);
    if (step.kind === "add") this.cells.fill(1, step.offset, step.offset + step.length);
    if (step.kind === "delete") this.cells.fill(0, step.offset, step.offset + step.length);
  }

  /** Runs of cells of the value inside a span of the window, as ranges. */
  runs(value: 0 | 1, offset = 0, length: number = this.cells.length): ByteRange[] {
    const found: ByteRange[] = [];
    for (let at = offset; at < offset + length; at += 1) {
      if (this.cells[at] !== value) continue;
      const start = at;
      while (at < offset + length && this.cells[at] === value) at += 1;
      found.push({ offset: this.base + start, length: at - start });
    }
    return found;
  }
}

/** Applies a step to the set as well. */
export function applyTo(set: RangeSet, base: number, step: Step): void {
  if (step.kind === "clear") set.clear();
  if (step.kind === "add") set.add(base + step.offset, step.length);
  if (step.kind === "delete") set.delete(base + step.offset, step.length);
}

/** Every question about one span gets the model's answer. */
export function expectLook(set: RangeSet, model: RangeModel, step: Step): void {
  const offset = model.base + step.offset;
  const parts = model.runs(1, step.offset, step.length);
  const gaps = model.runs(0, step.offset, step.length);
  expect(set.intersects(offset, step.length)).toBe(parts.length > 0);
  expect(set.covers(offset, step.length)).toBe(gaps.length === 0);
  expect(set.first(offset, step.length)).toEqual(parts[0]);
  expect([...set.within(offset, step.length)]).toEqual(parts);
  expect([...set.gaps(offset, step.length)]).toEqual(gaps);
}

/** The whole content is the model's: ranges, their number and their bytes. */
export function expectSame(set: RangeSet, model: RangeModel): void {
  const runs = model.runs(1);
  expect([...set]).toEqual(runs);
  expect(set.size).toBe(runs.length);
  expect(set.byteLength).toBe(runs.reduce((sum, run) => sum + run.length, 0));
}
