/** JournaledShapes: changes that stand only in an image's journal, written there by debugfs: dirty journals without a mount. */
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Prng } from "../../../src/base/index.ts";
import { debugfs, parseStat } from "./debugfs.ts";
import { shapeImage, type ShapeOptions } from "./debugfs-shapes.ts";

/** Blocks of one journal_write: its line must stay under 8 KiB, and all of them fit the smallest journal. */
const BLOCKS_PER_TRANSACTION = 250;
const BLOCKS_MAX = 600;
const JOURNAL_MAGIC = Buffer.from([0xc0, 0x3b, 0x39, 0x98]);

function changedBlocks(before: Buffer, after: Buffer, blockSize: number): number[] {
  const blocks: number[] = [];
  for (let block = 0; block * blockSize < before.length; block += 1) {
    const from = block * blockSize;
    if (before.compare(after, from, from + blockSize, from, from + blockSize) !== 0)
      blocks.push(block);
  }
  return blocks;
}

/** Two transactions about content: a block that is written and then revoked, and one that begins like a journal block. */
function contentCommands(random: Prng, options: ShapeOptions): string[] {
  const path = random.pick(options.files);
  const runs = parseStat(debugfs(options.image, [`stat ${path}`])[0] as string)?.runs ?? [];
  const block = runs[0]?.block;
  if (block === undefined || (runs[0]?.count ?? 0) < 2) return [];
  const file = join(options.folder, "journaled-content");
  const escaped = random.bytes(options.blockSize);
  escaped.set(JOURNAL_MAGIC);
  writeFileSync(file, Buffer.concat([random.bytes(options.blockSize), escaped]));
  return [`jw -b ${block},${block + 1} ${file}`, `jw -r ${block} /dev/null`];
}

/**
 * Writes random changes of an image into its journal, and leaves them there.
 *
 * @returns whether the journal is dirty now
 */
export function shapeThroughJournal(random: Prng, options: ShapeOptions): boolean {
  const copy = join(options.folder, "journaled.img");
  copyFileSync(options.image, copy);
  shapeImage(random, { ...options, image: copy });
  const after = readFileSync(copy);
  const blocks = changedBlocks(readFileSync(options.image), after, options.blockSize);
  if (blocks.length === 0 || blocks.length > BLOCKS_MAX) return false;
  const commands = [random.pick(["jo", "jo -c", "jo -c -v 2", "jo -c -v 3"])];
  if (options.files.length > 0) commands.push(...contentCommands(random, options));
  for (let at = 0; at < blocks.length; at += BLOCKS_PER_TRANSACTION) {
    const part = blocks.slice(at, at + BLOCKS_PER_TRANSACTION);
    const file = join(options.folder, `transaction-${at}`);
    writeFileSync(
      file,
      Buffer.concat(
        part.map((block) =>
          after.subarray(block * options.blockSize, (block + 1) * options.blockSize),
        ),
      ),
    );
    commands.push(`jw -b ${part.join(",")} ${file}`);
  }
  debugfs(options.image, [...commands, "jc"], { write: true });
  return true;
}
