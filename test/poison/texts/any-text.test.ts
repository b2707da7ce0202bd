/** The texts of others: their shapes, their round trips, and what is told when they are wrong. */
import { describe, expect, test } from "vitest";
import { createPrng, StorageError, type Prng } from "../../../src/base/index.ts";
import {
  detectPoisonFormat,
  formatBadblocks,
  formatCxl,
  formatMapfile,
  formatNdctl,
  importStates,
  parseBadblocks,
  parseCxl,
  parseMapfile,
  parseNdctl,
  parsePoisonText,
  PoisonList,
  type ParsedList,
  type PoisonState,
} from "../../../src/poison/index.ts";

const SIZE = 1024 * 1024;
const size = { size: SIZE };
const seed = Number(process.env["SEED"] ?? Date.now() % 2 ** 31);

function text(parts: Iterable<string>): string {
  return [...parts].join("");
}

function shape(parsed: ParsedList): string {
  return parsed.ranges.map(({ offset, length, state }) => `${state}@${offset}+${length}`).join(" ");
}

async function messageOf(act: () => unknown): Promise<string> {
  try {
    await act();
  } catch (error) {
    if (error instanceof StorageError && error.code === "EBADMSG") return error.message;
    throw error;
  }
  return "no error";
}

function randomList(prng: Prng, unit: number): PoisonList {
  const list = new PoisonList(SIZE);
  for (let count = prng.below(30); count > 0; count -= 1) {
    const offset = prng.below(SIZE / unit) * unit;
    const length = Math.min(SIZE - offset, unit * (1 + prng.below(50)));
    list.mark({ offset, length }, prng.pick<PoisonState>(["clean", "unread", "poisoned", "lost"]));
  }
  return list;
}

describe("round trips", () => {
  test.for([
    ["badblocks", formatBadblocks, 512],
    ["ndctl", formatNdctl, 512],
    ["cxl", formatCxl, 64],
    ["mapfile", formatMapfile, 1],
  ] as const)(
    `%s: what is written is read as it was (SEED=${seed})`,
    async ([format, write, unit]) => {
      const prng = createPrng(seed);
      for (let run = 0; run < 60; run += 1) {
        const list = randomList(prng, unit);
        const written = text(write(list));
        expect(detectPoisonFormat(written)).toBe(format);
        const parsed = await parsePoisonText(written, size);
        expect(parsed.notes).toEqual([]);
        expect(parsed.incomplete).toBe(false);
        const again = new PoisonList(SIZE);
        importStates(again, parsed.ranges);
        expect(text(write(again))).toBe(written);
        const bad = (one: PoisonList): number => one.totals().poisoned + one.totals().lost;
        expect(bad(again)).toBe(bad(list));
      }
    },
  );

  test("a bad byte is rounded outwards to the unit of the text", () => {
    const list = new PoisonList(SIZE);
    list.mark({ offset: 1000, length: 1 }, "lost");
    list.mark({ offset: 1100, length: 1 }, "poisoned");
    expect(text(formatBadblocks(list))).toBe("1 2\n");
    expect(text(formatCxl(list))).toContain(
      '{"offset":960,"length":64,"source":"Unknown"},\n      {"offset":1088,"length":64',
    );
    expect(text(formatMapfile(list))).toContain("0x000003E8  0x00000001  -\n");
  });
});

describe("parseBadblocks()", () => {
  test("reads sysfs, overlapping and unordered too", () => {
    expect(shape(parseBadblocks("10 5\n2 2\n12 10\n", size))).toBe(
      "poisoned@1024+1024 poisoned@5120+6144",
    );
    expect(shape(parseBadblocks("", size))).toBe("");
  });

  test("S19: clips what crosses the end and says so", () => {
    const parsed = parseBadblocks("2047 4\n", size);
    expect(shape(parsed)).toBe(`poisoned@${2047 * 512}+512`);
    expect(parsed.notes).toEqual([
      `line 1: 1536 of 2048 bytes are behind the device's end at ${SIZE} and were left out`,
    ]);
  });

  test.for([
    ["1 2\n-1 5\n", 'line 2: want "START LENGTH" in sectors, LENGTH from 1: got "-1 5"'],
    ["1 0\n", 'line 1: want "START LENGTH" in sectors, LENGTH from 1: got "1 0"'],
    ["7\n", 'line 1: want "START LENGTH"'],
    ["0x10 2\n", "line 1: want"],
    ["2048 1\n", "line 1: want an offset below the device's end at 1048576: got 1048576"],
    ["99999999999999999999 1\n", "line 1: want an offset below the device's end"],
  ] as const)("refuses %j", async ([input, wish]) => {
    expect(await messageOf(() => parseBadblocks(input, { ...size, name: "list.txt" }))).toContain(
      `Cannot read list.txt ${wish}`,
    );
  });

  test("knows a text that the kernel cut off after one page", () => {
    const lines = Array.from({ length: 1000 }, (_, index) => `${100 + index * 3} 1\n`).join("");
    const parsed = parseBadblocks(lines.slice(0, 4095) + "9", { size: 2 ** 40 });
    expect(parsed.incomplete).toBe(true);
    expect(parsed.notes[0]).toContain("cut this text off");
  });
});

describe("parseNdctl()", () => {
  const namespace = {
    dev: "namespace0.0",
    mode: "fsdax",
    badblock_count: 8,
    badblocks: [{ offset: 42, length: 8, dimms: ["nmem0"] }],
  };

  test.for([
    ["an object", namespace],
    ["an array", [namespace]],
    [
      "a region around it with the same errors",
      {
        regions: [
          {
            dev: "region0",
            badblock_count: 8,
            badblocks: [{ offset: 100, length: 8 }],
            namespaces: [namespace],
          },
        ],
      },
    ],
    ["the status of injected errors", { badblocks: [{ block: 42, count: 8 }] }],
    ["the same for people", { badblocks: [{ block: "0x2a", count: "0x8" }] }],
  ] as const)("reads %s", async ([, document]) => {
    expect(shape(await parseNdctl(JSON.stringify(document), size))).toBe("poisoned@21504+4096");
  });

  test("S07: a count without records is not a clean device", async () => {
    const message = await messageOf(() =>
      parseNdctl(JSON.stringify([{ dev: "namespace0.0", badblock_count: 3 }]), size),
    );
    expect(message).toContain("list with --media-errors");
  });

  test("a count that the records do not reach makes the text incomplete", async () => {
    const parsed = await parseNdctl(JSON.stringify({ ...namespace, badblock_count: 20 }), size);
    expect(parsed.incomplete).toBe(true);
  });

  test("asks which of several devices is meant, and takes the named one", async () => {
    const two = JSON.stringify([
      namespace,
      {
        ...namespace,
        dev: "namespace1.0",
        badblock_count: 1,
        badblocks: [{ offset: 1, length: 1 }],
      },
    ]);
    expect(await messageOf(() => parseNdctl(two, size))).toContain(
      "got namespace0.0, namespace1.0",
    );
    expect(shape(await parseNdctl(two, { ...size, device: "namespace1.0" }))).toBe(
      "poisoned@512+512",
    );
    expect(await messageOf(() => parseNdctl(two, { ...size, device: "nope" }))).toContain(
      'want device "nope"',
    );
  });

  test.for([
    '{"dev":"a",\n"badblocks":[',
    '{"badblocks":{"offset":1}}',
    '{"badblocks":[{"offset":1}]}',
    '{"badblocks":[{"offset":-1,"length":1}]}',
    '{"badblocks":[{"offset":1.5,"length":1}]}',
    '{"badblocks":[{"offset":1,"length":0}]}',
    '{"badblocks":[{"offset":9007199254740993,"length":1}]}',
    '{"badblocks":[{"offset":"zero","length":1}]}',
    '{"badblocks":[{"offset":4096,"length":1}]}',
    '{"dev":"a","badblock_count":"x"}',
    "{}",
    "[]",
    "null",
  ])("refuses %s", async (input) => {
    expect(await messageOf(() => parseNdctl(input, size))).toMatch(
      /^EBADMSG: Cannot read ndctl text .*want/,
    );
  });

  test("S: bears 100,000 nested arrays", async () => {
    const deep = `${"[".repeat(100_000)}${"]".repeat(100_000)}`;
    expect(await messageOf(() => parsePoisonText(deep, size))).toContain("EBADMSG");
  });
});

describe("parseCxl()", () => {
  const record = { offset: 0x40000, length: 64, source: "Injected" };

  test.for([
    ["a memory device", [{ memdev: "mem0", media_errors: [record] }]],
    ["a region", { region: "region5", media_errors: [record] }],
    [
      "numbers for people",
      [{ memdev: "mem0", media_errors: [{ ...record, offset: "0x40000", length: "64" }] }],
    ],
  ] as const)("reads %s", async ([, document]) => {
    const written = JSON.stringify(document);
    expect(shape(await parseCxl(written, size))).toBe("poisoned@262144+64");
    expect(detectPoisonFormat(written)).toBe("cxl");
  });

  test("a device without the key has no errors", async () => {
    expect((await parseCxl('[{"memdev":"mem0","ram_size":1}]', size)).ranges).toEqual([]);
  });

  test("S15: Overflow makes the text incomplete", async () => {
    const flagged = { ...record, flags: "Overflow,", overflow_t: 123 };
    const parsed = await parseCxl(
      JSON.stringify([{ memdev: "mem0", media_errors: [flagged] }]),
      size,
    );
    expect(parsed.incomplete).toBe(true);
    expect(parsed.notes[0]).toContain("flags Overflow");
  });

  test("a record without an offset is told, not dropped", async () => {
    const parsed = await parseCxl('{"region":"r","media_errors":[{"length":64}]}', size);
    expect([parsed.incomplete, parsed.notes.length]).toEqual([true, 1]);
  });

  test.for([
    '[{"memdev":"m","media_errors":[{"offset":1,"length":64}]}]',
    '[{"memdev":"m","media_errors":[{"offset":0,"length":0}]}]',
    '[{"memdev":"m","media_errors":7}]',
    '[{"memdev":"m","media_errors":[{"offset":0,"length":64,"flags":3}]}]',
    `[{"memdev":"m","media_errors":[{"offset":${SIZE},"length":64}]}]`,
  ])("S13: refuses %s", async (input) => {
    expect(await messageOf(() => parseCxl(input, size))).toMatch(
      /^EBADMSG: Cannot read cxl text .*want/,
    );
  });
});

describe("parseMapfile()", () => {
  test("S23: reads ddrescue's map; what it did not finish is unread", () => {
    const map =
      "# Mapfile\n0x0 +\n0x0 0x40000 +\n0x40000 0x200 -\n0x40200 0x3FE00 *\n0x80000 0x10000 /\n0x90000 0x70000 ?\n";
    expect(shape(parseMapfile(map, size))).toBe("clean@0+262144 poisoned@262144+512");
  });

  test("an unbounded map is clipped to the device", () => {
    const parsed = parseMapfile("0 ?\n0x0 0x7FFFFFFFFFFFFFFF -\n", size);
    expect(shape(parsed)).toBe(`poisoned@0+${SIZE}`);
    expect(parsed.notes).toHaveLength(1);
  });

  test.for([
    ["0 ?\n0 10 +\n5 10 -\n", "line 3: want no overlap, a block from 10 on: got 5"],
    ["0 ?\n0 10 +\n15 10 -\n", "line 3: want no gap, a block at 10: got 15"],
    ["0 ?\n0 10 x\n", 'line 2: want "POSITION SIZE STATUS"'],
    ["0 ?\n0 -10 +\n", "line 2: want numbers from 0"],
    [`0 ?\n0 ${SIZE} +\n${SIZE} 1 -\n`, "line 3: want an offset below the device's end"],
    ["what is this\n", 'line 1: want "POSITION STATUS [PASS]"'],
  ] as const)("refuses %j", async ([input, wish]) => {
    expect(await messageOf(() => parseMapfile(input, size))).toContain(wish);
  });
});

describe("parsePoisonText()", () => {
  test(`refuses or reads any mutation of any text, and nothing else happens (SEED=${seed})`, async () => {
    const prng = createPrng(seed);
    const writers = [formatBadblocks, formatNdctl, formatCxl, formatMapfile];
    const outcomes = { read: 0, refused: 0 };
    for (let run = 0; run < 4000; run += 1) {
      const whole = text(prng.pick(writers)(randomList(prng, 512)));
      const at = prng.below(whole.length + 1);
      const junk = prng.pick([
        "-",
        "9".repeat(25),
        "{",
        "]",
        '"',
        "\n",
        "#",
        "\0",
        "1e400",
        "null",
        "é",
        "",
      ]);
      const mutated = whole.slice(0, at) + junk + whole.slice(at + prng.below(5));
      const message = await messageOf(async () => {
        const { ranges } = await parsePoisonText(mutated, size);
        const list = new PoisonList(SIZE);
        importStates(list, ranges);
      });
      outcomes[message === "no error" ? "read" : "refused"] += 1;
    }
    expect(outcomes.read).toBeGreaterThan(200);
    expect(outcomes.refused).toBeGreaterThan(200);
  });
});
