/** DmRows: the rows of a device-mapper table that only translate addresses, and where a byte of a device below shows in them. */
import { intersect, SECTOR, type ByteRange } from "../base/index.ts";

/** A stretch of a device below. Bytes. */
export interface DmLeg {
  /** "MAJOR:MINOR". */
  readonly number: string;
  readonly offset: number;
  readonly length: number;
}

/** A row: legs in turn, `chunk` bytes of each. */
export interface DmRow {
  /** First byte in the table. */
  readonly begin: number;
  readonly length: number;
  readonly type: string;
  /** None where the row does more than translate. */
  readonly legs: readonly DmLeg[];
  readonly chunk: number;
}

/** Targets whose address is that of the device below, from an offset on: `TARGET DEVICE START ...` (dm-linear, dm-dust, dm-flakey, dm-delay). */
const PLAIN: ReadonlySet<string> = new Set(["linear", "dust", "flakey", "delay"]);

/** Rows of the text of `dmsetup table`; lines that are none are passed over. */
export function dmRows(text: string): readonly DmRow[] {
  return text.split("\n").flatMap((line) => {
    const [start, sectors, type, ...args] = line.trim().split(/\s+/);
    if (type === undefined || !/^\d+$/.test(`${start}${sectors}`)) return [];
    const row = { begin: Number(start) * SECTOR, length: Number(sectors) * SECTOR, type };
    return [{ ...row, ...legsOf(row, args) }];
  });
}

function legsOf(
  row: { readonly length: number; readonly type: string },
  args: readonly string[],
): { legs: readonly DmLeg[]; chunk: number } {
  const { length, type } = row;
  if (PLAIN.has(type))
    return {
      legs: [{ number: args[0] ?? "", offset: Number(args[1]) * SECTOR, length }],
      chunk: length,
    };
  if (type !== "striped") return { legs: [], chunk: length };
  const count = Number(args[0]);
  const legs = Array.from({ length: count }, (_, index) => ({
    number: args[2 + index * 2] ?? "",
    offset: Number(args[3 + index * 2]) * SECTOR,
    length: length / count,
  }));
  return { legs, chunk: Number(args[1]) * SECTOR };
}

/** Where a range of the device below a leg shows in the table. */
export function* upwards(row: DmRow, index: number, below: ByteRange): Generator<ByteRange> {
  const leg = row.legs[index];
  const part = leg === undefined ? undefined : intersect(leg, below);
  if (leg === undefined || part === undefined) return;
  const count = row.legs.length;
  const end = part.offset - leg.offset + part.length;
  for (let at = part.offset - leg.offset; at < end;) {
    const turn = Math.floor(at / row.chunk);
    const stop = Math.min(end, (turn + 1) * row.chunk);
    const offset = row.begin + (turn * count + index) * row.chunk + (at - turn * row.chunk);
    yield { offset, length: stop - at };
    at = stop;
  }
}
