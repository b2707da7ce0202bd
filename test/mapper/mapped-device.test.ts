/** MappedDevice: the contracts of device, direct access and target over every table that only translates, and every stack of two. */
import { describe, test } from "vitest";
import { targetSuite } from "../../src/testing/index.ts";
import { randomSeed } from "../base/seed.ts";
import { stackSubject, type Nodes } from "./support/kernel-map.ts";

const seed = randomSeed();
const SIZE = 65_536;

/** Whether a stack has direct access: with a stripe of something in it there is none. */
const isDirect = (...names: readonly string[]): boolean => !names.join().includes("unstriped");

/** Tables of 64 KiB over two devices of that size, by kind. */
const TABLES: Readonly<Record<string, (one: string, other: string) => string>> = {
  linear: (one) => `0 128 linear ${one} 0`,
  "two linear rows": (one, other) => `0 64 linear ${one} 16\n64 64 linear ${other} 48`,
  "striped, chunks of a page": (one, other) => `0 128 striped 2 8 ${one} 0 ${other} 8`,
  "striped, chunks of two pages": (one, other) => `0 128 striped 2 16 ${one} 16 ${other} 0`,
  "unstriped and linear": (one, other) => `0 64 unstriped 2 8 1 ${one} 0\n64 64 linear ${other} 16`,
  "striped and linear": (one, other) =>
    `0 64 striped 2 8 ${one} 0 ${other} 0\n64 64 linear ${one} 64`,
};

for (const [name, table] of Object.entries(TABLES)) {
  targetSuite({ describe, test }, name, {
    seed,
    direct: isDirect(name),
    make: () => stackSubject({ top: table("a", "b") }, { size: SIZE }),
  });
}

for (const [upper, above] of Object.entries(TABLES)) {
  for (const [lower, below] of Object.entries(TABLES)) {
    const nodes: Nodes = {
      left: below("a", "b"),
      right: below("c", "d"),
      top: above("left", "right"),
    };
    for (const checked of upper === lower ? [false, true] : [false]) {
      const name = `${upper} over ${lower}${checked ? ", every layer checked" : ""}`;
      targetSuite({ describe, test }, name, {
        seed,
        direct: isDirect(upper, lower),
        make: () => stackSubject(nodes, { size: SIZE, checked }),
      });
    }
  }
}

for (const checked of [false, true])
  targetSuite(
    { describe, test },
    `a device taken apart and put together${checked ? ", checked" : ""}`,
    {
      seed,
      direct: false,
      make: () =>
        stackSubject(
          {
            even: "0 60 unstriped 2 5 0 a 3",
            odd: "0 60 unstriped 2 5 1 a 3",
            top: "0 120 striped 2 5 even 0 odd 0",
          },
          { size: SIZE, checked },
        ),
    },
  );

targetSuite({ describe, test }, "striped over disks", {
  seed,
  make: () =>
    stackSubject(
      { top: "0 128 striped 2 8 a 0 b 0" },
      { size: SIZE, clear: "overwrite", poisonUnit: 512, clearUnit: 4096 },
    ),
});

targetSuite({ describe, test }, "striped over devices that cannot clear", {
  seed,
  make: () => stackSubject({ top: "0 128 striped 2 8 a 0 b 0" }, { size: SIZE, clear: "none" }),
});
