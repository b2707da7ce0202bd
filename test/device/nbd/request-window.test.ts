/** How much may be in flight at once. */
import { describe, expect, test } from "vitest";
import { RequestWindow } from "../../../src/device/nbd/request-window.ts";

const MEBI = 1024 * 1024;

async function settle(): Promise<void> {
  for (let turns = 0; turns < 10; turns += 1) await Promise.resolve();
}

async function entered(window: RequestWindow, sizes: readonly number[]): Promise<number[]> {
  const inside: number[] = [];
  for (const [index, bytes] of sizes.entries())
    void window.enter(bytes).then(() => inside.push(index));
  await settle();
  return inside;
}

describe("RequestWindow", () => {
  test("lets 64 requests in, and the next when one leaves, in their order", async () => {
    const window = new RequestWindow();
    const inside = await entered(
      window,
      Array.from({ length: 70 }, () => 1),
    );
    expect(inside).toHaveLength(64);
    window.leave(1);
    window.leave(1);
    await settle();
    expect(inside.slice(64)).toEqual([64, 65]);
  });

  test("lets 32 MiB in, one request whatever its size, and none past one that waits", async () => {
    const window = new RequestWindow();
    const inside = await entered(window, [100 * MEBI, 1]);
    expect(inside).toEqual([0]);
    window.leave(100 * MEBI);
    await settle();
    expect(inside).toEqual([0, 1]);
    const more = await entered(window, [32 * MEBI, 1]);
    expect(more).toEqual([]);
  });
});
