/** The map of an ext4 volume whose journal is on another device: made on loop devices, dirty after a mounted workload. Needs root. */
import { copyFileSync, mkdtempSync, mkdirSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { openFileMap } from "../../src/fs/index.ts";
import { compareMap } from "../interop/support/compare-map.ts";
import { expectMap } from "../interop/support/expected-map.ts";
import { FileSource } from "../interop/support/file-source.ts";
import { whyNotMountable } from "../interop/support/mounted-workload.ts";
import { requirePrograms, run } from "../interop/support/programs.ts";

function loopDevice(image: string): string {
  return run("losetup", ["--find", "--show", image]).trim();
}

/** Makes both devices, and leaves files in the volume, the last ones only in the external journal. */
function makeVolume(folder: string): { volume: string; journal: string } {
  const volume = join(folder, "volume.img");
  const journal = join(folder, "journal.img");
  for (const image of [volume, journal]) writeFileSync(image, "");
  truncateSync(volume, 16 * 2 ** 20);
  truncateSync(journal, 8 * 2 ** 20);
  const loops = [loopDevice(journal), loopDevice(volume)] as const;
  const mount = join(folder, "mount");
  mkdirSync(mount);
  try {
    run("mke2fs", ["-q", "-F", "-b", "4096", "-O", "journal_dev", loops[0]]);
    run("mke2fs", ["-q", "-F", "-t", "ext4", "-b", "4096", "-J", `device=${loops[0]}`, loops[1]]);
    run("mount", ["-o", "noinit_itable,no_prefetch_block_bitmaps", loops[1], mount]);
    try {
      for (let file = 0; file < 50; file += 1)
        writeFileSync(join(mount, `file-${file}`), "x".repeat(file * 300));
      run("sync", ["-f", mount]);
      for (let file = 0; file < 20; file += 1)
        writeFileSync(join(mount, `late-${file}`), "y".repeat(file * 300));
      run("xfs_io", ["-x", "-c", "shutdown -f", mount]);
    } finally {
      run("umount", [mount]);
    }
  } finally {
    for (const loop of loops) run("losetup", ["--detach", loop]);
  }
  return { volume, journal };
}

test("openFileMap() maps a volume with an external journal as of its last checkpoint, and says so", async (context) => {
  requirePrograms(context, "mke2fs", "debugfs", "dumpe2fs", "xfs_io", "losetup");
  const why = whyNotMountable();
  if (why !== undefined) context.skip(why);
  const folder = mkdtempSync(join(tmpdir(), "theriac-external-"));
  try {
    const { volume, journal } = makeVolume(folder);
    const source = new FileSource(volume);
    const map = await openFileMap(source);
    expect(map.journal.status).toBe("external");
    expect(map.journal.pending).toBe(true);
    // debugfs reads the volume without its journal too.
    const oracle = join(folder, "oracle.img");
    copyFileSync(volume, oracle);
    const compared = await compareMap(map, expectMap(oracle), {
      source,
      oracle,
      dirty: false,
      partial: false,
    });
    expect(compared.differences).toEqual([]);
    await expect(openFileMap(new FileSource(journal))).rejects.toThrow(/external ext4 journal/);
    source.close();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
