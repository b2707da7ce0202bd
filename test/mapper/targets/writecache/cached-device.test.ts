/** CachedDevice: the contracts of device and target, over disks and persistent memory, alone and in stacks of two with the tables that translate. */
import { describe, test } from "vitest";
import { targetSuite } from "../../../../src/testing/index.ts";
import { randomSeed } from "../../../base/seed.ts";
import { cacheSubject, type CacheStackOptions } from "../../support/cache-stack.ts";

const seed = randomSeed();
const STRIPES = { origin: "0 80 striped 2 8 a 0 b 0", cache: "0 80 striped 2 8 c 0 d 0" };
const DISK = { clear: "overwrite", poisonUnit: 512, clearUnit: 4096 } as const;
const FULL = "4 high_watermark 100 low_watermark 100";

/** Stacks that hold all that is written, so that it stays where the suite looks. */
const STACKS: Readonly<Record<string, CacheStackOptions>> = {
  "mode s": { args: `s origin cache 4096 ${FULL}` },
  "mode p": { args: `p origin cache 4096 ${FULL}` },
  "mode s over disks": {
    ...DISK,
    args: `s origin cache 4096 ${FULL}`,
    sectors: 128,
    leafSize: 73_728,
  },
  "mode s, blocks of a sector": { args: `s origin cache 512 ${FULL}` },
  "mode s, a cache of four blocks": {
    args: "s origin cache 4096 2 start_sector 40",
    moves: true,
  },
  cleaner: { args: "s origin cache 4096 1 cleaner" },
  "mode s over devices that cannot clear": {
    args: `s origin cache 4096 ${FULL}`,
    clear: "none",
  },
  "over striped": { args: `s origin cache 4096 ${FULL}`, below: STRIPES, leafSize: 20_480 },
  "over linear": {
    args: `p origin cache 4096 ${FULL}`,
    below: { origin: "0 72 linear a 8", cache: "0 80 linear b 0" },
  },
  "linear over it": {
    args: `s origin cache 4096 ${FULL}`,
    above: { top: "0 16 linear wc 40\n16 40 linear wc 0" },
  },
  "striped over it": {
    args: `p origin cache 4096 ${FULL}`,
    above: { top: "0 48 striped 2 8 wc 0 wc 32" },
  },
  "mode s over devices that answer later": { args: `s origin cache 4096 ${FULL}`, late: true },
  "mode p over devices that answer later": {
    args: "p origin cache 4096 0",
    late: true,
    moves: true,
  },
  "striped, every layer checked": {
    args: `s origin cache 4096 ${FULL}`,
    above: { top: "0 48 striped 2 8 wc 0 wc 32" },
    checked: true,
  },
};

for (const [name, options] of Object.entries(STACKS))
  targetSuite({ describe, test }, `writecache: ${name}`, {
    seed,
    direct: false,
    make: () => cacheSubject(options),
  });
