/** live-media: reads around bad sectors, writes of whole units, and what a failure leaves, on a live file in memory. */
import { describe, expect, test } from "vitest";
import { MediaError, PAGE, SECTOR, StorageError } from "../../src/base/index.ts";
import {
  LiveMedia,
  MediaDevice,
  type Capabilities,
  type FileShape,
  type LiveMediaParts,
} from "../../src/device/index.ts";
import { createMemoryStore } from "../../src/poison/index.ts";
import { FakeLiveHandle } from "./support/fake-live-handle.ts";

const SIZE = 8 * PAGE;
const CAPABILITIES: Capabilities = {
  poisonUnit: SECTOR,
  clearUnit: PAGE,
  pageSize: PAGE,
  clear: "overwrite",
  listsErrors: true,
  failedRead: "cheap",
  mediated: false,
  readOnly: false,
  recovers: true,
};

function content(length = SIZE): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (index * 7 + (index >> 9)) % 251);
}

interface Made {
  readonly file: FakeLiveHandle;
  readonly media: LiveMedia;
  readonly shapes: string[];
}

/** A file whose bad sectors the kernel lists, with the device below it. */
function make(sectors: readonly number[], options: Partial<LiveMediaParts> = {}): Made {
  const bad = new Set(sectors);
  const bytes = content();
  const file = new FakeLiveHandle(bytes, { bad, size: options.contentSize ?? SIZE });
  const below = new FakeLiveHandle(bytes, { bad, kind: "block" });
  const shapes: string[] = [];
  const media = new LiveMedia({
    file,
    size: SIZE,
    capabilities: CAPABILITIES,
    listed: () => [...bad].map((sector) => ({ offset: sector * SECTOR, length: SECTOR })),
    shapes: {
      begin: ({ size, modifiedNs }: FileShape) => void shapes.push(`begin ${size} ${modifiedNs}`),
      end: () => void shapes.push("end"),
    },
    below: { file: below, place: (range) => [{ ...range, at: range.offset }] },
    ...options,
  });
  return { file, media, shapes };
}

function deviceOf({ media, file }: Made): MediaDevice {
  const device = new MediaDevice(media, { store: createMemoryStore({ size: SIZE }) });
  for (const sector of file.bad)
    device.takeList([{ offset: sector * SECTOR, length: SECTOR, state: "poisoned" }], {
      remember: true,
    });
  return device;
}

const PAGE_2 = 2 * PAGE;
const HALF = PAGE_2 / SECTOR + 3;

describe("LiveMedia", () => {
  test("readSync() asks the device below for clean sectors of a page that is bad in part, and names the bad one alone", () => {
    const { media } = make([HALF]);
    const into = new Uint8Array(4 * PAGE);
    expect(media.readSync(into, PAGE)).toEqual([{ offset: HALF * SECTOR, length: SECTOR }]);
    const expected = content().subarray(PAGE, 5 * PAGE);
    const [from, to] = [HALF * SECTOR - PAGE, HALF * SECTOR - PAGE + SECTOR];
    expect(Buffer.compare(into.subarray(0, from), expected.subarray(0, from))).toBe(0);
    expect(Buffer.compare(into.subarray(to), expected.subarray(to))).toBe(0);
  });

  test("readSync() without the device below names the whole page: its clean bytes cannot be told (R1)", () => {
    const { media } = make([HALF], { below: undefined });
    expect(media.readSync(new Uint8Array(SIZE), 0)).toEqual([{ offset: PAGE_2, length: PAGE }]);
  });

  test("R2: heal() writes whole pages and keeps the clean neighbours of a page that is bad in part", () => {
    const made = make([HALF]);
    const device = deviceOf(made);
    const data = content().slice(HALF * SECTOR, (HALF + 1) * SECTOR);
    made.file.bytes.fill(0xee, HALF * SECTOR, (HALF + 1) * SECTOR);
    expect(device.heal([{ offset: HALF * SECTOR, data }])).toEqual([undefined]);
    expect(made.file.calls).toContain(`write ${PAGE_2} ${PAGE}`);
    expect(Buffer.compare(made.file.bytes, content())).toBe(0);
    expect(device.poison.empty).toBe(true);
    expect(made.file.modifiedNs).toBe(5n);
  });

  test("R5: heal() fails where the kernel refuses, changes nothing, and the list stays", () => {
    const made = make([HALF]);
    made.file.clears = false;
    const device = deviceOf(made);
    const [failure] = device.heal([{ offset: HALF * SECTOR, data: new Uint8Array(SECTOR) }]);
    expect(failure).toBeInstanceOf(MediaError);
    expect(failure?.message).toContain("EFAULT");
    expect(Buffer.compare(made.file.bytes, content())).toBe(0);
    expect([...device.poison.bad({ offset: 0, length: SIZE })]).toEqual([
      { offset: HALF * SECTOR, length: SECTOR, state: "poisoned" },
    ]);
  });

  test("R5: heal() fails where the kernel answers well and still lists the range", () => {
    const stuck = { offset: HALF * SECTOR, length: SECTOR };
    const made = make([HALF], { listed: () => [stuck] });
    const device = deviceOf(made);
    const [failure] = device.heal([{ offset: HALF * SECTOR, data: new Uint8Array(SECTOR) }]);
    expect(failure).toBeInstanceOf(MediaError);
    expect(device.poison.empty).toBe(false);
  });

  test("heal() refuses a page that holds other bad bytes: another program would read what stands there then", () => {
    const made = make([HALF, HALF + 2]);
    const device = deviceOf(made);
    const [failure] = device.heal([{ offset: HALF * SECTOR, data: new Uint8Array(SECTOR) }]);
    expect(failure?.message).toContain("other bad bytes");
    expect(made.file.calls.filter((call) => call.startsWith("write"))).toEqual([]);
  });

  test("write() of the last page gives the file its size and times back, and keeps them durably meanwhile", () => {
    const contentSize = 7 * PAGE + 1000;
    const last = (7 * PAGE) / SECTOR;
    const made = make([last], { contentSize });
    const device = deviceOf(made);
    const data = content().slice(7 * PAGE, 7 * PAGE + SECTOR);
    expect(device.heal([{ offset: 7 * PAGE, data }])).toEqual([undefined]);
    expect(made.file.length).toBe(contentSize);
    expect(made.file.modifiedNs).toBe(5n);
    expect(made.shapes).toEqual([`begin ${contentSize} 5`, "end"]);
  });

  test("write() that fails on the last page leaves size and times as they were", () => {
    const contentSize = 7 * PAGE + 1000;
    const made = make([(7 * PAGE) / SECTOR], { contentSize });
    made.file.clears = false;
    expect(() => made.media.write(new Uint8Array(PAGE), 7 * PAGE)).toThrow(MediaError);
    expect([made.file.length, made.file.modifiedNs]).toEqual([contentSize, 5n]);
  });

  test("heal() stops before the next write where the file is no longer ours alone", () => {
    const busy = new StorageError("EBUSY", "another program wants it");
    const made = make([HALF], {
      mayWrite: () => {
        throw busy;
      },
    });
    const device = deviceOf(made);
    expect(() => device.heal([{ offset: HALF * SECTOR, data: new Uint8Array(SECTOR) }])).toThrow(
      busy,
    );
    expect(made.file.calls.filter((call) => call.startsWith("write"))).toEqual([]);
    expect(device.poison.empty).toBe(false);
  });

  test("R3: an intent that a crash left puts nothing over what is still bad, and other programs go on getting an error", () => {
    const made = make([HALF]);
    const store = createMemoryStore({ size: SIZE });
    const keep = content().slice(PAGE_2, HALF * SECTOR);
    store.beginIntent({
      lost: [{ offset: HALF * SECTOR, length: SECTOR }],
      keep: [{ offset: PAGE_2, data: keep }],
    });
    const device = new MediaDevice(made.media, { store });
    expect(made.file.calls.filter((call) => call.startsWith("write"))).toEqual([]);
    expect(made.file.bad.has(HALF)).toBe(true);
    expect([...device.poison.bad({ offset: 0, length: SIZE })]).toEqual([
      { offset: HALF * SECTOR, length: SECTOR, state: "lost" },
    ]);
  });

  test("R3: an intent whose clear came, and whose data did not, puts the kept neighbours back and calls the rest lost", () => {
    const made = make([]);
    const store = createMemoryStore({ size: SIZE });
    const page = content().slice(PAGE_2, PAGE_2 + PAGE);
    made.file.bytes.fill(0xdd, PAGE_2, PAGE_2 + PAGE);
    const within = HALF * SECTOR - PAGE_2;
    store.beginIntent({
      lost: [{ offset: HALF * SECTOR, length: SECTOR }],
      keep: [
        { offset: PAGE_2, data: page.slice(0, within) },
        { offset: (HALF + 1) * SECTOR, data: page.slice(within + SECTOR) },
      ],
    });
    const device = new MediaDevice(made.media, { store });
    const now = made.file.bytes.subarray(PAGE_2, PAGE_2 + PAGE);
    expect(Buffer.compare(now.subarray(0, within), page.subarray(0, within))).toBe(0);
    expect(Buffer.compare(now.subarray(within + SECTOR), page.subarray(within + SECTOR))).toBe(0);
    expect([...device.poison.bad({ offset: 0, length: SIZE })]).toEqual([
      { offset: HALF * SECTOR, length: SECTOR, state: "lost" },
    ]);
    expect(device.readSync(new Uint8Array(SECTOR), HALF * SECTOR).missing).toHaveLength(1);
  });

  test("read() refuses a file that became shorter: its end is no media error", async () => {
    const made = make([]);
    made.file.length = PAGE;
    await expect(made.media.read(new Uint8Array(PAGE), PAGE_2)).rejects.toThrow(/ESTALE/);
  });
});
