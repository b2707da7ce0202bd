/** LegTwin: the other legs at a leaf's own addresses, where a leg is a stripe of that leaf. */
import { expect, test } from "vitest";
import { legTwin } from "../../../src/mapper/index.ts";
import { copiesStack } from "../support/copies-map.ts";

const CHUNK = 4096;

test("legTwin() of a leaf with one stripe in a mirror has the other leg's bytes at its turns, and nothing between", async () => {
  const { table, leaves } = await copiesStack(
    {
      one: "0 32 unstriped 2 8 0 a 0",
      other: "0 32 unstriped 3 8 1 b 8",
      top: "0 32 mirror core 2 8 nosync 2 one 0 other 0",
    },
    { size: 16 * CHUNK, poisonUnit: 512, clearUnit: 512 },
  );
  const bytes = Uint8Array.from({ length: 4 * CHUNK }, (_, at) => (at * 7) % 251);
  await table.write(bytes, 0);
  const leaf = leaves.get("a");
  const twin = leaf === undefined ? undefined : legTwin(table, leaf);
  for (let turn = 0; turn < 4; turn += 1) {
    const place = { offset: turn * 2 * CHUNK, length: CHUNK };
    const into = new Uint8Array(CHUNK);
    expect(twin?.keeperOf(place)).toBeDefined();
    expect(await twin?.read(into, place.offset)).toEqual({ missing: [] });
    expect(into).toEqual(bytes.subarray(turn * CHUNK, (turn + 1) * CHUNK));
    expect(twin?.keeperOf({ offset: place.offset + CHUNK, length: CHUNK })).toBeUndefined();
  }
  const lost = [...(twin?.poison.bad({ offset: 0, length: 16 * CHUNK }) ?? [])];
  expect(lost.map(({ offset, length }) => [offset / CHUNK, length / CHUNK])).toEqual([
    [1, 1],
    [3, 1],
    [5, 1],
    [7, 9],
  ]);
});
