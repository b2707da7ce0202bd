/** log-record: lines of the audit log: a record comes back as it was, and nothing else comes back at all. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeLine, encodeRecord, type LogRecord } from "../../../src/rescue/repair/log-record.ts";
import { readLog, RepairLog, type LogDamage } from "../../../src/rescue/index.ts";
import { createCrashFiles, type CrashFiles } from "../../../src/testing/index.ts";
import { randomSeed } from "../../base/seed.ts";

const seed = randomSeed();
const DONE: LogRecord = { record: "done", run: 1, step: 7, outcome: "healed", healed: 512 };
const totals = { total: 8192, clean: 0, unread: 8192, poisoned: 0, lost: 0 };
const END: LogRecord = { record: "end", run: 1, at: "2026-01-01", result: "complete", totals };

function withLog(bytes: Uint8Array): CrashFiles {
  const files = createCrashFiles();
  const file = files.open(new RepairLog("/d/image", files).path, { access: "create" });
  if (bytes.length > 0) file.writeSync(bytes, 0);
  file.close();
  return files;
}

async function read(files: CrashFiles): Promise<{ records: LogRecord[]; damage: LogDamage }> {
  const damage: LogDamage = { lines: 0 };
  const records: LogRecord[] = [];
  const { path } = new RepairLog("/d/image", files);
  for await (const record of readLog(files, path, damage)) records.push(record);
  return { records, damage };
}

describe("encodeRecord()", () => {
  test("is JSON on one line, and comes back, whatever stands in a path", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (path) => {
        const owner = { kind: "file", what: "data", path } as const;
        const sha256 = "0".repeat(64);
        const step: LogRecord = {
          record: "step",
          run: 1,
          step: 1,
          offset: 0,
          length: 1,
          action: "write",
          was: "lost",
          owner,
          sha256,
        };
        const line = encodeRecord(step);
        expect(line.indexOf("\n")).toBe(line.length - 1);
        expect(JSON.parse(line)).toMatchObject({ record: "step", crc: expect.any(String) });
        expect(decodeLine(line.slice(0, -1))).toEqual(step);
      }),
      { seed },
    );
  });

  test("is refused with any one byte changed, or cut anywhere", () => {
    const line = encodeRecord(DONE).slice(0, -1);
    for (let at = 0; at < line.length; at += 1) {
      expect(decodeLine(line.slice(0, at))).toBeUndefined();
      const other = line[at] === "0" ? "1" : "0";
      expect(decodeLine(line.slice(0, at) + other + line.slice(at + 1))).toBeUndefined();
    }
  });
});

describe("readLog()", () => {
  test("passes torn lines over, and goes on behind them", async () => {
    const [done, end] = [encodeRecord(DONE), encodeRecord(END)];
    const torn = `${done.slice(0, 40)}${"\0".repeat(600)}\n`;
    const { records, damage } = await read(
      withLog(Buffer.from(`${done}${torn}${end}${end.slice(0, 30)}`)),
    );
    expect(records).toEqual([DONE, END]);
    expect(damage.lines).toBe(2);
  });

  test("passes over what is no record of ours, with a right checksum too", async () => {
    const lines = [{}, { record: "run" }, { ...DONE, healed: -1 }, { ...DONE, run: 0 }, []];
    const text = lines.map((line) => encodeRecord(line as unknown as LogRecord)).join("");
    expect(await read(withLog(Buffer.from(text + encodeRecord(END))))).toEqual({
      records: [END],
      damage: { lines: lines.length },
    });
  });

  test("answers for arbitrary bytes around its records, with every record, and never throws", async () => {
    const line = Buffer.from(encodeRecord(DONE));
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 2000 }), async (junk) => {
        const bytes = Buffer.concat([junk, Buffer.from("\n"), line, junk]);
        expect((await read(withLog(bytes))).records).toEqual([DONE]);
      }),
      { seed, numRuns: 300 },
    );
  });

  test("holds no more of a line without end than a line may have", async () => {
    const endless = Buffer.alloc(3 * 1024 * 1024, 0x7b);
    const bytes = Buffer.concat([endless, Buffer.from(`\n${encodeRecord(END)}`)]);
    expect(await read(withLog(bytes))).toEqual({ records: [END], damage: { lines: 1 } });
  });
});
