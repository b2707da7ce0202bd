/** ndctl-scrub: the bus of a disk, and what becomes of the program. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { blockNodeNamed, type BlockNode } from "../../../src/os/index.ts";
import { busOf, ndctlScrub } from "../../../src/rescue/lists/ndctl-scrub.ts";
import { FakeSysfs } from "../../os/support/fake-sysfs.ts";
import { fakeRunner, HUNG, MISSING, printed } from "../support/programs.ts";

let sysfs: FakeSysfs;
beforeEach(() => {
  sysfs = new FakeSysfs();
});
afterEach(() => sysfs.close());

function disk(path: string): BlockNode {
  sysfs.block({ path, number: "259:1", sectors: 2048 });
  return blockNodeNamed(path.split("/").at(-1) ?? "", { sysfs: sysfs.root });
}

const PMEM = "platform/nfit_test.0/ndbus1/region4/namespace4.0/block/pmem4";

describe("ndctlScrub()", () => {
  test("ndctlScrub() begins a scrub of the disk's bus, and waits for it", async () => {
    const { run, calls } = fakeRunner(printed("{}"));
    expect(busOf(disk(PMEM))).toBe("ndbus1");
    await ndctlScrub(blockNodeNamed("pmem4", { sysfs: sysfs.root }), { run });
    expect(calls).toEqual(["ndctl start-scrub ndbus1", "ndctl wait-scrub ndbus1"]);
  });

  test("ndctlScrub() waits for one that runs already", async () => {
    const busy = printed("", {
      status: 1,
      stderr: "error starting scrub: Device or resource busy\n",
    });
    const { run, calls } = fakeRunner(busy, printed("{}"));
    await ndctlScrub(disk(PMEM), { run });
    expect(calls.length).toBe(2);
  });

  test.each([
    ["missing", MISSING, /EOPNOTSUPP: Cannot scrub pmem4: ndctl is not installed/],
    ["hung", HUNG, /ETIMEDOUT/],
    [
      "failed",
      printed("", { status: 1, stderr: "no\n" }),
      /ENXIO: Cannot scrub pmem4: ndctl start-scrub: no/,
    ],
  ] as const)("ndctlScrub() tells what kept it: %s", async (_, answer, message) => {
    await expect(ndctlScrub(disk(PMEM), { run: fakeRunner(answer).run })).rejects.toThrow(message);
  });

  test("ndctlScrub() is for persistent memory", async () => {
    await expect(ndctlScrub(disk("sdb"), { run: fakeRunner().run })).rejects.toThrow(
      /EOPNOTSUPP: Cannot scrub sdb: want persistent memory/,
    );
  });
});
