/** Files of an ext4 on targets with a mind of their own: what log-writes logs of calls and mappings, and what dust makes of reads. */
import { describe, expect, test } from "vitest";
import { createMemoryDevice, type ManagedDevice } from "../../src/device/index.ts";
import { openFile, RWF_RECOVERY_DATA, type Face, type File } from "../../src/file/index.ts";
import { openFileMap } from "../../src/fs/index.ts";
import {
  activateRows,
  loadTable,
  mappedDevice,
  parseTable,
  replayLog,
  sendMessage,
  type MappedDevice,
} from "../../src/mapper/index.ts";
import { treeImage } from "../rescue/support/tree.ts";

const PAGE = 4096;
const PATH = "/docs/archive.bin";

interface Mounted {
  readonly table: MappedDevice;
  readonly leaf: ReturnType<typeof createMemoryDevice>;
  readonly log: ManagedDevice;
  readonly open: (face: Face) => Promise<File>;
  readonly say: (...words: string[]) => Promise<string | undefined>;
}

/** The tree's image under one row: its device is called "a". */
async function mount(target: string): Promise<Mounted> {
  const bytes = treeImage();
  const leaf = createMemoryDevice({ bytes, poisonUnit: 512, clearUnit: 512, name: "a" });
  const log = createMemoryDevice({ size: 4 * 1024 * 1024, name: "log" });
  const rows = loadTable(parseTable(`0 ${bytes.length / 512} ${target}`, "t"), {
    path: "t",
    lookup: (word) => (word === "a" ? leaf : log),
  });
  await activateRows(rows);
  const table = mappedDevice(rows, { name: "t" });
  const map = await openFileMap(table);
  return {
    table,
    leaf,
    log,
    open: (face) => openFile(table, { map, path: PATH, face }),
    say: async (...words) => (await sendMessage(table, { sector: 0, words })).reply,
  };
}

/** Where the file begins on the device. */
async function placeOf(device: ManagedDevice): Promise<number> {
  const map = await openFileMap(device);
  const [extent] = await map.extents((await map.lookup(PATH)) ?? 0, { pastEnd: true });
  return extent?.device ?? 0;
}

async function contentOf(device: ManagedDevice): Promise<Uint8Array> {
  const bytes = new Uint8Array(device.size);
  await device.read(bytes, 0);
  return bytes;
}

const filled = (length: number, value: number): Uint8Array => new Uint8Array(length).fill(value);

describe("a file on log-writes", () => {
  test("S72: stores into a mapping, calls and recovery up to a mark are replayed whole", async () => {
    const { table, leaf, log, open, say } = await mount("log-writes a log");
    const file = await open("dax");
    const mapping = file.map();
    mapping.store(filled(3000, 1), 100);
    await mapping.sync();
    await file.pwritev2(filled(PAGE * 2, 2), PAGE * 2, 0);
    const device = await placeOf(leaf);
    leaf.inject({ offset: device + PAGE * 5, length: 512 });
    expect(await file.pwritev2(filled(PAGE, 3), PAGE * 5, RWF_RECOVERY_DATA)).toBe(PAGE);
    await table.flush();
    await say("mark", "good");
    const wanted = await contentOf(leaf);
    await file.pwritev2(filled(PAGE * 8, 9), 0, 0);
    await table.flush();
    await table.close();

    const copy = createMemoryDevice({ bytes: treeImage() });
    await replayLog(log, copy, { endMark: "good" });
    expect(Buffer.compare(await contentOf(copy), wanted)).toBe(0);
    const replayed = await openFile(copy, { map: await openFileMap(copy), path: PATH });
    const into = new Uint8Array(PAGE * 6);
    expect(await replayed.preadv2(into, 0, 0)).toBe(into.length);
    expect([into[100], into[3099], into[PAGE * 2], into[PAGE * 5]]).toEqual([1, 1, 2, 3]);
    await replayLog(log, copy);
    expect(Buffer.compare(await contentOf(copy), await contentOf(leaf))).toBe(0);
  });
});

describe("a file on dust", () => {
  test.each<Face>(["direct", "buffered"])(
    "R1: fails where a block is listed, gives all before it with the flag, and heals with it: %s",
    async (face) => {
      const { open, say, leaf } = await mount("dust a 0 512");
      const file = await open(face);
      const block = ((await placeOf(leaf)) + PAGE * 3 + 512) / 512;
      await say("addbadblock", String(block));
      await say("enable");
      const into = new Uint8Array(PAGE * 2);
      await expect(file.preadv2(into, PAGE * 3, 0)).rejects.toThrow("EIO");
      expect(await file.preadv2(into, PAGE * 3, RWF_RECOVERY_DATA)).toBe(512);
      expect(await file.pwritev2(filled(512, 4), PAGE * 3 + 512, RWF_RECOVERY_DATA)).toBe(512);
      expect(await file.preadv2(into, PAGE * 3, 0)).toBe(into.length);
      expect(into[512]).toBe(4);
      expect(await say("countbadblocks")).toBe("countbadblocks: 0 badblock(s) found");
      expect(file.direct).toBeUndefined();
      await expect(open("dax")).rejects.toThrow("EOPNOTSUPP");
    },
  );
});
