/**
 * policy-costly: for disks, where a failed read takes seconds and may do harm: leave a bad place fast, take everything else first, and come back by ever smaller steps.
 *
 * The phases are ddrescue's: copy forward and skip ahead where a read fails (twice as far each time), copy what was skipped from its far end, sweep the rest; trim the edges of
 * what failed, a unit at a time; scrape what is between; then retries, each in the other direction. A unit is never read twice before the retries. Clusters are larger than
 * ddrescue's: a good read of a unit costs a thousandth of a failed one, so trimming more of them to save one is right.
 */
import { endOf, RangeSet, roundDown, roundUp, type ByteRange } from "../../base/index.ts";
import type { Prober } from "./prober.ts";
import type { SalvageWork } from "./salvage-work.ts";
import { pieces, piecesBackward, wanted } from "./wanted.ts";

/** Bytes of a read where something failed before. */
const CLUSTER = 256 * 1024;
/** How often a read is doubled, and after how many that came in a row. */
const GROWTH = 2;
const GROWS_AFTER = 8;

/** Reads everything of an area that is neither finished nor bad by itself; slow zones last. */
export async function copyCostly(
  work: SalvageWork,
  prober: Prober,
  area: Iterable<ByteRange>,
): Promise<void> {
  const cluster = Math.min(CLUSTER, prober.largest);
  const step: Step = { work, prober, area: [...area], cluster };
  await forward(step);
  await backward(step);
  await sweep(step);
  await narrow(step);
  await comeBack(step);
}

interface Step {
  readonly work: SalvageWork;
  readonly prober: Prober;
  readonly area: readonly ByteRange[];
  /** Bytes of a read where something failed before. */
  readonly cluster: number;
}

/** Reads a piece that nobody tried. @returns whether it came */
async function tryPiece({ work, prober }: Step, piece: ByteRange): Promise<boolean> {
  const answer = await prober.try(piece);
  if (answer === "failed") work.map.setUnfinished(piece, piece.length <= prober.unit ? "-" : "*");
  return answer === "data";
}

/** First pass: after each failure in a row it jumps twice as far; where nothing fails its reads grow. */
async function forward(step: Step): Promise<void> {
  const { work, cluster, prober } = step;
  const { size } = work.map;
  const least = Math.max(cluster, roundUp(Math.floor(size / 100_000), cluster));
  const most = Math.max(least, roundUp(Math.floor(size / 100), cluster));
  let jump = least;
  let came = 0;
  let from = 0;
  for (const range of wanted(work, "?", step.area)) {
    for (let at = Math.max(range.offset, from); at < endOf(range);) {
      const grown = cluster * 2 ** Math.min(GROWTH, Math.floor(came / GROWS_AFTER));
      const next = Math.min(roundDown(at, cluster) + grown, endOf(range));
      const piece = { offset: at, length: Math.min(next - at, prober.largest) };
      at = endOf(piece);
      if (prober.slow.intersects(piece.offset, piece.length)) continue;
      if (await tryPiece(step, piece)) {
        jump = least;
        came += 1;
        continue;
      }
      came = 0;
      at += jump;
      from = at;
      jump = Math.min(jump * 2, most);
    }
  }
  await prober.settle();
}

/** Second pass: what was skipped, from its far end up to where it fails. */
async function backward(step: Step): Promise<void> {
  for (const range of wanted(step.work, "?", step.area).toReversed()) {
    for (const piece of piecesBackward(range, step.cluster)) {
      if (step.prober.slow.intersects(piece.offset, piece.length)) break;
      if (!(await tryPiece(step, piece))) break;
    }
  }
  await step.prober.settle();
}

/** Third pass: what is left, without a jump. */
async function sweep(step: Step): Promise<void> {
  for (const range of wanted(step.work, "?", step.area)) await tryOutside(step, range);
  await step.prober.settle();
}

/** Trims and scrapes what failed, outside slow zones. */
async function narrow(step: Step): Promise<void> {
  for (const range of wanted(step.work, "*", step.area))
    if (!step.prober.slow.intersects(range.offset, range.length)) await trim(step, range);
  await step.prober.settle();
  for (const range of wanted(step.work, "/", step.area))
    if (!step.prober.slow.intersects(range.offset, range.length)) await scrape(step, range);
  await step.prober.settle();
}

/** Units from both edges up to the first bad one, where the edge borders on good bytes: beside bad ones the next is likely bad. */
async function trim(step: Step, range: ByteRange): Promise<void> {
  const { map } = step.work;
  const { unit } = step.prober;
  if (range.offset === 0 || map.has("+", range.offset - 1))
    await trimFrom(step, pieces(range, unit));
  const [rest] = [...map.of("*", range)].slice(-1);
  if (rest !== undefined && (endOf(rest) === map.size || map.has("+", endOf(rest))))
    await trimFrom(step, piecesBackward(rest, unit));
  await step.prober.settle();
  for (const { offset, length } of RangeSet.from(map.of("*", range)))
    map.set({ offset, length }, "/");
}

async function trimFrom(step: Step, units: Iterable<ByteRange>): Promise<void> {
  for (const piece of units) if (!(await tryPiece(step, piece))) break;
  await step.prober.settle();
}

/** Every unit of what is between. */
async function scrape(step: Step, range: ByteRange): Promise<void> {
  for (const piece of pieces(range, step.prober.unit)) {
    await tryPiece(step, piece);
    if (step.prober.slow.intersects(range.offset, range.length)) return;
  }
}

/** Slow zones once more, now that everything else is saved; what hangs again stays as it is. */
async function comeBack(step: Step): Promise<void> {
  const zones = [...step.prober.slow];
  for (const zone of zones) {
    step.prober.slow.delete(zone.offset, zone.length);
    for (const status of ["?", "*", "/"] as const)
      for (const range of wanted(step.work, status, [zone])) await tryOutside(step, range);
  }
  if (zones.length > 0) await narrow(step);
}

/** Tries a range by clusters, but where reads took too long. */
async function tryOutside(step: Step, range: ByteRange): Promise<void> {
  for (const piece of pieces(range, step.cluster))
    if (!step.prober.slow.intersects(piece.offset, piece.length)) await tryPiece(step, piece);
}
