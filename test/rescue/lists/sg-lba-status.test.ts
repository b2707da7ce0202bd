/** sg-lba-status: what sg3-utils 1.46 prints (made with its --inhex), and what a disk may do wrong. */
import { describe, expect, test } from "vitest";
import { parseBrief, sgLbaStatus } from "../../../src/rescue/lists/sg-lba-status.ts";
import { fakeRunner, HUNG, MISSING, printed } from "../support/programs.ts";

const TWO = `Completion condition=3
RTP=1
0x00000000000004d2  0x1  0  0
0x0000000000001000  0x8  0  0
`;
const UNTYPED = `Completion condition=0
RTP=0
0x0000000000000000  0x800  0  0
0x0000000000000800  0x64  1  0
`;
const NONE = "No complete LBA status descriptors available\n";
const disk = { path: "/dev/sda", blockSize: 512, size: 1024 ** 3 };

describe("sgLbaStatus()", () => {
  test("sgLbaStatus() asks for what may be unrecoverable, and gives it in bytes", async () => {
    const { run, calls } = fakeRunner(printed(TWO));
    expect(await sgLbaStatus(disk, run).read()).toEqual({
      source: "sg_get_lba_status",
      ranges: [
        { offset: 0x4d2 * 512, length: 512 },
        { offset: 0x1000 * 512, length: 8 * 512 },
      ],
      incomplete: false,
      notes: [],
    });
    expect(calls).toEqual([
      "sg_get_lba_status --brief --readonly --report-type=16 --maxlen=65528 --lba=0 /dev/sda",
    ]);
  });

  test("sgLbaStatus() does not believe a disk that ignores the report type: it names all its blocks", async () => {
    const { run } = fakeRunner(printed(UNTYPED));
    expect(await sgLbaStatus(disk, run).read()).toMatchObject({ absent: true });
  });

  test("sgLbaStatus() asks on where the answer was full", async () => {
    const first = TWO.replace("condition=3", "condition=1");
    const { run, calls } = fakeRunner(
      printed(first),
      printed("Completion condition=3\nRTP=1\n0x0000000000002000  0x1  0  0\n"),
    );
    const answer = await sgLbaStatus(disk, run).read();
    expect(answer).toMatchObject({ incomplete: false });
    expect("ranges" in answer && answer.ranges.length).toBe(3);
    expect(calls[1]).toContain("--lba=4104 ");
  });

  test("sgLbaStatus() ends with a disk that says for ever that there is more", async () => {
    const { run, calls } = fakeRunner(printed(TWO.replace("condition=3", "condition=1")));
    expect(await sgLbaStatus(disk, run).read()).toMatchObject({ incomplete: true });
    expect(calls.length).toBe(2);
  });

  test("sgLbaStatus() takes no descriptor for nothing bad, and clips at the disk's end", async () => {
    expect(await sgLbaStatus(disk, fakeRunner(printed(NONE)).run).read()).toMatchObject({
      ranges: [],
    });
    const over = "Completion condition=3\nRTP=1\n0x00000000001fffff  0x10  0  0\n";
    expect(await sgLbaStatus(disk, fakeRunner(printed(over)).run).read()).toMatchObject({
      ranges: [{ offset: 1024 ** 3 - 512, length: 512 }],
    });
  });

  test.each([
    ["missing", MISSING, "sg_get_lba_status is not installed", true],
    ["hung", HUNG, "sg_get_lba_status did not end in time, and was killed", false],
    [
      "failed",
      printed("", { status: 75, stderr: "sg_get_lba_status failed: Inappropriate ioctl\n" }),
      "sg_get_lba_status ended with 75: sg_get_lba_status failed: Inappropriate ioctl",
      false,
    ],
    ["junk", printed("0x1 wrong\n"), /want "0xLBA {2}0xBLOCKS/, false],
    ["nothing", printed(""), /want a line RTP=/, false],
  ] as const)("sgLbaStatus() says why it has no list: %s", async (...[, answer, why, absent]) => {
    const { run } = fakeRunner(answer);
    const result = await sgLbaStatus(disk, run).read();
    expect(result).toMatchObject({ source: "sg_get_lba_status", absent });
    expect("why" in result && result.why).toMatch(why);
  });
});

describe("parseBrief()", () => {
  test("parseBrief() refuses a block that no number holds exactly", () => {
    expect(parseBrief("RTP=1\n0xffffffffffffffff  0x1  0  0\n")).toMatch(/below 2\^53/);
  });
});
