/**
 * openXfsMap() on an image that Linux 6.1 wrote: extents that files share, a long link, preallocation.
 *
 * `fixtures/shared.xfs.gz` (32 MiB; mkfs.xfs -m rmapbt=1,reflink=1 -d agcount=2): /report is `seq 100000 120000`; /copies/whole shares all of it
 * but the third block, which was written anew; /copies/part shares its blocks 0 and 1 as 1 and 2; /short is its first 9000 bytes, shared whole
 * with /copies/short; /reserved has 64 KiB, of which one block was written; /long leads to `seq -s / 1 250`.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { beforeAll, describe, expect, test } from "vitest";
import { createMemoryDevice } from "../../../src/device/index.ts";
import { openFile, RWF_RECOVERY_DATA } from "../../../src/file/index.ts";
import { openFileMap, type FileMap, type Owner } from "../../../src/fs/index.ts";
import { openXfsMap } from "../../../src/fs/xfs/index.ts";
import { theriac, theriacJson, useWorkplace } from "../../cli/support/theriac.ts";
import { memorySource, poisoned } from "../ext4/scratch.ts";
import { blockUses, differences } from "./support/compare-blocks.ts";
import { hasXfsPrograms } from "./support/xfs-images.ts";

const place = useWorkplace();
const bytes = new Uint8Array(
  gunzipSync(readFileSync(join(import.meta.dirname, "fixtures/shared.xfs.gz"))),
);
const text = Array.from({ length: 20_001 }, (_, index) => `${100_000 + index}\n`).join("");
let map: FileMap;

beforeAll(async () => {
  map = await openFileMap(memorySource(bytes));
});

async function placeOf(path: string, offset: number): Promise<number> {
  const [extent] = await map.extents((await map.lookup(path))!, { offset, length: 1 });
  return extent!.device!;
}

const sharers = (owners: readonly Owner[]): unknown =>
  owners.map(({ paths, what, shared, ranges }) => [paths?.[0], what, shared, ranges[0]?.offset]);

test("owners() tells all sharers of an extent, each with its own place in its file", async () => {
  const [first] = await map.owners([{ offset: await placeOf("/report", 0), length: 512 }]);
  expect(sharers(first!.owners)).toEqual([
    ["/report", "data", true, 0],
    ["/copies/whole", "data", true, 0],
    ["/copies/part", "data", true, 4096],
  ]);
});

test("owners() tells one owner where the sharing was broken", async () => {
  for (const path of ["/report", "/copies/whole"]) {
    const [owned] = await map.owners([{ offset: await placeOf(path, 8192), length: 4096 }]);
    expect(sharers(owned!.owners)).toEqual([[path, "data", undefined, 8192]]);
  }
});

test("extents() marks what other files share", async () => {
  const shared = async (path: string): Promise<unknown> =>
    (await map.extents((await map.lookup(path))!)).map((each) => [each.offset, each.shared]);
  expect(await shared("/report")).toEqual([
    [0, true],
    [8192, undefined],
    [12288, true],
  ]);
  expect(await shared("/reserved")).toEqual([
    [0, undefined],
    [4096, undefined],
    [8192, undefined],
  ]);
});

test("R2: a write into a file that shares blocks is refused, and one into another file goes in place", async () => {
  const device = createMemoryDevice({ bytes: bytes.slice(), poisonUnit: 64, clearUnit: 256 });
  const shared = await openFile(device, { map, path: "/report" });
  await expect(shared.pwritev2(new Uint8Array(512), 0, RWF_RECOVERY_DATA)).rejects.toMatchObject({
    code: "EOPNOTSUPP",
    message: expect.stringContaining("shares blocks"),
  });
  const own = await openFile(device, { map, path: "/reserved" });
  const at = await placeOf("/reserved", 4096);
  device.inject({ offset: at, length: 64 });
  const into = new Uint8Array(8192);
  expect(await own.preadv2(into, 0, RWF_RECOVERY_DATA)).toBe(4096);
  expect(await own.pwritev2(new Uint8Array(4096).fill(7), 4096, RWF_RECOVERY_DATA)).toBe(4096);
  expect(await own.preadv2(into, 4096)).toBe(8192);
  expect(into.subarray(0, 4096).every((byte) => byte === 7)).toBe(true);
  await expect(own.pwritev2(new Uint8Array(512), 0)).rejects.toMatchObject({ code: "EOPNOTSUPP" });
});

test("owners() by the reverse map tells the same sharers", async () => {
  const whole = [{ offset: 0, length: map.size }];
  const other = await openXfsMap(memorySource(bytes), { source: "reverse-map" });
  expect(await other.owners(whole)).toEqual(await map.owners(whole));
});

test("owners() tells content of a file whose inode is poisoned, by the reverse map", async () => {
  const inode = (await map.lookup("/copies/whole"))!;
  const data = await placeOf("/copies/whole", 8192);
  const owned = await map.owners([{ offset: 0, length: map.size }]);
  const slot = owned.find(({ owners }) =>
    owners.some((owner) => owner.what === "inode" && owner.inode === inode),
  )!;
  const harmed = await openFileMap(memorySource(bytes, [poisoned(slot.offset, 512)]));
  const [told] = await harmed.owners([{ offset: data, length: 512 }]);
  expect(told!.owners).toMatchObject([
    {
      kind: "file",
      what: "data",
      inode,
      paths: ["/copies/whole"],
      ranges: [{ offset: 8192, length: 512 }],
      why: expect.stringContaining("reverse map"),
    },
  ]);
});

test("extents() leads to the bytes of shared files, of links, and to what is only reserved", async () => {
  const read = async (path: string): Promise<Buffer> => {
    const parts: Uint8Array[] = [];
    for (const { kind, device, length } of await map.extents((await map.lookup(path))!))
      parts.push(
        kind === "data" ? bytes.subarray(device, device! + length) : new Uint8Array(length),
      );
    return Buffer.concat(parts);
  };
  expect((await read("/report")).toString()).toBe(text);
  expect((await read("/short")).toString()).toBe(text.slice(0, 9000));
  expect((await read("/copies/part")).toString()).toBe("\0".repeat(4096) + text.slice(0, 8192));
  expect((await read("/long")).toString()).toBe(
    Array.from({ length: 250 }, (_, index) => index + 1).join("/"),
  );
  const reserved = await map.extents((await map.lookup("/reserved"))!);
  expect(reserved.map(({ kind, length }) => [kind, length])).toEqual([
    ["unwritten", 4096],
    ["data", 4096],
    ["unwritten", 57344],
  ]);
});

test.skipIf(!hasXfsPrograms)(
  "owners() of every block are what xfs_db says (needs xfsprogs)",
  async () => {
    const image = join(place.folder, "whole.img");
    writeFileSync(image, bytes);
    expect(
      differences(
        await map.owners([{ offset: 0, length: map.size }]),
        blockUses(image),
        map.blockSize,
      ),
    ).toEqual([]);
  },
);

describe("a shared block", () => {
  test("is written once, which heals it for every sharer, and the report names them", async () => {
    const image = join(place.folder, "shared.img");
    const at = await placeOf("/report", 0);
    writeFileSync(image, bytes);
    const donor = join(place.folder, "donor.img");
    writeFileSync(donor, bytes);
    await theriac(["create", image, "--adopt", "--poison-unit", "512", "--clear-unit", "512"]);
    await theriac(["inject", image, "--at", String(at), "--length", "512"]);
    const planned = await theriac(["plan", image, "--from", donor]);
    expect(planned.stdout).toContain("/report and 2 that share it");
    const survey = await theriac(["survey", image]);
    for (const path of ["/report", "/copies/whole", "/copies/part"])
      expect(survey.stdout).toContain(path);
    const repaired = await theriacJson(["repair", image, "--from", donor]);
    expect(repaired).toMatchObject({ code: 0, document: { missing: 0, sums: { repaired: 512 } } });
    expect(JSON.stringify(repaired.document)).toContain("/copies/part");
    expect(Buffer.compare(readFileSync(image), bytes)).toBe(0);
  });
});
