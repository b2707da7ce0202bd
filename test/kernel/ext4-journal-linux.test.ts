/** Dirty journals that Linux left when it was shut down under load, against `e2fsck -E journal_only`. Needs root and loop devices. */
import { spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { createPrng, type Prng } from "../../src/base/index.ts";
import { hasProgram, run, Scratch } from "../fs/ext4/scratch.ts";
import { expectAsReplayed } from "../interop/support/replayed-journal.ts";

const seed = Number(process.env["SEED"] ?? 2);
const scratch = new Scratch();
afterAll(() => scratch.dispose());

/** Whether loop mounts work here. */
function canMount(): boolean {
  if (process.getuid?.() !== 0 || !hasProgram("xfs_io") || !hasProgram("mke2fs")) return false;
  const image = scratch.image("probe.img", 8 * 1024 * 1024, ["-t", "ext4"]);
  const point = scratch.path("probe");
  mkdirSync(point);
  if (
    spawnSync("mount", ["-o", "loop,noinit_itable,no_prefetch_block_bitmaps", image, point])
      .status !== 0
  )
    return false;
  return spawnSync("umount", [point]).status === 0;
}

/** Work that fills, overwrites, renames and frees, so that blocks are journalled, revoked and used again. */
function work(directory: string, prng: Prng): void {
  const script = [`set -e`, `cd ${directory}`, "mkdir d0 d1 d2 d3"];
  for (let step = 0; step < 250; step += 1) {
    const file = `d${prng.below(4)}/f${prng.below(60)}`;
    const kind = prng.below(10);
    if (kind < 5) script.push(`head -c ${prng.below(60_000)} /dev/urandom > ${file}`);
    else if (kind === 5) script.push(`rm -f ${file}`);
    else if (kind === 6)
      script.push(`mkdir -p ${file}d && for i in $(seq 60); do echo $i > ${file}d/$i; done`);
    else if (kind === 7) script.push(`rm -rf ${file}d`);
    else if (kind === 8)
      script.push(`printf '\\300\\073\\071\\230 looks like a journal' > ${file}`);
    else script.push(prng.chance(0.3) ? `sync -f .` : `ln -f ${file} ${file}l 2>/dev/null || true`);
  }
  run("bash", ["-c", script.join("\n")]);
}

/** Makes an image whose journal Linux left dirty. */
function dirtyByLinux(args: readonly string[], options: string, prng: Prng): string {
  const path = scratch.image(`linux-${prng.seed}.img`, 48 * 1024 * 1024, args);
  const point = scratch.path("mounted");
  mkdirSync(point, { recursive: true });
  run("mount", ["-o", `loop,noinit_itable,no_prefetch_block_bitmaps,${options}`, path, point]);
  try {
    work(point, prng);
    run("xfs_io", ["-x", "-c", `shutdown ${prng.chance(0.7) ? "-f" : ""}`, point]);
  } finally {
    run("umount", [point]);
  }
  return join(path);
}

describe.skipIf(!canMount())("ext4 journals left by Linux", () => {
  const cases: readonly { readonly args: readonly string[]; readonly options: string }[] = [
    { args: ["-t", "ext4", "-b", "4096"], options: "commit=60" },
    { args: ["-t", "ext4", "-b", "1024"], options: "commit=60" },
    { args: ["-t", "ext4", "-b", "1024", "-O", "^metadata_csum"], options: "commit=60" },
    {
      args: ["-t", "ext4", "-b", "1024", "-O", "^metadata_csum"],
      options: "commit=60,journal_checksum",
    },
    {
      args: ["-t", "ext4", "-b", "1024", "-O", "^metadata_csum"],
      options: "commit=60,journal_async_commit,data=writeback",
    },
    { args: ["-t", "ext4", "-b", "1024", "-J", "size=16"], options: "commit=60,data=journal" },
    {
      args: ["-t", "ext4", "-b", "2048", "-O", "^64bit", "-J", "size=16"],
      options: "commit=60,data=journal",
    },
    { args: ["-t", "ext3", "-b", "1024"], options: "commit=60" },
    { args: ["-t", "ext4", "-b", "1024", "-O", "bigalloc", "-C", "16384"], options: "commit=60" },
    {
      args: ["-t", "ext4", "-b", "4096", "-O", "inline_data,orphan_file,metadata_csum_seed"],
      // In ordered mode some kernels wait for ever for room in a small log while they write inline data out.
      options: "commit=60,data=writeback",
    },
  ];
  const statuses = new Set<string>();
  for (const [index, { args, options }] of cases.entries()) {
    test(`readBlocks() serves what e2fsck replays: ${args.join(" ")}, mounted with ${options}`, async () => {
      console.log(`SEED=${seed}`);
      const path = dirtyByLinux(args, options, createPrng(seed * 100 + index));
      const volume = await expectAsReplayed(path);
      expect(["replayed", "none"]).toContain(volume.journal.status);
      statuses.add(volume.journal.status);
    });
  }

  test("Linux left a journal to replay", () => {
    expect(statuses).toContain("replayed");
  });
});
