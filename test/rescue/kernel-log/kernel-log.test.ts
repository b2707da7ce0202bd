/** kernel-log: a corpus of lines as kernels of many years print them, behind every prefix, and hostile text. */
import { describe, expect, test } from "vitest";
import { createPrng } from "../../../src/base/index.ts";
import {
  parseKernelLog,
  readKernelLog,
  type KernelLogOptions,
} from "../../../src/rescue/kernel-log/kernel-log.ts";
import type { KernelEvent } from "../../../src/rescue/kernel-log/kernel-event.ts";
import { CORPUS, sector } from "../fixtures/kernel-lines.ts";
import { splitDeviceName } from "../../../src/rescue/kernel-log/device-name.ts";

const SEED = Number(process.env["SEED"] ?? Date.now() % 2 ** 31);

function one(text: string, options: KernelLogOptions = {}): KernelEvent | undefined {
  const { events } = parseKernelLog(text, options);
  expect(events.length).toBeLessThan(2);
  return events[0];
}

describe("parseKernelLog()", () => {
  test.each(CORPUS)("reads: %s", (line, expected) => {
    expect(one(line)).toMatchObject(expected);
  });

  test("reads every line of the corpus in one log", () => {
    const { events, lines, notes } = parseKernelLog(CORPUS.map(([line]) => line).join("\n"));
    expect(lines).toBe(CORPUS.length);
    expect(events).toHaveLength(CORPUS.length);
    expect(notes.join()).not.toContain("not understood");
  });

  const LINE = "I/O error, dev sda, sector 4711 op 0x0:(READ) flags 0x0 phys_seg 1 prio class 2";
  test.each([
    ["dmesg", "[   12.345678] "],
    ["dmesg with the task", "[   12.345678][  T123] "],
    ["dmesg -T", "[Tue Oct 27 08:51:30 2020] "],
    ["dmesg -d", "[  +0.000041] "],
    ["dmesg --decode", "kern  :err   : [   12.345678] "],
    ["dmesg --raw", "<3>[   12.345678] "],
    ["dmesg --time-format iso", "2024-05-01T12:00:00,123456+00:00 "],
    ["journalctl", "Feb 11 13:27:33 host kernel: "],
    ["journalctl with the kernel's own time", "Feb 11 13:27:33 host kernel: [ 3498.048486] "],
    ["journalctl -o short-precise", "Feb  1 13:27:33.123456 host.example.org kernel: "],
    ["journalctl -o short-iso", "2024-05-01T12:00:00+0000 host kernel: "],
    ["journalctl -o short-monotonic", "[    5.123456] host kernel: "],
    ["journalctl -o short-unix", "1714564800.123456 host kernel: "],
    ["syslog in ISO times", "2019-08-19T04:18:38.274652-04:00 linux-dgwd kernel: [ 261.273226] "],
    ["journalctl --no-hostname", "Feb 11 13:27:33 kernel: "],
    ["journalctl -o cat", ""],
  ])("takes off the prefix of %s", (_what, prefix) => {
    expect(one(prefix + LINE)).toMatchObject({ device: "sda", range: sector(4711), text: LINE });
    const scsi = "sd 0:0:1:0: [sdb] tag#12 Add. Sense: Unrecovered read error";
    expect(one(prefix + scsi)).toMatchObject({ device: "sdb", text: scsi });
  });

  test("reads lines of journalctl -o json, of the kernel only", () => {
    const json = (transport: string): string =>
      JSON.stringify({ MESSAGE: LINE, _TRANSPORT: transport, PRIORITY: "3" });
    expect(one(json("kernel"))).toMatchObject({ device: "sda" });
    expect(one(json("syslog"))).toBeUndefined();
  });

  test("does not believe a line that a tag says another program wrote", () => {
    expect(one(`Feb 11 13:27:33 host smartd[461]: ${LINE}`)).toBeUndefined();
    expect(one(`2024-05-01T12:00:00+0000 host user: ${LINE}`)).toBeUndefined();
  });

  test("counts equal lines, rsyslog's folded ones too", () => {
    const text = `${LINE}\r\n${LINE}\nFeb 11 13:27:33 host kernel: message repeated 3 times: [ [ 12.3] ${LINE}]\n`;
    expect(one(text)).toMatchObject({ count: 5, line: 1 });
  });

  test("joins sense data with the command that follows, also where kernels before 3.18 printed it apart", () => {
    const modern = [
      "sd 0:0:1:0: [sdb] tag#12 Sense Key : Medium Error [current]",
      "sd 0:0:1:0: [sdb] tag#12 Add. Sense: Unrecovered read error",
      "sd 0:0:1:0: [sdb] tag#12 CDB: Read(10) 28 00 00 00 10 00 00 00 08 00",
    ];
    const command = {
      status: "Medium Error: Unrecovered read error",
      cause: "media",
      range: { offset: 0x1000 * 512, length: 4096 },
    };
    expect(parseKernelLog(modern.join("\n")).events[1]).toMatchObject({
      device: "sdb",
      ...command,
    });
    const old = [
      "sr 1:0:0:0: [sr0]  ",
      "Sense Key : Medium Error [current] ",
      "sr 1:0:0:0: [sr0] CDB: ",
      "Read(10): 28 00 00 07 c4 24 00 00 01 00",
    ];
    expect(parseKernelLog(old.join("\n"), { logicalBlockSize: 2048 }).events).toMatchObject([
      { device: "sr0", range: { offset: 0x7c424 * 2048, length: 2048 }, unitGuessed: false },
    ]);
  });

  test("finds the size of a logical block from a line of the block layer for the same device", () => {
    const text =
      "end_request: I/O error, dev sr0, sector 2035860\nBuffer I/O error on device sr0, logical block 508965\n";
    expect(parseKernelLog(text).events[1]).toMatchObject({
      range: { offset: 508965 * 2048, length: 2048 },
      unitGuessed: false,
    });
    const nvme =
      "I/O error, dev nvme0n1, sector 8000 op 0x0:(READ)\nnvme0n1: Read(0x2) @ LBA 1000, 2 blocks, Unrecovered Read Error (sct 0x2 / sc 0x81)\n";
    expect(parseKernelLog(nvme).events[1]).toMatchObject({
      range: { offset: 1000 * 4096, length: 8192 },
      unitGuessed: false,
    });
  });

  test("takes block sizes that the caller gives", () => {
    const line = "Buffer I/O error on dev sda1, logical block 10, async page read";
    expect(one(line, { blockSize: 1024 })).toMatchObject({
      range: { offset: 10240, length: 1024 },
      unitGuessed: false,
    });
  });

  test("says which devices a log names, and picks one with its partitions", () => {
    const lines = [
      "I/O error, dev sda, sector 1 op 0x0:(READ)",
      "Buffer I/O error on dev sda2, logical block 1, async page read",
      "I/O error, dev sdb, sector 1 op 0x0:(READ)",
      "ata3.00: res 41/40:00:90:e3:57/00:00:14:00:00/40 Emask 0x409 (media error) <F>",
      "Memory failure: 0x12345: recovery action for dax page: Recovered",
    ];
    const all = parseKernelLog(lines.join("\n"));
    expect(all.disks).toEqual([
      { disk: "sda", events: 2 },
      { disk: "sdb", events: 1 },
    ]);
    expect(all.notes.join()).toContain("several devices: sda (2), sdb (1)");
    const picked = parseKernelLog(lines.join("\n"), { device: "/dev/sda2" });
    expect(picked.events.map(({ device }) => device)).toEqual([
      "sda",
      "sda2",
      "ata3.00",
      undefined,
    ]);
    expect(parseKernelLog(lines.join("\n"), { device: "sdq" }).notes.join()).toContain(
      "does not name device sdq",
    );
  });

  test.each([
    ["blk_print_req_error: 12 callbacks suppressed", "12 messages"],
    ["buffer_io_error: 246 callbacks suppressed", "246 messages"],
    ["Feb 11 13:27:33 host kernel: print_req_error: 5 callbacks suppressed", "5 messages"],
    ["/dev/kmsg buffer overrun, some messages lost.", "messages"],
  ])("says that the log is not whole after: %s", (line, count) => {
    const log = parseKernelLog(line);
    expect(log.incomplete).toBe(true);
    expect(log.notes.join()).toContain(`left ${count} out`);
  });

  test("says what looks like an error and was not understood", () => {
    expect(parseKernelLog("foo: uncorrectable thing on bar").notes.join()).toContain(
      "foo: uncorrectable thing on bar",
    );
  });

  test("gives no place past 2^53, and none for a command that reads nothing", () => {
    expect(one("I/O error, dev sda, sector 18446744073709551615 op 0x0:(READ)")).toMatchObject({
      range: undefined,
    });
    expect(
      one("sd 0:0:1:0: [sdb] tag#1 CDB: Read(10) 28 00 00 1d cf a0 00 00 00 00"),
    ).toBeUndefined();
    expect(one("sd 0:0:1:0: [sdb] tag#1 CDB: Test Unit Ready 00 00 00 00 00 00")).toBeUndefined();
    expect(
      one("sd 0:0:1:0: [sdb] tag#1 CDB: Read(16) 88 00 ff ff ff ff ff ff ff ff 00 00 00 08 00 00"),
    ).toBeUndefined();
  });
});

describe("readKernelLog()", () => {
  const text = `${CORPUS.map(([line]) => `[   12.345678] ${line}`).join("\n")}\n[ 1.0] dev ä, I/O error`;

  test(`gives the same however the bytes are cut; SEED=${SEED}`, async () => {
    const whole = parseKernelLog(text);
    const bytes = Buffer.from(text);
    const prng = createPrng(SEED);
    for (let round = 0; round < 20; round += 1) {
      const pieces: Uint8Array[] = [];
      for (let at = 0; at < bytes.length;) {
        const length = 1 + prng.below(round === 0 ? 2 : 500);
        pieces.push(bytes.subarray(at, at + length));
        at += length;
      }
      expect(await readKernelLog(pieces)).toEqual(whole);
    }
  });

  test(`reads junk, endless lines and broken lines without failing; SEED=${SEED}`, async () => {
    const prng = createPrng(SEED);
    const pieces: Uint8Array[] = [
      prng.bytes(300_000),
      Buffer.alloc(5_000_000, "A"),
      Buffer.from(`\n${text}\n`),
    ];
    const bytes = Buffer.from(text);
    for (let round = 0; round < 300; round += 1) {
      const broken = Buffer.from(bytes.subarray(prng.below(bytes.length)));
      for (let change = 0; change < 20; change += 1)
        broken[prng.below(broken.length)] = prng.below(256);
      pieces.push(broken.subarray(0, 600), Buffer.from("\n"));
    }
    const log = await readKernelLog(pieces);
    expect(log.events.length).toBeGreaterThanOrEqual(CORPUS.length);
    for (const { range } of log.events) {
      expect(range === undefined || Number.isSafeInteger(range.offset + range.length)).toBe(true);
    }
  });

  test("keeps a bounded number of events and says how many it dropped", async () => {
    const lines = function* (): Generator<string> {
      for (let at = 0; at < 250_010; at += 1) yield `I/O error, dev sda, sector ${at}\n`;
    };
    const log = await readKernelLog(lines());
    expect(log.events).toHaveLength(250_000);
    expect(log.notes.join()).toContain("10 more lines were not kept");
  });
});

describe("splitDeviceName()", () => {
  test.each([
    ["sda", "sda", undefined],
    ["sda1", "sda", 1],
    ["/dev/sdaa12", "sdaa", 12],
    ["nvme0n1", "nvme0n1", undefined],
    ["nvme0n1p2", "nvme0n1", 2],
    ["mmcblk0p1", "mmcblk0", 1],
    ["loop7p3", "loop7", 3],
    ["md127", "md127", undefined],
    ["md127p1", "md127", 1],
    ["pmem0", "pmem0", undefined],
    ["pmem0p1", "pmem0", 1],
    ["pmem1s", "pmem1s", undefined],
    ["pmem1sp2", "pmem1s", 2],
    ["nbd0p1", "nbd0", 1],
    ["dm-3", "dm-3", undefined],
    ["sr0", "sr0", undefined],
    ["vdb3", "vdb", 3],
    ["cciss!c0d0p1", "cciss!c0d0", 1],
  ])("splits %s", (name, disk, partition) => {
    expect(splitDeviceName(name)).toEqual({ disk, partition });
  });
});
