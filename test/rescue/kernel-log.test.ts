/** kernel-log: a corpus of lines as kernels of many years print them, behind every prefix, and hostile text. */
import { describe, expect, test } from "vitest";
import { createPrng } from "../../src/base/index.ts";
import {
  parseKernelLog,
  readKernelLog,
  type KernelLogOptions,
} from "../../src/rescue/kernel-log.ts";
import type { KernelEvent } from "../../src/rescue/kernel-event.ts";
import { splitDeviceName } from "../../src/rescue/device-name.ts";

const SEED = Number(process.env["SEED"] ?? Date.now() % 2 ** 31);

function one(text: string, options: KernelLogOptions = {}): KernelEvent | undefined {
  const { events } = parseKernelLog(text, options);
  expect(events.length).toBeLessThan(2);
  return events[0];
}

const sector = (number: number) => ({ offset: number * 512, length: 512 });

/** A line, and what of its event must be so. */
const CORPUS: readonly (readonly [string, Partial<KernelEvent>])[] = [
  // the block layer, 2.6 to 6.x
  [
    "I/O error, dev sda, sector 1953120 op 0x0:(READ) flags 0x80700 phys_seg 1 prio class 2",
    {
      kind: "block",
      device: "sda",
      status: "I/O error",
      cause: "unknown",
      operation: "read",
      range: sector(1953120),
      precision: "from",
    },
  ],
  [
    "critical medium error, dev nvme0n1, sector 0 op 0x0:(READ) flags 0x0 phys_seg 1 prio class 2",
    {
      kind: "block",
      device: "nvme0n1",
      status: "critical medium error",
      cause: "media",
      range: sector(0),
    },
  ],
  [
    "blk_update_request: critical medium error, dev sde, sector 3260792 op 0x0:(READ) flags 0x80700 phys_seg 211 prio class 0",
    { device: "sde", cause: "media", range: sector(3260792), operation: "read" },
  ],
  [
    "blk_update_request: critical target error, dev sdb, sector 77",
    { cause: "other", status: "critical target error", range: sector(77) },
  ],
  [
    "print_req_error: I/O error, dev sdc, sector 12345",
    { device: "sdc", range: sector(12345), operation: undefined },
  ],
  [
    "end_request: I/O error, dev cciss!c0d0, sector 88",
    { device: "cciss!c0d0", range: sector(88) },
  ],
  [
    "I/O error, dev sda, sector 8 op 0x1:(WRITE) flags 0x800 phys_seg 1 prio class 2",
    { operation: "write" },
  ],
  [
    "I/O error, dev sdx, sector 0 op 0x3:(DISCARD) flags 0x800 phys_seg 1 prio class 2",
    { operation: undefined },
  ],
  [
    "timeout error, dev vda, sector 4096 op 0x0:(READ) flags 0x0 phys_seg 1 prio class 2",
    { cause: "other", device: "vda" },
  ],
  [
    "recoverable transport error, dev sdb, sector 1 op 0x0:(READ) flags 0x4000 phys_seg 1 prio class 2",
    { cause: "other" },
  ],
  // buffers
  [
    "Buffer I/O error on dev sda1, logical block 244139, async page read",
    {
      kind: "buffer",
      device: "sda1",
      range: { offset: 244139 * 4096, length: 4096 },
      operation: "read",
      precision: "within",
      unitGuessed: true,
    },
  ],
  [
    "Buffer I/O error on device sr0, logical block 508965",
    { device: "sr0", operation: undefined, status: "Buffer I/O error" },
  ],
  [
    "Buffer I/O error on dev dm-3, logical block 12, lost sync page write",
    { device: "dm-3", operation: "write" },
  ],
  [
    "Buffer I/O error on dev pmem0, logical block 0, async page read",
    { device: "pmem0", range: { offset: 0, length: 4096 } },
  ],
  // SCSI and ATA
  [
    "sd 0:0:1:0: [sdb] tag#12 Add. Sense: Unrecovered read error",
    {
      kind: "scsi",
      device: "sdb",
      status: "Unrecovered read error",
      cause: "media",
      range: undefined,
    },
  ],
  [
    "sd 0:0:1:0: [sdb] tag#12 Add. Sense: Unrecovered read error - auto reallocate failed",
    { cause: "media" },
  ],
  [
    "sd 2:0:0:0: [sdc]  Add. Sense: Logical unit communication failure",
    { device: "sdc", cause: "other" },
  ],
  [
    "sd 0:0:1:0: [sdb] tag#12 CDB: Read(10) 28 00 00 1d cf a0 00 00 08 00",
    {
      device: "sdb",
      range: { offset: 0x1dcfa0 * 512, length: 8 * 512 },
      operation: "read",
      precision: "within",
    },
  ],
  [
    "sd 2:0:0:0: [sdb] CDB: Read(10): 28 00 38 80 16 08 00 00 08 00",
    { range: { offset: 0x38801608 * 512, length: 4096 } },
  ],
  [
    "sd 3:0:0:0: [sdd] tag#1 CDB: Read(16) 88 00 00 00 00 02 ba a0 f0 00 00 00 01 00 00 00",
    { range: { offset: 0x2baa0f000 * 512, length: 256 * 512 } },
  ],
  [
    "sd 3:0:0:0: [sdd] tag#1 CDB: Write(6) 0a 1f ff ff 00 00",
    { operation: "write", range: { offset: 0x1fffff * 512, length: 256 * 512 } },
  ],
  [
    "ata3.00: res 41/40:00:90:e3:57/00:00:14:00:00/40 Emask 0x409 (media error) <F>",
    { kind: "ata", device: "ata3.00", cause: "media", range: sector(0x1457e390) },
  ],
  [
    "         res 41/40:00:90:e3:57/00:00:14:00:00/40 Emask 0x409 (media error) <F>",
    { kind: "ata", device: undefined, range: sector(0x1457e390) },
  ],
  [
    "ata1.00: res 40/00:ff:00:00:00/00:00:00:00:00/00 Emask 0x4 (timeout)",
    { cause: "other", range: undefined },
  ],
  // NVMe
  [
    "nvme0n1: Read(0x2) @ LBA 1234, 8 blocks, Unrecovered Read Error (sct 0x2 / sc 0x81) MORE DNR",
    {
      kind: "nvme",
      device: "nvme0n1",
      cause: "media",
      status: "Unrecovered Read Error",
      operation: "read",
      range: { offset: 1234 * 512, length: 4096 },
    },
  ],
  [
    "nvme0c1n1: I/O Cmd(0x2) @ LBA 0, 8 blocks, I/O Error (sct 0x2 / sc 0x86) DNR",
    { device: "nvme0n1", operation: undefined },
  ],
  [
    "nvme1n1: Write(0x1) @ LBA 9, 1 blocks, Internal Error (sct 0x0 / sc 0x6)",
    { cause: "other", operation: "write" },
  ],
  // file systems
  [
    "EXT4-fs error (device sda1): ext4_find_entry:1455: inode #2: comm ls: reading directory lblock 0",
    {
      kind: "ext4",
      device: "sda1",
      inode: 2,
      fileBlock: 0,
      status: "reading directory lblock 0",
      operation: "read",
      range: undefined,
    },
  ],
  [
    "EXT4-fs error (device sda2): __ext4_get_inode_loc:4526: inode #131074: block 524320: comm find: unable to read itable block",
    {
      inode: 131074,
      range: { offset: 524320 * 4096, length: 4096 },
      unitGuessed: true,
      status: "unable to read itable block",
    },
  ],
  [
    "EXT4-fs warning (device dm-0): htree_dirblock_to_tree:1072: inode #12: lblock 7: comm rm: error -5 reading directory block",
    { device: "dm-0", inode: 12, fileBlock: 7 },
  ],
  [
    "EXT4-fs error (device vdb): ext4_wait_block_bitmap:537: comm kworker/u8: Cannot read block bitmap - block_group = 3, block_bitmap = 1027",
    { range: { offset: 1027 * 4096, length: 4096 } },
  ],
  [
    "EXT4-fs warning (device sdb1): ext4_end_bio:344: I/O error 10 writing to inode 4195 starting block 9728)",
    { inode: 4195, operation: "write", range: { offset: 9728 * 4096, length: 4096 } },
  ],
  [
    "EXT4-fs error (device sdc1) in ext4_reserve_inode_write:5765: IO failure",
    { device: "sdc1", status: "IO failure" },
  ],
  [
    "JBD2: Detected IO errors while flushing file data on sda1-8",
    { kind: "journal", device: "sda1" },
  ],
  ["Aborting journal on device dm-1-8.", { kind: "journal", device: "dm-1" }],
  ["JBD2: Failed to read block at offset 5233", { kind: "journal", device: undefined }],
  [
    'XFS (dm-0): metadata I/O error in "xfs_trans_read_buf_map" at daddr 0x5e070348 len 8 error 5',
    {
      kind: "xfs",
      device: "dm-0",
      range: { offset: 0x5e070348 * 512, length: 4096 },
      cause: "unknown",
    },
  ],
  [
    'XFS (sda1): metadata I/O error in "xfs_imap_to_bp+0x67/0xa0 [xfs]" at daddr 0x80 len 32 error 61',
    { cause: "media", range: { offset: 65536, length: 16384 } },
  ],
  [
    'XFS (dm-8): metadata I/O error: block 0x5e070348 ("xfs_trans_read_buf_map") error 117 numblks 8',
    { cause: "other", range: { offset: 0x5e070348 * 512, length: 4096 } },
  ],
  [
    "XFS (sdb1): writeback error on inode 133, offset 4096, sector 1234",
    { inode: 133, range: sector(1234), operation: "write" },
  ],
  [
    "BTRFS warning (device sda1): i/o error at logical 298844160 on dev /dev/sda1, physical 298844160, root 5, inode 257, offset 0, length 4096, links 1 (path: a b.bin)",
    {
      kind: "btrfs",
      device: "sda1",
      inode: 257,
      range: { offset: 298844160, length: 4096 },
      cause: "media",
    },
  ],
  // md and device-mapper
  [
    "md/raid1:md0: sdb1: rescheduling sector 29365296",
    { kind: "md", device: "md0", cause: "corrected", range: sector(29365296) },
  ],
  [
    "md/raid1:md127: redirecting sector 1849689328 to other mirror: sda3",
    { device: "md127", cause: "corrected" },
  ],
  [
    "md/raid1:md0: read error corrected (8 sectors at 2056 on sdb1)",
    {
      device: "sdb1",
      cause: "corrected",
      range: { offset: 2056 * 512, length: 4096 },
      precision: "exact",
    },
  ],
  [
    "md/raid:md5: read error not correctable (sector 208 on sdd).",
    { device: "sdd", cause: "media", range: sector(208) },
  ],
  [
    "md/raid1:md0: sda: unrecoverable I/O read error for block 4711",
    { device: "md0", cause: "media", range: sector(4711) },
  ],
  [
    "device-mapper: integrity: dm-2: Checksum failed at sector 0x1f8",
    { kind: "device-mapper", device: "dm-2", range: sector(0x1f8), cause: "other" },
  ],
  [
    "device-mapper: raid1: Read failure on mirror device 8:16.  Trying alternative device.",
    { kind: "device-mapper", device: "8:16", operation: "read" },
  ],
  [
    "device-mapper: multipath: 253:0: Failing path 8:32.",
    { kind: "device-mapper", device: "253:0" },
  ],
  // memory
  [
    "mce: [Hardware Error]: TSC 0 ADDR 3f0a1000 MISC 8c",
    {
      kind: "memory",
      space: "physical",
      cause: "media",
      range: { offset: 0x3f0a1000, length: 64 },
    },
  ],
  ["EDAC sbridge MC1: ADDR ee30a0000", { range: { offset: 0xee30a0000, length: 64 } }],
  [
    "Memory failure: 0x12345: recovery action for dax page: Recovered",
    {
      space: "physical",
      range: { offset: 0x12345000, length: 4096 },
      status: "recovery action for dax page: Recovered",
    },
  ],
  [
    "Memory failure: 0x30a6a8f: unhandlable page.",
    { range: { offset: 0x30a6a8f000, length: 4096 } },
  ],
  [
    "MCE 0x39c2: recovery action for dirty LRU page: Recovered",
    { range: { offset: 0x39c2000, length: 4096 } },
  ],
  [
    "{7}[Hardware Error]:   physical_address: 0x000000276aeb0180",
    { range: { offset: 0x276aeb0180, length: 64 }, status: "hardware error record" },
  ],
  [
    "{1}[Hardware Error]: physical address: 0x0000000e16677000",
    { range: { offset: 0xe16677000, length: 64 } },
  ],
  [
    "EDAC MC0: 1 UE memory read error on CPU_SrcID#0_MC#0_Chan#1_DIMM#0 (channel:1 slot:0 page:0x10de60 offset:0x680 grain:32 syndrome:0x0 )",
    { cause: "media", range: { offset: 0x10de60 * 4096 + 0x680, length: 32 } },
  ],
  [
    "EDAC MC0: 4 CE error on CPU#0Channel#2_DIMM#0 (channel:2 slot:0 page:0x0 offset:0x0 grain:8 syndrome:0x0)",
    { cause: "corrected", range: undefined },
  ],
  ["nd_pmem namespace0.0: read error: -5", { kind: "pmem", device: "namespace0.0" }],
  [
    "cxl_poison: memdev=mem1 host=cxl_mem.1 serial=0 trace_type=List region=region5 region_uuid=1 hpa=0xf110001000 hpa_alias0=0x0 dpa=0x40000000 dpa_length=0x40 source=Injected flags= overflow_time=0",
    { kind: "pmem", device: "mem1", range: { offset: 0x40000000, length: 64 }, precision: "exact" },
  ],
];

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
