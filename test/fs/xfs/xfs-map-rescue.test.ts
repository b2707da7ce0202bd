/** openXfsMap() under the rescue verbs: an XFS image is surveyed, salvaged, repaired in place and verified, and xfs_repair finds nothing new. */
import { copyFileSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { openFileMap } from "../../../src/fs/index.ts";
import { theriac, theriacJson, useWorkplace } from "../../cli/support/theriac.ts";
import { fileSource, run, Scratch } from "../ext4/scratch.ts";
import { hasXfsPrograms, xfsImage, type XfsImage } from "./support/xfs-images.ts";

const place = useWorkplace();
const scratch = new Scratch();
afterAll(() => scratch.dispose());

/** Poisons ranges of an image that is then kept by theriac. */
async function poison(
  image: string,
  ranges: readonly { readonly at: number; readonly length: number }[],
): Promise<void> {
  await theriac(["create", image, "--adopt", "--poison-unit", "512", "--clear-unit", "512"]);
  for (const { at, length } of ranges)
    expect(
      (await theriac(["inject", image, "--at", String(at), "--length", String(length)])).code,
    ).toBe(0);
}

/** Writes the files that were put into an image, with the times that they have there. */
async function writeBackup(made: XfsImage, folder: string): Promise<void> {
  const map = await openFileMap(fileSource(made.path));
  for (const [path, bytes] of made.files) {
    mkdirSync(join(folder, dirname(path)), { recursive: true });
    writeFileSync(join(folder, path), bytes);
    const { modifiedNs } = (await map.info((await map.lookup(path))!))!;
    // To the nanosecond, which a number of seconds is not.
    if (bytes.length > 20_000)
      run("touch", [
        "-d",
        `@${modifiedNs / 10n ** 9n}.${String(modifiedNs % 10n ** 9n).padStart(9, "0")}`,
        join(folder, path),
      ]);
  }
}

describe.skipIf(!hasXfsPrograms)("an XFS image (needs xfsprogs)", () => {
  let made: XfsImage;
  let image = "";
  let backup = "";
  let count = 0;

  beforeEach(async () => {
    made ??= xfsImage(scratch, "whole.img", { options: ["-m", "rmapbt=1,reflink=1"], seed: 11 });
    count += 1;
    image = join(place.folder, `xfs-${count}.img`);
    backup = join(place.folder, `backup-${count}`);
    copyFileSync(made.path, image);
    mkdirSync(backup);
    await writeBackup(made, backup);
  });

  /** Where a byte of a file is on the image. */
  const placeOf = async (path: string, offset: number): Promise<number> => {
    const map = await openFileMap(fileSource(made.path));
    const [extent] = await map.extents((await map.lookup(path))!, { offset, length: 1 });
    return extent!.device!;
  };

  test("survey and salvage of one file name the bytes that are gone", async () => {
    const at = await placeOf("/report", 8192);
    await poison(image, [{ at, length: 512 }]);
    const { code, document } = await theriacJson(["survey", image]);
    expect({ code, document }).toMatchObject({
      code: 1,
      document: {
        filesystem: "xfs",
        missing: 512,
        damage: [
          {
            offset: at,
            owners: [
              {
                kind: "file",
                what: "data",
                paths: ["/report"],
                ranges: [{ offset: 8192, length: 512 }],
              },
            ],
          },
        ],
      },
    });
    const out = join(place.folder, `out-${count}`);
    const salvaged = await theriac(["salvage", image, out, "--file", "/report"]);
    expect(salvaged.code).toBe(1);
    const whole = made.files.get("/report")!;
    const saved = readFileSync(out);
    expect(saved.length).toBe(whole.length);
    expect(Buffer.compare(saved.subarray(0, 8192), whole.subarray(0, 8192))).toBe(0);
    expect(Buffer.compare(saved.subarray(8704), whole.subarray(8704))).toBe(0);
  });

  test("R8: repair from a directory makes the image what it was, byte for byte", async () => {
    const files = [...made.files].filter(([, bytes]) => bytes.length > 20_000);
    const ranges: { at: number; length: number }[] = [];
    for (const [path] of files) ranges.push({ at: await placeOf(path, 4096), length: 512 });
    await poison(image, ranges);
    const repaired = await theriacJson(["repair", image, "--from", backup]);
    expect(repaired).toMatchObject({ code: 0, document: { missing: 0, moved: [], exitCode: 0 } });
    expect(Buffer.compare(readFileSync(image), readFileSync(made.path))).toBe(0);
    expect((await theriacJson(["verify", image, "--against", backup])).code).toBe(0);
    const found = (path: string): readonly string[] =>
      run("xfs_repair", ["-n", "-f", path], 1).replaceAll(/0x\w+/g, "").split("\n").sort();
    expect(found(image)).toEqual(found(made.path));
  });

  test("repair from an image of the same generation brings metadata back", async () => {
    const map = await openFileMap(fileSource(made.path));
    const owned = await map.owners([{ offset: 0, length: map.size }]);
    const ranges = [
      "inode",
      "directory-block",
      "free-space-tree",
      "reverse-map-tree",
      "inode-header",
    ].map((what) => {
      const range = owned.find(({ owners }) => owners.some((owner) => owner.what === what))!;
      return { at: range.offset, length: 512 };
    });
    await poison(image, ranges);
    const repaired = await theriacJson(["repair", image, "--from", made.path]);
    expect(repaired).toMatchObject({ code: 0, document: { missing: 0 } });
    expect(Buffer.compare(readFileSync(image), readFileSync(made.path))).toBe(0);
  });

  test("R4: undo makes lost again what a repair wrote, and acknowledge gives up a file's bytes", async () => {
    const [at, other] = [await placeOf("/report", 8192), await placeOf("/report", 65_536)];
    await poison(image, [
      { at, length: 512 },
      { at: other, length: 512 },
    ]);
    expect((await theriac(["repair", image, "--from", backup])).code).toBe(0);
    await theriac(["undo", image]);
    const undone = await theriacJson(["survey", image]);
    expect(undone).toMatchObject({ code: 1, document: { missing: 1024, totals: { lost: 1024 } } });
    const given = await theriac(["acknowledge", image, "--file", "/report"]);
    expect(given.stdout).toContain("acknowledged 1024");
    const after = await theriacJson(["survey", image]);
    expect(after).toMatchObject({ code: 0, document: { missing: 0 } });
    const zeros = readFileSync(image).subarray(at, at + 512);
    expect(zeros.every((byte) => byte === 0)).toBe(true);
  });

  test("a log that holds changes refuses a repair (exit 4), and survey says of when owners are", async () => {
    const bytes = readFileSync(image);
    const map = await openFileMap(fileSource(made.path));
    const owned = await map.owners([{ offset: 0, length: map.size }]);
    const log = owned.find(({ owners }) => owners[0]!.what === "journal-log")!.offset;
    // The record of the unmount becomes one of something else.
    bytes[log + 512 + 9] = 0;
    writeFileSync(image, bytes);
    const at = await placeOf("/report", 8192);
    await poison(image, [{ at, length: 512 }]);
    const survey = await theriacJson(["survey", image]);
    expect(JSON.stringify(survey.document)).toContain("owners are as of its last checkpoint");
    const refused = await theriac(["repair", image, "--from", backup]);
    expect(refused.code).toBe(4);
    expect(refused.stdout + refused.stderr).toContain("xfs_repair");
  });

  test("R1: a poisoned log counts as one that holds changes", async () => {
    const map = await openFileMap(fileSource(made.path));
    const owned = await map.owners([{ offset: 0, length: map.size }]);
    const log = owned.find(({ owners }) => owners[0]!.what === "journal-log")!.offset;
    await poison(image, [{ at: log, length: 512 }]);
    expect(JSON.stringify((await theriacJson(["survey", image])).document)).toContain(
      "cannot be read",
    );
    expect(statSync(image).size).toBe(map.size);
  });
});
