/** live-list: what the kernel lists, what is remembered and what a file says become one list. */
import { describe, expect, test } from "vitest";
import { SECTOR } from "../../../src/base/index.ts";
import { LiveMedia, MediaDevice, type Capabilities } from "../../../src/device/index.ts";
import { createMemoryStore, type PoisonState } from "../../../src/poison/index.ts";
import { takeLiveList } from "../../../src/rescue/live/live-list.ts";
import { FakeLiveHandle } from "../../device/support/fake-live-handle.ts";

const SIZE = 32_768;
const CAPABILITIES: Capabilities = {
  poisonUnit: SECTOR,
  clearUnit: SECTOR,
  pageSize: 4096,
  clear: "overwrite",
  listsErrors: true,
  failedRead: "cheap",
  mediated: false,
  readOnly: false,
  recovers: true,
};

type Row = readonly [sector: number, state: PoisonState];

/** @returns what is bad afterwards, by sector, and the notes */
function listOf(parts: {
  remembered?: readonly Row[];
  unreadable?: readonly number[];
  kernel?: readonly number[];
  given?: readonly Row[];
}): { bad: readonly Row[]; notes: readonly string[] } {
  const file = new FakeLiveHandle(new Uint8Array(SIZE), {
    bad: new Set(parts.unreadable),
    kind: "block",
  });
  const media = new LiveMedia({ file, size: SIZE, capabilities: CAPABILITIES, listed: () => [] });
  const store = createMemoryStore({ size: SIZE });
  const ranges = (
    rows: readonly Row[] = [],
  ): { offset: number; length: number; state: PoisonState }[] =>
    rows.map(([sector, state]) => ({ offset: sector * SECTOR, length: SECTOR, state }));
  store.mark(ranges(parts.remembered));
  const device = new MediaDevice(media, { store });
  const notes = takeLiveList({
    device,
    media,
    kernel: (parts.kernel ?? []).map((sector) => ({ offset: sector * SECTOR, length: SECTOR })),
    given: ranges(parts.given),
    access: "write",
  });
  const bad = [...device.poison.bad({ offset: 0, length: SIZE })].map(
    ({ offset, state }) => [offset / SECTOR, state] as Row,
  );
  return { bad, notes };
}

describe("takeLiveList()", () => {
  test("takes what the kernel lists, whatever is remembered: what was healed may go bad again", () => {
    expect(listOf({ remembered: [[3, "clean"]], kernel: [3, 9] }).bad).toEqual([
      [3, "poisoned"],
      [9, "poisoned"],
    ]);
  });

  test("R4: keeps what is lost, whether the kernel lists it or not", () => {
    expect(
      listOf({
        remembered: [
          [3, "lost"],
          [7, "lost"],
        ],
        kernel: [3],
      }).bad,
    ).toEqual([
      [3, "lost"],
      [7, "lost"],
    ]);
  });

  test("R2: drops what is remembered as poisoned and can be read: another program wrote there", () => {
    const { bad, notes } = listOf({
      remembered: [
        [3, "poisoned"],
        [5, "poisoned"],
      ],
      unreadable: [5],
    });
    expect(bad).toEqual([[5, "poisoned"]]);
    expect(notes.join()).toContain("512 bytes");
  });

  test("takes a given list only for what nobody knows yet", () => {
    expect(
      listOf({
        remembered: [[3, "clean"]],
        given: [
          [3, "poisoned"],
          [4, "poisoned"],
        ],
      }).bad,
    ).toEqual([[4, "poisoned"]]);
  });
});
