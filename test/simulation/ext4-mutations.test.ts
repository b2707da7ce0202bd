/**
 * The ext4 map on hostile images: small images harmed at random in memory. Whatever is wrong in one, the map answers for every
 * byte in bounded time, throws nothing but a StorageError, and where checksums cover the metadata never names a wrong owner.
 * `MUTATIONS=50000` makes more, `SEED=123 MUTATIONS=1` replays one.
 */
import { describe, expect, test } from "vitest";
import { createPrng, StorageError } from "../../src/base/index.ts";
import { openFileMap, type FileMap, type OwnedRange, type Owner } from "../../src/fs/index.ts";
import { loadFixtures, type Fixture } from "./ext4-mutations-fixture.ts";
import { mutate } from "./ext4-mutations-mutate.ts";
import { MutatedSource, wholeImage, type Mutation } from "../support/mutated-source.ts";

const SEED = Number(process.env["SEED"] ?? 1);
const MUTATIONS = Number(process.env["MUTATIONS"] ?? 3000);
const PROBES = 12;

/** What a map said of an image, or the error that opening gave. */
interface Answers {
  readonly error?: string;
  readonly owned: readonly OwnedRange[];
  readonly paths: ReadonlyMap<number, readonly string[]>;
  readonly text: string;
  /** State of the journal, as JSON. */
  readonly journal: string;
}

async function ask(source: MutatedSource): Promise<Answers> {
  let map: FileMap;
  try {
    map = await openFileMap(source);
  } catch (error) {
    if (!(error instanceof StorageError)) throw error;
    return {
      error: error.message,
      owned: [],
      paths: new Map(),
      text: error.message,
      journal: "none",
    };
  }
  const length = Math.min(map.size, source.size + 64 * 1024);
  const owned = await map.owners([{ offset: 0, length }]);
  checkCover(owned, length);
  const paths = new Map<number, readonly string[]>();
  const lines: string[] = [];
  for await (const file of map.files()) {
    paths.set(file.inode, file.paths);
    if (paths.size % 7 < 2 && lines.length < PROBES)
      await probe(map, file.inode, { path: file.paths[0], lines });
    if (paths.size > 5000) break;
  }
  for (const inode of [0, 1, 2, 7, 8, 11, 0xffff_ffff])
    lines.push(JSON.stringify(await map.extents(inode, { length: 2 ** 20, pastEnd: true })));
  const used = [...(await map.used())].length;
  const text = JSON.stringify(
    [owned, [...paths], lines, used, map.problems.length, map.journal],
    (_, value: unknown) => (typeof value === "bigint" ? `${value}` : value),
  );
  return { owned, paths, text, journal: JSON.stringify(map.journal) };
}

async function probe(
  map: FileMap,
  inode: number,
  { path, lines }: { readonly path: string | undefined; readonly lines: string[] },
): Promise<void> {
  const extents = await map.extents(inode);
  let at = 0;
  for (const extent of extents) {
    expect(extent.offset).toBe(at);
    expect(extent.length).toBeGreaterThan(0);
    at += extent.length;
  }
  lines.push(JSON.stringify(extents), JSON.stringify(await map.extents(inode, { pastEnd: true })));
  if (path !== undefined) lines.push(`${path} ${await map.lookup(path)}`);
}

function checkCover(owned: readonly OwnedRange[], length: number): void {
  let at = 0;
  for (const range of owned) {
    if (range.offset !== at || range.length <= 0 || range.owners.length === 0)
      throw new Error(`owners: ${JSON.stringify(range)} where ${at} is next`);
    at = range.offset + range.length;
  }
  if (at !== length) throw new Error(`owners: end at ${at} of ${length}`);
}

function fileOffset(owner: Owner, into: number): number {
  let left = into;
  for (const range of owner.ranges) {
    if (left < range.length) return range.offset + left;
    left -= range.length;
  }
  return -1;
}

/** Every owner of kind file that the map names must be one in truth: same inode, same bytes of the file, a real path. */
function wrongOwners(answers: Answers, fixture: Fixture): string[] {
  const wrong: string[] = [];
  let index = 0;
  for (const range of answers.owned) {
    const end = range.offset + range.length;
    const files = range.owners.filter((owner) => owner.kind === "file");
    while (
      index < fixture.truth.length &&
      (fixture.truth[index] as OwnedRange).offset + (fixture.truth[index] as OwnedRange).length <=
        range.offset
    )
      index += 1;
    for (
      let at = index;
      at < fixture.truth.length && (fixture.truth[at] as OwnedRange).offset < end;
      at += 1
    ) {
      const truth = fixture.truth[at] as OwnedRange;
      const from = Math.max(truth.offset, range.offset);
      for (const owner of files) {
        const right = truth.owners.some(
          (other) =>
            other.inode === owner.inode &&
            other.what === owner.what &&
            fileOffset(other, from - truth.offset) === fileOffset(owner, from - range.offset),
        );
        if (!right)
          wrong.push(`${from}: ${JSON.stringify(owner)}; in truth ${JSON.stringify(truth.owners)}`);
        const real = fixture.paths.get(owner.inode ?? 0);
        wrong.push(
          ...(owner.paths ?? [])
            .filter((path) => real?.has(path) !== true)
            .map((path) => `${from}: path ${path}`),
        );
      }
    }
  }
  return wrong;
}

/** Whether checksums vouch for all that the map can still say. */
function isVouched(mutation: Mutation, fixture: Fixture, answers: Answers): boolean {
  if (!fixture.checksummed || mutation.mended || answers.error !== undefined) return false;
  // Harm under poison in the same block: the rest of the structure is believed without its checksum, on purpose.
  if (mutation.poison.length > 0 && mutation.edited) return false;
  // A journal that cannot be replayed leaves the map as of the last checkpoint, and it says so. A log block that lost its magic number
  // ends the log, for jbd2 as well: then fewer transactions were replayed.
  return answers.journal === fixture.journal;
}

interface Totals {
  refused: number;
  vouched: number;
  mended: number;
  readsMax: number;
  slowestMs: number;
}

async function runOne(
  seed: number,
  fixtures: readonly Fixture[],
  totals: Totals,
): Promise<string[]> {
  const random = createPrng(seed);
  const fixture = random.pick(fixtures);
  const mutation = mutate(random, fixture);
  const label = `SEED=${seed} ${fixture.name}${mutation.mended ? " (mended)" : ""}: ${mutation.story}`;
  const source = new MutatedSource(wholeImage(fixture.bytes), mutation);
  const started = performance.now();
  try {
    const answers = await ask(source);
    const problems: string[] = [];
    if (answers.error !== undefined) totals.refused += 1;
    if (mutation.mended) totals.mended += 1;
    if (isVouched(mutation, fixture, answers)) {
      totals.vouched += 1;
      const wrong = wrongOwners(answers, fixture);
      if (wrong.length > 0) problems.push(`${label}: wrong owner: ${wrong.slice(0, 2).join("; ")}`);
    }
    if (random.chance(0.1)) {
      const again = await ask(new MutatedSource(wholeImage(fixture.bytes), mutation));
      if (again.text !== answers.text) problems.push(`${label}: another answer the second time`);
    }
    return problems;
  } catch (error) {
    return [
      `${label}: ${error instanceof Error ? error.stack?.split("\n").slice(0, 6).join("\n") : String(error)}`,
    ];
  } finally {
    mutation.undo();
    totals.readsMax = Math.max(totals.readsMax, source.reads);
    totals.slowestMs = Math.max(totals.slowestMs, performance.now() - started);
  }
}

describe("openFileMap()", () => {
  test(`answers for every byte of ${MUTATIONS} harmed ext4 images, and never with a wrong owner`, async () => {
    const fixtures = await loadFixtures();
    expect(fixtures.length).toBeGreaterThanOrEqual(10);
    const totals: Totals = { refused: 0, vouched: 0, mended: 0, readsMax: 0, slowestMs: 0 };
    const failures: string[] = [];
    const untouched = fixtures.map((fixture) => fixture.bytes.slice());
    for (let seed = SEED; seed < SEED + MUTATIONS && failures.length < 20; seed += 1)
      failures.push(...(await runOne(seed, fixtures, totals)));
    console.log(
      `ext4 mutations: seeds ${SEED} to ${SEED + MUTATIONS - 1}: ${JSON.stringify(totals)}`,
    );
    expect(failures).toEqual([]);
    fixtures.forEach((fixture, at) =>
      expect(Buffer.compare(fixture.bytes, untouched[at] as Uint8Array)).toBe(0),
    );
  });
});
