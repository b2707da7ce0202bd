/** ExportList: names, faces and flags of what is offered. */
import { describe, expect, test } from "vitest";
import { createMemoryDevice, NBD_EXPORT } from "../../src/device/index.ts";
import { ExportList, exportsOf } from "../../src/nbd/index.ts";

const device = createMemoryDevice({ size: 4096 });

describe("ExportList", () => {
  test("finds exports by name, both faces, and the first by no name", () => {
    const list = new ExportList([
      { name: "a", device },
      { name: "b", device, readOnly: true },
    ]);
    expect(list.all.map(({ name }) => name)).toEqual(["a", "a@recovery", "b"]);
    expect(list.find("")?.name).toBe("a");
    expect(list.find("@recovery")).toMatchObject({ name: "a@recovery", mode: "recovery" });
    expect(list.find("b@recovery")).toBeUndefined();
    expect(list.find("A")).toBeUndefined();
  });

  test.each([[[]], [["a", "a"]], [["a\0b"]], [["x@recovery"]], [["é".repeat(2050)]]])(
    "refuses the names %j",
    (names) => {
      expect(() => new ExportList(names.map((name) => ({ name, device })))).toThrow(RangeError);
    },
  );
});

describe("exportsOf()", () => {
  test("has no recovery face where a device does not recover", () => {
    const segment = createMemoryDevice({ size: 4096 });
    Object.defineProperty(segment, "capabilities", {
      value: { ...device.capabilities, recovers: false },
    });
    expect(exportsOf({ name: "s", device: segment })).toHaveLength(1);
    expect(NBD_EXPORT.HAS_FLAGS).toBe(1);
  });
});
