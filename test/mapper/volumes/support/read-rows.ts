/** read-rows: volumes of images in memory, and where their rows put a sector: rows are walked by the meaning of their words alone. */
import { readVolume } from "../../../../src/mapper/volumes/read-volume.ts";
import type { StackTable, StackVolume } from "../../../../src/mapper/index.ts";
import type { ByteRange } from "../../../../src/base/index.ts";
import { fakeDisk } from "../../support/fake-disk.ts";

/** Images by the word that the stack has for them. */
export type Images = Readonly<Record<string, Uint8Array>>;

/** Reads `md NAME ...` or `lvm NAME VG/LV ...` over all images. */
export async function readOf(
  what: "md" | `lvm ${string}`,
  images: Images,
  options: {
    /** Bytes that cannot be read, by word. */
    readonly poison?: Readonly<Record<string, readonly ByteRange[]>>;
    /** Members that are said to be missing. */
    readonly missing?: number;
  } = {},
): Promise<{ readonly tables: readonly StackTable[]; readonly notes: readonly string[] }> {
  const { poison = {}, missing = 0 } = options;
  const members = Object.entries(images).map(([word, bytes]) => ({
    word,
    device: fakeDisk(bytes, poison[word]),
  }));
  const words = [...members.map(({ word }) => word), ...Array<string>(missing).fill("missing")];
  const facts = { line: 1, name: "v", members: words };
  const line: StackVolume =
    what === "md" ? { kind: "md", ...facts } : { kind: "lvm", ...facts, volume: what.slice(4) };
  return readVolume(line, members, "s.stack");
}

/** Tables as text, `NAME: ROW`. */
export function textOf(tables: readonly StackTable[]): string[] {
  return tables.flatMap(({ name, rows }) =>
    rows.map(({ start, length, type, args }) =>
      [`${name}:`, start, length, type, ...args].join(" "),
    ),
  );
}

/** Every place of a sector of a table, the first choice first, as `WORD SECTOR`. */
export function placesOf(tables: readonly StackTable[], name: string, sector: number): string[] {
  const table = tables.find((one) => one.name === name);
  if (table === undefined) return [`${name} ${sector}`];
  const row = table.rows.find(({ start, length }) => start <= sector && sector < start + length);
  if (row === undefined) return [];
  const { type, args } = row;
  const at = sector - row.start;
  const below = (word: string | undefined, start: string | undefined, inLeg: number): string[] =>
    placesOf(tables, word ?? "", Number(start) + inLeg);
  if (type === "linear") return below(args[0], args[1], at);
  if (type === "unstriped") {
    const [count, chunk, stripe] = args.slice(0, 3).map(Number) as [number, number, number];
    const inLeg = (Math.floor(at / chunk) * count + stripe) * chunk + (at % chunk);
    return below(args[3], args[4], inLeg);
  }
  if (type === "striped") {
    const [count, chunk] = [Number(args[0]), Number(args[1])];
    const turn = Math.floor(at / chunk);
    const leg = turn % count;
    const inLeg = Math.floor(turn / count) * chunk + (at % chunk);
    return below(args[2 + 2 * leg], args[3 + 2 * leg], inLeg);
  }
  if (type !== "mirror") return [];
  const legs = args.slice(3 + Number(args[1]));
  return Array.from({ length: Number(args[2 + Number(args[1])]) }, (_, leg) =>
    below(legs[2 * leg], legs[2 * leg + 1], at),
  ).flat();
}
