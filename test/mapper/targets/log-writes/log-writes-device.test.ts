/** LogWritesDevice: the contracts of device, direct access and target, alone and in stacks of two, over memory and over disks. */
import { describe, test } from "vitest";
import { targetSuite } from "../../../../src/testing/index.ts";
import { randomSeed } from "../../../base/seed.ts";
import { stackSubject, type Nodes, type StackOptions } from "../../support/kernel-map.ts";

const seed = randomSeed();
const SECTORS: StackOptions = { size: 65_536, poisonUnit: 512, clearUnit: 512 };
const DISK: StackOptions = { size: 65_536, poisonUnit: 512, clearUnit: 4096, clear: "overwrite" };

const TABLES: Readonly<Record<string, Nodes>> = {
  "log-writes": { top: "0 128 log-writes a log" },
  "log-writes in two rows": { top: "0 64 log-writes a log\n64 64 log-writes a log2" },
  "log-writes over striped": {
    low: "0 128 striped 2 8 a 0 b 16",
    top: "0 128 log-writes low log",
  },
  "log-writes over linear": { low: "0 128 linear a 0", top: "0 128 log-writes low log" },
  "linear over log-writes": { low: "0 128 log-writes a log", top: "0 96 linear low 16" },
  "striped over log-writes": {
    one: "0 128 log-writes a log",
    other: "0 128 log-writes b log2",
    top: "0 128 striped 2 8 one 0 other 8",
  },
  "log-writes over log-writes": {
    low: "0 128 log-writes a log",
    top: "0 128 log-writes low log2",
  },
};

for (const [name, nodes] of Object.entries(TABLES)) {
  targetSuite({ describe, test }, name, { seed, make: () => stackSubject(nodes, SECTORS) });
}

targetSuite({ describe, test }, "log-writes, every layer checked", {
  seed,
  make: () =>
    stackSubject(TABLES["log-writes over striped"] as Nodes, { ...SECTORS, checked: true }),
});

targetSuite({ describe, test }, "log-writes over a disk", {
  seed,
  make: () => stackSubject({ top: "0 128 log-writes a log" }, DISK),
});

targetSuite({ describe, test }, "log-writes on a device that cannot clear", {
  seed,
  make: () => stackSubject({ top: "0 128 log-writes a log" }, { ...SECTORS, clear: "none" }),
});

const mixed: Nodes = { low: "0 128 log-writes a log", top: "0 128 dust low 0 512" };
targetSuite({ describe, test }, "dust over log-writes", {
  seed,
  direct: false,
  make: () => stackSubject(mixed, { ...SECTORS, clear: "overwrite" }),
});

const upside: Nodes = { low: "0 128 dust a 0 512", top: "0 128 log-writes low log" };
targetSuite({ describe, test }, "log-writes over dust", {
  seed,
  direct: false,
  make: () => stackSubject(upside, { ...SECTORS, clear: "overwrite" }),
});
