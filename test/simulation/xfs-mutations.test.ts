/**
 * The XFS map on hostile images: small images that a kernel wrote, harmed at random in memory. Whatever is wrong in one, the map answers
 * for every byte in bounded time and memory, throws nothing but a StorageError, and where checksums show the harm never names a wrong owner.
 * `XFS_MUTATIONS=50000` (or `MUTATIONS`) makes more, `SEED=123 XFS_MUTATIONS=1` replays one. What once failed is replayed in every run.
 */
import { beforeAll, describe, expect, test } from "vitest";
import { createPrng, StorageError, type Prng } from "../../src/base/index.ts";
import { openFileMap, type FileMap, type OwnedRange } from "../../src/fs/index.ts";
import { openXfsMap } from "../../src/fs/xfs/index.ts";
import { MutatedSource, type Mutation } from "../support/mutated-source.ts";
import { loadXfsFixture, XFS_FIXTURES, type XfsFixture } from "../fs/xfs/support/fixture.ts";
import { mutate } from "./xfs-mutations-mutate.ts";
import { lies, omissions } from "../fs/xfs/support/truth.ts";

const SEED = Number(process.env["SEED"] ?? 1);
const MUTATIONS = Number(process.env["XFS_MUTATIONS"] ?? process.env["MUTATIONS"] ?? 1000);
const PROBES = 12;
/** Ranges that owners may be told in: more than any image has slots of inodes and blocks. */
const RANGES_MAX = 200_000;

/** Harm that once found a bug. It is kept as it is: what a seed makes changes with the code that harms. */
const KEPT: readonly Kept[] = [
  {
    name: "plain",
    poison: [[0, 1024]],
    bug: "quotas were slack where a copy of the superblock served",
  },
  { name: "plain", edits: [[120, "0080"]], bug: "the same, of a superblock with a wrong checksum" },
  { name: "map", poison: [[32768, 512]], bug: "the root directory was unknown to the reverse map" },
  {
    name: "map",
    edits: [[33068, "ff"]],
    bug: "an inode with a wrong checksum hid what the reverse map knew",
  },
];

interface Kept {
  readonly name: string;
  /** What was wrong. */
  readonly bug: string;
  /** Offset and length of what cannot be read. */
  readonly poison?: readonly (readonly [number, number])[];
  /** Offset and bytes, in hexadecimal. */
  readonly edits?: readonly (readonly [number, string])[];
}

/** What a map said of an image, or the error that opening gave. */
interface Answers {
  readonly error?: string;
  readonly owned: readonly OwnedRange[];
  /** Owners by the reverse map. */
  readonly reverse: readonly OwnedRange[];
  readonly paths: ReadonlyMap<number, readonly string[]>;
  /** All answers, to compare; empty where nobody does. */
  readonly text: string;
  /** State of the log, as JSON. */
  readonly journal: string;
}

function refused(error: unknown): Answers {
  if (!(error instanceof StorageError)) throw error;
  const { message } = error;
  return { error: message, owned: [], reverse: [], paths: new Map(), text: message, journal: "" };
}

/** How a map is asked. */
interface Asking {
  /** Whether the reverse map is asked too: an image that has none gives the same answers by the same way. */
  readonly reverse: boolean;
  /** Whether the answers are to be compared with others. */
  readonly compared: boolean;
}

async function ask(source: MutatedSource, how: Asking): Promise<Answers> {
  let map: FileMap;
  try {
    map = await openFileMap(source);
  } catch (error) {
    return refused(error);
  }
  const length = Math.min(map.size, source.size + 64 * 1024);
  const owned = await map.owners([{ offset: 0, length }]);
  checkCover(owned, length);
  const { paths, lines } = await files(map);
  for (const inode of [0, 1, 2, 7, 128, 131, 0xffff_ffff, 2 ** 52])
    lines.push(JSON.stringify(await map.extents(inode, { length: 2 ** 20, pastEnd: true })));
  const used = [...(await map.used())];
  checkUsed(used, map.size);
  for (const { offset } of owned.slice(0, 400).filter((_, index) => index % 40 === 0))
    lines.push(`${await map.verifyMetadata?.({ offset, length: 512 })}`);
  const reverse = how.reverse ? await reverseOf(map, source, length) : [];
  const text = !how.compared
    ? ""
    : JSON.stringify(
        [owned, reverse, [...paths], lines, used.length, map.problems.length, map.journal],
        (_, value: unknown) => (typeof value === "bigint" ? `${value}` : value),
      );
  return { owned, reverse, paths, text, journal: JSON.stringify(map.journal) };
}

async function reverseOf(
  map: FileMap,
  source: MutatedSource,
  length: number,
): Promise<readonly OwnedRange[]> {
  if (map.filesystem !== "xfs") return [];
  const byReverseMap = await openXfsMap(source, { source: "reverse-map" });
  const owned = await byReverseMap.owners([{ offset: 0, length }]);
  checkCover(owned, length);
  return owned;
}

async function files(
  map: FileMap,
): Promise<{ paths: Map<number, readonly string[]>; lines: string[] }> {
  const paths = new Map<number, readonly string[]>();
  const lines: string[] = [];
  for await (const file of map.files()) {
    if (paths.has(file.inode)) throw new Error(`files: inode ${file.inode} twice`);
    paths.set(file.inode, file.paths);
    for (const path of file.paths)
      if (/\0|\/\/|\/\.{1,2}(?:\/|$)/.test(path))
        throw new Error(`files: path ${JSON.stringify(path)}`);
    if (paths.size % 13 < 2 && lines.length < 3 * PROBES)
      await probe(map, file.inode, { path: file.paths[0], lines });
    if (paths.size > 5000) break;
  }
  return { paths, lines };
}

async function probe(
  map: FileMap,
  inode: number,
  { path, lines }: { readonly path: string | undefined; readonly lines: string[] },
): Promise<void> {
  const extents = await map.extents(inode);
  let at = 0;
  for (const extent of extents) {
    if (extent.offset !== at || extent.length <= 0)
      throw new Error(`extents of ${inode}: ${JSON.stringify(extent)} where ${at} is next`);
    at += extent.length;
    const end = (extent.device ?? 0) + (extent.device === undefined ? 0 : extent.length);
    if (end > map.size)
      throw new Error(`extents of ${inode}: ${JSON.stringify(extent)} past the end`);
  }
  lines.push(JSON.stringify(extents), JSON.stringify(await map.extents(inode, { pastEnd: true })));
  if (path !== undefined) lines.push(`${path} ${await map.lookup(path)}`);
}

function checkCover(owned: readonly OwnedRange[], length: number): void {
  if (owned.length > RANGES_MAX) throw new Error(`owners: ${owned.length} ranges`);
  let at = 0;
  for (const range of owned) {
    if (range.offset !== at || range.length <= 0 || range.owners.length === 0)
      throw new Error(`owners: ${JSON.stringify(range)} where ${at} is next`);
    at = range.offset + range.length;
  }
  if (at !== length) throw new Error(`owners: end at ${at} of ${length}`);
}

function checkUsed(
  used: readonly { readonly offset: number; readonly length: number }[],
  size: number,
): void {
  let at = 0;
  for (const { offset, length } of used) {
    if (offset < at || length <= 0 || offset + length > size)
      throw new Error(`used: ${length} at ${offset}, after ${at}, of ${size}`);
    at = offset + length;
  }
}

/** Whether checksums vouch for all that the map can still say. */
function isVouched(mutation: Mutation, fixture: XfsFixture, answers: Answers): boolean {
  if (!fixture.checksummed || mutation.mended || answers.error !== undefined) return false;
  // Harm under poison in the same block: a copy of the superblock may then be read that is older.
  return mutation.poison.length === 0 || !mutation.edited;
}

interface Totals {
  refused: number;
  vouched: number;
  mended: number;
  readsMax: number;
  rangesMax: number;
  slowestMs: number;
}

function checked(
  answers: Answers,
  fixture: XfsFixture,
  { mutation, again }: { readonly mutation: Mutation; readonly again: Answers | undefined },
): string[] {
  const wrong: string[] = [];
  if (isVouched(mutation, fixture, answers)) {
    for (const [by, owned] of [
      ["inodes", answers.owned],
      ["reverse map", answers.reverse],
    ] as const)
      for (const lie of lies(owned, fixture).slice(0, 2))
        wrong.push(`wrong owner by ${by}: ${lie}`);
    for (const [inode, paths] of answers.paths)
      for (const path of paths)
        if (fixture.paths.get(inode)?.has(path) !== true) wrong.push(`path of ${inode}: ${path}`);
  }
  if (again !== undefined && again.text !== answers.text)
    wrong.push("another answer the second time");
  return wrong;
}

function count(
  totals: Totals,
  answers: Answers,
  how: { readonly vouched: boolean; readonly mended: boolean },
): void {
  if (answers.error !== undefined) totals.refused += 1;
  if (how.mended) totals.mended += 1;
  if (how.vouched) totals.vouched += 1;
  totals.rangesMax = Math.max(totals.rangesMax, answers.owned.length);
}

async function runOne(
  seed: number,
  fixtures: readonly XfsFixture[],
  totals: Totals,
): Promise<string[]> {
  const random: Prng = createPrng(seed);
  const fixture = random.pick(fixtures);
  const mutation = mutate(random, fixture);
  const label = `SEED=${seed} ${fixture.name}${mutation.mended ? " (mended)" : ""}: ${mutation.story}`;
  const source = new MutatedSource(fixture.image, mutation);
  const started = performance.now();
  try {
    const compared = random.chance(0.1);
    const how = { reverse: fixture.superblock.features.reverseMap, compared };
    const answers = await ask(source, how);
    count(totals, answers, {
      vouched: isVouched(mutation, fixture, answers),
      mended: mutation.mended,
    });
    const again = compared ? await ask(new MutatedSource(fixture.image, mutation), how) : undefined;
    return checked(answers, fixture, { mutation, again })
      .slice(0, 4)
      .map((what) => `${label}: ${what}`);
  } catch (error) {
    const what = error instanceof Error ? error.stack?.split("\n").slice(0, 6).join("\n") : error;
    return [`${label}: ${String(what)}`];
  } finally {
    fixture.image.restore();
    totals.readsMax = Math.max(totals.readsMax, source.reads);
    totals.slowestMs = Math.max(totals.slowestMs, Math.round(performance.now() - started));
  }
}

function noTotals(): Totals {
  return { refused: 0, vouched: 0, mended: 0, readsMax: 0, rangesMax: 0, slowestMs: 0 };
}

describe("openFileMap()", () => {
  let fixtures: readonly XfsFixture[];

  beforeAll(async () => {
    const loaded: XfsFixture[] = [];
    for (const name of XFS_FIXTURES) loaded.push(await loadXfsFixture(name));
    fixtures = loaded;
  });

  const timeout = 60_000 + MUTATIONS * 500;
  test(
    `answers for every byte of ${MUTATIONS} harmed XFS images, and never with a wrong owner`,
    { timeout },
    async () => {
      const totals = noTotals();
      const failures: string[] = [];
      const started = performance.now();
      for (let seed = SEED; seed < SEED + MUTATIONS && failures.length < 20; seed += 1)
        failures.push(...(await runOne(seed, fixtures, totals)));
      const rate = Math.round((MUTATIONS * 1000) / (performance.now() - started));
      console.log(
        `XFS mutations: seeds ${SEED} to ${SEED + MUTATIONS - 1}, ${rate} a second: ${JSON.stringify(totals)}`,
      );
      expect(failures).toEqual([]);
    },
  );

  test.each(KEPT)(
    "answers for what it once failed on: $name, $bug",
    async ({ name, poison = [], edits = [] }) => {
      const { image, ...fixture } = fixtures.find((each) => each.name === name)!;
      for (const [offset, hex] of edits) image.change(offset, Buffer.from(hex, "hex"));
      const ranges = poison.map(([offset, length]) => ({ offset, length }));
      const source = new MutatedSource(image, { poison: ranges });
      const reverse = fixture.superblock.features.reverseMap;
      const { owned, ...more } = await ask(source, { reverse, compared: false });
      image.restore();
      const truth = { truth: fixture.truth, paths: fixture.paths };
      expect([...lies(owned, truth), ...lies(more.reverse, truth)]).toEqual([]);
      if (!reverse) return;
      expect(owned.filter(({ owners }) => owners.some(({ kind }) => kind === "unknown"))).toEqual(
        [],
      );
      expect(omissions(owned, truth)).toEqual([]);
    },
  );
});
