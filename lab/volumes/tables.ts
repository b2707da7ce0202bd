/** tables: `dmsetup table` of the guest beside the tables that Theriac made, in one form. */
import { formatRow, tablesOf, type MappedDevice } from "../../src/mapper/index.ts";

/** Rows of tables by the table's name, devices by name. */
export type Rows = ReadonlyMap<string, readonly string[]>;

/**
 * What the guest recorded.
 *
 * @param numbers lines `NAME MAJOR:MINOR`
 */
export function guestRows(tables: string, numbers: string): Rows {
  const names = new Map(
    numbers
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => line.split(" ").reverse() as [string, string]),
  );
  const rows = new Map<string, string[]>();
  for (const line of tables.split("\n")) {
    const [, name, row] = /^(\S+): (.*)$/.exec(line) ?? [];
    if (name === undefined || row === undefined) continue;
    const words = row
      .trim()
      .split(" ")
      .map((word) => names.get(word) ?? word);
    rows.set(name, [...(rows.get(name) ?? []), words.join(" ")]);
  }
  return rows;
}

/** What Theriac made of a logical volume; tables below it are called as LVM calls them. */
export function ownRows(top: MappedDevice, name: string): Rows {
  const plain = (word: string): string =>
    word.startsWith(`${name}/`) ? word.slice(name.length + 1) : word;
  return new Map(
    tablesOf(top).map((table, index) => [
      index === 0 ? name : plain(table.identity.name),
      table.rows.map(({ row }) => formatRow({ ...row, args: row.args.map((word) => plain(word)) })),
    ]),
  );
}
