/** Surveys: every class of bytes is told, once, with its owners. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { openDirectoryDonor } from "../../src/donor/index.ts";
import {
  describeTarget,
  makePlan,
  repair,
  repairExitCode,
  survey,
} from "../../src/rescue/index.ts";
import { createMemoryDevice } from "../../src/device/index.ts";
import {
  hasProgram,
  memoryTarget,
  placeOf,
  removeTemporary,
  temporary,
  treeImage,
  writeTree,
} from "./support/tree.ts";

afterAll(removeTemporary);

/** Changes an image with debugfs; BLOCK in a command is a file of one block. */
function debugfs(image: Uint8Array, ...commands: readonly string[]): Uint8Array {
  const folder = mkdtempSync(join(tmpdir(), "theriac-debugfs-"));
  try {
    writeFileSync(join(folder, "image"), image);
    writeFileSync(join(folder, "block"), Buffer.alloc(4096, 5));
    const lines = commands.map((command) => command.replace("BLOCK", join(folder, "block")));
    writeFileSync(join(folder, "commands"), `${lines.join("\n")}\n`);
    const env = { ...process.env, PATH: `${process.env["PATH"]}:/usr/sbin:/sbin` };
    execFileSync("debugfs", ["-w", "-f", join(folder, "commands"), join(folder, "image")], {
      env,
      stdio: "pipe",
    });
    return readFileSync(join(folder, "image"));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

describe("survey()", () => {
  test("tells both names of a file with two (S52)", async () => {
    const target = await memoryTarget(treeImage());
    target.device.inject({ offset: await placeOf(target.map, "/small.txt"), length: 512 });
    const { damage } = await survey(target);
    expect(damage[0]?.owners).toMatchObject([
      { kind: "file", paths: ["/docs/hard link", "/small.txt"] },
    ]);
  });

  test("classes static metadata and free space (S53)", async () => {
    const target = await memoryTarget(treeImage());
    for (const block of [1, 2, target.map.size / 4096 - 1])
      target.device.inject({ offset: block * 4096, length: 512 });
    const { damage, missing } = await survey(target);
    expect(damage.map(({ owners }) => owners[0]?.kind)).toEqual(["metadata", "metadata", "free"]);
    expect(damage[0]?.owners[0]?.what).toBe("group-descriptors");
    expect(missing).toBe(1024);
  });

  test("names a file without a path by its inode (S54)", async (context) => {
    if (!hasProgram("debugfs")) context.skip("needs debugfs");
    const before = await memoryTarget(treeImage());
    const at = await placeOf(before.map, "/docs/archive.bin", 4096);
    const inode = await before.map.lookup("/docs/archive.bin");
    const target = await memoryTarget(debugfs(treeImage(), "unlink /docs/archive.bin"));
    target.device.inject({ offset: at, length: 512 });
    const { damage, missing } = await survey(target);
    expect(damage[0]?.owners).toMatchObject([
      { kind: "file", inode, ranges: [{ offset: 4096, length: 512 }] },
    ]);
    expect(damage[0]?.owners[0]?.paths ?? []).toEqual([]);
    expect(missing).toBe(512);
  });

  test("tells every bad byte once, in both states, and what is not bad never", async () => {
    const target = await memoryTarget(treeImage());
    const at = await placeOf(target.map, "/docs/big.bin", 65_536);
    target.device.inject({ offset: at, length: 2048 });
    target.device.clear({ offset: at, length: 1024 });
    const { damage, totals } = await survey(target);
    expect(damage.map(({ offset, length, state }) => [offset - at, length, state])).toEqual([
      [0, 1024, "lost"],
      [1024, 1024, "poisoned"],
    ]);
    expect(damage.reduce((sum, { length }) => sum + length, 0)).toBe(totals.poisoned + totals.lost);
  });

  test("surveys reported ranges without keeping them (R7)", async () => {
    const target = await memoryTarget(treeImage());
    const at = await placeOf(target.map, "/docs/big.bin", 65_536);
    target.device.inject({ offset: at, length: 512 });
    const result = await survey(target, { reported: [{ offset: at, length: 1024 }] });
    expect(result.totals).toMatchObject({ poisoned: 1024 });
    expect(
      result.totals.clean + result.totals.unread + result.totals.poisoned + result.totals.lost,
    ).toBe(result.totals.total);
    expect(result.missing).toBe(1024);
    expect(target.device.poison.totals().poisoned).toBe(512);
  });

  test("reads no data: latent poison in a file stays latent", async () => {
    const target = await memoryTarget(treeImage());
    target.device.inject(
      { offset: await placeOf(target.map, "/docs/big.bin", 65_536), length: 512 },
      { latent: true },
    );
    expect((await survey(target)).damage).toEqual([]);
    expect((await survey(target, { scan: true })).missing).toBe(512);
  });

  test("classes what is outside every file system: unknown where there is none", async () => {
    const device = createMemoryDevice({
      bytes: new Uint8Array(1024 * 1024).fill(3),
      poisonUnit: 512,
      clearUnit: 512,
    });
    device.inject({ offset: 4096, length: 512 });
    const { filesystem, damage, missing } = await survey(
      await describeTarget(device, { path: "raw" }),
    );
    expect({ filesystem, missing }).toEqual({ filesystem: null, missing: 512 });
    expect(damage[0]?.owners).toMatchObject([{ kind: "unknown", what: "unknown" }]);
  });
});

describe("a journal that holds changes", () => {
  test("is told by the survey, and refuses a repair of files with 4 and the way out", async (context) => {
    if (!hasProgram("debugfs")) context.skip("needs debugfs");
    // "jw" writes a transaction that nobody checkpoints: the next mount has to replay it.
    const dirty = debugfs(treeImage(), "jo", "jw -b 1900 BLOCK", "jc");
    const target = await memoryTarget(dirty);
    if (!target.map.journal.pending) context.skip("this debugfs writes no journal");
    target.device.inject({
      offset: await placeOf(target.map, "/docs/big.bin", 65_536),
      length: 512,
    });
    expect((await survey(target)).volumes[0]?.journal).toMatchObject({ pending: true });
    const root = temporary();
    writeTree(root);
    const result = await repair({ target, donors: [openDirectoryDonor(root)] });
    expect(result.steps[0]).toMatchObject({
      action: "refused",
      reason: expect.stringContaining("e2fsck -f"),
    });
    expect(repairExitCode(result)).toBe(4);
    expect((await makePlan(target, [])).sums).toMatchObject({ write: 0, zero: 0 });
  });
});
