/** nvme-lba-status: the controller's own bytes, whole, short and wrong. */
import { describe, expect, test } from "vitest";
import { nvmeLbaStatus, parseStatusList } from "../../../src/rescue/lists/nvme-lba-status.ts";
import { fakeRunner, HUNG, MISSING, printed } from "../support/programs.ts";

/** An answer of 4 KiB, as the command asks for. */
function listOf(condition: number, blocks: readonly (readonly [number, number])[]): Buffer {
  const bytes = Buffer.alloc(4096);
  bytes.writeUInt32LE(blocks.length, 0);
  bytes.writeUInt8(condition, 4);
  blocks.forEach(([block, count], index) => {
    bytes.writeBigUInt64LE(BigInt(block), 8 + 16 * index);
    bytes.writeUInt32LE(count, 16 + 16 * index);
  });
  return bytes;
}

const disk = { path: "/dev/nvme0n1", blockSize: 4096, size: 1024 ** 3 };

describe("nvmeLbaStatus()", () => {
  test("nvmeLbaStatus() asks for what is tracked, without a scan, and gives it in bytes", async () => {
    const { run, calls } = fakeRunner(printed(listOf(2, [[3, 2]])));
    expect(await nvmeLbaStatus(disk, run).read()).toMatchObject({
      ranges: [{ offset: 3 * 4096, length: 2 * 4096 }],
      incomplete: false,
    });
    expect(calls).toEqual([
      "nvme get-lba-status /dev/nvme0n1 --action=0x11 --max-dw=1023 --start-lba=0 --output-format=binary",
    ]);
  });

  test("nvmeLbaStatus() asks on from the end of a full answer", async () => {
    const { run, calls } = fakeRunner(printed(listOf(1, [[3, 2]])), printed(listOf(2, [[100, 1]])));
    const answer = await nvmeLbaStatus(disk, run).read();
    expect("ranges" in answer && answer.ranges.length).toBe(2);
    expect(calls[1]).toContain("--start-lba=5 ");
  });

  test.each([
    ["missing", MISSING, "nvme is not installed", true],
    ["hung", HUNG, "nvme did not end in time, and was killed", false],
    [
      "a controller without the command",
      printed("", { status: 1, stderr: "NVMe status: Invalid Command Opcode(0x4001)\n" }),
      "the controller does not have Get LBA Status",
      true,
    ],
    ["short", printed("abc"), /want a list of 8 bytes/, false],
  ] as const)("nvmeLbaStatus() says why it has no list: %s", async (...[, answer, why, absent]) => {
    const result = await nvmeLbaStatus(disk, fakeRunner(answer).run).read();
    expect(result).toMatchObject({ absent });
    expect("why" in result && result.why).toMatch(why);
  });
});

describe("parseStatusList()", () => {
  test("parseStatusList() refuses a count that has no room, and a condition that is none", () => {
    const bytes = listOf(2, [[1, 1]]);
    expect(parseStatusList(bytes.subarray(0, 20))).toMatch(/want room for 1/);
    bytes.writeUInt8(9, 4);
    expect(parseStatusList(bytes)).toMatch(/completion condition/);
  });
});
