/** json-lists: ndctl's and cxl's JSON for one device of this machine. */
import { describe, expect, test } from "vitest";
import { cxlList, ndctlList } from "../../../src/rescue/lists/json-lists.ts";
import { fakeRunner, HUNG, MISSING, printed } from "../support/programs.ts";

const NAMESPACES = JSON.stringify([
  {
    dev: "namespace1.0",
    mode: "raw",
    blockdev: "pmem1",
    badblock_count: 1,
    badblocks: [{ offset: 5, length: 1 }],
  },
  { dev: "namespace2.0", mode: "sector", blockdev: "pmem2s", badblock_count: 3 },
  {
    dev: "namespace0.0",
    mode: "fsdax",
    map: "dev",
    size: 66_060_288,
    sector_size: 512,
    blockdev: "pmem0",
    badblock_count: 9,
    badblocks: [
      { offset: 8, length: 8, dimms: ["nmem0"] },
      { offset: 100, length: 1 },
    ],
  },
]);
const disk = { name: "pmem0", size: 66_060_288 };

describe("ndctlList()", () => {
  test("ndctlList() gives the records of the disk's own namespace", async () => {
    const { run, calls } = fakeRunner(printed(NAMESPACES));
    expect(await ndctlList(disk, run).read()).toMatchObject({
      ranges: [
        { offset: 4096, length: 4096 },
        { offset: 51_200, length: 512 },
      ],
    });
    expect(calls).toEqual(["ndctl list -N -M"]);
  });

  test.each([
    ["pmem1", /raw namespace/],
    ["pmem2s", /sector mode/],
    ["pmem9", /names no namespace of pmem9/],
  ])("ndctlList() places nothing of %s, and says why", async (name, why) => {
    const result = await ndctlList({ ...disk, name }, fakeRunner(printed(NAMESPACES)).run).read();
    expect("why" in result && result.why).toMatch(why);
  });

  test.each([
    ["missing", MISSING, /ndctl is not installed/],
    ["hung", HUNG, /did not end in time/],
    ["cut off", printed('[\n{"dev":"namesp'), /Cannot read what ndctl printed/],
    ["nothing", printed(""), /names no namespace/],
  ] as const)("ndctlList() says why it has no list: %s", async (_, answer, why) => {
    const result = await ndctlList(disk, fakeRunner(answer).run).read();
    expect("why" in result && result.why).toMatch(why);
  });
});

describe("cxlList()", () => {
  const MEM0 = {
    memdev: "mem0",
    pmem_size: 268_435_456,
    ram_size: 268_435_456,
    serial: 0,
    media_errors: [
      { offset: 64, length: 64, source: "Injected" },
      { offset: 1024, length: 128, source: "Internal", flags: "Overflow,", overflow_t: 1 },
    ],
  };

  test("cxlList() gives the device's records by device physical address", async () => {
    const { run, calls } = fakeRunner(printed(JSON.stringify([MEM0])));
    expect(await cxlList("mem0", run).read()).toMatchObject({
      ranges: [
        { offset: 64, length: 64 },
        { offset: 1024, length: 128 },
      ],
      incomplete: true,
    });
    expect(calls).toEqual(["cxl list -m mem0 -L"]);
  });

  test("cxlList() takes a device without the key for one without errors", async () => {
    const { media_errors: _, ...clean } = MEM0;
    const answer = printed(JSON.stringify([clean]));
    expect(await cxlList("mem0", fakeRunner(answer).run).read()).toMatchObject({ ranges: [] });
  });

  test("cxlList() says why it has no list where the device is not named", async () => {
    const result = await cxlList("mem7", fakeRunner(printed(JSON.stringify([MEM0]))).run).read();
    expect("why" in result && result.why).toBe("cxl list names no mem7");
  });
});
