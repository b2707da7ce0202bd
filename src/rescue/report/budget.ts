/** Budget: a bounded part of what may be very much: rows until there are enough of them, or enough bytes. So a page stays small whatever a stranger's names are. */

/** What may be shown. */
export interface Budget {
  readonly rows: number;
  /** Bytes of UTF-8; the row that passes it is the last. */
  readonly bytes: number;
}

/** The first rows. @returns how many were shown */
export function* firstRows(rows: Iterable<string>, budget: Budget): Generator<string, number> {
  let shown = 0;
  let bytes = 0;
  for (const row of rows) {
    if (shown >= budget.rows || bytes >= budget.bytes) break;
    yield row;
    shown += 1;
    bytes += Buffer.byteLength(row);
  }
  return shown;
}
