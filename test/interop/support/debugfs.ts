/** Debugfs: runs debugfs scripts on an image and reads what they print. Texts are latin1: one character a byte. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run } from "./programs.ts";

/** Block numbers that go into one line of a script: debugfs cuts lines at 8 KiB. */
const NUMBERS_PER_LINE = 700;

/**
 * Runs commands in one debugfs.
 *
 * @returns what each command printed, in order; error messages are left out (debugfs ends with 0 in any case)
 */
export function debugfs(
  image: string,
  commands: readonly string[],
  options: { readonly write?: boolean } = {},
): string[] {
  const folder = mkdtempSync(join(tmpdir(), "theriac-debugfs-"));
  try {
    const script = join(folder, "script");
    writeFileSync(script, commands.map((command) => `${command}\n`).join(""), "latin1");
    const output = run("debugfs", [...(options.write ? ["-w"] : []), "-f", script, image]);
    const parts: string[] = [];
    let at = output.indexOf("debugfs: ");
    for (const command of commands) {
      const prompt = `debugfs: ${command}\n`;
      if (!output.startsWith(prompt, at))
        throw new Error(`debugfs did not run "${command}": ${output.slice(at, at + 200)}`);
      const start = at + prompt.length;
      const next = output.indexOf("\ndebugfs: ", start - 1);
      at = next < 0 ? output.length : next + 1;
      parts.push(output.slice(start, at));
    }
    return parts;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Cuts a long list of numbers into commands that fit debugfs's line: `icheck 1 2 3`. */
export function commandsOf(name: string, numbers: readonly number[]): string[] {
  const commands: string[] = [];
  for (let at = 0; at < numbers.length; at += NUMBERS_PER_LINE) {
    commands.push(`${name} ${numbers.slice(at, at + NUMBERS_PER_LINE).join(" ")}`);
  }
  return commands;
}

/** `icheck` of every block number in `blocks`: the inode that debugfs says it belongs to. Absent: none. */
export function icheck(image: string, blocks: readonly number[]): Map<number, number> {
  const owners = new Map<number, number>();
  for (const output of debugfs(image, commandsOf("icheck", blocks))) {
    for (const match of output.matchAll(/^(\d+)\t(\d+)$/gm))
      owners.set(Number(match[1]), Number(match[2]));
  }
  return owners;
}

/** A run of a file as debugfs prints it: logical and physical block, and whether it is unwritten. */
export interface BlockRun {
  readonly logical: number;
  readonly block: number;
  readonly count: number;
  readonly unwritten: boolean;
}

/** One inode as `stat` prints it. */
export interface InodeText {
  readonly inode: number;
  readonly type: string;
  readonly flags: number;
  readonly generation: number;
  readonly size: number;
  readonly links: number;
  readonly modifiedNs: bigint;
  /** Block of the extended attributes, or 0. */
  readonly xattrBlock: number;
  readonly runs: readonly BlockRun[];
  /** Blocks of the extent tree, or indirect blocks. */
  readonly tree: readonly number[];
  readonly inlineSize: number | undefined;
  readonly fastLink: boolean;
}

function numberAfter(text: string, label: RegExp): number {
  return Number(label.exec(text)?.[1] ?? 0);
}

function timeOf(text: string): bigint {
  const match = /^ ?mtime: 0x([0-9a-f]+)(?::([0-9a-f]+))?/m.exec(text);
  const seconds = BigInt(Number.parseInt(match?.[1] ?? "0", 16) | 0);
  const extra = Number.parseInt(match?.[2] ?? "0", 16);
  return (seconds + BigInt(extra & 3) * 0x1_0000_0000n) * 1_000_000_000n + BigInt(extra >>> 2);
}

/** Reads the text of `stat <inode>`. @returns `undefined` where debugfs printed none */
export function parseStat(text: string): InodeText | undefined {
  const head = /^Inode: (\d+) +Type: (.+?) +Mode: +[0-7]+ +Flags: 0x([0-9a-f]+)/.exec(text);
  if (head === null) return undefined;
  const inline = /^Size of inline data: (\d+)/m.exec(text);
  const list = /^(?:EXTENTS|BLOCKS):\n([^]*)$/m.exec(text)?.[1] ?? "";
  const runs: BlockRun[] = [];
  const tree: number[] = [];
  for (const match of list.matchAll(/\((\w+)(?:-(\d+))?(\[u\])?\):(\d+)(?:-(\d+))?/g)) {
    const block = Number(match[4]);
    if (/^(?:ETB\d+|[DT]?IND)$/.test(match[1] as string)) tree.push(block);
    else
      runs.push({
        logical: Number(match[1]),
        block,
        count: Number(match[5] ?? block) - block + 1,
        unwritten: match[3] !== undefined,
      });
  }
  return {
    inode: Number(head[1]),
    type: head[2] as string,
    flags: Number.parseInt(head[3] as string, 16),
    generation: numberAfter(text, /Generation: (\d+)/),
    size: numberAfter(text, /Size: (\d+)/),
    links: numberAfter(text, /^Links: (\d+)/m),
    modifiedNs: timeOf(text),
    xattrBlock: numberAfter(text, /^File ACL: (\d+)/m),
    runs,
    tree,
    inlineSize: inline === null ? undefined : Number(inline[1]),
    fastLink: /^Fast link dest: /m.test(text),
  };
}

/** Reads the leaves of `dump_extents <inode>`; empty for a file without extents. */
export function parseDumpExtents(text: string): BlockRun[] {
  const runs: BlockRun[] = [];
  for (const match of text.matchAll(
    /^ *(\d+)\/ *(\d+) +\d+\/ *\d+ +(\d+) - +(\d+) +(\d+) - +(\d+) +(\d+)(.*)$/gm,
  )) {
    if (match[1] !== match[2]) continue;
    runs.push({
      logical: Number(match[3]),
      block: Number(match[5]),
      count: Number(match[7]),
      unwritten: /Uninit/.test(match[8] ?? ""),
    });
  }
  return runs;
}

/** One entry of a directory; the name is raw, one character a byte. */
export interface DirectoryEntryText {
  readonly inode: number;
  readonly mode: number;
  readonly name: string;
}

/** Reads the text of `ls -p`: names may hold any byte but "/". */
export function parseList(text: string): DirectoryEntryText[] {
  const entries: DirectoryEntryText[] = [];
  for (const match of text.matchAll(/\/(\d+)\/(\d{6})\/\d*\/\d*\/([^/]*)\/\d*\/\n/g)) {
    entries.push({
      inode: Number(match[1]),
      mode: Number.parseInt(match[2] as string, 8),
      name: match[3] as string,
    });
  }
  return entries;
}

/** Reads the text of `htree_dump`: the logical blocks of the directory that are its index (the root is block 0). */
export function parseHtreeIndex(text: string): Set<number> | undefined {
  if (!text.includes("Root node dump")) return undefined;
  const index = new Set([0]);
  const leaves = new Set(
    [...text.matchAll(/^Reading directory block (\d+), phys/gm)].map((match) => Number(match[1])),
  );
  for (const match of text.matchAll(
    /^Entry #\d+: Hash 0x[0-9a-f]+(?: \([^)]*\))?, block (\d+)$/gm,
  )) {
    const block = Number(match[1]);
    if (!leaves.has(block)) index.add(block);
  }
  return index;
}

/** `dump` of inodes: their contents. An inline file is dumped with all the room that the inode has. */
export function dumpFiles(image: string, inodes: readonly number[]): Buffer[] {
  const folder = mkdtempSync(join(tmpdir(), "theriac-dump-"));
  try {
    debugfs(
      image,
      inodes.map((inode) => `dump <${inode}> ${join(folder, `${inode}`)}`),
    );
    return inodes.map((inode) => readFileSync(join(folder, `${inode}`)));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Reads the entries of a directory from its blocks, one after the other; index blocks look empty. */
export function parseDirectoryBlocks(content: Buffer): DirectoryEntryText[] {
  const entries: DirectoryEntryText[] = [];
  for (let at = 0; at + 8 <= content.length;) {
    const inode = content.readUInt32LE(at);
    const length = content.readUInt16LE(at + 4);
    const nameLength = content.readUInt8(at + 6);
    if (inode !== 0)
      entries.push({
        inode,
        mode: 0,
        name: content.toString("latin1", at + 8, at + 8 + nameLength),
      });
    if (length < 8) break;
    at += length;
  }
  return entries;
}
