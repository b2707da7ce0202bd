/** read-or-missing: what a device lists is never touched, and what it does not have is told. */
import { describe, expect, test } from "vitest";
import { createMemoryDevice } from "../../src/device/index.ts";
import { readOrMissing } from "../../src/donor/index.ts";

describe("readOrMissing()", () => {
  test("tells bytes past the end of a copy that is cut off as unread, and gives those before it", async () => {
    const device = createMemoryDevice({ size: 8192 });
    device.write(new Uint8Array(8192).fill(7), 0);
    const into = new Uint8Array(4096);
    const { missing } = await readOrMissing(device, into, 6144);
    expect(missing).toEqual([{ offset: 8192, length: 2048, state: "unread" }]);
    expect(into.subarray(0, 2048).every((byte) => byte === 7)).toBe(true);
    expect((await readOrMissing(device, into, 20_000)).missing).toEqual([
      { offset: 20_000, length: 4096, state: "unread" },
    ]);
    device.close();
  });
});
