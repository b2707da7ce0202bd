/** What a Theriac server says of poison and of the device, as numbers of extents. */
import { describe, expect, test } from "vitest";
import {
  deviceFacts,
  deviceFlags,
  poisonFlags,
  poisonStateOf,
  type DeviceFacts,
} from "../../../src/device/index.ts";

describe("poisonFlags()", () => {
  test("is undone by poisonStateOf(), and has bit 0 exactly where reads fail (R1)", () => {
    const states = ["clean", "unread", "poisoned", "lost"] as const;
    expect(states.map((state) => poisonStateOf(poisonFlags(state)))).toEqual(states);
    expect(states.map((state) => poisonFlags(state) & 1)).toEqual([0, 0, 1, 1]);
  });
});

describe("deviceFlags()", () => {
  test("is undone by deviceFacts()", () => {
    const facts: DeviceFacts[] = [
      {
        poisonUnit: 64,
        clearUnit: 256,
        clear: "firmware",
        listsErrors: true,
        mediated: true,
        recovers: true,
      },
      {
        poisonUnit: 1,
        clearUnit: 2 ** 20,
        clear: "none",
        listsErrors: false,
        mediated: false,
        recovers: false,
      },
    ];
    expect(facts.map((one) => deviceFacts(deviceFlags(one)))).toEqual(facts);
  });

  test("is refused by deviceFacts() where it cannot be", () => {
    expect(deviceFacts(0)).toBeUndefined();
    expect(deviceFacts(0xffff_ffff)).toBeUndefined();
    expect(deviceFacts((1 << 24) | 9)).toBeUndefined();
  });
});
