/** The list of an export, told by a server or found here. */
import { describe, expect, test } from "vitest";
import type { ByteRange } from "../../../src/base/index.ts";
import { POISON_CONTEXT } from "../../../src/device/index.ts";
import type { BlockStatuses } from "../../../src/device/nbd/block-status.ts";
import { RemoteList } from "../../../src/device/nbd/remote-list.ts";

const SIZE = 2 ** 40;

describe("RemoteList", () => {
  test("sync() ends where a server tells without end, and keeps little of it", async () => {
    let asked = 0;
    const ask = ({ offset }: ByteRange): Promise<BlockStatuses> => {
      asked += 1;
      return Promise.resolve(new Map([[POISON_CONTEXT, [{ offset, length: 1, flags: 1 }]]]));
    };
    const list = new RemoteList({ size: SIZE, ask, unit: 1 });
    await expect(list.sync({ offset: 0, length: SIZE })).rejects.toThrow(/^EPROTO: .*more ranges/);
    expect(asked).toBeLessThan(200_000);
  });

  test("sync() asks whole units, to the end of the device", async () => {
    const asked: ByteRange[] = [];
    const ask = (range: ByteRange): Promise<BlockStatuses> => {
      asked.push(range);
      return Promise.resolve(new Map([[POISON_CONTEXT, [{ ...range, flags: 0 }]]]));
    };
    const list = new RemoteList({ size: 10_000, ask, unit: 4096 });
    await list.sync({ offset: 5000, length: 10 });
    await list.sync({ offset: 9000, length: 10 });
    expect(asked).toEqual([
      { offset: 4096, length: 4096 },
      { offset: 8192, length: 1808 },
    ]);
    expect(list.view.totals().clean).toBe(5904);
  });

  test("found() leaves what is lost lost, and what was given bad", () => {
    const list = new RemoteList({ size: 4096, ask: undefined, unit: 512 });
    list.recordBad({ offset: 512, length: 512 }, "lost");
    list.found([{ offset: 0, length: 1536 }]);
    expect([...list.view.bad({ offset: 0, length: 4096 })]).toEqual([
      { offset: 0, length: 512, state: "poisoned" },
      { offset: 512, length: 512, state: "lost" },
      { offset: 1024, length: 512, state: "poisoned" },
    ]);
    list.takeGiven([
      { offset: 0, length: 512, state: "clean" },
      { offset: 2048, length: 512, state: "poisoned" },
    ]);
    expect(list.view.totals().poisoned).toBe(1536);
  });
});
