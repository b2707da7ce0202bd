/** Reads of a range together, changes of it alone. */
import { describe, expect, test } from "vitest";
import { RangeGate } from "../../../src/device/nbd/range-gate.ts";

const range = (offset: number, length: number) => ({ offset, length });

/** A step that ends when it is told to, and notes when it began. */
function steps() {
  const begun: string[] = [];
  const ends = new Map<string, () => void>();
  const step = (name: string) => (): Promise<string> => {
    begun.push(name);
    return new Promise((resolve) => {
      ends.set(name, () => resolve(name));
    });
  };
  const end = async (name: string): Promise<void> => {
    ends.get(name)?.();
    for (let turns = 0; turns < 10; turns += 1) await Promise.resolve();
  };
  return { begun, step, end };
}

describe("RangeGate", () => {
  test("lets reads overlap, a change wait for them, and what comes later for the change", async () => {
    const gate = new RangeGate();
    const { begun, step, end } = steps();
    const all = [
      gate.shared(range(0, 10), step("read 1")),
      gate.shared(range(5, 10), step("read 2")),
      gate.alone(range(8, 4), step("change")),
      gate.shared(range(11, 1), step("read 3")),
      gate.alone(range(20, 4), step("elsewhere")),
    ];
    await end("");
    expect(begun).toEqual(["read 1", "read 2", "elsewhere"]);
    await end("read 1");
    expect(begun).not.toContain("change");
    await end("read 2");
    expect(begun.slice(3)).toEqual(["change"]);
    await end("change");
    expect(begun.slice(4)).toEqual(["read 3"]);
    await end("read 3");
    await end("elsewhere");
    expect(await Promise.all(all)).toEqual(["read 1", "read 2", "change", "read 3", "elsewhere"]);
  });

  test("lets the next one in where a step fails", async () => {
    const gate = new RangeGate();
    const failing = gate.alone(range(0, 1), () => Promise.reject(new Error("no")));
    const next = gate.alone(range(0, 1), () => Promise.resolve("in"));
    await expect(failing).rejects.toThrow("no");
    expect(await next).toBe("in");
  });
});
