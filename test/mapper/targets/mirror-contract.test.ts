/** mirror: the contracts of device and target over mirrors and raid1 sets of two and three legs, with and without logs, and in stacks of two. */
import { describe, test } from "vitest";
import { targetSuite } from "../../../src/testing/index.ts";
import { randomSeed } from "../../base/seed.ts";
import { copiesSubject, type Nodes } from "../support/copies-map.ts";

const seed = randomSeed();
const SIZE = 32_768;

/** Tables of 32 KiB over devices of that size. */
const MIRRORS: Readonly<Record<string, (legs: readonly [string, string, string]) => string>> = {
  "mirror of two": ([a, b]) => `0 64 mirror core 2 8 nosync 2 ${a} 0 ${b} 0`,
  "mirror of two with a log": ([a, b, c]) => `0 64 mirror disk 3 ${c}log 8 nosync 2 ${a} 0 ${b} 0`,
  "mirror of three": ([a, b, c]) => `0 64 mirror core 2 8 nosync 3 ${a} 0 ${b} 0 ${c} 0`,
  "raid1 of two": ([a, b]) => `0 64 raid raid1 1 0 2 - ${a} - ${b}`,
  "raid1 of two with metadata": ([a, b]) =>
    `0 64 raid raid1 4 0 nosync region_size 8 2 ${a}meta ${a} ${b}meta ${b}`,
  "raid1 of three with metadata": ([a, b, c]) =>
    `0 64 raid raid1 4 0 nosync region_size 8 3 ${a}meta ${a} ${b}meta ${b} ${c}meta ${c}`,
};

for (const [name, table] of Object.entries(MIRRORS)) {
  for (const checked of [false, true]) {
    targetSuite({ describe, test }, `${name}${checked ? ", every layer checked" : ""}`, {
      seed,
      direct: false,
      make: () => copiesSubject({ top: table(["a", "b", "c"]) }, { size: SIZE, checked }),
    });
  }
}

const PLAIN: Readonly<Record<string, (one: string, other: string) => string>> = {
  linear: (one, other) => `0 32 linear ${one} 32\n32 32 linear ${other} 0`,
  striped: (one, other) => `0 64 striped 2 8 ${one} 0 ${other} 8`,
};

for (const [mirrored, table] of Object.entries(MIRRORS)) {
  for (const [plain, other] of Object.entries(PLAIN)) {
    const above: Nodes = {
      left: table(["a", "b", "c"]),
      right: table(["d", "e", "f"]),
      top: other("left", "right"),
    };
    const below: Nodes = {
      one: other("a", "b"),
      two: other("c", "d"),
      three: other("e", "f"),
      top: table(["one", "two", "three"]),
    };
    for (const [name, nodes] of [
      [`${plain} over ${mirrored}`, above],
      [`${mirrored} over ${plain}`, below],
    ] as const) {
      targetSuite({ describe, test }, name, {
        seed,
        direct: false,
        make: () => copiesSubject(nodes, { size: SIZE, checked: mirrored === "mirror of two" }),
      });
    }
  }
}

targetSuite({ describe, test }, "mirror of mirrors", {
  seed,
  direct: false,
  make: () =>
    copiesSubject(
      {
        left: MIRRORS["mirror of two"]?.(["a", "b", "c"]) ?? "",
        right: MIRRORS["raid1 of two"]?.(["d", "e", "f"]) ?? "",
        top: "0 64 mirror core 2 8 nosync 2 left 0 right 0",
      },
      { size: SIZE, checked: true },
    ),
});

targetSuite({ describe, test }, "mirror of disks", {
  seed,
  direct: false,
  make: () =>
    copiesSubject(
      { top: "0 128 mirror core 2 8 nosync 2 a 0 b 0" },
      { size: SIZE * 2, clear: "overwrite", poisonUnit: 512, clearUnit: 4096 },
    ),
});

targetSuite({ describe, test }, "mirror of devices that cannot clear", {
  seed,
  direct: false,
  make: () =>
    copiesSubject({ top: "0 64 mirror core 2 8 nosync 2 a 0 b 0" }, { size: SIZE, clear: "none" }),
});
